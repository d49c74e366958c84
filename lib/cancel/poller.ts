import { ProviderError } from '../errors.js'
import type { CheckedBatch } from '../forwarder/check-forwarder.js'
import { createCall, endCall } from '../forwarder/lifetime.js'
import type { Batch, BatchCall } from '../forwarder/types.js'
import { MAX_POLLERS } from '../limits.js'
import { retryAfterMs } from './backoff.js'
import { isTerminal } from './batch-state.js'
import { withTimeout, type Clock } from './clock.js'
import { logError, type CallLog } from './operation.js'

/** The pauses before each read of a poller; the last one repeats. */
const POLL_INTERVALS_MS = [1000, 2000, 4000, 8000, 15_000]

/** How long before its end a wait reads the batch once more, and the least time between two such reads. */
const LAST_READ_MS = 1000

/** The longest pause that a provider may ask for. */
const MAX_POLL_INTERVAL_MS = 60_000

/** A read that takes longer counts as failed, so that the poller goes on. */
const READ_TIMEOUT_MS = 15_000

/** After these further reads are useless. */
const FINAL_STATUSES: ReadonlySet<number> = new Set([401, 403, 404])

/** How a wait ended. */
export interface WaitResult {
  /** The batch as it was last read; `undefined` if no read succeeded while this wait lasted. */
  readonly seen: CheckedBatch | undefined
  /** Milliseconds until the next read would be, if the batch is not terminal yet. */
  readonly retryAfter?: number
}

export interface Wait {
  readonly result: Promise<WaitResult>
  /** Ends this wait with the batch as it was last read. */
  stop (): void
}

export interface Pollers {
  /**
   * Waits until the batch is terminal, further reads are useless, `ms` milliseconds have passed, or the wait is
   * stopped. Waits with the same key share one poller; `undefined` is not shared. At once if that would be one poller
   * too many.
   */
  wait (call: BatchCall, key: string | undefined, ms: number, log: CallLog): Wait
  /** Ends every wait, and each one that is started later at once. */
  close (): void
}

/** The wait of a call that comes after the end of all waits, or while too many batches are waited for. */
const ENDED: Wait = {
  result: Promise.resolve({ seen: undefined, retryAfter: POLL_INTERVALS_MS[0] as number }),
  stop () {}
}

export interface PollersOptions {
  readonly retrieve: (call: BatchCall) => Promise<CheckedBatch>
  readonly clock: Clock
  /** Whether a batch is `cancelling` for longer than its provider documents. */
  readonly isOverdue: (call: BatchCall, batch: Batch) => boolean
}

export function createPollers ({ retrieve, clock, isOverdue }: PollersOptions): Pollers {
  const pollers = new Map<string | symbol, Poller>()
  let closed = false

  function wait (call: BatchCall, key: string | undefined, ms: number, log: CallLog): Wait {
    if (closed) return ENDED
    const id = key ?? Symbol('not shared')
    const poller = pollers.get(id) ?? (pollers.size < MAX_POLLERS ? start(id, call, log) : undefined)
    return poller?.add(ms) ?? ENDED
  }

  function start (id: string | symbol, call: BatchCall, log: CallLog): Poller {
    // Another poller may have taken its place while its last read was in progress.
    const onEnd = () => { if (pollers.get(id) === poller) pollers.delete(id) }
    const poller = createPoller({ retrieve, clock, isOverdue, call, log, onEnd })
    pollers.set(id, poller)
    return poller
  }

  function close (): void {
    closed = true
    for (const poller of pollers.values()) poller.end()
  }

  return { wait, close }
}

interface Poller {
  add (ms: number): Wait
  /** Ends all waits with the batch as it was last read. */
  end (): void
}

interface Waiter {
  /** How many reads had succeeded before this waiter came: their batches are too old for it. */
  readonly readsBefore: number
  readonly resolve: (result: WaitResult) => void
}

interface PollerOptions extends PollersOptions {
  /** The call of the first waiter. */
  readonly call: BatchCall
  readonly log: CallLog
  readonly onEnd: () => void
}

/** Reads one batch in growing intervals for as long as there are waiters. */
function createPoller ({ retrieve, clock, isOverdue, call: firstCall, log, onEnd }: PollerOptions): Poller {
  // A call of its own, since the poller may outlive the call of its first waiter.
  const call = createCall(firstCall)
  const waiters = new Set<Waiter>()
  const intervals = pollIntervals()
  let seen: CheckedBatch | undefined
  let reads = 0
  let warned = false
  let interval = 0
  /** From when on the batch may be read ahead of schedule. */
  let earliest = 0
  /** Cancels the next scheduled read; `undefined` while one is in progress. */
  let cancelRead: (() => void) | undefined
  schedule(undefined)

  function add (ms: number): Wait {
    let resolve!: (result: WaitResult) => void
    const result = new Promise<WaitResult>(_resolve => { resolve = _resolve })
    let cancelTimer = clock.setTimer(Math.max(0, ms - LAST_READ_MS), () => {
      readEarly()
      cancelTimer = clock.setTimer(Math.min(ms, LAST_READ_MS), stop)
    })
    const waiter: Waiter = {
      readsBefore: reads,
      resolve (value) {
        cancelTimer()
        resolve(value)
      }
    }
    waiters.add(waiter)

    function stop (): void {
      if (!waiters.delete(waiter)) return
      waiter.resolve({ seen: resultFor(waiter).seen, retryAfter: interval })
      if (waiters.size === 0) end()
    }

    return { result, stop }
  }

  const resultFor = ({ readsBefore }: Waiter): WaitResult => ({ seen: reads > readsBefore ? seen : undefined })

  /** @param requested milliseconds that the provider asked to wait */
  function schedule (requested: number | undefined): void {
    interval = Math.min(Math.max(intervals.next().value, requested ?? 0), MAX_POLL_INTERVAL_MS)
    earliest = clock.now() + Math.max(LAST_READ_MS, requested ?? 0)
    cancelRead = clock.setTimer(interval, poll)
  }

  /** Reads ahead of schedule for a wait that is about to end. */
  function readEarly (): void {
    if (cancelRead === undefined || clock.now() < earliest) return
    cancelRead()
    poll()
  }

  async function poll (): Promise<void> {
    cancelRead = undefined
    const { isLast, requested } = await read()
    if (isLast) end()
    else if (waiters.size > 0) schedule(requested)
  }

  async function read (): Promise<{ isLast: boolean, requested?: number | undefined }> {
    try {
      seen = await withTimeout(retrieve(call), READ_TIMEOUT_MS, clock, () => new Error('The read took too long.'))
      reads++
      warnIfOverdue(seen.batch)
      return { isLast: isTerminal(seen.batch), requested: retryAfterMs(seen.headers, clock.date()) }
    } catch (error) {
      if (waiters.size > 0) logError(log, 'warn', call.headers, error, 'reading the batch failed while a client waits for it')
      if (!(error instanceof ProviderError)) return { isLast: false }
      return {
        isLast: FINAL_STATUSES.has(error.statusCode),
        requested: retryAfterMs(error.headers, clock.date())
      }
    }
  }

  function warnIfOverdue (batch: Batch): void {
    if (warned || !isOverdue(call, batch)) return
    warned = true
    const { provider, batchId } = call
    log.warn({ provider, batchId, cancellingSince: toDate(batch.cancelling_at) }, OVERDUE)
  }

  function end (): void {
    cancelRead?.()
    onEnd()
    for (const waiter of waiters) waiter.resolve(resultFor(waiter))
    waiters.clear()
    endCall(call)
  }

  return { add, end }
}

const OVERDUE = 'the batch is cancelling for longer than its provider documents'

/** @param unixSeconds a time that made a batch overdue, so there is one */
const toDate = (unixSeconds: Batch['cancelling_at']) => new Date((unixSeconds as number) * 1000).toISOString()

function * pollIntervals (): Generator<number, never> {
  yield * POLL_INTERVALS_MS
  for (;;) yield POLL_INTERVALS_MS.at(-1) as number
}
