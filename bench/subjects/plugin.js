import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'

const { PORT, UPSTREAM, PROVIDERS = 'openai' } = process.env
const providers = Object.fromEntries(PROVIDERS.split(',').map(name => [name, openai({ baseUrl: `${UPSTREAM}/v1` })]))

const app = Fastify()
app.register(batchCancel, { retrieve: true, forward: forwardToProviders({ providers }) })
app.listen({ host: '127.0.0.1', port: Number(PORT) })
