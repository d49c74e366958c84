import type { IncomingHttpHeaders } from 'node:http'
import type { Batch } from '../../schemas/batch.js'
import {
  checkOptions, invalidOption, milliseconds, OBJECT, STRING, warnOfSeconds, type Rules
} from '../check-options.js'
import { traceCall, type CallOperation } from '../diagnostics.js'
import { isCallError, type CallError, type FST_BATCH_CANCEL_CLOSED } from '../errors.js'
import type { ResponseHeaders } from '../headers.js'
import { checkHeaders, checkId, isServed, providerError, traitsOf } from '../forwarder/check-call.js'
import {
  checkDefaultProvider, DEFAULT_PROVIDER, findDefaultProvider, type DefaultProvider
} from '../forwarder/default-provider.js'
import { forwarderOf, refuseAsForwarder } from '../forwarder/forwarder-option.js'
import type { BatchCall, BatchForwarder, ProviderTraits } from '../forwarder/types.js'
import type { BatchSource } from './batch-state.js'
import { kClock, systemClock, type Clock } from './clock.js'
import { createEngine, type Engine, type EngineCall, type EngineResult } from './engine.js'
import type { CallLog } from './operation.js'
import { failureOf, REFUSED, reportFailure, reportSuccess, type Failure } from './report-call.js'

export interface BatchCancellerOptions {
  /** Passes each call on to the provider that holds the batch: a forwarder, or just its `cancel` function. */
  readonly forward: BatchForwarder | BatchForwarder['cancel']
  /**
   * The provider of a call that does not name one, or a function of the call that finds it. Calls from code have no
   * `request`.
   *
   * @default none: every call must name its provider
   */
  readonly defaultProvider?: DefaultProvider | undefined
  /** How long the work of one cancel may take, in milliseconds. @default 30_000 */
  readonly timeout?: number | undefined
  /** The longest wait, in milliseconds; 0 turns waiting off. @default 600_000 */
  readonly maxWait?: number | undefined
}

/** One cancel or read of one batch, made from code. */
export interface CallOptions {
  /** The provider that holds the batch, such as `openai`. @default the canceller's `defaultProvider` */
  readonly provider?: string | undefined
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

const PATH = 'createBatchCanceller()'

const CANCELLER_RULES: Rules = {
  forward: { test: () => true, expected: '' },
  defaultProvider: DEFAULT_PROVIDER,
  ...TIME_RULES
}

const engines = new WeakMap<BatchCanceller, Engine>()

/** The engine of a canceller that `createBatchCanceller` made; `undefined` for any other value. */
export const engineOf = (canceller: unknown): Engine | undefined => engines.get(canceller as BatchCanceller)

const defaultProviders = new WeakMap<BatchCanceller, DefaultProvider>()

export const defaultProviderOf = (canceller: BatchCanceller | undefined): DefaultProvider | undefined =>
  canceller && defaultProviders.get(canceller)

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
  checkOptions(PATH, options, CANCELLER_RULES)
  const { defaultProvider, timeout, maxWait, [kClock]: clock = systemClock } = options
  if (clock === systemClock) {
    warnOfSeconds('timeout', timeout)
    warnOfSeconds('maxWait', maxWait)
  }
  const forwarder = forwarderOf(PATH, options.forward)
  const { providers } = forwarder
  checkDefaultProvider(PATH, defaultProvider, providers)
  const engine = createEngine({
    forwarder,
    clock,
    timeout: timeout ?? DEFAULT_TIMEOUT_MS,
    maxWait: maxWait ?? DEFAULT_MAX_WAIT_MS
  })

  async function run (operation: CallOperation, options: CallOptions): Promise<CallResult> {
    checkCallOptions(operation, options, defaultProvider)
    const unresolved = { batchId: options.batchId, headers: lowerCased(options.headers ?? {}), request: undefined }
    const { provider: named = defaultProvider } = options
    // Without a function nothing is awaited, so that a close() after the call waits for it.
    const found = typeof named === 'function' ? await findDefaultProvider(named, unresolved, providers) : named
    if (found === undefined) throw providerError('missing_provider', 'Name the provider that holds the batch.')
    return await runReported(operation, engineCall(options, { ...unresolved, provider: found }))
  }

  async function runReported (operation: CallOperation, call: EngineCall): Promise<CallResult> {
    const { provider, batchId, headers, log } = call
    const started = clock.now()
    const duration = () => clock.now() - started
    // A name that is not served may be anything.
    const trace = traceCall({ operation, provider: isServed(provider, forwarder) ? provider : undefined, batchId })
    try {
      const result = await trace.run(async () => {
        checkCall(call, providers)
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
  if (defaultProvider !== undefined) defaultProviders.set(canceller, defaultProvider)
  engines.set(canceller, engine)
  return refuseAsForwarder(canceller, 'is a canceller, not a forwarder: give it to the plugin as its option canceller.')
}

const ignore = () => {}
const SILENT: CallLog = { warn: ignore, error: ignore, isLevelEnabled: () => false }

/** Throws what is wrong with the code that calls, which is not a call yet. */
function checkCallOptions (method: string, options: CallOptions, defaultProvider: DefaultProvider | undefined): void {
  checkOptions(`${method}()`, options, CALL_RULES)
  const { provider = defaultProvider, batchId } = options
  if (provider !== undefined && batchId !== undefined) return
  const required = defaultProvider === undefined ? '{ provider, batchId }) are both required' : '{ batchId }) is required'
  throw invalidOption(`${method}(${required}.`)
}

const lowerCased = (headers: IncomingHttpHeaders): IncomingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

const engineCall = ({ wait = 0, log = SILENT, signal }: CallOptions, call: Omit<BatchCall, 'signal'>): EngineCall =>
  ({ ...call, wait, log, ...signal && { signal } })

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
