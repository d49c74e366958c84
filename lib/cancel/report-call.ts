import type { IncomingHttpHeaders } from 'node:http'
import { outcomeOf, type CallEnd, type CallOperation, type CallTrace } from '../diagnostics.js'
import { codeOf, type CallError } from '../errors.js'
import { redactError } from '../redact.js'
import { secretsIn } from '../secrets.js'
import type { EngineResult } from './engine.js'
import type { CallLog } from './operation.js'
import { failureKind } from './outcome.js'

/** What the log says of a call. */
const SUCCESS: Readonly<Record<CallOperation, string>> = {
  cancel: 'the cancel succeeded',
  retrieve: 'the batch was retrieved'
}

/** That a batch was not cancelled is claimed only if nothing was sent or the provider said so. */
const FAILURE: Readonly<Record<CallOperation, (error: CallError) => string>> = {
  cancel: error => failureKind(error) === 'unknown'
    ? 'the outcome of the cancel is not known'
    : 'the batch was not cancelled',
  retrieve: () => 'the batch was not retrieved'
}

export const REFUSED = 'the call was refused before anything was sent'

/** How a call failed. */
export interface Failure {
  readonly error: unknown
  /** The status and the `code` of the response. */
  readonly status: number
  readonly code: string | null
  readonly attempts: number
  readonly reads: number
  /** What the log says. */
  readonly message: string
}

export const failureOf = (operation: CallOperation, error: CallError): Failure => ({
  error,
  status: error.statusCode,
  code: codeOf(error),
  attempts: error.attempts,
  reads: error.reads,
  message: FAILURE[operation](error)
})

/** Logs and publishes a call that returns a batch. @param duration in milliseconds */
export function reportSuccess (
  trace: CallTrace,
  log: CallLog,
  { batch, attempts, reads, overdue }: EngineResult,
  duration: number
): void {
  const isLogged = isEnabled(log, 'info')
  if (!isLogged && !trace.isActive) return
  const end = { outcome: batch.status, status: 200, attempts, reads, duration, overdue }
  trace.end(end)
  if (isLogged) log.info?.(Object.assign({}, trace.call, end), SUCCESS[trace.call.operation])
}

/**
 * Logs and publishes a call that failed: a 5xx at the level `error`, anything else at `info`.
 *
 * @param duration in milliseconds
 * @param headers those of the client, whose secrets are masked
 */
export function reportFailure (
  trace: CallTrace,
  log: CallLog,
  { error, status, code, attempts, reads, message }: Failure,
  duration: number,
  headers: IncomingHttpHeaders
): void {
  const level = status >= 500 ? 'error' : 'info'
  const isLogged = isEnabled(log, level)
  if (!isLogged && !trace.isActive) return
  const secrets = secretsIn(headers)
  const err = redactError(error, secrets)
  const end: CallEnd = { outcome: outcomeOf(code, secrets), status, attempts, reads, duration, overdue: false }
  trace.end(end, err)
  if (isLogged) log[level]?.(Object.assign({}, trace.call, end, { err }), message)
}

const isEnabled = (log: CallLog, level: string) => log.isLevelEnabled?.(level) ?? true
