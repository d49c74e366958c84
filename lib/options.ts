import type { FastifyContextConfig, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault, RouteShorthandOptions } from 'fastify'
import type { CancelParams } from '../schemas/cancel.js'
import { isProviderName } from './route/read-call.js'
import { kClock, systemClock, type Timers } from './cancel/clock.js'
import { FST_BATCH_CANCEL_INVALID_OPTION } from './errors.js'
import { isObject } from './is-object.js'
import type { Batch, BatchCall, BatchForwarder } from './forwarder/types.js'
import { forwardToProviders } from './providers/forward.js'

/** Fastify's options for the route, whose hooks may read the id. */
type RouteOptions = RouteShorthandOptions<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, { Params: CancelParams }>

/** What the host may say of a route that it did not write; its OpenAPI operation among it. */
export interface BatchCancelRouteOptions extends Pick<RouteOptions, 'onRequest' | 'preValidation' | 'preHandler' | 'onSend' | 'onResponse' | 'constraints' | 'logLevel' | 'bodyLimit'> {
  config?: FastifyContextConfig & Readonly<Record<string, unknown>>
  schema?: {
    tags?: readonly string[]
    summary?: string
    description?: string
    /** Default: `cancelBatch`. A second registration in one document needs another. */
    operationId?: string
    /** Its schemes must exist in the host's document. Default: none. */
    security?: ReadonlyArray<Record<string, readonly string[]>>
    /** Keeps the operation out of the document. */
    hide?: boolean
  }
}

export interface FastifyBatchCancelOptions {
  /** Carries each call to whoever holds the batch: a forwarder, or just its `cancel`. Default: `forwardToProviders()`. */
  forward?: BatchForwarder | BatchForwarder['cancel'] | undefined
  /** The provider of a call that names none. Without it `x-portkey-provider` is required. */
  defaultProvider?: string | undefined
  /** How long the work of one cancel may take, in milliseconds. Default: 30,000. */
  timeout?: number | undefined
  /** The longest `Prefer: wait` that is granted, in milliseconds; 0 turns waiting off. Default: 600,000. */
  maxWait?: number | undefined
  /** Hooks, config, constraints and limits of the host for the route. */
  routeOptions?: BatchCancelRouteOptions | undefined
  /** Called after every 200 whose cancel the provider accepted in this call. Not awaited; what it throws is logged. */
  onCancelled?: ((call: BatchCall, batch: Batch) => unknown) | undefined
  /** Fastify's own: the route is `<prefix>/v1/batches/:id/cancel`. */
  prefix?: string
}

export interface Settings {
  readonly clock: Timers
  readonly forwarder: BatchForwarder
  readonly defaultProvider: string | undefined
  readonly timeout: number
  readonly maxWait: number
  readonly routeOptions: BatchCancelRouteOptions
  readonly onCancelled: ((call: BatchCall, batch: Batch) => unknown) | undefined
}

const DEFAULT_TIMEOUT = 30_000
const DEFAULT_MAX_WAIT = 600_000
const LONGEST_TIMEOUT = 2 ** 31 - 1

/** What Fastify's `register` takes for itself. */
const OWN_OF_FASTIFY = ['prefix', 'logLevel', 'logSerializers']

type Rule = readonly [test: (value: unknown) => boolean, should: string]

const isFunction = (value: unknown) => typeof value === 'function'
const isString = (value: unknown) => typeof value === 'string'
const isStrings = (value: unknown) => Array.isArray(value) && value.every(isString)
const hooks: Rule = [value => isFunction(value) || (Array.isArray(value) && value.every(isFunction)), 'a function or an array of functions']
const text: Rule = [isString, 'a string']
const object: Rule = [isObject, 'an object']

const OPTIONS: Readonly<Record<string, Rule>> = {
  forward: [value => isFunction(value) || (isObject(value) && isFunction(value['cancel'])), 'a function or an object with a function cancel'],
  defaultProvider: [isProviderName, 'the name of a provider'],
  timeout: [value => Number.isInteger(value) && value as number >= 1 && value as number <= LONGEST_TIMEOUT, `whole milliseconds from 1 to ${LONGEST_TIMEOUT}`],
  maxWait: [value => Number.isInteger(value) && value as number >= 0 && value as number <= LONGEST_TIMEOUT, `whole milliseconds from 0 to ${LONGEST_TIMEOUT}`],
  routeOptions: object,
  onCancelled: [isFunction, 'a function']
}

const FORWARD: Readonly<Record<string, Rule>> = {
  retrieve: [isFunction, 'a function'],
  shareKey: [isFunction, 'a function'],
  providers: [value => value instanceof Map && [...value.keys()].every(isProviderName), 'a Map of providers by name, in 1 to 128 visible ASCII characters']
}

const ROUTE_OPTIONS: Readonly<Record<string, Rule>> = {
  onRequest: hooks,
  preValidation: hooks,
  preHandler: hooks,
  onSend: hooks,
  onResponse: hooks,
  config: object,
  constraints: object,
  logLevel: text,
  bodyLimit: [value => Number.isInteger(value) && value as number >= 1, 'a whole number of bytes from 1'],
  schema: object
}

const ROUTE_SCHEMA: Readonly<Record<string, Rule>> = {
  tags: [isStrings, 'an array of strings'],
  summary: text,
  description: text,
  operationId: text,
  security: [value => Array.isArray(value) && value.every(item => isObject(item) && Object.values(item).every(isStrings)), 'an array of objects of arrays of strings'],
  hide: [value => typeof value === 'boolean', 'a boolean']
}

/** Checks every option, once, with one sentence for what is wrong; throws `FST_BATCH_CANCEL_INVALID_OPTION`. */
export function readOptions (options: FastifyBatchCancelOptions & { [kClock]?: Timers }): Settings {
  const { forward = forwardToProviders(), defaultProvider, timeout = DEFAULT_TIMEOUT, maxWait = DEFAULT_MAX_WAIT, routeOptions = {}, onCancelled } = options
  check('options', options, OPTIONS, OWN_OF_FASTIFY)
  const forwarder = typeof forward === 'function' ? { cancel: forward } : forward
  check('options.forward', { retrieve: forwarder.retrieve, shareKey: forwarder.shareKey, providers: forwarder.providers }, FORWARD)
  check('options.routeOptions', routeOptions, ROUTE_OPTIONS)
  check('options.routeOptions.schema', routeOptions.schema ?? {}, ROUTE_SCHEMA)
  checkDefault(defaultProvider, forwarder)
  return { clock: options[kClock] ?? systemClock, forwarder, defaultProvider, timeout, maxWait, routeOptions, onCancelled }
}

function check (path: string, options: object, rules: Readonly<Record<string, Rule>>, others: readonly string[] = []): void {
  for (const [name, value] of Object.entries(options)) {
    if (others.includes(name)) continue
    if (!Object.hasOwn(rules, name)) throw new FST_BATCH_CANCEL_INVALID_OPTION(`${path}.${name} is no option; these are: ${Object.keys(rules).join(', ')}.`)
    const [test, should] = rules[name] as Rule
    if (value !== undefined && !test(value)) throw new FST_BATCH_CANCEL_INVALID_OPTION(`${path}.${name} should be ${should}.`)
  }
}

function checkDefault (name: string | undefined, { providers }: BatchForwarder): void {
  if (name === undefined || providers === undefined) return
  const traits = providers.get(name)
  if (traits === undefined) throw new FST_BATCH_CANCEL_INVALID_OPTION(`options.defaultProvider should be one of ${[...providers.keys()].join(', ')}.`)
  if (traits.refusal !== undefined) throw new FST_BATCH_CANCEL_INVALID_OPTION(`options.defaultProvider should not be '${name}': ${traits.refusal}`)
}
