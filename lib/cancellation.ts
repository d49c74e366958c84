import type { Batch, BatchStatus } from '../schemas/batch.js'
import { wholeBatch } from './batch.js'
import type { Clock } from './clock.js'
import { BatchCancelError, ProviderError } from './errors.js'
import type { BatchCall } from './forwarder.js'
import type { Answer, Hook } from './hook.js'

/** Where the status of an answer comes from: the cancel's own answer, a read after it, or the fact that it was accepted. */
export type BatchSource = 'provider' | 'retrieved' | 'assumed'

export interface Cancellation extends Answer<Batch> {
  readonly source: BatchSource
  /** Whether the provider accepted the cancel in this call. */
  readonly accepted: boolean
}

export interface CancellationOptions {
  readonly clock: Clock
  /** The client repeats a cancel whose answer it did not get, so a batch that is cancelled is what it asked for. */
  readonly repeated: boolean
  readonly log: { warn (details: object, message: string): void }
}

/** A batch as it was seen, or `undefined` where it could not be. */
type Sight = (Answer<Batch> & { readonly source: BatchSource }) | undefined

/** How long a provider may lag behind a cancel that it refused because another one came first. */
const LAG = 1000

/** Statuses of a refusal that may mean that the batch is in no state to be cancelled. */
const WRONG_STATE = new Set([400, 409, 412, 422])

/** Statuses in which a batch stays for good. */
const TERMINAL: ReadonlySet<BatchStatus> = new Set<BatchStatus>(['completed', 'failed', 'expired', 'cancelled'])

/**
 * Cancels a batch and learns what became of it, whoever holds it.
 *
 * Throws a `ProviderError` where the provider refused, and a `BatchCancelError` where the batch had ended,
 * the provider could not be asked or the hook has a bug.
 */
export async function cancelBatch (hook: Hook, call: BatchCall, options: CancellationOptions): Promise<Cancellation> {
  let answer: Answer
  try {
    answer = await hook.cancel(call)
  } catch (error) {
    if (!mayBeWrongState(error)) throw error
    return await settleRefusal(error, hook, call, options)
  }
  const { batch, headers } = answer
  return settleAccepted(batch === null ? await look(hook, call, options) : { batch, headers, source: 'provider' }, call)
}

const mayBeWrongState = (error: unknown): error is ProviderError => error instanceof ProviderError && WRONG_STATE.has(error.statusCode)

/** After acceptance the answer is the batch, or the 409 of a batch that ended first; never that the read failed. */
function settleAccepted (sight: Sight, { batchId }: BatchCall): Cancellation {
  if (sight === undefined) return { batch: wholeBatch({ id: batchId, status: 'cancelling' }), source: 'assumed', accepted: true }
  const { status } = sight.batch
  if (status === 'cancelling' || status === 'cancelled') return { ...sight, accepted: true }
  if (TERMINAL.has(status)) throw notCancellable(sight)
  return { ...sight, batch: { ...sight.batch, status: 'cancelling' }, source: 'assumed', accepted: true }
}

/** The batch decides what a refusal means, never the text of the refusal. */
async function settleRefusal (refusal: ProviderError, hook: Hook, call: BatchCall, options: CancellationOptions): Promise<Cancellation> {
  let sight = await look(hook, call, options)
  if (sight !== undefined && isLive(sight.batch)) {
    await options.clock.sleep(LAG)
    sight = await look(hook, call, options)
  }
  if (sight === undefined || isLive(sight.batch)) throw refusal
  const { status } = sight.batch
  if (status === 'cancelling' || (status === 'cancelled' && options.repeated)) return { ...sight, accepted: false }
  throw notCancellable(sight)
}

async function look (hook: Hook, call: BatchCall, { log }: CancellationOptions): Promise<Sight> {
  try {
    const answer = await hook.retrieve?.(call)
    return answer && { ...answer, source: 'retrieved' }
  } catch (error) {
    log.warn({ err: error }, 'the batch could not be read')
    return undefined
  }
}

const isLive = ({ status }: Batch) => status !== 'cancelling' && !TERMINAL.has(status)

const notCancellable = ({ batch, headers }: NonNullable<Sight>) =>
  new BatchCancelError('batch_not_cancellable', `Cannot cancel a batch with status '${batch.status}'.`, { batch, headers })
