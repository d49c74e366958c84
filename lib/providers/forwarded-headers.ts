import type { IncomingHttpHeaders } from 'node:http'
import { headerOf } from '../headers.js'

export const FORWARD_HEADERS = 'x-portkey-forward-headers'

/** Why a header is never forwarded, with the names for which that holds. */
const NEVER_FORWARDED: Readonly<Record<string, readonly string[]>> = {
  'belongs to one connection': [
    'connection', 'keep-alive', 'proxy-.+', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect', 'http2-settings'
  ],
  'belongs to the message': ['host', 'content-.+', 'accept', 'accept-encoding', 'user-agent'],
  'could be a secret for somebody else': [
    'cookie', 'authorization', '.*api-key', '.*-subscription-key', '.*-access-token', 'x-csrf-.+', 'x-xsrf-.+'
  ],
  'would change where a request is from or goes to': [
    'forwarded', 'via', 'x-forwarded-.+', 'x-real-ip', 'x-original-.+', 'x-rewrite-.+', 'x-http-method.*',
    'x-method-override'
  ],
  'is sent on by itself if it is valid': ['traceparent', 'tracestate'],
  'belongs to a provider': ['(?:x-amz|x-goog|x-ibm|x-dashscope|x-portkey|openai|anthropic)-.+']
}

const NEVER = new RegExp(`^(?:${Object.values(NEVER_FORWARDED).flat().join('|')})$`)

const isNeverForwarded = (name: string) => NEVER.test(name)

const NAME = '[!#$%&\'*+.^_`|~0-9A-Za-z-]+'

/** Names of headers, separated by commas. */
export const HEADER_NAMES = `^${NAME}(?: ?, ?${NAME})*$`

/** Whether an option names one header that may be forwarded; a wildcard does not. */
export const isForwardable = (name: unknown): name is string =>
  typeof name === 'string' && /^[0-9A-Za-z][\w-]*$/.test(name) && !isNeverForwarded(name.toLowerCase())

const namesIn = (list: string | undefined): string[] =>
  list?.toLowerCase().split(',').map(name => name.trim()) ?? []

/** The client's headers that `x-portkey-forward-headers` names and that may be forwarded. */
export function forwardedHeaders (
  headers: Readonly<IncomingHttpHeaders>,
  isAllowed: (name: string) => boolean
): Record<string, string> {
  const forwarded: Record<string, string> = {}
  const ofConnection = namesIn(headerOf(headers, 'connection'))
  for (const name of namesIn(headerOf(headers, FORWARD_HEADERS))) {
    const value = headerOf(headers, name)
    if (value === undefined || isNeverForwarded(name) || ofConnection.includes(name) || !isAllowed(name)) continue
    forwarded[name] = value
  }
  return forwarded
}
