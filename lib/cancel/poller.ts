import type { Batch } from '../../schemas/batch.js'
import { isTerminal } from './cancel-batch.js'
import { withTimeout, type Timers } from './clock.js'
import { ProviderError } from '../errors.js'
import type { BatchCall } from '../forwarder/types.js'
import type { Answer, Hook } from '../forwarder/check-forwarder.js'
import { callUnder, Operation } from '../forwarder/lifetime.js'
import { retryAfter } from './retry-after.js'

/** Pauses between reads, in milliseconds; the last one for good. */
const PAUSES = [1000, 2000, 4000, 8000, 15_000]

/** How long before its end a wait is read for once more, and the least time between such reads, in milliseconds. */
const LAST_READ = 1000

/** The longest pause that a provider may ask for. */
const LONGEST_PAUSE = 60_000

/** A read that takes longer than this counts as failed, in milliseconds. */
const READ_TIME = 15_000

/** These say that reading on is of no use. */
const FINAL = new Set([401, 403, 404])

export interface WaitOptions {
  readonly retrieve: NonNullable<Hook['retrieve']>
  /** Waits with equal keys share one poller; those without a key share none. */
  readonly keyOf: (call: BatchCall) => string | undefined
  readonly clock: Timers
}

/** The batch as it was last seen. */
export interface Waited {
  /** `undefined`: it was not seen since. */
  readonly answer: Answer<Batch> | undefined
  /** Milliseconds after which it would be looked at again, where waiting on is of use. */
  readonly next?: number
}

interface Waiter {
  /** How many answers the poller had seen when this one joined: older ones are not for it. */
  readonly since: number
  readonly tell: (waited: Waited) => void
}

interface Poller {
  readonly waiters: Set<Waiter>
  /** The call of whoever came first, under an operation that lasts as long as anybody waits. */
  readonly call: BatchCall
  readonly operation: Operation
  answer: Answer<Batch> | undefined
  answers: number
  round: number
  pause: number
  /** When it may be read out of turn, as the clock tells it. */
  earliest: number
  /** Stops the next read from being made; `undefined` while one is on its way. */
  stop: (() => void) | undefined
}

export interface Wait {
  readonly waited: Promise<Waited>
  /** Ends this wait with the batch as it was last seen. */
  leave (): void
}

export interface Waits {
  /** Waits until the batch is terminal, reading on is of no use, `ms` milliseconds are over, or somebody leaves. */
  join (call: BatchCall, ms: number): Wait
  /** Ends every wait, and each that begins from now on at once. */
  close (): void
}

/** Waits for batches, each read by one poller for all who wait for it with the same credentials. */
export function createWaits ({ retrieve, keyOf, clock }: WaitOptions): Waits {
  const pollers = new Map<string | symbol, Poller>()
  let closed = false

  function join (call: BatchCall, ms: number): Wait {
    const key = keyOf(call) ?? Symbol('unshared')
    const poller = pollers.get(key) ?? open(key, call)
    let resolve!: (waited: Waited) => void
    const waited = new Promise<Waited>(_resolve => { resolve = _resolve })
    const waiter: Waiter = { since: poller.answers, tell (result) { stop(); resolve(result) } }
    let stop = clock.after(Math.max(0, ms - LAST_READ), () => {
      hurry(key, poller)
      stop = clock.after(Math.min(ms, LAST_READ), leave)
    })
    poller.waiters.add(waiter)

    function leave () {
      if (!poller.waiters.delete(waiter)) return
      if (poller.waiters.size === 0) shut(key, poller)
      waiter.tell({ answer: poller.answers > waiter.since ? poller.answer : undefined, next: poller.pause })
    }

    if (closed) leave()
    return { waited, leave }
  }

  function open (key: string | symbol, call: BatchCall): Poller {
    const operation = new Operation()
    const poller: Poller = { waiters: new Set(), call: callUnder(operation, call), operation, answer: undefined, answers: 0, round: 0, pause: 0, earliest: 0, stop: undefined }
    pollers.set(key, poller)
    schedule(key, poller)
    return poller
  }

  function shut (key: string | symbol, poller: Poller): void {
    poller.stop?.()
    poller.operation.end()
    pollers.delete(key)
  }

  function schedule (key: string | symbol, poller: Poller, asked?: number): void {
    const usual = PAUSES[Math.min(poller.round++, PAUSES.length - 1)] as number
    poller.pause = Math.min(Math.max(usual, asked ?? 0), LONGEST_PAUSE)
    poller.earliest = clock.now() + Math.max(LAST_READ, asked ?? 0)
    poller.stop = clock.after(poller.pause, () => { look(key, poller) })
  }

  /** Reads out of turn for whoever is about to go. */
  function hurry (key: string | symbol, poller: Poller): void {
    if (poller.stop === undefined || clock.now() < poller.earliest) return
    poller.stop()
    look(key, poller)
  }

  async function look (key: string | symbol, poller: Poller): Promise<void> {
    let asked: number | undefined
    poller.stop = undefined
    try {
      // A read that never ends is given up, so that the poller goes on.
      const answer = await withTimeout(retrieve(poller.call), READ_TIME, clock, () => new Error('The read took too long.'))
      asked = retryAfter(answer.headers, clock.now())
      poller.answer = answer
      poller.answers++
      if (isTerminal(answer.batch)) return finish(key, poller)
    } catch (error) {
      poller.call.request.log.warn({ err: error }, 'the batch could not be read while waiting for it')
      if (error instanceof ProviderError) {
        if (FINAL.has(error.statusCode)) return finish(key, poller)
        asked = retryAfter(error.headers, clock.now())
      }
    }
    if (poller.waiters.size > 0) schedule(key, poller, asked)
  }

  function finish (key: string | symbol, poller: Poller): void {
    // Another one may have begun while the last read of this one was on its way.
    if (pollers.get(key) === poller) pollers.delete(key)
    for (const { since, tell } of poller.waiters) tell({ answer: poller.answers > since ? poller.answer : undefined })
    poller.waiters.clear()
    poller.operation.end()
  }

  function close (): void {
    closed = true
    for (const [key, poller] of pollers) {
      poller.stop?.()
      finish(key, poller)
    }
  }

  return { join, close }
}
