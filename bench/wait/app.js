import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'

/** Milliseconds between two looks at the event loop; what a look is late is the delay. */
const RESOLUTION = 10

const { PORT, UPSTREAM } = process.env
const delays = monitorEventLoopDelay({ resolution: RESOLUTION })

const app = Fastify()
app.register(batchCancel, { forward: forwardToProviders({ providers: { openai: openai({ baseUrl: `${UPSTREAM}/v1` }) } }) })
await app.listen({ host: '127.0.0.1', port: Number(PORT) })
delays.enable()

/** Asked for by the script that started this app: the delays since it was asked last, and the memory that is really in use. */
process.on('message', async () => {
  const [p50, p99, max] = [delays.percentile(50), delays.percentile(99), delays.max].map(beyondResolution)
  globalThis.gc()
  // The pause of this collection is not the app's.
  await sleep(5 * RESOLUTION)
  delays.reset()
  const { rss, heapUsed } = process.memoryUsage()
  process.send({ rss, heapUsed, delay: { p50, p99, max } })
})

function beyondResolution (nanoseconds) {
  return Math.max(0, nanoseconds / 1e6 - RESOLUTION)
}

process.send('ready')
