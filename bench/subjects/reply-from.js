import replyFrom from '@fastify/reply-from'
import Fastify from 'fastify'

const { PORT, UPSTREAM } = process.env

const app = Fastify()
app.register(replyFrom, { base: UPSTREAM })
app.post('/v1/batches/:id/cancel', (request, reply) => reply.from(request.url))
app.get('/v1/batches/:id', (request, reply) => reply.from(request.url))
app.listen({ host: '127.0.0.1', port: Number(PORT) })
