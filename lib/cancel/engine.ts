import { BatchCancelError, FST_BATCH_CANCEL_CLOSED, ProviderError, timedOut, type ErrorCode } from '../errors.js'
import { onAbort } from '../on-abort.js'
import { checkForwarder, type CheckedBatch } from '../forwarder/check-forwarder.js'
import { createCall, endCall } from '../forwarder/lifetime.js'
import type { Batch, BatchCall, BatchForwarder } from '../forwarder/types.js'
import { MAX_ATTEMPTS } from './backoff.js'
import { asAccepted, isTerminal, type BatchSource, type CancelledBatch } from './batch-state.js'
import { toCallerError } from './caller-error.js'
import { cancelBatch } from './cancel-batch.js'
import { withTimeout, type Clock } from './clock.js'
import { Deadline } from './deadline.js'
import { logError, type CallLog, type CancelOperation, type Progress } from './operation.js'
import { isOverdue } from './overdue.js'
import { createPollers, type Pollers, type WaitResult } from './poller.js'
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
  readonly wait?: number | undefined
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
  /** @default 3 */
  readonly maxAttempts?: number | undefined
}

export interface EngineResult extends CancelledBatch, Progress {
  readonly call: BatchCall
  /** Whether the batch is `cancelling` for longer than its provider documents. */
  readonly overdue: boolean
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
  /** Loads what the first operation would have to wait for. */
  warm (): Promise<void>
  /** Ends waits at once, lets running operations end, and closes idle connections to providers. */
  close (): Promise<void>
}

/** Makes a result of the batch as it was read last. */
type ToResult = (seen: CheckedBatch, source: BatchSource, accepted: boolean) => CancelledBatch

export function createEngine ({ forwarder, clock, timeout, maxWait }: EngineOptions): Engine {
  const checked = checkForwarder(forwarder)
  const pollers = checked.retrieve && createPollers({ retrieve: checked.retrieve, clock, isOverdue: isOverdueNow })
  let running = 0
  let closed = false
  let notifySettled = () => {}

  const cancel = (engineCall: EngineCall): Promise<EngineResult> => run(engineCall, cancelBatch, asAccepted)

  async function retrieve (engineCall: EngineCall): Promise<EngineResult> {
    try {
      return await run(engineCall, async operation => asRetrieved(await retrieveBatch(operation)), asRetrieved)
    } catch (error) {
      throw asReadError(error)
    }
  }

  /** Runs an operation for a caller, who may wait for less than the work or, for the end of the batch, longer. */
  function run (
    engineCall: EngineCall,
    work: (operation: CancelOperation) => Promise<CancelledBatch>,
    toResult: ToResult
  ): Promise<EngineResult> {
    if (closed) return Promise.reject(new FST_BATCH_CANCEL_CLOSED())
    const call = createCall(engineCall)
    const progress: Progress = { attempts: 0, reads: 0 }
    running++
    const done = prepareAndWork(engineCall, call, progress, work)
    const result = resultForCaller(engineCall, call, done, progress, toResult)
    const end = () => endOperation(call)
    // The work may go on after the caller's own limit, and a wait after the work.
    const endAfterWork = () => { done.then(end, end) }
    result.then(endAfterWork, endAfterWork)
    return result
  }

  async function resultForCaller (
    engineCall: EngineCall,
    call: BatchCall,
    done: Promise<CancelledBatch>,
    progress: Progress,
    toResult: ToResult
  ): Promise<EngineResult> {
    const started = clock.now()
    try {
      let result = await forCaller(done, engineCall)
      const waiting = waitUntilTerminal(engineCall, call, result, started)
      const waited = waiting && await waiting
      if (waited?.seen !== undefined) result = toResult(waited.seen, 'retrieved', result.accepted)
      const { batch, json, headers, source, accepted } = result
      const { attempts, reads } = progress
      const overdue = isOverdueNow(call, batch)
      return { batch, json, headers, source, accepted, attempts, reads, overdue, call, retryAfter: waited?.retryAfter }
    } catch (error) {
      if (!(error instanceof BatchCancelError || error instanceof ProviderError)) throw error
      throw toCallerError(error, call.headers, progress)
    }
  }

  function isOverdueNow ({ provider }: BatchCall, batch: Batch): boolean {
    const cancellingTime = forwarder.providers?.get(provider)?.cancellingTime
    return cancellingTime !== undefined && isOverdue(batch, cancellingTime, clock.date())
  }

  function endOperation (call: BatchCall): void {
    endCall(call)
    running--
    if (running === 0) notifySettled()
  }

  async function prepareAndWork (
    { allow, log, repeated = false, maxAttempts = MAX_ATTEMPTS }: EngineCall,
    call: BatchCall,
    progress: Progress,
    work: (operation: CancelOperation) => Promise<CancelledBatch>
  ): Promise<CancelledBatch> {
    const deadline = new Deadline(clock, timeout)
    const random = Math.random
    try {
      const preparing = checked.prepare(call)
      if (preparing !== undefined) await inTime(preparing, deadline)
      const allowing = allow?.(call)
      if (allowing !== undefined) await inTime(Promise.resolve(allowing), deadline)
      return await work({ forwarder: checked, call, clock, deadline, random, log, progress, repeated, maxAttempts })
    } finally {
      deadline.clear()
    }
  }

  const inTime = <T>(work: Promise<T>, deadline: Deadline) => withTimeout(work, deadline.left(), clock, notPrepared)

  function forCaller<T> (work: Promise<T>, { limit, signal }: EngineCall): Promise<T> {
    const limited = limit === undefined ? work : withTimeout(work, limit, clock, timedOut)
    return signal === undefined ? limited : untilAborted(limited, signal)
  }

  /** `undefined` if there is nothing to wait for. */
  function waitUntilTerminal (
    engineCall: EngineCall,
    call: BatchCall,
    { batch }: CheckedBatch,
    started: number
  ): Promise<WaitResult> | undefined {
    const { wait = 0, limit = Infinity, signal } = engineCall
    if (wait === 0 || pollers === undefined || isTerminal(batch) || signal?.aborted === true) return undefined
    const left = started + Math.min(wait, maxWait, limit) - clock.now()
    return left <= 0 ? undefined : pollUntilTerminal(pollers, engineCall, call, left)
  }

  async function pollUntilTerminal (
    pollers: Pollers,
    { signal, onLeave, log }: EngineCall,
    call: BatchCall,
    ms: number
  ): Promise<WaitResult> {
    const { result, stop } = pollers.wait(call, shareKeyOf(call, log), ms, log)
    const unregister = onLeave?.(stop)
    const unregisterAbort = signal && onAbort(signal, stop)
    const waited = await result
    unregister?.()
    unregisterAbort?.()
    return waited
  }

  function shareKeyOf (call: BatchCall, log: CallLog): string | undefined {
    try {
      return checked.shareKey(call)
    } catch (error) {
      // The cancel was accepted: a bug of the forwarder must not hide that.
      logError(log, 'error', call.headers, error, 'shareKey failed')
      return undefined
    }
  }

  async function settled (): Promise<void> {
    if (running > 0) await new Promise<void>(resolve => { notifySettled = resolve })
  }

  async function close (): Promise<void> {
    closed = true
    pollers?.close()
    await settled()
    await checked.close()
  }

  return { forwarder, maxWait: pollers === undefined ? 0 : maxWait, cancel, retrieve, settled, warm: checked.warm, close }
}

/** A batch that was only read: any status is a result. */
const asRetrieved = ({ batch, json, headers }: CheckedBatch): CancelledBatch =>
  ({ batch, json, headers, source: 'retrieved', accepted: false })

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
    const unregister = onAbort(signal, () => reject(timedOut(signal.reason)))
    work.then(resolve, reject).finally(unregister)
  })
}
