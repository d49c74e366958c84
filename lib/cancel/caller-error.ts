import type { IncomingHttpHeaders } from 'node:http'
import { BatchCancelError, ProviderError, type CallError } from '../errors.js'
import { createTokenMask, toRedactedCause } from '../redact.js'
import { secretsIn } from '../secrets.js'
import type { Progress } from './operation.js'

/**
 * An error as the caller gets it, who may print or pass on all that can be reached from it: without the secrets of the
 * call, and with causes that are only words, since the errors of HTTP clients carry requests with their headers.
 */
export function toCallerError (error: CallError, headers: IncomingHttpHeaders, progress: Progress): CallError {
  const secrets = secretsIn(headers)
  const mask = createTokenMask(secrets)
  const cause = error.cause === undefined ? undefined : toRedactedCause(error.cause, secrets)
  const copy = error instanceof ProviderError
    ? new ProviderError(error.statusCode, maskStrings(error.details, mask), maskStrings(error.headers, mask), cause)
    : new BatchCancelError(error.code, mask(error.message), {
      ...error,
      headers: maskStrings(error.headers, mask),
      cause
    })
  return Object.assign(copy, progress, error.stack !== undefined && { stack: mask(error.stack) })
}

const maskStrings = <T extends object>(values: T, mask: (text: string) => string): T => Object.fromEntries(
  Object.entries(values).map(([name, value]) => [name, typeof value === 'string' ? mask(value) : value])
) as T
