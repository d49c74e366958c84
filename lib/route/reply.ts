import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ErrorResponse } from '../../schemas/error.js'
import { requestIdOf, traceIdOf, type ResponseHeaders } from '../headers.js'
import type { ResolvedProvider } from './read-call.js'

/** A response as data. */
export interface RouteResponse {
  readonly status: number
  /** JSON. */
  readonly body: string
  readonly headers: ResponseHeaders
  /** Headers of an error of the host; those of this package take precedence. */
  readonly hostHeaders?: Readonly<Record<string, string>>
  /** Cancel requests that were sent. */
  readonly attempts: number
}

/** What is known about the request. */
export interface RequestFacts {
  readonly resolved?: ResolvedProvider | undefined
  /** The seconds of the wait that was applied. */
  readonly wait?: number | undefined
}

/**
 * The only place that writes responses. A string goes out as it is: no serializer and no `preSerialization` hook of the
 * host sees it.
 */
export function sendResponse (
  request: FastifyRequest,
  reply: FastifyReply,
  { resolved, wait }: RequestFacts,
  { status, body, headers, hostHeaders, attempts }: RouteResponse
): FastifyReply {
  const requestId = requestIdOf(request)
  const own: ResponseHeaders = {
    'content-type': 'application/json; charset=utf-8',
    'x-request-id': requestId,
    'x-portkey-trace-id': traceIdOf(resolved?.headers ?? request.headers, requestId)
  }
  if (resolved !== undefined) own['x-portkey-provider'] = resolved.provider
  if (wait !== undefined) own['preference-applied'] = `wait=${wait}`
  if (attempts > 0) own['x-portkey-retry-attempt-count'] = String(attempts - 1)
  if (hostHeaders !== undefined) reply.headers(hostHeaders)
  return reply.code(status).headers(Object.assign(own, headers)).send(body)
}

/** The body of an error, with the batch beside it as its provider wrote it. */
export function errorJson (body: ErrorResponse, batchJson: string | undefined): string {
  const json = JSON.stringify(body)
  return batchJson === undefined ? json : `${json.slice(0, -1)},"batch":${batchJson}}`
}
