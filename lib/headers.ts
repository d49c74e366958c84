import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** What a client may learn from a provider's headers: when to come again, what is left, which request it was. */
const PASSED = 'retry-after|retry-after-ms|x-should-retry|(?:x-|anthropic-)?ratelimit-.+|x-ms-ratelimit-.+'

/** The names under which providers tell the id of a request, the best known first. */
const REQUEST_ID = ['x-request-id', 'request-id', 'x-amzn-requestid', 'apim-request-id', 'x-ms-request-id']

const TOLD = new RegExp(`^(?:${PASSED}|${REQUEST_ID.join('|')})$`)

/** Anything else could split a header or fail to be written. */
const PRINTABLE = /^[\x20-\x7e]{1,1024}$/

export type HeadersLike = IncomingHttpHeaders | Headers | null | undefined
export type ResponseHeaders = Record<string, string>

/** The headers of a provider's answer that reach the client; the id of the request under `x-request-id`. */
export function pickResponseHeaders (headers: HeadersLike): ResponseHeaders {
  const passed: ResponseHeaders = {}
  if (headers === undefined || headers === null) return passed
  let best = REQUEST_ID.length
  // Any `Headers` will do: SDKs bring their own.
  const plain = typeof headers.entries === 'function' ? Object.fromEntries(headers.entries()) : headers as IncomingHttpHeaders
  for (const key of Object.keys(plain)) {
    const name = key.toLowerCase()
    if (!TOLD.test(name)) continue
    const value = plain[key]
    if (typeof value !== 'string' || !PRINTABLE.test(value)) continue
    const rank = REQUEST_ID.indexOf(name)
    if (rank === -1) passed[name] = value
    else if (rank < best) [best, passed['x-request-id']] = [rank, value]
  }
  return passed
}

/** The value of a header, where it has one: an empty header says as much as none. */
export function headerOf (headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

const ID = /^[\x21-\x7e]{1,128}$/

/** The id of a request where a header can carry it, else one of our own: hosts make theirs as they like. */
export const requestIdOf = ({ id }: { readonly id: unknown }): string =>
  (typeof id === 'string' || typeof id === 'number') && ID.test(String(id)) ? String(id) : randomUUID()

/** The client's trace id, where it sent one that can be echoed, else the id of the request. */
export function traceOf (headers: IncomingHttpHeaders, requestId: string): string {
  const trace = headerOf(headers, 'x-portkey-trace-id')
  return trace !== undefined && ID.test(trace) ? trace : requestId
}
