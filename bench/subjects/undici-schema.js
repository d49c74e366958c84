import Fastify from 'fastify'
import { Pool } from 'undici'

const { PORT, UPSTREAM } = process.env
const pool = new Pool(UPSTREAM)

const text = { type: ['string', 'null'] }
const seconds = { type: ['integer', 'null'] }
const counts = (...names) => Object.fromEntries(names.map(name => [name, { type: 'integer' }]))

const batch = {
  type: 'object',
  properties: {
    id: text,
    object: text,
    endpoint: text,
    model: text,
    errors: { type: ['object', 'null'], additionalProperties: true },
    input_file_id: text,
    completion_window: text,
    status: text,
    output_file_id: text,
    error_file_id: text,
    created_at: seconds,
    in_progress_at: seconds,
    expires_at: seconds,
    finalizing_at: seconds,
    completed_at: seconds,
    failed_at: seconds,
    expired_at: seconds,
    cancelling_at: seconds,
    cancelled_at: seconds,
    request_counts: { type: 'object', properties: counts('total', 'completed', 'failed') },
    usage: {
      type: 'object',
      properties: {
        ...counts('input_tokens', 'output_tokens', 'total_tokens'),
        input_tokens_details: { type: 'object', properties: counts('cached_tokens') },
        output_tokens_details: { type: 'object', properties: counts('reasoning_tokens') }
      }
    },
    metadata: { type: 'object', additionalProperties: { type: 'string' } }
  }
}

const app = Fastify()
app.post('/v1/batches/:id/cancel', { schema: { response: { 200: batch } } }, async (request, reply) => {
  const { statusCode, body } = await pool.request({
    method: 'POST',
    path: `/v1/batches/${encodeURIComponent(request.params.id)}/cancel`,
    headers: { authorization: request.headers.authorization }
  })
  return reply.code(statusCode).send(await body.json())
})
app.listen({ host: '127.0.0.1', port: Number(PORT) })
