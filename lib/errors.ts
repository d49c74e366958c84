import createError from '@fastify/error'
import type { Batch } from '../schemas/batch.js'
import type { ErrorResponse } from '../schemas/error.js'
import { pickResponseHeaders, type ResponseHeaders, type HeadersLike } from './headers.js'

/** An option that cannot work, found at registration. */
export const FST_BATCH_CANCEL_INVALID_OPTION = createError<[string]>('FST_BATCH_CANCEL_INVALID_OPTION', '%s', 500, TypeError)

/** The codes of this package's own errors, and the status that each is answered with. */
export const ERROR_STATUS = {
  missing_provider: 400,
  unknown_provider: 400,
  unsupported_provider: 400,
  invalid_batch_id: 400,
  provider_mismatch: 400,
  invalid_header: 400,
  missing_credentials: 401,
  batch_not_cancellable: 409,
  internal_error: 500,
  upstream_unreachable: 502,
  upstream_invalid_response: 502,
  upstream_timeout: 504
} as const

export type ErrorCode = keyof typeof ERROR_STATUS

export interface ErrorDetails {
  readonly message: string
  /** Default: `invalid_request_error` below 500, else `server_error`. */
  readonly type?: string | null | undefined
  readonly param?: string | null | undefined
  readonly code?: string | null | undefined
}

/** What this package itself has to say. A hook may throw one, too. */
export class BatchCancelError extends Error {
  override readonly name = 'BatchCancelError'
  readonly code: ErrorCode
  readonly statusCode: number
  /** The header or parameter at fault. */
  readonly param: string | null
  /** Whether anything may have left: `false` where no connection came about, so that nothing was done. */
  readonly sent: boolean
  /** The batch that was read, where it is why the call failed. */
  readonly batch: Batch | undefined
  /** Of the provider's headers those that reach the client. */
  readonly headers: ResponseHeaders

  constructor (code: ErrorCode, message: string, { param = null, sent = true, batch, headers, cause }: { param?: string | null, sent?: boolean, batch?: Batch, headers?: HeadersLike, cause?: unknown } = {}) {
    super(message, { cause })
    this.code = code
    this.statusCode = ERROR_STATUS[code]
    this.param = param
    this.sent = sent
    this.batch = batch
    this.headers = pickResponseHeaders(headers)
  }
}

/** What is wrong with a header of the client: the rest of a sentence that begins with its name. */
export const invalidHeader = (header: string, what: string) =>
  new BatchCancelError('invalid_header', `Header '${header}' ${what}`, { param: header })

export const invalidId = (what: string) => new BatchCancelError('invalid_batch_id', `The id of a batch ${what}`, { param: 'id' })

/** A bug of ours or of a hook: the client learns no more than that, the log learns the cause. */
export const internalError = (reason: string, cause?: unknown) =>
  new BatchCancelError('internal_error', 'Internal error', { cause: new Error(reason, { cause }) })

const UNKNOWN_OUTCOME = 'so it is not known whether the batch was cancelled. The call may be repeated.'

export const unreachable = (cause: unknown) =>
  new BatchCancelError('upstream_unreachable', `The provider could not be reached, ${UNKNOWN_OUTCOME}`, { cause })

/** No connection came about: nothing was done by this try. */
export const unsent = (cause: unknown) =>
  new BatchCancelError('upstream_unreachable', 'The provider could not be reached; nothing was sent. The call may be repeated.', { cause, sent: false })

export const timedOut = (cause?: unknown) =>
  new BatchCancelError('upstream_timeout', `The provider did not answer in time, ${UNKNOWN_OUTCOME}`, { cause })

/** For a cancel that may have been carried out, although its answer was none: a refusal that came later says nothing of it. */
export const lostAnswer = (cause: BatchCancelError | ProviderError) => cause.statusCode === 504 || cause.statusCode === 408
  ? timedOut(cause)
  : new BatchCancelError('upstream_unreachable', `The provider failed to answer a cancel, ${UNKNOWN_OUTCOME}`, { cause })

export const invalidResponse = (reason: string, cause?: unknown) =>
  new BatchCancelError('upstream_invalid_response', `The provider answered something that is no batch, ${UNKNOWN_OUTCOME}`, { cause: new Error(reason, { cause }) })

/** What a provider answered instead of a batch. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError'
  readonly statusCode: number
  readonly details: ErrorDetails
  /** Of the provider's headers those that reach the client. */
  readonly headers: ResponseHeaders

  constructor (statusCode: number, details: ErrorDetails, headers?: HeadersLike, cause?: unknown) {
    super(details.message, { cause })
    this.statusCode = statusCode
    this.details = details
    this.headers = pickResponseHeaders(headers)
  }
}

/** The codes of a provider's errors that came without one. */
const defaultCode = (status: number) =>
  status === 404 ? 'batch_not_found' : status >= 500 ? 'upstream_error' : null

const defaultType = (status: number) => status >= 500 ? 'server_error' : 'invalid_request_error'

export function envelope (status: number, { message, type, param, code }: ErrorDetails): ErrorResponse {
  return { error: { message, type: type ?? defaultType(status), param: param ?? null, code: code ?? null } }
}

/** The body of an answer to an error of this package or of a provider, but for the batch that may stand beside it. */
export function errorBody (error: BatchCancelError | ProviderError, provider: string | undefined): ErrorResponse {
  const status = error.statusCode
  const body = error instanceof ProviderError
    ? envelope(status, { ...error.details, code: error.details.code ?? defaultCode(status) })
    : envelope(status, error)
  if (provider !== undefined) body.provider = provider
  return body
}
