import type {
  FastifyContextConfig, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault,
  RouteShorthandOptions
} from 'fastify'
import type { BatchParams } from '../schemas/request.js'
import { createBatchCanceller, defaultProviderOf, engineOf, TIME_RULES, type BatchCanceller } from './cancel/canceller.js'
import { kClock, type Clock } from './cancel/clock.js'
import type { Engine } from './cancel/engine.js'
import {
  BOOLEAN, checkOptions, FUNCTION, FUNCTIONS, invalidOption, milliseconds, OBJECT, optionName, STRING, STRINGS,
  withValue, type Rule, type Rules
} from './check-options.js'
import { checkDefaultProvider, DEFAULT_PROVIDER, type DefaultProvider } from './forwarder/default-provider.js'
import { forwarderOf } from './forwarder/forwarder-option.js'
import type { Batch, BatchCall, BatchForwarder } from './forwarder/types.js'
import { isObject } from './is-object.js'
import { forwardToProviders } from './providers/forward.js'
import type { ForwardOptions } from './providers/forward-options.js'
import type { ProviderOptions } from './providers/provider.js'

type RouteOptions = RouteShorthandOptions<
  RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, { Params: BatchParams }
>

type HostRouteOptions = 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler' | 'onSend' | 'onResponse' |
  'onError' | 'onTimeout' | 'onRequestAbort' | 'constraints' | 'logLevel' | 'bodyLimit'

/** What the host may set on routes that it did not write, their OpenAPI operations included. */
export interface BatchCancelRouteOptions extends Pick<RouteOptions, HostRouteOptions> {
  /** How many bytes of a body are read and dropped. @default 16_384 */
  bodyLimit?: number
  /**
   * How long a response may take, in milliseconds. It ends a wait with the batch as it is, and the response to a cancel
   * in progress with a 504; the cancel goes on.
   *
   * @default the `handlerTimeout` of the app
   */
  handlerTimeout?: number
  config?: FastifyContextConfig & Readonly<Record<string, unknown>>
  schema?: {
    tags?: readonly string[]
    summary?: string
    description?: string
    /**
     * Must be unique in a document.
     *
     * @default `cancelBatch`
     */
    operationId?: string
    /** The security schemes, which must exist in the host's document. @default none */
    security?: ReadonlyArray<Record<string, readonly string[]>>
    /** Keeps the operations out of the document. @default false */
    hide?: boolean
    /** The same for the operation of `GET /v1/batches/:id`; tags, security and hide are common to both. */
    retrieve?: {
      /** @default `retrieveBatch` */
      operationId?: string
      summary?: string
      description?: string
    }
  }
}

export interface FastifyBatchCancelOptions {
  /**
   * Passes each call on to the provider that holds the batch: a forwarder, or just its `cancel` function.
   *
   * @default `forwardToProviders()`
   */
  forward?: BatchForwarder | BatchForwarder['cancel']
  /** The engine to use, shared with code; instead of `forward`, `timeout` and `maxWait`. The app does not close it. */
  canceller?: BatchCanceller
  /** Also registers `GET /v1/batches/:id`. @default false */
  retrieve?: boolean | undefined
  /**
   * The provider of a call that does not name one, or a function of the call that finds it, such as by the tenant of
   * `request` or by `batchId`. The function is called after the app's `onRequest` hooks; `undefined` from it means that
   * the call must name a provider, and an error with a `statusCode` below 500 is the response.
   *
   * @default that of `canceller`; without one, `x-portkey-provider` is required
   * @example ({ batchId }) => batchId.startsWith('msgbatch_') ? 'anthropic' : 'openai'
   */
  defaultProvider?: DefaultProvider | undefined
  /** How long the work of one cancel may take, in milliseconds. @default 30_000 */
  timeout?: number | undefined
  /** The longest `Prefer: wait` that is granted, in milliseconds; 0 turns waiting off. @default 600_000 */
  maxWait?: number | undefined
  /** Hooks, config, constraints and limits of the host for the routes. */
  routeOptions?: BatchCancelRouteOptions | undefined
  /**
   * The host's own rules. Called once per call, after the provider, the headers and the credential are resolved and
   * before anything is sent. Returning false or throwing refuses the call with a 403; an error with a `statusCode`
   * below 500 keeps it.
   *
   * @default every call is allowed
   */
  allow?: (call: BatchCall) => unknown
  /** Whether `x-portkey-config` is accepted. @default true */
  portkeyConfig?: boolean
  /** Called after every 200 whose cancel the provider accepted in this call. Not awaited; what it throws is logged. */
  onCancelled?: ((call: BatchCall, batch: Batch) => unknown) | undefined
  /** Fastify's own: the route is `<prefix>/v1/batches/:id/cancel`. */
  prefix?: string
}

export interface Settings {
  readonly engine: Engine
  /** Closes the engine, unless it belongs to the host. */
  readonly close: () => Promise<void>
  readonly retrieve: boolean
  readonly defaultProvider: DefaultProvider | undefined
  readonly routeOptions: BatchCancelRouteOptions
  readonly allow: ((call: BatchCall) => unknown) | undefined
  readonly portkeyConfig: boolean
  readonly onCancelled: ((call: BatchCall, batch: Batch) => unknown) | undefined
}

/** What Fastify's `register` reads itself. */
export const FASTIFY_OPTIONS = ['prefix', 'logLevel', 'logSerializers'] as const

const FORWARD: Rule = { test: () => true, expected: 'a function or an object with a function cancel' }
const CANCELLER: Rule = { test: value => engineOf(value) !== undefined, expected: 'made by createBatchCanceller()' }

/** An unset variable must neither send the client's credential to providers nor drop a rule of the host. */
const OPTIONS: Rules = {
  // The rest of what is wrong with it is said by `forwarderOf`.
  forward: withValue(FORWARD),
  canceller: withValue(CANCELLER),
  retrieve: BOOLEAN,
  defaultProvider: DEFAULT_PROVIDER,
  ...TIME_RULES,
  routeOptions: OBJECT,
  allow: withValue(FUNCTION),
  portkeyConfig: withValue(BOOLEAN),
  onCancelled: FUNCTION
}

const ROUTE_OPTIONS: Rules = {
  onRequest: FUNCTIONS,
  preParsing: FUNCTIONS,
  preValidation: FUNCTIONS,
  preHandler: FUNCTIONS,
  onSend: FUNCTIONS,
  onResponse: FUNCTIONS,
  onError: FUNCTIONS,
  onTimeout: FUNCTIONS,
  onRequestAbort: FUNCTIONS,
  config: OBJECT,
  constraints: OBJECT,
  logLevel: STRING,
  bodyLimit: {
    test: value => Number.isInteger(value) && value as number >= 1,
    expected: 'a whole number of bytes from 1'
  },
  handlerTimeout: milliseconds(1),
  schema: OBJECT
}

const OPERATION: Rules = { operationId: STRING, summary: STRING, description: STRING }

const ROUTE_SCHEMA: Rules = {
  tags: STRINGS,
  ...OPERATION,
  security: {
    test: value => Array.isArray(value) &&
      value.every(item => isObject(item) && Object.values(item).every(STRINGS.test)),
    expected: 'an array of objects of arrays of strings'
  },
  hide: BOOLEAN,
  retrieve: OBJECT
}

/** Options of other functions that people look for here, with the place where they belong. */
const ELSEWHERE = {
  providers: 'forwardToProviders({ providers })',
  trustedHosts: 'forwardToProviders({ trustedHosts })',
  forwardHeaders: 'forwardToProviders({ forwardHeaders })',
  clientCredentials: 'forwardToProviders({ clientCredentials })',
  dispatcher: 'forwardToProviders({ dispatcher })',
  apiKey: 'forwardToProviders({ providers: { openai: openai({ apiKey }) } })',
  baseUrl: 'forwardToProviders({ providers: { openai: openai({ baseUrl }) } })'
} satisfies Record<keyof ForwardOptions | keyof ProviderOptions, string>

function refuseMisplaced (options: object): void {
  const misplaced = Object.entries(ELSEWHERE).find(([name]) => Object.hasOwn(options, name))
  if (misplaced === undefined) return
  const [name, place] = misplaced
  throw invalidOption(`Unknown option '${name}' in options. It belongs to the forwarder: forward: ${place}.`)
}

function refuseSerializationHook (routeOptions: object): void {
  if (!Object.hasOwn(routeOptions, 'preSerialization')) return
  throw invalidOption('options.routeOptions.preSerialization would never be called, since batches are sent as the ' +
    'text that the provider wrote: use onSend.')
}

/** Checks every option once. Throws `FST_BATCH_CANCEL_INVALID_OPTION` with one sentence about the first problem. */
export function readOptions (options: FastifyBatchCancelOptions & { readonly [kClock]?: Clock }): Settings {
  if (isObject(options)) refuseMisplaced(options)
  checkOptions('options', options, OPTIONS, FASTIFY_OPTIONS)
  const { retrieve = false, routeOptions = {}, allow, portkeyConfig = true, onCancelled } = options
  refuseSerializationHook(routeOptions)
  checkOptions('options.routeOptions', routeOptions, ROUTE_OPTIONS)
  checkOptions('options.routeOptions.schema', routeOptions.schema ?? {}, ROUTE_SCHEMA)
  checkOptions('options.routeOptions.schema.retrieve', routeOptions.schema?.retrieve ?? {}, OPERATION)
  const { engine, close } = readEngine(options)
  const defaultProvider = options.defaultProvider ?? defaultProviderOf(options.canceller)
  checkDefaultProvider('options', defaultProvider, engine.forwarder.providers)
  if (retrieve && engine.forwarder.retrieve === undefined) {
    throw invalidOption('options.retrieve needs a forwarder with a retrieve function.')
  }
  return { engine, close, retrieve, defaultProvider, routeOptions, allow, portkeyConfig, onCancelled }
}

const ENGINE_OPTIONS = ['forward', 'timeout', 'maxWait'] as const

/** The engine of the host, or one for this registration alone. */
function readEngine (options: FastifyBatchCancelOptions & {
  readonly [kClock]?: Clock
}): Pick<Settings, 'engine' | 'close'> {
  const shared = engineOf(options.canceller)
  if (shared !== undefined) {
    const conflict = ENGINE_OPTIONS.find(name => options[name] !== undefined)
    if (conflict === undefined) return { engine: shared, close: shared.settled }
    throw invalidOption(`${optionName('options', 'canceller', conflict)} exclude each other: ` +
      `set ${conflict} in createBatchCanceller().`)
  }
  const { forward = forwardToProviders(), timeout, maxWait, [kClock]: clock } = options
  const canceller = createBatchCanceller({
    forward: forwarderOf('options', forward),
    timeout,
    maxWait,
    ...clock !== undefined && { [kClock]: clock }
  })
  return { engine: engineOf(canceller) as Engine, close: canceller.close }
}
