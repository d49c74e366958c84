import { completeBatch } from '../batch/complete-batch.js'
import { unknownOutcome, type CallError } from '../errors.js'
import type { CheckedResult, NoBatch } from '../forwarder/check-forwarder.js'
import { backoffMs, retryAfterMs } from './backoff.js'
import { asAccepted, effectOn, notCancellable, type CancelledBatch } from './batch-state.js'
import type { CancelOperation, Operation } from './operation.js'
import { failureKind, isRepeatable, type FailureKind } from './outcome.js'
import { readBatch, type ReadResult } from './read-batch.js'

/** What one attempt to cancel led to. */
type Outcome = Accepted | Failed

interface Accepted {
  readonly kind: 'accepted'
  readonly result: CheckedResult
}

interface Failed {
  readonly kind: FailureKind
  readonly error: CallError
  /** The response, which may still come if the attempt took too long. */
  readonly response: Promise<CheckedResult>
}

/** How long a provider may lag behind a cancel that it rejected because another one came first. */
const LAG_MS = 1000

/**
 * Cancels a batch and resolves the outcome by reading the batch, within the deadline.
 *
 * @throws ProviderError if the provider refused
 * @throws BatchCancelError if the batch had ended, the outcome is not known, or the forwarder has a bug
 */
export async function cancelBatch (operation: CancelOperation): Promise<CancelledBatch> {
  const outcome = await attemptCancel(operation)
  if (outcome.kind === 'accepted') return confirm(operation, outcome.result)

  // The response to an attempt that was given up still counts if it comes before the outcome is resolved.
  const deadline = operation.deadline.fork()
  let acceptLate!: (result: CheckedResult) => void
  const late = new Promise<CheckedResult>(resolve => { acceptLate = resolve })
  const first = await Promise.race([resolveFailure(Object.assign({}, operation, { deadline }), outcome, acceptLate), late])
  if ('accepted' in first) return first
  deadline.clear()
  return await confirm(operation, first)
}

/** Reads and repeats until the outcome of the cancel is known. */
async function resolveFailure (
  operation: CancelOperation,
  firstOutcome: Failed,
  acceptLate: (result: CheckedResult) => void
): Promise<CancelledBatch> {
  // Once an attempt got no response this call may have stopped the batch: no rejection is believed without a read.
  let unresolved: CallError | undefined
  let outcome: Outcome = firstOutcome
  while (outcome.kind !== 'accepted') {
    outcome.response.then(acceptLate, () => {})
    if (outcome.kind === 'unknown') unresolved = outcome.error

    const needsRead = outcome.kind === 'rejected' || unresolved !== undefined
    const read = needsRead ? await readAfterFailure(operation, outcome.kind) : 'unreadable'
    const resolved = resolveByRead(read, unresolved !== undefined, operation.repeated)
    if (resolved !== undefined) return resolved

    const delay = delayBeforeRetry(operation, outcome.error)
    if (delay === undefined) throw finalError(outcome.error, unresolved, read)
    await operation.deadline.sleep(delay)
    outcome = await attemptCancel(operation)
  }
  return await confirm(operation, outcome.result)
}

async function attemptCancel ({ forwarder, call, deadline, progress }: Operation): Promise<Outcome> {
  progress.attempts++
  const response = forwarder.cancel(call)
  try {
    return { kind: 'accepted', result: await deadline.half(response) }
  } catch (error) {
    return { kind: failureKind(error as CallError), error: error as CallError, response }
  }
}

/** After acceptance the call ends with the batch, or with the 409 of a batch that ended first; never with a 5xx. */
function confirm (operation: Operation, result: CheckedResult): CancelledBatch | Promise<CancelledBatch> {
  return result.batch === null ? confirmByRead(operation, result) : asAccepted(result, 'provider', true)
}

async function confirmByRead (operation: Operation, { headers }: NoBatch): Promise<CancelledBatch> {
  const read = await readBatch(operation)
  if (typeof read !== 'string') return asAccepted(read, 'retrieved', true)
  const batch = completeBatch({ id: operation.call.batchId, status: 'cancelling' })
  return { batch, json: JSON.stringify(batch), headers, source: 'assumed', accepted: true }
}

/**
 * Reads the batch after an attempt that failed; once more after a moment if a rejection hints that the provider lags.
 */
async function readAfterFailure (operation: Operation, kind: FailureKind): Promise<ReadResult> {
  const read = await readBatch(operation)
  const mayLag = kind === 'rejected' && typeof read !== 'string' && effectOn(read.batch, true) === 'none'
  if (!mayLag || operation.deadline.left() <= LAG_MS) return read
  await operation.deadline.sleep(LAG_MS)
  return await readBatch(operation)
}

/**
 * The batch decides what a failure means, never the text of the failure; `undefined` if the batch does not show it.
 *
 * @param unresolved whether an attempt of this call may have cancelled the batch
 * @param repeated whether an earlier call of this client may have
 */
function resolveByRead (read: ReadResult, unresolved: boolean, repeated: boolean): CancelledBatch | undefined {
  if (typeof read === 'string') return undefined
  const effect = effectOn(read.batch, unresolved || repeated)
  if (effect === 'ended') throw notCancellable(read)
  return effect === 'cancelled' ? asAccepted(read, 'retrieved', unresolved) : undefined
}

/** Milliseconds until the next attempt; `undefined` after the last. */
function delayBeforeRetry (operation: CancelOperation, error: CallError): number | undefined {
  const { progress: { attempts }, maxAttempts, clock, deadline, random } = operation
  if (!isRepeatable(error) || attempts >= maxAttempts || error.headers['x-should-retry'] === 'false') return undefined
  const delay = retryAfterMs(error.headers, clock.date()) ?? backoffMs(attempts, random())
  return delay < deadline.left() ? delay : undefined
}

/** The error that ends a call whose outcome no read could resolve. */
function finalError (error: CallError, unresolved: CallError | undefined, read: ReadResult): CallError {
  if (unresolved === undefined) return error
  if (error.statusCode === 404 && read === 'missing') return error
  // A 5xx says by itself that the outcome is not known; a 4xx would say that nothing was done.
  return error === unresolved && error.statusCode >= 500 ? error : unknownOutcome(unresolved)
}
