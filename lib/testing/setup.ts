import { FST_BATCH_CANCEL_INVALID_OPTION } from '../errors.js'
import { isObject } from '../is-object.js'
import type { BatchForwarder } from '../forwarder/types.js'
import { pickResponseHeaders, type ResponseHeaders } from '../headers.js'
import { readOptions } from '../options.js'

type Fresh = () => string | Promise<string>

/** An id, or what makes one for each case that asks for it. */
export type ContractId = string | Fresh

/** The batches that the cases ask for. A case whose batch is not given is left out of the list; no other batch is ever touched. */
export interface HookContractIds {
  /** A batch that can be cancelled, made anew each time: it is cancelled. */
  live: Fresh
  cancelling?: ContractId
  completed?: ContractId
  failed?: ContractId
  expired?: ContractId
  /** A batch that was cancelled before. */
  cancelled?: ContractId
  /** The id of no batch. */
  missing?: ContractId
  /** A batch that the credential may not cancel. */
  unauthorized?: ContractId
  /** A batch for which the provider answers 429. */
  rateLimited?: ContractId
  /** A batch for which the provider answers 5xx. */
  unavailable?: ContractId
  /** A batch whose cancel is carried out while the answer to it is lost; made anew where that happens only once. */
  lost?: ContractId
  /** A batch whose cancel the provider never answers, nor carries out. */
  slow?: ContractId
}

export interface HookContractSetup {
  /** The hook: a forwarder, or just its `cancel`. */
  forward: BatchForwarder | BatchForwarder['cancel']
  ids: HookContractIds
  /** As for the plugin. Default: `hook`, for a hook that serves any name. */
  defaultProvider?: string
  /** Sent by the client with every call, such as its credential. */
  headers?: Readonly<Record<string, string>>
  /** What the provider sends with the answer for `ids.rateLimited`, such as `retry-after`. */
  rateLimitHeaders?: Readonly<Record<string, string>>
  /** How long the work of one cancel may take, in milliseconds; the hook's own `cancel` gets half of it. Default: 4,000. */
  timeout?: number
}

export type IdName = keyof HookContractIds

/** A setup whose parts were checked. */
export interface Contract {
  readonly forwarder: BatchForwarder
  readonly ids: HookContractIds
  readonly headers: Readonly<Record<string, string>>
  /** Of the provider's headers those that reach the client. */
  readonly passed: ResponseHeaders | undefined
  readonly defaultProvider: string | undefined
  readonly timeout: number
}

const TIMEOUT = 4000

type Rule = readonly [test: (value: unknown) => boolean, should: string]

const isFunction = (value: unknown) => typeof value === 'function'
const isStrings = (value: unknown) => isObject(value) && Object.values(value).every(item => typeof item === 'string')
const id: Rule = [value => value === undefined || isFunction(value) || (typeof value === 'string' && value !== ''), 'an id or a function that gives one']
const own: Rule = [() => true, 'what the plugin takes']

const SETUP: Readonly<Record<keyof HookContractSetup, Rule>> = {
  forward: [value => isFunction(value) || isObject(value), 'a function or an object with a function cancel'],
  ids: [isObject, 'an object of ids'],
  defaultProvider: own,
  headers: [value => value === undefined || isStrings(value), 'an object of strings'],
  rateLimitHeaders: [
    value => value === undefined || (isStrings(value) && Object.keys(pickResponseHeaders(value as ResponseHeaders)).length > 0),
    'an object of strings with a header that reaches the client, such as retry-after'
  ],
  timeout: own
}

const IDS: Readonly<Record<IdName, Rule>> = {
  live: [isFunction, 'a function that gives the id of a fresh batch'],
  cancelling: id,
  completed: id,
  failed: id,
  expired: id,
  cancelled: id,
  missing: id,
  unauthorized: id,
  rateLimited: id,
  unavailable: id,
  lost: id,
  slow: id
}

/** Checks every part, so that no case is left out for a slip of the pen; throws `FST_BATCH_CANCEL_INVALID_OPTION` with one sentence. */
export function readSetup (setup: HookContractSetup): Contract {
  check('setup', setup, SETUP)
  check('setup.ids', setup.ids, IDS)
  const { forward, ids, headers = {}, rateLimitHeaders, timeout = TIMEOUT } = setup
  const servesAny = typeof forward === 'function' || forward.providers === undefined
  const defaultProvider = setup.defaultProvider ?? (servesAny ? 'hook' : undefined)
  const { engine: { forwarder } } = readOptions({ forward, timeout, ...defaultProvider !== undefined && { defaultProvider } })
  return { forwarder, ids, headers, passed: rateLimitHeaders && pickResponseHeaders(rateLimitHeaders), defaultProvider, timeout }
}

function check (path: string, given: object, rules: Readonly<Record<string, Rule>>): void {
  const values = { ...given } as Readonly<Record<string, unknown>>
  const unknown = Object.keys(values).find(name => !Object.hasOwn(rules, name))
  if (unknown !== undefined) throw new FST_BATCH_CANCEL_INVALID_OPTION(`${path}.${unknown} is no part of it; these are: ${Object.keys(rules).join(', ')}.`)
  for (const [name, [test, should]] of Object.entries(rules)) {
    if (!test(values[name])) throw new FST_BATCH_CANCEL_INVALID_OPTION(`${path}.${name} should be ${should}.`)
  }
}
