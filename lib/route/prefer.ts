import type { IncomingHttpHeaders } from 'node:http'
import { headerOf } from '../headers.js'

/** The members of a list; a comma in quotes does not separate them (RFC 9110). */
const PREFERENCES = /(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/g
const WAIT = /^\s*wait\s*(?:[=;]|$)/i
const SECONDS = /^[^=;]*=\s*("?)(\d+)\1\s*(?:;|$)/

/** `Prefer` values that are longer are ignored. */
const MAX_PREFER_LENGTH = 1024

/** The whole seconds of the first `wait` in a `Prefer` header (RFC 7240); `undefined` without a usable one. */
export function preferredWait (headers: IncomingHttpHeaders): number | undefined {
  const prefer = headerOf(headers, 'prefer')
  if (prefer === undefined || prefer.length > MAX_PREFER_LENGTH) return undefined
  const wait = prefer.match(PREFERENCES)?.find(preference => WAIT.test(preference)) ?? ''
  const seconds = Number(SECONDS.exec(wait)?.[2])
  return seconds >= 1 ? seconds : undefined
}

/** How long the client itself waits for a response, in milliseconds; `undefined` if it does not say. */
export function clientLimit (headers: IncomingHttpHeaders): number | undefined {
  const limit = Number(headerOf(headers, 'x-portkey-request-timeout') ?? 0)
  return limit === 0 ? undefined : limit
}
