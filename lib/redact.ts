import type { IncomingHttpHeaders } from 'node:http'
import { isObject } from './is-object.js'

/** What stands in the place of a secret. */
const MASK = '***'

/** A shorter value is not a secret, and masking it would garble words. */
const MIN_SECRET_LENGTH = 8

/** Longer texts in a log line are cut. */
const MAX_TEXT_LENGTH = 8000
const MAX_CAUSE_DEPTH = 5

/** Request headers whose values are secrets, whole or in part. */
const SECRET_HEADER = /authorization|cookie|key|token|secret|password|credential|service-account|^config$/

/** What looks like a secret, no matter whose. */
const SECRET_PATTERNS: ReadonlyArray<readonly [pattern: RegExp, mask: string]> = [
  [/\b(Bearer|Basic)[ :=]+[\w.~+/-]{4,}=*/gi, `$1 ${MASK}`],
  [/\beyJ[\w-]{8,}\.[\w.-]+/g, MASK],
  [/\bya29\.[\w.-]{8,}/g, MASK],
  [/\b(?:sk|pk|rk|gsk|xai|csk)-[\w-]{8,}/g, MASK],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{12,}/g, MASK],
  [/-----BEGIN [A-Z ]{1,40}-----[\s\S]*?(?:-----END [A-Z ]{1,40}-----|$)/g, MASK]
]

/** Masks what looks like a secret in a text, and every given secret. */
export function redactText (text: string, secrets: readonly string[] = []): string {
  const cut = text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}…` : text
  const masked = secrets.reduce((rest, secret) => rest.replaceAll(secret, MASK), cut)
  return SECRET_PATTERNS.reduce((rest, [pattern, mask]) => rest.replace(pattern, mask), masked)
}

/** The secrets in the headers of a client: credentials, alone or in JSON, and values of headers to be forwarded. */
export function secretsIn (headers: IncomingHttpHeaders): string[] {
  const forwarded = String(headers['x-portkey-forward-headers'] ?? '').toLowerCase().split(',').map(name => name.trim())
  const secrets = Object.entries(headers)
    .filter(([name]) => SECRET_HEADER.test(name.replace(/^x-portkey-/, '')) || forwarded.includes(name))
    .flatMap(([, value]) => secretsInValue(String(value)))
    .filter(secret => secret.length >= MIN_SECRET_LENGTH)
  // The longest first, so that no part of a secret is left.
  return [...new Set(secrets)].sort((a, b) => b.length - a.length)
}

function secretsInValue (value: string): string[] {
  const token = value.replace(/^\w{1,16} +/, '')
  return [value, token, ...stringsInJson(value)]
}

function stringsInJson (text: string): string[] {
  if (!text.startsWith('{')) return []
  try {
    return Object.values(JSON.parse(text) as object).filter(value => typeof value === 'string')
  } catch {
    return []
  }
}

/** An error as it may be logged. */
export interface RedactedError {
  readonly type: string
  readonly message: string
  readonly stack?: string
  readonly code?: string
  readonly statusCode?: number
  readonly cause?: RedactedError
}

/**
 * An error as it may be logged: name, message, stack, code, status and causes, with secrets masked. Everything else is
 * left out, since the errors of HTTP clients carry requests with their headers.
 *
 * @param secrets values to mask besides those that look like secrets
 * @example logger.error({ err: redactError(error) })
 */
export function redactError (error: unknown, secrets: readonly string[] = [], depth = 0): RedactedError {
  if (!isObject(error)) return { type: typeof error, message: redactText(String(error), secrets) }
  const { name, message, stack, code, statusCode, cause } = error
  const type = typeof name === 'string' ? name : 'Error'
  return {
    type: redactText(type, secrets),
    message: redactText(typeof message === 'string' ? message : 'no message', secrets),
    ...typeof stack === 'string' && { stack: redactText(stack, secrets) },
    ...typeof code === 'string' && { code: redactText(code, secrets) },
    ...typeof statusCode === 'number' && { statusCode },
    ...cause !== undefined && depth < MAX_CAUSE_DEPTH && { cause: redactError(cause, secrets, depth + 1) }
  }
}
