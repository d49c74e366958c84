import { setTimeout as wait } from 'node:timers/promises'
import { InvalidOption } from './errors.js'

export interface Clock {
  /** Unix time in milliseconds. */
  now (): number
  sleep (ms: number): Promise<void>
}

const idleClock: Clock = { now: Date.now, sleep: (ms) => wait(ms, undefined, { ref: false }) }

/** Options of the sandbox, besides Fastify's own such as `prefix`. */
export interface BatchSandboxOptions {
  /** The time that the sandbox lives in, so that a test can move it. Default: the system's. */
  readonly clock?: Clock
  /** How long each request of a batch takes, in milliseconds. Default: 400. */
  readonly latency?: number
  /** How many requests of one batch run at a time. Default: 3. */
  readonly concurrency?: number
}

/** The longest time that a timer of Node can wait. */
const MAX_LATENCY = 2 ** 31 - 1

const isClock = (value: unknown) => {
  const { now, sleep } = Object(value)
  return typeof now === 'function' && typeof sleep === 'function'
}

const OWN = ['clock', 'latency', 'concurrency']

/** What Fastify's `register` takes for itself. */
const OWN_OF_FASTIFY = ['prefix', 'logLevel', 'logSerializers']

export function checkOptions (options: BatchSandboxOptions): Required<BatchSandboxOptions> {
  const unknown = Object.keys(options).find(name => !OWN.includes(name) && !OWN_OF_FASTIFY.includes(name))
  if (unknown !== undefined) throw new InvalidOption(`${unknown} is no option; these are: ${OWN.join(', ')}`)
  const { clock = idleClock, latency = 400, concurrency = 3 } = options
  if (!isClock(clock)) throw new InvalidOption('clock must be an object with the functions now and sleep')
  if (!(Number.isFinite(latency) && latency >= 0 && latency <= MAX_LATENCY)) throw new InvalidOption(`latency must be a number of milliseconds from 0 to ${MAX_LATENCY}`)
  if (!Number.isInteger(concurrency) || concurrency < 1) throw new InvalidOption('concurrency must be a whole number of 1 or more')
  return { clock, latency, concurrency }
}
