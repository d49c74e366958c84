import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ErrorResponse } from 'fastify-batch-cancel/schemas'

interface ErrorText {
  readonly message: string
  readonly code?: string | undefined
  /** The header or parameter at fault. */
  readonly param?: string | undefined
}

export interface Refusal extends ErrorText {
  readonly status: number
  /** The provider that the request names, if it is known. */
  readonly provider?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends an error of the gateway itself, in the envelope and with the headers of the cancel route. */
export function refuse (request: FastifyRequest, reply: FastifyReply, refusal: Refusal): FastifyReply {
  const { status, message, code, param, provider, headers = {} } = refusal
  const id = String(request.id)
  const body = { ...errorEnvelope(status, { message, code, param }), ...provider !== undefined && { provider } }
  return reply
    .code(status)
    .headers({
      ...headers,
      'x-request-id': id,
      'x-portkey-trace-id': traceIdOf(request, id),
      ...provider !== undefined && { 'x-portkey-provider': provider }
    })
    .send(body)
}

/** OpenAI's error envelope, as the plugin sends it. */
export function errorEnvelope (status: number, { message, param, code }: ErrorText): ErrorResponse {
  const type = status >= 500 ? 'server_error' : 'invalid_request_error'
  return { error: { message, type, param: param ?? null, code: code ?? null } }
}

/** The client's trace id if it can be echoed, else the request id. */
function traceIdOf ({ headers }: FastifyRequest, requestId: string): string {
  const trace = String(headers['x-portkey-trace-id'] ?? '')
  return /^[\x21-\x7e]{1,128}$/.test(trace) ? trace : requestId
}
