// One trace from the incoming request to the provider's call, with what became of the call as attributes of its span.

import { tracingChannel } from 'node:diagnostics_channel'
import { FastifyOtelInstrumentation } from '@fastify/otel'
import { trace } from '@opentelemetry/api'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { ConsoleSpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import Fastify from 'fastify'
import batchCancel, { builtIn, CALL_CHANNEL, forwardToProviders, openai } from 'fastify-batch-cancel'

// In production: a BatchSpanProcessor with an OTLP exporter.
export const tracing = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new ConsoleSpanExporter())] })
tracing.register()

// Neither needs a loader: undici publishes its requests, and Fastify's spans come from a plugin.
export const undici = new UndiciInstrumentation()
undici.setTracerProvider(tracing)
const fastifyOtel = new FastifyOtelInstrumentation()
fastifyOtel.setTracerProvider(tracing)

// The span that is active when the work of a call starts.
const spans = new WeakMap()

tracingChannel(CALL_CHANNEL).subscribe({
  start (call) {
    spans.set(call, trace.getActiveSpan())
  },
  asyncEnd (call) {
    const { operation, provider, outcome, attempts, reads, overdue } = call
    spans.get(call)?.setAttributes({
      'batch.operation': operation,
      'batch.provider': provider ?? 'none',
      'batch.outcome': outcome ?? 'none',
      'batch.attempts': attempts,
      'batch.reads': reads,
      'batch.overdue': overdue
    })
  }
})

const baseUrl = process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'
const forward = forwardToProviders({ providers: { ...builtIn, openai: openai({ baseUrl }) } })

export const app = Fastify()
await app.register(fastifyOtel.plugin())
await app.register(batchCancel, { forward, retrieve: true })
await app.listen({ port: Number(process.env.PORT ?? 3000) })
