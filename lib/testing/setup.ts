import { FST_BATCH_CANCEL_INVALID_OPTION } from '../errors.js'
import type { BatchForwarder } from '../forwarder/types.js'
import { pickResponseHeaders, type ResponseHeaders } from '../headers.js'
import { isObject } from '../is-object.js'
import { readOptions } from '../options.js'

type CreateId = () => string | Promise<string>

/** An id, or a function that returns one for each case that needs it. */
export type ContractId = string | CreateId

/** The batches that the cases use. A case whose batch is absent is left out; no other batch is ever used. */
export interface ForwarderContractIds {
  /** Creates a batch that can be cancelled, and returns its id. The batch will be cancelled. */
  live: CreateId
  cancelling?: ContractId
  completed?: ContractId
  failed?: ContractId
  expired?: ContractId
  /** A batch that is already cancelled. */
  cancelled?: ContractId
  /** An id that no batch has. */
  missing?: ContractId
  /** A batch that the credential may not cancel. */
  unauthorized?: ContractId
  /** A batch for which the provider responds with a 429. */
  rateLimited?: ContractId
  /** A batch for which the provider responds with a 5xx. */
  unavailable?: ContractId
  /** A batch whose cancel succeeds while its response is lost. Use a function if that happens only once per batch. */
  lost?: ContractId
  /** A batch whose cancel the provider neither responds to nor carries out. */
  slow?: ContractId
}

export interface ForwarderContractSetup {
  /** The forwarder, or just its `cancel`. */
  forward: BatchForwarder | BatchForwarder['cancel']
  ids: ForwarderContractIds
  /**
   * The plugin's option.
   * @default 'forwarder', if the forwarder serves any provider
   */
  defaultProvider?: string
  /** Headers that the client sends with every call, such as its credential. */
  headers?: Readonly<Record<string, string>>
  /** Headers that the provider sends with the response for `ids.rateLimited`, such as `retry-after`. */
  rateLimitHeaders?: Readonly<Record<string, string>>
  /**
   * How long one cancel may take, in milliseconds; the forwarder's `cancel` gets half of it.
   * @default 4000
   */
  timeout?: number
}

export type IdName = keyof ForwarderContractIds

/** A checked setup. */
export interface Contract {
  readonly forwarder: BatchForwarder
  readonly ids: ForwarderContractIds
  readonly headers: Readonly<Record<string, string>>
  /** The rate limit headers that should reach the client. */
  readonly passedHeaders: ResponseHeaders | undefined
  readonly defaultProvider: string | undefined
  readonly timeout: number
}

const DEFAULT_TIMEOUT_MS = 4000
const DEFAULT_PROVIDER = 'forwarder'

type Rule = readonly [isValid: (value: unknown) => boolean, expected: string]

const isFunction = (value: unknown) => typeof value === 'function'
const isStrings = (value: unknown) => isObject(value) && Object.values(value).every(item => typeof item === 'string')
const isId = (value: unknown) => isFunction(value) || (typeof value === 'string' && value !== '')
const optional = (isValid: (value: unknown) => boolean) => (value: unknown) => value === undefined || isValid(value)
const hasPassedHeader = (value: unknown) =>
  isStrings(value) && Object.keys(pickResponseHeaders(value as ResponseHeaders)).length > 0

const idRule: Rule = [optional(isId), 'an id or a function that returns one']
/** Checked with the plugin's options. */
const pluginRule: Rule = [() => true, 'a valid option of the plugin']

const SETUP: Readonly<Record<keyof ForwarderContractSetup, Rule>> = {
  forward: [value => isFunction(value) || isObject(value), 'a function or an object with a function cancel'],
  ids: [isObject, 'an object of ids'],
  defaultProvider: pluginRule,
  headers: [optional(isStrings), 'an object of strings'],
  rateLimitHeaders: [
    optional(hasPassedHeader),
    'an object of strings with at least one header that is passed on to the client, such as retry-after'
  ],
  timeout: pluginRule
}

const IDS: Readonly<Record<IdName, Rule>> = {
  live: [isFunction, 'a function that returns the id of a new batch'],
  cancelling: idRule,
  completed: idRule,
  failed: idRule,
  expired: idRule,
  cancelled: idRule,
  missing: idRule,
  unauthorized: idRule,
  rateLimited: idRule,
  unavailable: idRule,
  lost: idRule,
  slow: idRule
}

/**
 * Checks the whole setup, so that a misspelt id does not silently leave out a case.
 * @throws {TypeError} `FST_BATCH_CANCEL_INVALID_OPTION`, with one sentence.
 */
export function readSetup (setup: ForwarderContractSetup): Contract {
  check('setup', setup, SETUP)
  check('setup.ids', setup.ids, IDS)
  const { forward, ids, headers = {}, rateLimitHeaders, timeout = DEFAULT_TIMEOUT_MS } = setup
  const servesAny = typeof forward === 'function' || forward.providers === undefined
  const defaultProvider = setup.defaultProvider ?? (servesAny ? DEFAULT_PROVIDER : undefined)
  const { engine: { forwarder } } = readOptions({ forward, timeout, ...defaultProvider !== undefined && { defaultProvider } })
  const passedHeaders = rateLimitHeaders && pickResponseHeaders(rateLimitHeaders)
  return { forwarder, ids, headers, passedHeaders, defaultProvider, timeout }
}

function check (path: string, given: object, rules: Readonly<Record<string, Rule>>): void {
  const values = { ...given } as Readonly<Record<string, unknown>>
  const unknown = Object.keys(values).find(name => !Object.hasOwn(rules, name))
  if (unknown !== undefined) {
    const valid = Object.keys(rules).join(', ')
    throw new FST_BATCH_CANCEL_INVALID_OPTION(`Unknown option '${unknown}' in ${path}. Valid options: ${valid}.`)
  }
  for (const [name, [isValid, expected]] of Object.entries(rules)) {
    if (!isValid(values[name])) throw new FST_BATCH_CANCEL_INVALID_OPTION(`${path}.${name} should be ${expected}.`)
  }
}
