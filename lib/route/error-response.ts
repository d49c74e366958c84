import type { FastifyError } from 'fastify'
import type { ErrorResponse } from '../../schemas/error.js'
import { BatchCancelError, codeOf, ProviderError, type CallError, type ErrorDetails } from '../errors.js'
import { isObject } from '../is-object.js'
import { errorJson, type RouteResponse } from './reply.js'

/** OpenAI's error envelope. */
function errorEnvelope (status: number, { message, type, param, code }: ErrorDetails): ErrorResponse {
  const defaultType = status >= 500 ? 'server_error' : 'invalid_request_error'
  return { error: { message, type: type ?? defaultType, param: param ?? null, code: code ?? null } }
}

/** The body of the response to an error of this package or of a provider. */
function callErrorBody (error: CallError, provider: string | undefined): ErrorResponse {
  const status = error.statusCode
  const body = error instanceof ProviderError
    ? errorEnvelope(status, Object.assign({}, error.details, { code: codeOf(error) }))
    : errorEnvelope(status, error)
  return provider === undefined ? body : { error: body.error, provider }
}

/** What the response says about the outcome: the `code` of the error. */
export interface ErrorResult extends RouteResponse {
  readonly code: string | null
}

export function callErrorResponse (error: CallError, provider: string | undefined): ErrorResult {
  const body = callErrorBody(error, provider)
  const json = error instanceof BatchCancelError ? error.json : undefined
  return {
    status: error.statusCode,
    body: errorJson(body, json),
    headers: error.headers,
    attempts: error.attempts,
    code: body.error.code
  }
}

/** Whatever a hook of the host or Fastify threw. */
type Thrown = Partial<FastifyError> & { readonly status?: number, readonly headers?: Record<string, string> }

/**
 * An error of the host's hooks or of Fastify keeps its status, message and headers.
 *
 * @param replyStatus the status that a hook may have set on the reply
 */
export function hostErrorResponse (thrown: unknown, replyStatus: number): ErrorResult {
  const error = (isObject(thrown) ? thrown : {}) as Thrown
  const status = hostStatus(error, replyStatus)
  const details = status === 500
    ? { message: 'Internal error', code: 'internal_error' }
    : { message: textOr(error.message, 'The server refused the call.'), code: textOr(error.code, null) }
  return {
    status,
    body: errorJson(errorEnvelope(status, details), undefined),
    headers: {},
    ...isObject(error.headers) && { hostHeaders: error.headers },
    attempts: 0,
    code: details.code
  }
}

function hostStatus ({ statusCode, status }: Thrown, replyStatus: number): number {
  const found = Number(statusCode ?? status ?? replyStatus)
  return found >= 400 && found <= 599 ? found : 500
}

const textOr = <T>(value: unknown, other: T): string | T => typeof value === 'string' && value !== '' ? value : other
