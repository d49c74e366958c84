import createError, { type FastifyErrorConstructor } from '@fastify/error'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** Thrown at registration if an option of the sandbox is not valid. */
export const InvalidOption: FastifyErrorConstructor<{ code: string }, [message: string]> =
  createError('FST_BATCH_SANDBOX_INVALID_OPTION', '%s', 500, TypeError)

/** The parts of an error response besides its message. */
export interface ErrorDetails {
  /** @default 'invalid_request_error' */
  readonly type?: string
  /** The parameter that is not valid. */
  readonly param?: string
  readonly code?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Returns OpenAI's error envelope. */
export const envelope = (message: string, { type = 'invalid_request_error', param, code }: ErrorDetails = {}) =>
  ({ error: { message, type, param: param ?? null, code: code ?? null } })

/** An error response of the API. */
export class ApiError extends Error {
  readonly statusCode: number
  readonly details: ErrorDetails

  constructor (statusCode: number, message: string, details: ErrorDetails = {}) {
    super(message)
    this.statusCode = statusCode
    this.details = details
  }
}

/** Returns a 400 for a parameter that is not valid. */
export const invalidParam = (param: string, message: string, code?: string) =>
  new ApiError(400, message, code === undefined ? { param } : { param, code })

/** Returns a 429 that says when to retry, in the message and as `retry-after`. */
export function rateLimited (message: string, retryAfterMs: number): ApiError {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000))
  return new ApiError(429, `${message} Try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`, {
    type: 'requests',
    code: 'rate_limit_exceeded',
    headers: { 'retry-after': String(seconds) }
  })
}

export const missingMessage = (param: string) => `Missing required parameter: '${param}'.`
export const MISSING = 'missing_required_parameter'

const isErrorStatus = (status: unknown) => Number(status) >= 400 && Number(status) < 600

const SERVER_ERROR = 'The server had an error while processing your request.'

/** Sends every error in OpenAI's envelope: the sandbox's own, Fastify's, and those of the host's hooks. */
export function sendError (error: unknown, request: FastifyRequest, reply: FastifyReply) {
  if (error instanceof ApiError) {
    const { statusCode, message, details } = error
    return reply.code(statusCode).headers({ ...details.headers }).send(envelope(message, details))
  }
  // A hook may throw anything, even `null`.
  const { statusCode, message } = Object(error)
  const status = [statusCode, reply.statusCode].find(isErrorStatus) ?? 500
  if (status < 500) return reply.code(status).send(envelope(String(message)))
  request.log.error(error)
  return reply.code(status).send(envelope(SERVER_ERROR, { type: 'server_error' }))
}

export function sendNotFound (request: FastifyRequest, reply: FastifyReply) {
  return reply.code(404).send(envelope(`Invalid URL (${request.method} ${request.url})`))
}
