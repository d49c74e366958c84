import createError from '@fastify/error'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** Thrown at registration when an option of the sandbox cannot be used. */
export const InvalidOption = createError<[message: string]>('FST_BATCH_SANDBOX_INVALID_OPTION', '%s', 500, TypeError)

/** What an error of the API says, besides its message. */
export interface ErrorDetails {
  readonly type?: string
  readonly param?: string
  readonly code?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** OpenAI's error envelope. */
export const envelope = (message: string, { type = 'invalid_request_error', param, code }: ErrorDetails = {}) =>
  ({ error: { message, type, param: param ?? null, code: code ?? null } })

/** An answer of the API that is an error. */
export class ApiError extends Error {
  readonly statusCode: number
  readonly details: ErrorDetails

  constructor (statusCode: number, message: string, details: ErrorDetails = {}) {
    super(message)
    this.statusCode = statusCode
    this.details = details
  }
}

/** A parameter that cannot be used. */
export const badParam = (param: string, message: string, code?: string) =>
  new ApiError(400, message, code === undefined ? { param } : { param, code })

export const missingMessage = (param: string) => `Missing required parameter: '${param}'.`
export const MISSING = 'missing_required_parameter'

const isErrorStatus = (status: unknown) => Number(status) >= 400 && Number(status) < 600

/** Gives every error OpenAI's envelope: the sandbox's own, Fastify's, and those of the host's hooks. */
export function sendError (error: unknown, request: FastifyRequest, reply: FastifyReply) {
  if (error instanceof ApiError) {
    return reply.code(error.statusCode).headers({ ...error.details.headers }).send(envelope(error.message, error.details))
  }
  // Hooks may throw anything, `null` too.
  const { statusCode, message } = Object(error)
  const status = [statusCode, reply.statusCode].find(isErrorStatus) ?? 500
  if (status < 500) return reply.code(status).send(envelope(String(message)))
  request.log.error(error)
  return reply.code(status).send(envelope('The server had an error while processing your request.', { type: 'server_error' }))
}

export function sendNotFound (request: FastifyRequest, reply: FastifyReply) {
  return reply.code(404).send(envelope(`Invalid URL (${request.method} ${request.url})`))
}
