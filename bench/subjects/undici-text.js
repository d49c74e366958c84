import Fastify from 'fastify'
import { Pool } from 'undici'

const { PORT, UPSTREAM } = process.env
const pool = new Pool(UPSTREAM)

const app = Fastify()
app.post('/v1/batches/:id/cancel', forwardTo('POST', '/cancel'))
app.get('/v1/batches/:id', forwardTo('GET', ''))
app.listen({ host: '127.0.0.1', port: Number(PORT) })

function forwardTo (method, ending) {
  return async (request, reply) => {
    const { statusCode, headers, body } = await pool.request({
      method,
      path: `/v1/batches/${encodeURIComponent(request.params.id)}${ending}`,
      headers: { authorization: request.headers.authorization }
    })
    return reply.code(statusCode).header('content-type', headers['content-type']).send(await body.text())
  }
}
