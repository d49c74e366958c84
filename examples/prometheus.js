// Metrics for Prometheus from the diagnostics channel, under /metrics.

import { subscribe } from 'node:diagnostics_channel'
import Fastify from 'fastify'
import batchCancel, { CALL_CHANNEL } from 'fastify-batch-cancel'
import { Counter, Histogram, Registry } from 'prom-client'

const registry = new Registry()
const labelNames = ['provider', 'status']

const duration = new Histogram({
  name: 'batch_cancel_duration_seconds',
  help: 'Time from the request to the response, waits included.',
  labelNames,
  buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600],
  registers: [registry]
})

const attempts = new Counter({
  name: 'batch_cancel_attempts_total',
  help: 'Cancel requests that were sent to the provider.',
  labelNames,
  registers: [registry]
})

// Both labels have few values: a provider is one that is served, and the `outcome` of a report is left out, since it
// may be a code of the provider.
subscribe(CALL_CHANNEL, ({ provider = 'none', status, duration: milliseconds, attempts: sent }) => {
  duration.observe({ provider, status }, milliseconds / 1000)
  attempts.inc({ provider, status }, sent)
})

export const app = Fastify()
await app.register(batchCancel)
app.get('/metrics', async (_request, reply) => {
  reply.type(registry.contentType)
  return await registry.metrics()
})
await app.listen({ port: Number(process.env.PORT ?? 3000) })
