import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** Headers of a response, as Node, undici or an SDK has them. */
export type HeadersLike = IncomingHttpHeaders | Headers | null | undefined

/** Headers of a response to the client, in lower case. */
export type ResponseHeaders = Record<string, string>

/** The provider's headers that reach the client: when to try again and what is left of a rate limit. */
const PASSED_ON = [
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
  'ratelimit',
  '(?:x-|anthropic-)?ratelimit-.+',
  'ratelimitbysize-.+',
  'x-ratelimitbysize-.+',
  'x-ms-ratelimit-.+'
]

/** The names under which providers send the id of a request, the most common first. */
const REQUEST_ID = [
  'x-request-id',
  'request-id',
  'x-amzn-requestid',
  'apim-request-id',
  'x-ms-request-id',
  'mistral-correlation-id',
  'x-kong-request-id'
]

const PICKED = new RegExp(`^(?:${[...PASSED_ON, ...REQUEST_ID].join('|')})$`)

/** Anything else could split a header or make it impossible to write. */
const PRINTABLE = /^[\x20-\x7e]{1,1024}$/

/** Picks the headers of a provider's response that reach the client; the request id becomes `x-request-id`. */
export function pickResponseHeaders (headers: HeadersLike): ResponseHeaders {
  const picked: ResponseHeaders = {}
  if (headers === undefined || headers === null) return picked
  let best = REQUEST_ID.length
  // SDKs bring `Headers` classes of their own.
  const plain = typeof headers.entries === 'function'
    ? Object.fromEntries(headers.entries())
    : headers as IncomingHttpHeaders
  for (const key of Object.keys(plain)) {
    const name = key.toLowerCase()
    if (!PICKED.test(name)) continue
    const value = plain[key]
    if (typeof value !== 'string' || !PRINTABLE.test(value)) continue
    const rank = REQUEST_ID.indexOf(name)
    if (rank === -1) picked[name] = value
    else if (rank < best) [best, picked['x-request-id']] = [rank, value]
  }
  return picked
}

/** The value of a header; an empty header counts as absent. */
export function headerOf (headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

const ID = /^[\x21-\x7e]{1,128}$/

/** The request's id if a header can carry it, else a new one: hosts generate ids of any kind. */
export const requestIdOf = ({ id }: { readonly id: unknown }): string =>
  (typeof id === 'string' || typeof id === 'number') && ID.test(String(id)) ? String(id) : randomUUID()

/** The client's trace id if it can be echoed, else the request id. */
export function traceIdOf (headers: IncomingHttpHeaders, requestId: string): string {
  const trace = headerOf(headers, 'x-portkey-trace-id')
  return trace !== undefined && ID.test(trace) ? trace : requestId
}
