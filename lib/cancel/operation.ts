import type { IncomingHttpHeaders } from 'node:http'
import { redactError, secretsIn } from '../redact.js'
import type { CheckedForwarder } from '../forwarder/check-forwarder.js'
import type { BatchCall } from '../forwarder/types.js'
import type { Clock } from './clock.js'
import type { Deadline } from './deadline.js'

/** Where the engine reports what does not end a call. */
export interface CallLog {
  warn (details: object, message: string): void
  error (details: object, message: string): void
}

/** The same log without the secrets of a call. */
export function redactingLog (log: CallLog, headers: IncomingHttpHeaders): CallLog {
  const redact = (details: object) =>
    'err' in details ? { ...details, err: redactError(details.err, secretsIn(headers)) } : details
  return {
    warn: (details, message) => log.warn(redact(details), message),
    error: (details, message) => log.error(redact(details), message)
  }
}

/** What an operation has sent to the provider so far. */
export interface Progress {
  attempts: number
  reads: number
}

/** One operation on one batch: all that its steps need. */
export interface Operation {
  readonly forwarder: CheckedForwarder
  readonly call: BatchCall
  readonly clock: Clock
  readonly deadline: Deadline
  /** From 0 to 1; spreads the retries of many calls. */
  readonly random: () => number
  readonly log: CallLog
  readonly progress: Progress
}
