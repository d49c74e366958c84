import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { withTimeout, type Timers } from './clock.js'
import { BatchCancelError, lostAnswer, ProviderError, timedOut } from '../errors.js'
import type { BatchCall } from '../forwarder/types.js'
import type { Answer, Hook } from '../forwarder/check-forwarder.js'
import { retryAfter } from './retry-after.js'
import { withStatus } from '../batch/raw-json.js'

/** Where the status of an answer comes from: the cancel's own answer, a read after it, or the fact that it was accepted. */
export type BatchSource = 'provider' | 'retrieved' | 'assumed'

export interface Cancellation extends Answer<Batch> {
  readonly source: BatchSource
  /** Whether this call is why the batch is being cancelled. */
  readonly accepted: boolean
}

/** How often the provider was asked so far; counted as it happens, so that it is known of a failure, too. */
export interface Tally {
  cancels: number
  reads: number
}

export interface CancellationOptions {
  readonly clock: Timers
  /** From 0 to 1; spreads the pauses of many calls. */
  readonly random: () => number
  /** When the work ends, as the clock tells it. */
  readonly end: number
  /** The client repeats a cancel whose answer it did not get, so a batch that is cancelled is what it asked for. */
  readonly repeated: boolean
  /** Most cancels that are sent: 1 for a client that repeats calls by itself. */
  readonly cancels: number
  readonly tally: Tally
  readonly log: { warn (details: object, message: string): void }
}

type Failure = BatchCancelError | ProviderError

/** What came of one cancel. */
type Attempt =
  | { readonly kind: 'accepted', readonly answer: Answer }
  | { readonly kind: Refusal, readonly error: Failure }

/**
 * `refused`: perhaps for the state of the batch. `limited`: nothing was done, and it may be tried again. `lost`: whether anything was done is
 * not known. `denied`: any other answer of the provider. `unsent`: nothing left, or the hook has a bug.
 */
type Refusal = 'refused' | 'limited' | 'lost' | 'denied' | 'unsent'

/** A batch as it was seen; `missing`: the provider says that there is none; `unread`: nothing was learnt. */
type Sight = (Answer<Batch> & { readonly source: BatchSource }) | 'missing' | 'unread'

/** Most cancels of one call, and most tries of one read. */
export const MOST_CANCELS = 3
export const MOST_READS = 3

/** How long a provider may lag behind a cancel that it refused because another one came first, in milliseconds. */
const LAG = 1000

/** The first pause before something is tried again, in milliseconds; each next one is twice as long. */
const PAUSE = 500

const KINDS: ReadonlyMap<number, Refusal> = new Map<number, Refusal>([
  [400, 'refused'], [409, 'refused'], [412, 'refused'], [422, 'refused'],
  [429, 'limited'],
  [408, 'lost'], [500, 'lost'], [502, 'lost'], [503, 'lost'], [504, 'lost']
])

/** Statuses in which a batch stays for good. */
const TERMINAL: ReadonlySet<BatchStatus> = new Set<BatchStatus>(['completed', 'failed', 'expired', 'cancelled'])

/**
 * Cancels a batch and learns what became of it, whoever holds it, within its time.
 *
 * Throws a `ProviderError` where the provider refused, and a `BatchCancelError` where the batch had ended,
 * the outcome could not be learnt or the hook has a bug.
 */
export async function cancelBatch (hook: Hook, call: BatchCall, options: CancellationOptions): Promise<Cancellation> {
  // Once an answer was lost, this call may have stopped the batch: no refusal is believed any more unless a read confirms it.
  let lost: Failure | undefined
  for (;;) {
    const attempt = await send(hook, call, options)
    if (attempt.kind === 'accepted') return await settleAccepted(attempt.answer, hook, call, options)
    if (attempt.kind === 'unsent' && lost === undefined) throw attempt.error
    if (attempt.kind === 'lost') lost = attempt.error

    const sight = attempt.kind === 'refused' || lost !== undefined ? await look(hook, call, options, attempt.kind) : 'unread'
    const settled = settle(sight, lost !== undefined, options)
    if (settled !== undefined) return settled

    const pause = pauseToCancel(attempt, options)
    if (pause === undefined) throw conclude(attempt.error, lost, sight)
    await options.clock.sleep(pause)
  }
}

async function send (hook: Hook, call: BatchCall, options: CancellationOptions): Promise<Attempt> {
  options.tally.cancels++
  try {
    return { kind: 'accepted', answer: await inHalfOfTheTime(hook.cancel(call), options) }
  } catch (error) {
    return { kind: kindOf(error as Failure), error: error as Failure }
  }
}

const kindOf = (error: Failure): Refusal => error instanceof ProviderError
  ? KINDS.get(error.statusCode) ?? (error.statusCode > 501 ? 'lost' : 'denied')
  : error.statusCode <= 500 ? 'unsent' : error.sent ? 'lost' : 'limited'

/** After acceptance the answer is the batch, or the 409 of a batch that ended first; never that the read failed. */
async function settleAccepted ({ batch, headers }: Answer, hook: Hook, call: BatchCall, options: CancellationOptions): Promise<Cancellation> {
  const sight = batch === null ? await read(hook, call, options) : { batch, headers, source: 'provider' as const }
  if (typeof sight === 'string') return { batch: completeBatch({ id: call.batchId, status: 'cancelling' }), headers, source: 'assumed', accepted: true }
  const { status } = sight.batch
  if (status === 'cancelling' || status === 'cancelled') return { batch: sight.batch, headers: sight.headers, source: sight.source, accepted: true }
  if (isTerminal(sight.batch)) throw notCancellable(sight)
  return { ...sight, batch: withStatus(sight.batch, 'cancelling'), source: 'assumed', accepted: true }
}

/** The batch decides what a failure means, never the text of the failure; `undefined` where it does not tell. */
function settle (sight: Sight, mine: boolean, { repeated }: CancellationOptions): Cancellation | undefined {
  if (typeof sight === 'string' || isLive(sight.batch)) return undefined
  const { status } = sight.batch
  if (status === 'cancelling' || (status === 'cancelled' && (mine || repeated))) return { ...sight, accepted: mine }
  throw notCancellable(sight)
}

/** Reads the batch after a cancel that failed; once more, a moment later, where a refusal hints that the provider lags. */
async function look (hook: Hook, call: BatchCall, options: CancellationOptions, kind: Refusal): Promise<Sight> {
  const sight = await read(hook, call, options)
  if (kind !== 'refused' || typeof sight === 'string' || !isLive(sight.batch) || left(options) <= LAG) return sight
  await options.clock.sleep(LAG)
  return await read(hook, call, options)
}

/** Reads the batch, again where no answer comes. */
async function read (hook: Hook, call: BatchCall, options: CancellationOptions, tries = 1): Promise<Sight> {
  if (hook.retrieve === undefined) return 'unread'
  options.tally.reads++
  try {
    return { ...await inHalfOfTheTime(hook.retrieve(call), options), source: 'retrieved' }
  } catch (error) {
    options.log.warn({ err: error }, 'the batch could not be read')
    const pause = pauseToRead(error as Failure, tries, options)
    if (pause === undefined) return (error as Failure).statusCode === 404 ? 'missing' : 'unread'
    await options.clock.sleep(pause)
    return await read(hook, call, options, tries + 1)
  }
}

/** How long to wait before the batch is read again; `undefined` where it is not to be. */
function pauseToRead (error: Failure, tries: number, options: CancellationOptions): number | undefined {
  if (!mayBeRepeated(kindOf(error)) || tries === MOST_READS) return undefined
  return fitting(pauseFor(error, tries, options), options)
}

/** How long to wait before the cancel is sent again; `undefined` where it is not to be. */
function pauseToCancel ({ kind, error }: { readonly kind: Refusal, readonly error: Failure }, options: CancellationOptions): number | undefined {
  const { tally, cancels } = options
  if (!mayBeRepeated(kind) || tally.cancels >= cancels || error.headers['x-should-retry'] === 'false') return undefined
  return fitting(pauseFor(error, tally.cancels, options), options)
}

const mayBeRepeated = (kind: Refusal) => kind === 'lost' || kind === 'limited'

const fitting = (pause: number, options: CancellationOptions) => pause < left(options) ? pause : undefined

/** The provider's own wish, else a pause that grows with each try. */
function pauseFor ({ headers }: Failure, tries: number, { clock, random }: CancellationOptions): number {
  const asked = retryAfter(headers, clock.now())
  return asked ?? PAUSE * 2 ** (tries - 1) * (0.5 + random() / 2)
}

/** The answer where no read told what became of the batch. */
function conclude (error: Failure, lost: Failure | undefined, sight: Sight): Failure {
  if (lost === undefined) return error
  if (error.statusCode === 404 && sight === 'missing') return error
  // A 5xx says by itself that nothing is known; a 4xx would say that nothing was done.
  return error === lost && error.statusCode >= 500 ? error : lostAnswer(lost)
}

/** Each request gets at most half of what is left, so that there is always time for the next. */
const inHalfOfTheTime = <T>(work: Promise<T>, options: CancellationOptions): Promise<T> =>
  withTimeout(work, left(options) / 2, options.clock, timedOut)

const left = ({ clock, end }: CancellationOptions) => end - clock.now()

export const isTerminal = ({ status }: Batch) => TERMINAL.has(status)

const isLive = (batch: Batch) => batch.status !== 'cancelling' && !isTerminal(batch)

export const notCancellable = ({ batch, headers }: Answer<Batch>) =>
  new BatchCancelError('batch_not_cancellable', `Cannot cancel a batch with status '${batch.status}'.`, { batch, headers })
