import awsLambdaFastify from '@fastify/aws-lambda'
import Fastify from 'fastify'
import { Pool } from 'undici'

/* The bare route as a function: Fastify and undici, the text passed through. */

const { OPENAI_BASE_URL, OPENAI_API_KEY } = process.env
const { origin, pathname } = new URL(OPENAI_BASE_URL)
const pool = new Pool(origin)

const app = Fastify({ requestIdHeader: 'x-request-id' })
app.post('/v1/batches/:id/cancel', async (request, reply) => {
  const { statusCode, headers, body } = await pool.request({
    method: 'POST',
    path: `${pathname}/batches/${encodeURIComponent(request.params.id)}/cancel`,
    headers: { authorization: `Bearer ${OPENAI_API_KEY}` }
  })
  return reply.code(statusCode).header('content-type', headers['content-type']).send(await body.text())
})

export const handler = awsLambdaFastify(app, { decorateRequest: false })
await app.ready()
