import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { CancelParams } from '../schemas/cancel.js'
import { createCallReader, type Named } from './call.js'
import { cancelBatch, type Cancellation } from './cancellation.js'
import { systemClock } from './clock.js'
import { createDeadline, type Deadline } from './deadline.js'
import { BatchCancelError, envelope, errorBody, ProviderError } from './errors.js'
import type { BatchCall } from './forwarder.js'
import { headerOf, passHeaders, type PassedHeaders } from './headers.js'
import { holdToWord } from './hook.js'
import type { Settings } from './options.js'
import { textOf } from './verbatim.js'

/** What the route keeps of a request while it is on its way. */
export const kNamed = Symbol('fastify-batch-cancel.named')

declare module 'fastify' {
  interface FastifyRequest {
    [kNamed]: Named | null
  }
}

export interface CancelRoute {
  Params: CancelParams
}

/** The route's own part of its options: how a request becomes a call, and what becomes of it an answer. */
export function createRoute ({ forwarder, defaultProvider, timeout, onCancelled }: Settings) {
  const reader = createCallReader({ providers: forwarder.providers, defaultProvider })
  const hook = holdToWord(forwarder)

  /** Runs before the host's own preHandler, so that this sees only calls that can be carried out. */
  async function preValidation (request: FastifyRequest<CancelRoute>): Promise<void> {
    const named = reader.nameProvider(request)
    request[kNamed] = named
    reader.check(named, request.params.id)
  }

  async function handler (request: FastifyRequest<CancelRoute>, reply: FastifyReply<CancelRoute>): Promise<FastifyReply> {
    const named = request[kNamed] as Named
    const deadline = createDeadline(timeout)
    const call = createCall(request, named, deadline)
    const work = cancelBatch(hook, call, { clock: systemClock, repeated: isRepeated(named), log: request.log })
    reply.header('x-portkey-retry-attempt-count', '0')
    const cancellation = await deadline.within(work, patience(named))
    if (cancellation.accepted && onCancelled !== undefined) tell(onCancelled, call, cancellation)
    return send(request as FastifyRequest, reply as FastifyReply, 200, textOf(cancellation.batch) ?? JSON.stringify(cancellation.batch), {
      ...passHeaders(cancellation.headers),
      'x-batch-source': cancellation.source
    })
  }

  /** How long this client waits: not longer than the work may take. */
  function patience ({ headers }: Named): number {
    const asked = Number(headerOf(headers, 'x-portkey-request-timeout') ?? 0)
    return asked === 0 ? timeout : Math.min(asked, timeout)
  }

  return { preValidation, handler, errorHandler }
}

/** The first try of a client that repeats by itself may have done what this one asks for. */
const isRepeated = ({ headers }: Named) => Number(headerOf(headers, 'x-stainless-retry-count')) >= 1

function createCall (request: FastifyRequest<CancelRoute>, { provider, headers }: Named, deadline: Deadline): BatchCall {
  return {
    batchId: request.params.id,
    provider,
    headers,
    request: request as FastifyRequest,
    get signal () { return deadline.signal }
  }
}

async function tell (onCancelled: NonNullable<Settings['onCancelled']>, call: BatchCall, { batch }: Cancellation): Promise<void> {
  try {
    await onCancelled(call, batch)
  } catch (error) {
    call.request.log.error({ err: error }, 'onCancelled failed')
  }
}

/** Errors of the route alone, so that the error handler of the host stays what it is. */
function errorHandler (error: FastifyError | null | undefined, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const own = error instanceof BatchCancelError || error instanceof ProviderError
  const status = own ? error.statusCode : hostStatus(error, reply)
  if (status >= 500) request.log.error({ err: error }, 'the batch was not cancelled')
  else request.log.info({ err: error }, 'the batch was not cancelled')
  if (own) return send(request, reply, status, JSON.stringify(errorBody(error, request[kNamed]?.provider)), ownHeaders(error))
  const details = status === 500 ? { message: 'Internal error', code: 'internal_error' } : { message: String(error?.message), code: error?.code }
  return send(request, reply, status, JSON.stringify(envelope(status, details)), {})
}

/** The SDKs repeat a 409 unless they are told that it is final. */
const ownHeaders = (error: BatchCancelError | ProviderError): PassedHeaders =>
  error instanceof BatchCancelError && error.code === 'batch_not_cancellable' ? { ...error.headers, 'x-should-retry': 'false' } : error.headers

/** The status of an error that is not this package's: of a hook of the host, or of Fastify itself. */
function hostStatus (error: FastifyError | null | undefined, reply: FastifyReply): number {
  const status = error?.statusCode ?? reply.statusCode
  return status >= 400 && status <= 599 ? status : 500
}

const TRACE_ID = /^[\x21-\x7e]{1,128}$/

/** A string goes out as it is: no serializer and no preSerialization hook of the host sees it. */
function send (request: FastifyRequest, reply: FastifyReply, status: number, body: string, headers: PassedHeaders): FastifyReply {
  const named = request[kNamed]
  const trace = headerOf(named?.headers ?? request.headers, 'x-portkey-trace-id')
  const id = String(request.id)
  return reply.code(status).headers({
    'content-type': 'application/json; charset=utf-8',
    'x-request-id': id,
    'x-portkey-trace-id': trace !== undefined && TRACE_ID.test(trace) ? trace : id,
    ...named && { 'x-portkey-provider': named.provider },
    ...headers
  }).send(body)
}
