// Metrics for Prometheus from the diagnostics channel, under /metrics: outcomes by provider, times and attempts.

import { tracingChannel } from 'node:diagnostics_channel'
import Fastify from 'fastify'
import batchCancel, { builtIn, CALL_CHANNEL, ERROR_STATUS, forwardToProviders, openai } from 'fastify-batch-cancel'
import { Counter, Histogram, Registry } from 'prom-client'

const registry = new Registry()
const labelNames = ['operation', 'provider', 'status']

const calls = new Counter({
  name: 'batch_calls_total',
  help: 'Calls by their outcome.',
  labelNames: ['operation', 'provider', 'outcome'],
  registers: [registry]
})

const duration = new Histogram({
  name: 'batch_call_duration_seconds',
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

const overdue = new Counter({
  name: 'batch_overdue_total',
  help: 'Calls that saw a batch which is cancelling for longer than its provider documents.',
  labelNames: ['provider'],
  registers: [registry]
})

const STATUSES = ['validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled']
const OUTCOMES = new Set([...STATUSES, ...Object.keys(ERROR_STATUS)])

// All labels have few values: a provider is one that is served, and the many codes of providers are one outcome.
tracingChannel(CALL_CHANNEL).asyncEnd.subscribe(call => {
  const { operation, provider = 'none', status } = call
  const labels = { operation, provider, status }
  calls.inc({ operation, provider, outcome: OUTCOMES.has(call.outcome) ? call.outcome : 'other_error' })
  duration.observe(labels, call.duration / 1000)
  attempts.inc(labels, call.attempts)
  if (call.overdue) overdue.inc({ provider })
})

const baseUrl = process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'
const forward = forwardToProviders({ providers: { ...builtIn, openai: openai({ baseUrl }) } })

export const app = Fastify()
await app.register(batchCancel, { forward, retrieve: true })
app.get('/metrics', async (_request, reply) => {
  reply.type(registry.contentType)
  return await registry.metrics()
})
await app.listen({ port: Number(process.env.PORT ?? 3000) })
