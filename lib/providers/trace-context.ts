import { channel } from 'node:diagnostics_channel'
import type { IncomingHttpHeaders } from 'node:http'
import { headerOf } from '../headers.js'
import type { UpstreamRequest } from './provider.js'

/* W3C Trace Context, https://www.w3.org/TR/trace-context-1/ */

/** The headers of a trace that are sent on. */
export type TraceHeaders = Readonly<Record<string, string>>

export const NO_TRACE: TraceHeaders = {}

/** A request and the trace that it belongs to. */
export interface TracedRequest extends UpstreamRequest {
  readonly trace?: TraceHeaders
}

/** Version, trace id, parent id and flags; version ff and ids of zeros are not valid. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:-[\x21-\x7e]{1,256})?$/
const VERSION_00_LENGTH = 55

const MAX_MEMBERS = 32
const KEY = '(?:[a-z][\\w*/-]{0,255}|[a-z\\d][\\w*/-]{0,240}@[a-z][\\w*/-]{0,13})'
const VALUE = '[\\x20-\\x2b\\x2d-\\x3c\\x3e-\\x7e]{0,255}[\\x21-\\x2b\\x2d-\\x3c\\x3e-\\x7e]'
const MEMBER = new RegExp(`^(${KEY})=${VALUE}$`)

/** The trace headers of a client, if they are valid; without a valid `traceparent` there is no `tracestate` either. */
export function traceHeadersOf (headers: Readonly<IncomingHttpHeaders>): TraceHeaders {
  const traceparent = headerOf(headers, 'traceparent')
  if (traceparent === undefined || !isTraceparent(traceparent)) return NO_TRACE
  const tracestate = headerOf(headers, 'tracestate')
  return tracestate === undefined || !isTracestate(tracestate) ? { traceparent } : { traceparent, tracestate }
}

const isTraceparent = (value: string) =>
  TRACEPARENT.test(value) && (value.length === VERSION_00_LENGTH || !value.startsWith('00'))

/** Members may be empty; their keys differ. */
function isTracestate (value: string): boolean {
  const members = value.split(',').map(trimSpace).filter(member => member !== '')
  const keys = members.map(member => MEMBER.exec(member)?.[1])
  return members.length <= MAX_MEMBERS && !keys.includes(undefined) && new Set(keys).size === members.length
}

const trimSpace = (text: string) => text.replace(/^[ \t]+|[ \t]+$/g, '')

/** Where undici, and every tracer that follows it, sees a request before it is written. */
const requests = channel('undici:request:create')

interface CreatedRequest {
  /** Names and values in turn. */
  readonly headers: readonly unknown[]
  addHeader (name: string, value: string): void
}

/**
 * Sends a request with the headers of the client's trace, unless a tracer in this process adds those of its own span:
 * the client's span is the parent of that one, and a second `traceparent` would void both.
 *
 * @param dispatch creates undici's request before it returns
 */
export function dispatchTraced (
  headers: UpstreamRequest['headers'],
  trace: TraceHeaders,
  dispatch: (headers: UpstreamRequest['headers']) => void
): void {
  if (trace === NO_TRACE) return dispatch(headers)
  if (!requests.hasSubscribers) return dispatch(Object.assign({}, trace, headers))
  // Subscribed last, so that it runs after every tracer.
  const add = (message: unknown) => addMissing((message as { request: CreatedRequest }).request, trace)
  requests.subscribe(add)
  try {
    dispatch(headers)
  } finally {
    requests.unsubscribe(add)
  }
}

function addMissing (request: CreatedRequest, trace: TraceHeaders): void {
  const names = request.headers.filter((_, index) => index % 2 === 0).map(name => String(name).toLowerCase())
  if (names.includes('traceparent')) return
  for (const [name, value] of Object.entries(trace)) request.addHeader(name, value)
}
