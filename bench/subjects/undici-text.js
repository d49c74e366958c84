import Fastify from 'fastify'
import { Pool } from 'undici'

const { PORT, UPSTREAM } = process.env
const pool = new Pool(UPSTREAM)

const app = Fastify()
app.post('/v1/batches/:id/cancel', async (request, reply) => {
  const { statusCode, headers, body } = await pool.request({
    method: 'POST',
    path: `/v1/batches/${encodeURIComponent(request.params.id)}/cancel`,
    headers: { authorization: request.headers.authorization }
  })
  return reply.code(statusCode).header('content-type', headers['content-type']).send(await body.text())
})
app.listen({ host: '127.0.0.1', port: Number(PORT) })
