import Fastify from 'fastify'

const { PORT, UPSTREAM } = process.env

const app = Fastify()
app.post('/v1/batches/:id/cancel', async (request, reply) => {
  const response = await fetch(`${UPSTREAM}/v1/batches/${encodeURIComponent(request.params.id)}/cancel`, {
    method: 'POST',
    headers: { authorization: request.headers.authorization }
  })
  return reply.code(response.status).header('content-type', response.headers.get('content-type')).send(await response.text())
})
app.listen({ host: '127.0.0.1', port: Number(PORT) })
