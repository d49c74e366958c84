import createError, { type FastifyErrorConstructor } from '@fastify/error'
import type { Batch } from '../schemas/batch.js'
import { pickResponseHeaders, type HeadersLike, type ResponseHeaders } from './headers.js'

/** An option that cannot work, found at registration. */
export const FST_BATCH_CANCEL_INVALID_OPTION: FastifyErrorConstructor<{ code: string }, [string]> =
  createError<[string]>('FST_BATCH_CANCEL_INVALID_OPTION', '%s', 500, TypeError)

/** A call that came after its canceller was closed. */
export const FST_BATCH_CANCEL_CLOSED: FastifyErrorConstructor<{ code: string, statusCode: number }> =
  createError('FST_BATCH_CANCEL_CLOSED', 'The canceller is closed.', 503)

/** The codes of this package's own errors, each with its HTTP status. */
export const ERROR_STATUS = {
  missing_provider: 400,
  unknown_provider: 400,
  unsupported_provider: 400,
  invalid_batch_id: 400,
  provider_mismatch: 400,
  invalid_header: 400,
  missing_credentials: 401,
  call_not_allowed: 403,
  batch_not_cancellable: 409,
  internal_error: 500,
  upstream_unreachable: 502,
  upstream_invalid_response: 502,
  upstream_busy: 503,
  upstream_timeout: 504
} as const

export type ErrorCode = keyof typeof ERROR_STATUS

export interface ErrorDetails {
  readonly message: string
  /** @default `invalid_request_error` for a status below 500, else `server_error` */
  readonly type?: string | null | undefined
  readonly param?: string | null | undefined
  readonly code?: string | null | undefined
}

/**
 * What a failed attempt says about the batch. `retryable`: nothing was done. `unknown`: the cancel may have been
 * carried out. `final`: trying again does not help.
 */
export type FailureOutcome = 'retryable' | 'unknown' | 'final'

export interface BatchCancelErrorOptions {
  readonly param?: string | null
  readonly outcome?: FailureOutcome
  readonly repeatable?: boolean
  readonly batch?: Batch | undefined
  readonly json?: string | undefined
  readonly headers?: HeadersLike
  readonly cause?: unknown
}

const UNKNOWN_OUTCOMES: ReadonlySet<ErrorCode> =
  new Set<ErrorCode>(['upstream_unreachable', 'upstream_invalid_response', 'upstream_timeout'])

/**
 * An error of this package. A forwarder may throw one, too.
 *
 * @example throw new BatchCancelError('missing_credentials', 'The tenant has no key for this provider.')
 */
export class BatchCancelError extends Error {
  override readonly name = 'BatchCancelError'
  readonly code: ErrorCode
  /** The HTTP status that belongs to the code. */
  readonly statusCode: number
  /** The header or parameter that is wrong. */
  readonly param: string | null
  /** @default `unknown` for a 502 or 504, `final` for any other code */
  readonly outcome: FailureOutcome
  /** Whether another attempt may succeed, if the outcome allows one. @default true */
  readonly repeatable: boolean
  /** The batch as it was read, if its status is the reason. */
  readonly batch: Batch | undefined
  /** That batch as JSON, as its provider wrote it. */
  readonly json: string | undefined
  /** The provider's response headers that reach the client. */
  readonly headers: ResponseHeaders
  /** How many cancel requests were sent to the provider in this call; set when the call ends. */
  attempts = 0
  /** How often the batch was read to resolve the outcome; set when the call ends. */
  reads = 0

  constructor (code: ErrorCode, message: string, options: BatchCancelErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.code = code
    this.statusCode = ERROR_STATUS[code]
    this.param = options.param ?? null
    this.outcome = options.outcome ?? (UNKNOWN_OUTCOMES.has(code) ? 'unknown' : 'final')
    this.repeatable = options.repeatable ?? true
    this.batch = options.batch
    this.json = options.json
    this.headers = pickResponseHeaders(options.headers)
  }
}

/**
 * An error response of the provider: its status and what its body says.
 *
 * @example throw new ProviderError(404, { message: 'No such batch.' })
 */
export class ProviderError extends Error {
  override readonly name = 'ProviderError'
  readonly statusCode: number
  readonly details: ErrorDetails
  /** The provider's response headers that reach the client. */
  readonly headers: ResponseHeaders
  /** How many cancel requests were sent to the provider in this call; set when the call ends. */
  attempts = 0
  /** How often the batch was read to resolve the outcome; set when the call ends. */
  reads = 0

  /** @param statusCode from 400 to 599 */
  constructor (statusCode: number, details: ErrorDetails, headers?: HeadersLike, cause?: unknown) {
    super(details.message, { cause })
    this.statusCode = statusCode
    this.details = details
    this.headers = pickResponseHeaders(headers)
  }
}

/** Either error that a call can end with. */
export type CallError = BatchCancelError | ProviderError

export const isCallError = (error: unknown): error is CallError =>
  error instanceof BatchCancelError || error instanceof ProviderError

/** The `code` of the response to an error; `null` for a 4xx to which the provider gave none. */
export function codeOf (error: CallError): string | null {
  if (error instanceof BatchCancelError) return error.code
  return error.details.code ?? defaultCode(error.statusCode)
}

function defaultCode (status: number): string | null {
  if (status === 404) return 'batch_not_found'
  return status >= 500 ? 'upstream_error' : null
}

export const invalidHeader = (header: string, problem: string) =>
  new BatchCancelError('invalid_header', `Header '${header}' ${problem}`, { param: header })

export const invalidId = (problem: string) =>
  new BatchCancelError('invalid_batch_id', `The batch id ${problem}`, { param: 'id' })

/** A bug in this package or in the forwarder: the client learns only that, the log has the cause. */
export const internalError = (reason: string, cause?: unknown) =>
  new BatchCancelError('internal_error', 'Internal error', { cause: new Error(reason, { cause }) })

const UNKNOWN_OUTCOME = 'so it is not known whether the batch was cancelled. It is safe to repeat the call.'

/** The forwarder returned something that is not a batch: the provider may have been called all the same. */
export const invalidResult = (reason: string, cause?: unknown) =>
  new BatchCancelError('internal_error', `Internal error, ${UNKNOWN_OUTCOME}`, {
    outcome: 'unknown',
    repeatable: false,
    cause: new Error(reason, { cause })
  })

export const unreachable = (cause: unknown) =>
  new BatchCancelError('upstream_unreachable', `The provider could not be reached, ${UNKNOWN_OUTCOME}`, { cause })

/** No connection was established, so this attempt did nothing. */
export const notSent = (cause: unknown) => new BatchCancelError(
  'upstream_unreachable',
  'The provider could not be reached. Nothing was sent; it is safe to repeat the call.',
  { cause, outcome: 'retryable' }
)

export const timedOut = (cause?: unknown) =>
  new BatchCancelError('upstream_timeout', `The provider did not respond in time, ${UNKNOWN_OUTCOME}`, { cause })

/** The same of a read, which says nothing about a cancel. */
export const readTimedOut = (cause: unknown) =>
  new BatchCancelError('upstream_timeout', 'The provider did not respond in time.', { cause })

/** An earlier attempt got no response and may have succeeded, so a later rejection proves nothing. */
export const unknownOutcome = (cause: CallError) => cause.statusCode === 504 || cause.statusCode === 408
  ? timedOut(cause)
  : new BatchCancelError('upstream_unreachable', `The provider failed to respond to a cancel, ${UNKNOWN_OUTCOME}`, {
    cause
  })

export interface InvalidResponseOptions {
  /** Whether the same request may get another response. */
  readonly repeatable?: boolean
  readonly cause?: unknown
}

export const invalidResponse = (reason: string, { repeatable = true, cause }: InvalidResponseOptions = {}) =>
  new BatchCancelError(
    'upstream_invalid_response',
    `The provider returned a response that is not a batch, ${UNKNOWN_OUTCOME}`,
    { repeatable, cause: new Error(reason, { cause }) }
  )
