// One of several replicas behind nginx.conf. They share nothing: the batch at the provider is the only state.

import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'

const { PORT = 3000, LOG_LEVEL = 'info', OPENAI_API_KEY, OPENAI_BASE_URL } = process.env

export const app = Fastify({
  logger: { level: LOG_LEVEL },
  routerOptions: { maxParamLength: 512 },
  // Longer than keepalive_timeout of nginx: the side that sends requests should be the one that closes connections.
  keepAliveTimeout: 72_000,
  // Requests that arrive over open connections while the replica closes are carried out.
  return503OnClosing: false
})

let isClosing = false
app.addHook('preClose', async () => { isClosing = true })
// A connection that is kept alive would keep a replica that closes alive as well.
app.addHook('onSend', async (_request, reply) => { if (isClosing) reply.header('connection', 'close') })

app.get('/healthz', async () => ({ status: 'ok' }))

await app.register(batchCancel, {
  defaultProvider: 'openai',
  forward: forwardToProviders({
    providers: {
      openai: openai({ apiKey: OPENAI_API_KEY, baseUrl: OPENAI_BASE_URL ?? 'https://api.openai.com/v1' })
    }
  }),
  retrieve: true,
  timeout: 30_000,
  maxWait: 60_000
})

// Running cancels are carried to their end, and the process exits when the last response is out.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())

await app.listen({ port: Number(PORT) })
