import type { IncomingHttpHeaders } from 'node:http'
import type { Batch, BatchCall, ProviderTraits } from '../forwarder/types.js'

/** A value of the server, or a function of the call that finds it; `undefined` if this call has no such value. */
export type Resolvable<T = string> = T | ((call: BatchCall) => T | undefined | Promise<T | undefined>)

/** What every provider factory accepts. An option that is present must have a value. */
export interface ProviderOptions {
  /**
   * Where the provider's API starts: an http or https URL without userinfo, query and fragment.
   *
   * @default the provider's own base URL
   */
  readonly baseUrl?: Resolvable
  /**
   * The server's credential, without `Bearer ` before it. With it no header of a client chooses another credential, or
   * the host or account that it is for.
   *
   * @default the client's own credential
   */
  readonly apiKey?: Resolvable
}

export type Action = 'cancel' | 'retrieve'

/** Where an API starts; the path has no slash at the end. */
export interface Base {
  readonly origin: string
  readonly path: string
}

/** What a provider reads in order to find where a batch is. */
export interface LocateInput {
  readonly batchId: string
  readonly headers: Readonly<IncomingHttpHeaders>
  /** Whether the operator's base URL or a trusted custom host replaces the provider's own base URL. */
  readonly hasBase: boolean
}

/** Where a batch is. */
export interface Located<P> {
  /** The provider's own base; `undefined` if another one replaces it. */
  readonly base: Base | undefined
  /** What else was read from the id, the headers and the options, such as a region. */
  readonly place: P
}

/** What a request is made for. */
export interface Target<P = unknown> {
  readonly base: Base
  readonly place: P
  readonly batchId: string
  readonly headers: Readonly<IncomingHttpHeaders>
}

export interface UpstreamRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Path and query, below the origin of the base. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/** A request before it carries a credential. */
export interface UnsignedRequest<P = unknown> extends UpstreamRequest {
  readonly origin: string
  readonly place: P
}

/** What another server responded. */
export interface SentResponse {
  readonly status: number
  readonly text: string
}

/**
 * Sends a request that a credential needs, such as a token exchange, as those to the provider are sent: over the
 * dispatcher of the forwarder, within the limits, without redirects.
 *
 * @param origin such as `https://auth.acme.example`
 * @throws undici's and Node's network errors, after 10 seconds an `AbortError`
 */
export type SendRequest = (origin: string, request: UpstreamRequest) => Promise<SentResponse>

/** What the body of a 2xx is read for. */
export interface ReadContext {
  readonly action: Action
  /** As the caller sent it. */
  readonly batchId: string
}

/** What the body of a 2xx says. */
export type ReadResult = BatchRead | { readonly kind: 'accepted' } | { readonly kind: 'unrecognized' }

export interface BatchRead {
  readonly kind: 'batch'
  readonly batch: Batch
  /** The id or the full name in the body: a body that shows another batch than the requested one is refused. */
  readonly shownId: unknown
  /** The key under which the body has the provider's batch, if it is not the body itself. */
  readonly member?: string | undefined
}

/** The cancel was accepted, as documented, and the body shows no batch. */
export const ACCEPTED = { kind: 'accepted' } as const
/** Not a body that this provider sends. */
export const UNRECOGNIZED = { kind: 'unrecognized' } as const

/** Where the facts about a provider come from: an official npm package with its version, a document, or both. */
export interface Source {
  readonly package?: string
  readonly version?: string
  /** The title or the address of a document. */
  readonly document?: string
}

/**
 * A provider: a call in, an HTTP request out; an HTTP response in, a batch out. It does no I/O but for `authorize`.
 * Made by the factories that `defineProvider` returns. `C` is its kind of credential, `P` its kind of place.
 */
export interface Provider<C = unknown, P = unknown> extends ProviderTraits {
  /** As in `x-portkey-provider`. */
  readonly name: string
  readonly source?: Source | undefined
  /** The operator's base URL. */
  readonly baseUrl?: Resolvable | undefined
  /** The server's credential. */
  readonly serverCredential?: Resolvable<C> | undefined
  /** The request headers with which a client chooses an account; refused beside a server credential. */
  readonly accountHeaders?: readonly string[]
  /** For each request header that a server option stands for: whether a value agrees with the option. */
  readonly pinned?: Readonly<Record<string, (value: string) => boolean>>
  /** The upstream headers that only the provider itself sets. */
  readonly reservedHeaders: readonly string[]
  /** Whether an origin belongs to the provider. */
  ownsOrigin (origin: string): boolean
  /** Throws `invalid_header`, `invalid_batch_id` or `provider_mismatch`. */
  locate (input: LocateInput): Located<P>
  /** The credential that the client sent, if this provider can use it. */
  clientCredential (headers: Readonly<IncomingHttpHeaders>): C | undefined
  /** The request without a credential. */
  request (action: Action, target: Target<P>): UpstreamRequest
  /** The headers that carry the credential. */
  authorize (
    credential: C,
    request: UnsignedRequest<P>,
    send: SendRequest
  ): Record<string, string> | Promise<Record<string, string>>
  /** @param body parsed; `null` without a body, `undefined` if it is not JSON */
  read (body: unknown, context: ReadContext): ReadResult
  /** The code of an error whose body has none. */
  errorCode? (headers: Readonly<IncomingHttpHeaders>): string | undefined
}

/** A provider whose cancel cannot keep the promise, with the reason. */
export interface UnsupportedProvider extends ProviderTraits {
  readonly unsupported: string
}

export const isUnsupported = (provider: Provider | UnsupportedProvider): provider is UnsupportedProvider =>
  provider.unsupported !== undefined

/** Whether a value can be sent in a header as a credential. */
export const isToken = (value: unknown): value is string =>
  typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)
