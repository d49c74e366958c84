import type { IncomingHttpHeaders } from 'node:http'
import type { Batch } from '../../schemas/batch.js'
import { checkOptions, invalidOption, milliseconds, OBJECT, STRING, type Rules } from '../check-options.js'
import { traceCall, type CallOperation } from '../diagnostics.js'
import { isCallError, type CallError, type FST_BATCH_CANCEL_CLOSED } from '../errors.js'
import type { ResponseHeaders } from '../headers.js'
import { checkHeaders, checkId, isServed, traitsOf } from '../forwarder/check-call.js'
import { forwarderOf, refuseAsForwarder } from '../forwarder/forwarder-option.js'
import type { BatchForwarder, ProviderTraits } from '../forwarder/types.js'
import type { BatchSource } from './batch-state.js'
import { kClock, systemClock, type Clock } from './clock.js'
import { createEngine, type Engine, type EngineCall, type EngineResult } from './engine.js'
import type { CallLog } from './operation.js'
import { failureOf, REFUSED, reportFailure, reportSuccess, type Failure } from './report-call.js'

export interface BatchCancellerOptions {
  /** Passes each call on to the provider that holds the batch: a forwarder, or just its `cancel` function. */
  readonly forward: BatchForwarder | BatchForwarder['cancel']
  /** How long the work of one cancel may take, in milliseconds. @default 30_000 */
  readonly timeout?: number | undefined
  /** The longest wait, in milliseconds; 0 turns waiting off. @default 600_000 */
  readonly maxWait?: number | undefined
}

/** One cancel or read of one batch, made from code. */
export interface CallOptions {
  /** The provider that holds the batch, such as `openai`. */
  readonly provider: string
  readonly batchId: string
  /** The headers that a client would send: credentials and account headers of the provider. @default {} */
  readonly headers?: Readonly<IncomingHttpHeaders> | undefined
  /** How long to wait until the batch is terminal, in milliseconds, at most `maxWait`. @default 0 */
  readonly wait?: number | undefined
  /** Ends the wait, or rejects the call while the provider is being asked; a cancel that was sent is not undone. */
  readonly signal?: AbortSignal | undefined
  /** Gets a line for the call, for failed reads and for bugs of the forwarder; a pino logger fits. @default none */
  readonly log?: CallLog | undefined
}

/** What became of a call. */
export interface CallResult {
  readonly batch: Batch
  /** The batch as JSON, byte for byte as its provider wrote it. */
  readonly json: string
  /**
   * Where the status comes from: the response to the cancel (`provider`), a read (`retrieved`), or only the fact that
   * the provider accepted the cancel (`assumed`).
   */
  readonly source: BatchSource
  /** Whether the provider accepted a cancel of this call. */
  readonly accepted: boolean
  /** How many cancel requests were sent. */
  readonly attempts: number
  /** How many reads were needed to resolve the outcome; those of a wait do not count. */
  readonly reads: number
  /** The provider's headers for retries, rate limits and request ids. */
  readonly headers: ResponseHeaders
}

/** Cancels batches with the same certainty as the route, without HTTP. */
export interface BatchCanceller {
  /**
   * Cancels a batch. Resolves with a batch that is `cancelling` or `cancelled`.
   *
   * @throws BatchCancelError with `code` and `statusCode`; `batch_not_cancellable` has the `batch`
   * @throws ProviderError with the `statusCode` and `details` of the provider
   * @example
   * const { batch } = await canceller.cancel({ provider: 'openai', batchId: 'batch_abc123', wait: 60_000 })
   */
  cancel (options: CallOptions): Promise<CallResult>
  /**
   * Returns a batch as it is now, or with `wait` when it is terminal.
   *
   * @throws BatchCancelError
   * @throws ProviderError
   */
  retrieve (options: CallOptions): Promise<CallResult>
  /** Ends waits at once with the batch as it is, and resolves when running cancels are done. */
  close (): Promise<void>
}

const DEFAULT_TIMEOUT_MS = 30_000
const DEFAULT_MAX_WAIT_MS = 600_000

export const TIME_RULES: Rules = { timeout: milliseconds(1), maxWait: milliseconds(0) }

const CALL_RULES: Rules = {
  provider: STRING,
  batchId: STRING,
  headers: OBJECT,
  wait: milliseconds(0),
  signal: { test: value => value instanceof AbortSignal, expected: 'an AbortSignal' },
  log: OBJECT
}

const engines = new WeakMap<BatchCanceller, Engine>()

/** The engine of a canceller that `createBatchCanceller` made; `undefined` for any other value. */
export const engineOf = (canceller: unknown): Engine | undefined => engines.get(canceller as BatchCanceller)

/**
 * Creates the engine of the route for use from code: a cron job, a queue worker, another route.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 * @example
 * const canceller = createBatchCanceller({ forward: forwardToProviders({ providers: { openai: openai({ apiKey }) } })
 * })
 * const { batch } = await canceller.cancel({ provider: 'openai', batchId: 'batch_abc123' })
 * await canceller.close()
 */
export function createBatchCanceller (options: BatchCancellerOptions & { readonly [kClock]?: Clock }): BatchCanceller {
  checkOptions('createBatchCanceller()', options, { forward: { test: () => true, expected: '' }, ...TIME_RULES })
  const forwarder = forwarderOf('createBatchCanceller()', options.forward)
  const clock = options[kClock] ?? systemClock
  const engine = createEngine({
    forwarder,
    clock,
    timeout: options.timeout ?? DEFAULT_TIMEOUT_MS,
    maxWait: options.maxWait ?? DEFAULT_MAX_WAIT_MS
  })

  async function run (operation: CallOperation, options: CallOptions): Promise<CallResult> {
    const call = engineCall(operation, options)
    const { provider, batchId, headers, log } = call
    const started = clock.now()
    const duration = () => clock.now() - started
    // A name that is not served may be anything.
    const trace = traceCall({ operation, provider: isServed(provider, forwarder) ? provider : undefined, batchId })
    try {
      const result = await trace.run(async () => {
        checkCall(call, forwarder.providers)
        return await engine[operation](call)
      })
      reportSuccess(trace, log, result, duration())
      return toResult(result)
    } catch (error) {
      reportFailure(trace, log, toFailure(operation, error as CallError | Closed), duration(), headers)
      throw error
    }
  }

  const canceller: BatchCanceller = {
    cancel: (options) => run('cancel', options),
    retrieve: (options) => run('retrieve', options),
    close: () => engine.close()
  }
  engines.set(canceller, engine)
  return refuseAsForwarder(canceller, 'is a canceller, not a forwarder: give it to the plugin as its option canceller.')
}

const ignore = () => {}
const SILENT: CallLog = { warn: ignore, error: ignore, isLevelEnabled: () => false }

/** Throws what is wrong with the code that calls, which is not a call yet. */
function engineCall (method: string, options: CallOptions) {
  checkOptions(`${method}()`, options, CALL_RULES)
  const { provider, batchId, headers: given = {}, wait = 0, signal, log = SILENT } = options
  if (typeof provider !== 'string' || typeof batchId !== 'string') {
    throw invalidOption(`${method}({ provider, batchId }) are both required.`)
  }
  const headers = Object.fromEntries(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]))
  return { provider, batchId, headers, request: undefined, wait, log, ...signal && { signal } }
}

/** Throws what the route would respond to a call before anything is sent. */
function checkCall (
  { provider, batchId, headers }: EngineCall,
  providers: ReadonlyMap<string, ProviderTraits> | undefined
): void {
  const traits = traitsOf(provider, providers)
  checkId(batchId, provider, traits)
  checkHeaders(headers, traits.headers ?? {})
}

type Closed = InstanceType<typeof FST_BATCH_CANCEL_CLOSED>

function toFailure (operation: CallOperation, error: CallError | Closed): Failure {
  if (isCallError(error)) return failureOf(operation, error)
  return { error, status: error.statusCode as number, code: error.code, attempts: 0, reads: 0, message: REFUSED }
}

const toResult = ({ batch, json, source, accepted, attempts, reads, headers }: EngineResult): CallResult =>
  ({ batch, json, source, accepted, attempts, reads, headers })
