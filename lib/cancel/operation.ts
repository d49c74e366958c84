import type { IncomingHttpHeaders } from 'node:http'
import type { CheckedForwarder } from '../forwarder/check-forwarder.js'
import type { BatchCall } from '../forwarder/types.js'
import { redactError } from '../redact.js'
import { secretsIn } from '../secrets.js'
import type { Clock } from './clock.js'
import type { Deadline } from './deadline.js'

/** Where calls are reported; a pino logger fits. */
export interface CallLog {
  /** Gets one line for each call that did not fail with a 5xx. */
  info? (details: object, message: string): void
  warn (details: object, message: string): void
  error (details: object, message: string): void
  /** Spares the work for lines that are not written. */
  isLevelEnabled? (level: string): boolean
}

/** Logs an error without the secrets of the client whose headers are given. */
export function logError (
  log: CallLog,
  level: 'warn' | 'error',
  headers: IncomingHttpHeaders,
  error: unknown,
  message: string
): void {
  log[level]({ err: redactError(error, secretsIn(headers)) }, message)
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

export interface CancelOperation extends Operation {
  /** The client repeats a call that got no response, so a batch that is `cancelled` is what it asked for. */
  readonly repeated: boolean
  /** 1 for a client that repeats calls by itself. */
  readonly maxAttempts: number
}
