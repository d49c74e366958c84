import type { FastifyReply, FastifyRequest } from 'fastify'
import { errorEnvelope } from '../lib/route/error-response.js'
import { traceIdOf } from '../lib/headers.js'

export interface Refusal {
  readonly status: number
  readonly message: string
  readonly code?: string
  /** The header or parameter at fault. */
  readonly param?: string
  /** The provider that the request names, if it is known. */
  readonly provider?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends an error of the gateway itself, in the envelope and with the headers of the cancel route. */
export function refuse (request: FastifyRequest, reply: FastifyReply, refusal: Refusal): FastifyReply {
  const { status, message, code, param, provider, headers = {} } = refusal
  const id = String(request.id)
  const body = errorEnvelope(status, { message, code, param })
  if (provider !== undefined) body.provider = provider
  return reply
    .code(status)
    .headers({
      ...headers,
      'x-request-id': id,
      'x-portkey-trace-id': traceIdOf(request.headers, id),
      ...provider !== undefined && { 'x-portkey-provider': provider }
    })
    .send(body)
}
