import {
  BatchCancelError, FST_BATCH_CANCEL_CLOSED, ProviderError, timedOut, type ErrorCode
} from '../errors.js'
import { checkForwarder, type CheckedBatch } from '../forwarder/check-forwarder.js'
import { createCall, endCall } from '../forwarder/lifetime.js'
import type { BatchCall, BatchForwarder } from '../forwarder/types.js'
import { asAccepted, isTerminal, type CancelledBatch } from './batch-state.js'
import { cancelBatch } from './cancel-batch.js'
import { withTimeout, type Clock } from './clock.js'
import { createDeadline, type Deadline } from './deadline.js'
import { redactingLog, type CallLog, type Operation, type Progress } from './operation.js'
import { createPollers, type WaitResult } from './poller.js'
import { retrieveBatch } from './read-batch.js'

export interface EngineOptions {
  readonly forwarder: BatchForwarder
  readonly clock: Clock
  /** Milliseconds that the work of one operation may take. */
  readonly timeout: number
  /** The longest wait, in milliseconds. */
  readonly maxWait: number
}

/** One operation on one batch, whose id and headers were checked. */
export interface EngineCall extends Omit<BatchCall, 'signal'> {
  /** How long to wait until the batch is terminal, in milliseconds from now. @default 0 */
  readonly wait?: number
  /** When the caller stops waiting for anything, in milliseconds from now; the work goes on. @default never */
  readonly limit?: number | undefined
  /** Aborts when the caller stops waiting; the work goes on. */
  readonly signal?: AbortSignal
  /** Calls back when the caller no longer waits for the end of the batch. Returns a function that unregisters it. */
  readonly onLeave?: (listener: () => void) => () => void
  /** Called before anything is sent; what it throws ends the call. */
  readonly allow?: ((call: BatchCall) => unknown) | undefined
  readonly log: CallLog
  /** See `CancelOperation`. */
  readonly repeated?: boolean
  readonly maxAttempts?: number
}

export interface EngineResult extends CancelledBatch, Progress {
  readonly call: BatchCall
  /** Milliseconds after which the batch should be read again, if a wait ended before the batch did. */
  readonly retryAfter?: number | undefined
}

export interface Engine {
  readonly forwarder: BatchForwarder
  /** The longest wait that is granted, in milliseconds; 0 if the forwarder cannot read batches. */
  readonly maxWait: number
  cancel (call: EngineCall): Promise<EngineResult>
  retrieve (call: EngineCall): Promise<EngineResult>
  /** Resolves when running operations are done, those of clients that left included. */
  settled (): Promise<void>
  /** Ends waits at once, lets running operations end, and closes idle connections to providers. */
  close (): Promise<void>
}

/** The work of one operation, and what it has sent so far. */
interface Work<T> {
  readonly call: BatchCall
  readonly done: Promise<T>
  readonly progress: Progress
}

export function createEngine ({ forwarder, clock, timeout, maxWait }: EngineOptions): Engine {
  const checked = checkForwarder(forwarder)
  const pollers = checked.retrieve && createPollers({ retrieve: checked.retrieve, clock })
  const inFlight = new Set<Promise<unknown>>()
  let closed = false

  async function cancel (engineCall: EngineCall): Promise<EngineResult> {
    const { repeated = false, maxAttempts } = engineCall
    const work = start(engineCall, operation =>
      cancelBatch({ ...operation, repeated, ...maxAttempts !== undefined && { maxAttempts } }))
    return await finish(engineCall, work, (cancelled, seen) => ({ ...cancelled, ...asAccepted(seen, 'retrieved') }))
  }

  async function retrieve (engineCall: EngineCall): Promise<EngineResult> {
    const found = { source: 'retrieved', accepted: false } as const
    const work = start(engineCall, async operation => ({ ...await retrieveBatch(operation), ...found }))
    try {
      return await finish(engineCall, work, (read, seen) => ({ ...read, ...seen }))
    } catch (error) {
      throw asReadError(error)
    }
  }

  /** Starts the work of an operation, which goes on to its end whether anybody waits for it or not. */
  function start<T> (engineCall: EngineCall, run: (operation: Operation) => Promise<T>): Work<T> {
    if (closed) throw new FST_BATCH_CANCEL_CLOSED()
    const call = createCall(engineCall)
    const deadline = createDeadline(clock, timeout)
    const progress: Progress = { attempts: 0, reads: 0 }
    const log = redactingLog(engineCall.log, engineCall.headers)
    const operation = { forwarder: checked, call, clock, deadline, random: Math.random, log, progress }
    const done = prepareAndRun(operation, engineCall, run)
    const tracked: Promise<unknown> = done.then(forget, forget)
    function forget () { inFlight.delete(tracked) }
    inFlight.add(tracked)
    return { call, done, progress }
  }

  async function prepareAndRun<T> (
    operation: Operation,
    { allow }: EngineCall,
    run: (operation: Operation) => Promise<T>
  ): Promise<T> {
    const { call, deadline } = operation
    try {
      const preparing = checked.prepare(call)
      if (preparing !== undefined) await inTime(preparing, deadline)
      const allowing = allow?.(call)
      if (allowing !== undefined) await inTime(Promise.resolve(allowing), deadline)
      return await run(operation)
    } finally {
      deadline.clear()
    }
  }

  const inTime = <T>(work: Promise<T>, deadline: Deadline) => withTimeout(work, deadline.left(), clock, notPrepared)

  /** The result for the caller, who may wait for less than the work or for more. */
  async function finish<T extends CancelledBatch> (
    engineCall: EngineCall,
    { call, done, progress }: Work<T>,
    merge: (result: T, seen: CheckedBatch) => T
  ): Promise<EngineResult> {
    const started = clock.now()
    try {
      const result = await forCaller(done, engineCall)
      const waited = await waitUntilTerminal(engineCall, call, result, started)
      if (waited === undefined) return { ...result, ...progress, call }
      const { seen, retryAfter } = waited
      return { ...seen === undefined ? result : merge(result, seen), ...progress, call, retryAfter }
    } catch (error) {
      if (error instanceof BatchCancelError || error instanceof ProviderError) Object.assign(error, progress)
      throw error
    } finally {
      // The work may go on after the caller's own limit.
      done.then(() => endCall(call), () => endCall(call))
    }
  }

  function forCaller<T> (work: Promise<T>, { limit, signal }: EngineCall): Promise<T> {
    const limited = limit === undefined ? work : withTimeout(work, limit, clock, timedOut)
    return signal === undefined ? limited : untilAborted(limited, signal)
  }

  async function waitUntilTerminal (
    { wait = 0, limit = Infinity, signal, onLeave, log }: EngineCall,
    call: BatchCall,
    { batch }: CheckedBatch,
    started: number
  ): Promise<WaitResult | undefined> {
    const left = started + Math.min(wait, maxWait, limit) - clock.now()
    if (pollers === undefined || isTerminal(batch) || left <= 0 || signal?.aborted === true) return undefined
    const safeLog = redactingLog(log, call.headers)
    const { result, stop } = pollers.wait(call, shareKeyOf(call, safeLog), left, safeLog)
    const unregister = onLeave?.(stop)
    signal?.addEventListener('abort', stop, { once: true })
    const waited = await result
    unregister?.()
    signal?.removeEventListener('abort', stop)
    return waited
  }

  function shareKeyOf (call: BatchCall, log: CallLog): string | undefined {
    try {
      return checked.shareKey(call)
    } catch (error) {
      // The cancel was accepted: a bug of the forwarder must not hide that.
      log.error({ err: error }, 'shareKey failed')
      return undefined
    }
  }

  async function settled (): Promise<void> {
    await Promise.all(inFlight)
  }

  async function close (): Promise<void> {
    closed = true
    pollers?.close()
    await settled()
    await checked.close()
  }

  return { forwarder, maxWait: pollers === undefined ? 0 : maxWait, cancel, retrieve, settled, close }
}

/** The messages of errors of a read that belongs to no cancel. */
const READ_MESSAGES: Partial<Record<ErrorCode, string>> = {
  internal_error: 'Internal error',
  upstream_unreachable: 'The provider could not be reached.',
  upstream_invalid_response: 'The provider returned a response that is not a batch.',
  upstream_timeout: 'The provider did not respond in time.'
}

/** The error of a read, which says nothing about a cancel. */
function asReadError (error: unknown): unknown {
  const message = error instanceof BatchCancelError ? READ_MESSAGES[error.code] : undefined
  if (message === undefined) return error
  const { code, attempts, reads } = error as BatchCancelError
  return Object.assign(new BatchCancelError(code, message, { cause: error }), { attempts, reads })
}

const notPrepared = () => new BatchCancelError(
  'upstream_timeout',
  'The call could not be prepared in time. Nothing was sent; it is safe to repeat the call.',
  { outcome: 'final' }
)

/** The result of the work, or `upstream_timeout` if the caller aborts before; the work goes on. */
function untilAborted<T> (work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(timedOut(signal.reason))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
