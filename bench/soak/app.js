import { promisify } from 'node:util'
import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'
import { answerLooks } from '../lib/probe.js'

const { PORT, UPSTREAM, TIMEOUT } = process.env

const app = Fastify()
app.register(batchCancel, {
  defaultProvider: 'openai',
  forward: forwardToProviders({ providers: { openai: openai({ apiKey: 'sk-bench', baseUrl: `${UPSTREAM}/v1` }) } }),
  retrieve: true,
  timeout: Number(TIMEOUT)
})
await app.listen({ host: '127.0.0.1', port: Number(PORT) })

const countConnections = promisify(app.server.getConnections).bind(app.server)

answerLooks(async () => {
  const resources = process.getActiveResourcesInfo()
  const count = kind => resources.filter(resource => resource === kind).length
  const fromClients = await countConnections()
  return {
    fromClients,
    toUpstream: count('TCPSocketWrap') - fromClients,
    timers: count('Timeout'),
    resources: resources.length
  }
})
