import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { setJsonMember } from '../batch/json-member.js'
import { BatchCancelError } from '../errors.js'
import type { CheckedBatch } from '../forwarder/check-forwarder.js'

/**
 * Where the status of a batch comes from: the response to the cancel, a read after it, or the fact that the provider
 * accepted the cancel.
 */
export type BatchSource = 'provider' | 'retrieved' | 'assumed'

/** A batch that was cancelled or is being cancelled. */
export interface CancelledBatch extends CheckedBatch {
  readonly source: BatchSource
  /** Whether the provider accepted a cancel of this call. */
  readonly accepted: boolean
}

const TERMINAL: ReadonlySet<BatchStatus> = new Set<BatchStatus>(['completed', 'failed', 'expired', 'cancelled'])

export const isTerminal = ({ status }: Pick<Batch, 'status'>) => TERMINAL.has(status)

/** What the status of a batch means for a cancel: done or under way, too late, or no effect visible yet. */
export type Effect = 'cancelled' | 'ended' | 'none'

/** @param mayBeOurs whether a batch that is `cancelled` may be so because of this call */
export function effectOn ({ status }: Pick<Batch, 'status'>, mayBeOurs: boolean): Effect {
  if (status === 'cancelling' || (status === 'cancelled' && mayBeOurs)) return 'cancelled'
  return isTerminal({ status }) ? 'ended' : 'none'
}

/**
 * The result of a cancel by the batch as it is now. Providers lag: a batch that still looks live is
 * shown as `cancelling`, marked `assumed`. Throws `batch_not_cancellable` if the batch ended first.
 */
export function asAccepted (seen: CheckedBatch, source: BatchSource, accepted: boolean): CancelledBatch {
  const { batch, json, headers } = seen
  const effect = effectOn(batch, true)
  if (effect === 'ended') throw notCancellable(seen)
  if (effect === 'cancelled') return { batch, json, headers, source, accepted }
  const status = 'cancelling'
  const assumed = Object.assign({}, batch, { status })
  return { batch: assumed, json: setJsonMember(json, 'status', status), headers, source: 'assumed', accepted }
}

/** A final 409: it has no `retry-after`, and a header that stops the SDKs, which repeat a 409 by default. */
export function notCancellable ({ batch, json, headers }: CheckedBatch): BatchCancelError {
  const { 'retry-after': _seconds, 'retry-after-ms': _milliseconds, ...others } = headers
  return new BatchCancelError('batch_not_cancellable', `Cannot cancel a batch with status '${batch.status}'.`, {
    batch,
    json,
    headers: Object.assign(others, { 'x-should-retry': 'false' })
  })
}
