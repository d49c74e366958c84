import { isObject } from './is-object.js'
import { createMask, MASK, type Mask } from './mask.js'

/** Longer texts in a log line are cut. */
const MAX_TEXT_LENGTH = 8000
const MAX_CAUSE_DEPTH = 5

type Patterns = ReadonlyArray<readonly [pattern: RegExp, mask: string]>

/** What is a secret by its form, no matter whose. */
const TOKENS: Patterns = [
  [/\beyJ[\w-]{8,}\.[\w.-]+/g, MASK],
  [/\bya29\.[\w.-]{8,}/g, MASK],
  [/\b(?:sk|pk|rk|gsk|xai|csk)[-_][\w-]{8,}/g, MASK],
  [/\bAIza[\w-]{30,}/g, MASK],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{12,}/g, MASK],
  [/-----BEGIN [A-Z ]{1,40}-----[\s\S]*?(?:-----END [A-Z ]{1,40}-----|$)/g, MASK]
]

/** What is a secret by what stands before it, in texts that nobody has to read word by word. */
const NAMED: Patterns = [
  [/\b(Bearer|Basic)[ :=]+[\w.~+/-]{4,}=*/gi, `$1 ${MASK}`],
  [/(\b[a-z][\w+.-]{1,16}:\/\/)[^\s/?#@]{1,512}@/gi, `$1${MASK}@`],
  [/([?&](?:[\w-]{0,32}(?:key|token|secret|password)|sig|signature)=)[^&#\s"']+/gi, `$1${MASK}`]
]

const replaceAll = (text: string, patterns: Patterns) =>
  patterns.reduce((rest, [pattern, mask]) => rest.replace(pattern, mask), text)

/** A mask that also replaces whatever is a secret by its form. */
export function createTokenMask (secrets: Iterable<unknown>): Mask {
  const mask = createMask(secrets)
  return (text, maxLength) => replaceAll(mask(text, maxLength), TOKENS)
}

/** Masks what looks like a secret in a text, and every given secret. */
export const redactText = (text: string, secrets: Iterable<unknown> = []): string => redactBy(createMask(secrets))(text)

const redactBy = (mask: Mask) => (text: string): string => {
  const masked = mask(text, MAX_TEXT_LENGTH)
  return replaceAll(replaceAll(masked, NAMED), TOKENS) + (text.length > MAX_TEXT_LENGTH ? '…' : '')
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
export const redactError = (error: unknown, secrets: Iterable<unknown> = []): RedactedError =>
  redactCauses(error, redactBy(createMask(secrets)), 0)

function redactCauses (error: unknown, redact: (text: string) => string, depth: number): RedactedError {
  if (!isObject(error)) return { type: typeof error, message: redact(String(error)) }
  const { name, message, stack, code, statusCode, cause } = error
  return {
    type: redact(typeof name === 'string' ? name : 'Error'),
    message: redact(typeof message === 'string' ? message : 'no message'),
    ...typeof stack === 'string' && { stack: redact(stack) },
    ...typeof code === 'string' && { code: redact(code) },
    ...typeof statusCode === 'number' && { statusCode },
    ...cause !== undefined && depth < MAX_CAUSE_DEPTH && { cause: redactCauses(cause, redact, depth + 1) }
  }
}

/** The same as an error, to be a cause of another one. */
export const toRedactedCause = (error: unknown, secrets: Iterable<unknown> = []): Error =>
  toError(redactError(error, secrets))

function toError ({ type, message, stack = `${type}: ${message}`, cause, ...others }: RedactedError): Error {
  const error = new Error(message, cause && { cause: toError(cause) })
  return Object.assign(error, { name: type, stack, ...others })
}
