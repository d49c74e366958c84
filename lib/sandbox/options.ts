import { systemClock, type SandboxClock } from './clock.js'
import { InvalidOption } from './errors.js'
import { MAX_LATENCY_MS } from './limits.js'

/** Options of the sandbox, besides Fastify's own, such as `prefix`. */
export interface BatchSandboxOptions {
  /**
   * Lets a test control the time.
   * @default the system's time
   */
  readonly clock?: SandboxClock
  /**
   * How long each request of a batch takes, in milliseconds.
   * @default 400
   */
  readonly latency?: number
  /**
   * How many requests of one batch run at the same time.
   * @default 3
   */
  readonly concurrency?: number
}

const DEFAULT_LATENCY_MS = 400
const DEFAULT_CONCURRENCY = 3

type Rule = readonly [isValid: (value: unknown) => boolean, expected: string]

const isClock = (value: unknown) => {
  const { now, sleep } = Object(value)
  return typeof now === 'function' && typeof sleep === 'function'
}

const isLatency = (value: unknown) => Number.isFinite(value) && Number(value) >= 0 && Number(value) <= MAX_LATENCY_MS
const isConcurrency = (value: unknown) => Number.isInteger(value) && Number(value) >= 1

const RULES: Readonly<Record<keyof BatchSandboxOptions, Rule>> = {
  clock: [isClock, 'an object with the functions now and sleep'],
  latency: [isLatency, `a number of milliseconds from 0 to ${MAX_LATENCY_MS}`],
  concurrency: [isConcurrency, 'a whole number from 1']
}

/** Options that Fastify's `register` uses itself. */
const FASTIFY_OPTIONS = ['prefix', 'logLevel', 'logSerializers']

/**
 * Checks every option and adds the defaults.
 * @throws {TypeError} `FST_BATCH_SANDBOX_INVALID_OPTION`, with one sentence.
 */
export function readOptions (options: BatchSandboxOptions): Required<BatchSandboxOptions> {
  for (const [name, value] of Object.entries(options)) {
    if (FASTIFY_OPTIONS.includes(name)) continue
    const rule = Object.entries(RULES).find(([known]) => known === name)
    if (rule === undefined) {
      const valid = Object.keys(RULES).join(', ')
      throw new InvalidOption(`Unknown option '${name}' in sandbox options. Valid options: ${valid}.`)
    }
    const [, [isValid, expected]] = rule
    if (value !== undefined && !isValid(value)) throw new InvalidOption(`options.${name} should be ${expected}.`)
  }
  const { clock = systemClock, latency = DEFAULT_LATENCY_MS, concurrency = DEFAULT_CONCURRENCY } = options
  return { clock, latency, concurrency }
}
