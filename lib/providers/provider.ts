import type { IncomingHttpHeaders } from 'node:http'
import type { Batch, BatchCall, ProviderTraits } from '../forwarder/types.js'
import { FST_BATCH_CANCEL_INVALID_OPTION } from '../errors.js'
import { isObject } from '../is-object.js'

/** What the server sets for a provider: a value, or a function of the call that finds it. */
export type Resolvable<T = string> = T | ((call: BatchCall) => T | undefined | Promise<T | undefined>)

export interface ProviderOptions {
  /** Where the provider's API starts; http or https, no userinfo, query or fragment. Default: the provider's own address. */
  readonly baseUrl?: Resolvable | undefined
  /** The server's credential. With it no header of a client chooses another one, or the host or account that it is for. Default: the client's own. */
  readonly apiKey?: Resolvable | undefined
}

export type Action = 'cancel' | 'retrieve'

/** Where an API starts, its path without a slash at the end. */
export interface Base {
  readonly origin: string
  readonly path: string
}

/** What a provider looks at in order to find where a batch is held. */
export interface LocateInput {
  readonly batchId: string
  readonly headers: IncomingHttpHeaders
  /** Whether the operator, or a host that the operator trusts, stands in for the provider's own address. */
  readonly hasBase: boolean
}

/** Where a batch is held: the provider's own base, and what else it reads from the id and the headers. */
export interface Place {
  readonly base: Base
}

/** All that a provider needs in order to make a request. */
export interface Target<C = unknown, P extends Place = Place> {
  readonly base: Base
  readonly place: P
  readonly batchId: string
  readonly credential: C
  readonly headers: IncomingHttpHeaders
}

export interface UpstreamRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Path and query, below the origin of the base. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/**
 * A provider: a call in, an HTTP request out; an HTTP answer in, a batch out. It does no I/O of its own.
 * `C` is the kind of its credential, `P` what it needs to know of a place.
 */
export interface Provider<C = unknown, P extends Place = Place> extends ProviderTraits {
  /** The operator's base URL. */
  readonly baseUrl?: Resolvable | undefined
  /** The server's credential. */
  readonly serverCredential?: Resolvable<C> | undefined
  /** The request headers with which a client chooses an account; refused where the server has a credential. */
  readonly accountHeaders?: readonly string[]
  /** By the request header for which an option of the server stands: whether a client says the same. Whoever says otherwise is refused. */
  readonly chosen?: Readonly<Record<string, (told: string) => boolean>>
  /** The upstream headers that are this provider's to set, which no `x-portkey-forward-headers` may add. */
  readonly reservedHeaders: readonly string[]
  /** Finds where the batch is held. Throws `invalid_header`, `invalid_batch_id` or `provider_mismatch`. */
  locate (call: LocateInput): P
  /** The credential that the client brought, if this provider can use it. */
  clientCredential (headers: IncomingHttpHeaders): C | undefined
  request (action: Action, target: Target<C, P>): UpstreamRequest | Promise<UpstreamRequest>
  /**
   * The batch in the body of a 2xx (`null`: no body, `undefined`: no JSON). `null`: accepted, as documented, without
   * showing it; `undefined`: not this provider's answer.
   */
  batch (body: unknown, target: Target<C, P>, action: Action): Batch | null | undefined
  /** The id or the full name of the batch that a body shows; a body that shows another one than was asked for is no answer. */
  batchIdOf? (body: Readonly<Record<string, unknown>>): unknown
  /** The code of an error whose body has none. */
  errorCode? (headers: IncomingHttpHeaders): string | undefined
}

/** A provider whose cancel cannot keep the promise, with the reason. */
export interface UnsupportedProvider extends ProviderTraits {
  readonly unsupported: string
}

export const isUnsupported = (provider: Provider | UnsupportedProvider): provider is UnsupportedProvider => provider.unsupported !== undefined

/** What options choose, by the header that would; an empty one says that there should be none, one that is not set chooses nothing. */
export const pinnedBy = (options: Readonly<Record<string, string | undefined>>): NonNullable<Provider['chosen']> =>
  Object.fromEntries(Object.entries(options).filter(([, option]) => option !== undefined).map(([header, option]) => [header, told => told === option]))

const BEARER = /^(?:bearer +)?(?!bearer$)([\x21-\x7e]+)$/i

/** The token of an Authorization header, with or without `Bearer` before it; of another scheme nothing. */
export const bearerToken = (headers: IncomingHttpHeaders): string | undefined =>
  headers.authorization === undefined ? undefined : BEARER.exec(headers.authorization.trim())?.[1]

/** Where an API starts by its URL; `undefined` where the URL has what no base may have. */
export function parseBase (url: string): Base | undefined {
  if (/[?#@\\]/.test(url) || !URL.canParse(url)) return undefined
  const { protocol, origin, pathname } = new URL(url)
  if (protocol !== 'https:' && protocol !== 'http:') return undefined
  return { origin, path: pathname.replace(/\/+$/, '') }
}

/** Checks what every factory takes, once, when the server is set up; `own` are the options that only this one takes. */
export function checkProviderOptions (name: string, options: ProviderOptions, own: readonly string[] = []): void {
  checkNames(`${name}()`, options, ['baseUrl', 'apiKey', ...own])
  const { baseUrl, apiKey } = options
  if (baseUrl !== undefined && typeof baseUrl !== 'function' && (typeof baseUrl !== 'string' || parseBase(baseUrl) === undefined)) {
    throw new FST_BATCH_CANCEL_INVALID_OPTION(`${name}({ baseUrl }) should be a function or an http or https URL without userinfo, query and fragment.`)
  }
  if (apiKey !== undefined && typeof apiKey !== 'function' && (typeof apiKey !== 'string' || !isToken(apiKey))) {
    throw new FST_BATCH_CANCEL_INVALID_OPTION(`${name}({ apiKey }) should be a function or a string of visible ASCII characters.`)
  }
}

/** A misspelt option would be none: a key could go to another host than it was meant for. */
export function checkNames (what: string, options: unknown, names: readonly string[]): void {
  const known = names.join(', ')
  if (!isObject(options)) throw new FST_BATCH_CANCEL_INVALID_OPTION(`${what} should get an object of options: ${known}.`)
  const unknown = Object.keys(options).find(name => !names.includes(name))
  if (unknown !== undefined) throw new FST_BATCH_CANCEL_INVALID_OPTION(`${unknown} is no option of ${what}; these are: ${known}.`)
}

export const isToken = (value: unknown): value is string => typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)
