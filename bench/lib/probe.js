import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

/** Milliseconds between two looks at the event loop; what a look is late is the delay. */
const RESOLUTION = 10

/**
 * Answers every message of the script that started this process with the delays of the event loop since the last one,
 * the memory that is really in use, and what `look` returns. Needs `--expose-gc`.
 */
export function answerLooks (look = () => ({})) {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION })
  delays.enable()

  process.on('message', async () => {
    const [p50, p99, max] = [delays.percentile(50), delays.percentile(99), delays.max].map(beyondResolution)
    const looked = await look()
    globalThis.gc()
    // The pause of this collection is not the app's.
    await sleep(5 * RESOLUTION)
    delays.reset()
    const { rss, heapUsed } = process.memoryUsage()
    process.send({ rss, heapUsed, delay: { p50, p99, max }, ...looked })
  })

  process.send('ready')
}

const beyondResolution = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION)
