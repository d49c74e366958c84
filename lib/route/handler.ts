import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { BatchParams } from '../../schemas/request.js'
import type { Engine, EngineCall, EngineResult } from '../cancel/engine.js'
import { logError, type CallLog } from '../cancel/operation.js'
import { failureOf, REFUSED, reportFailure, reportSuccess } from '../cancel/report-call.js'
import { traceCall, type CallOperation, type CallTrace } from '../diagnostics.js'
import { BatchCancelError, isCallError, readTimedOut, timedOut } from '../errors.js'
import type { DefaultProvider } from '../forwarder/default-provider.js'
import type { Batch, BatchCall } from '../forwarder/types.js'
import { isObject } from '../is-object.js'
import type { ResponseHeaders } from '../headers.js'
import { callErrorResponse, hostErrorResponse } from './error-response.js'
import { clientLimit, preferredWait } from './prefer.js'
import { clientRetries, createCallReader, type ResolvedProvider } from './read-call.js'
import { sendResponse, type RouteResponse } from './reply.js'

export interface BatchRoute {
  Params: BatchParams
}

export interface RouteSettings {
  readonly engine: Engine
  readonly defaultProvider: DefaultProvider | undefined
  readonly portkeyConfig: boolean
  readonly allow: ((call: BatchCall) => unknown) | undefined
  readonly onCancelled: ((call: BatchCall, batch: Batch) => unknown) | undefined
  /** Milliseconds after which Fastify ends a response; 0 or `undefined` for never. */
  readonly handlerTimeout: number | undefined
}

/** How long before Fastify a response is ended: Fastify's own 503 would say nothing about the outcome. */
const HANDLER_TIMEOUT_MARGIN_MS = 100

/** What the route knows about a request while it is in progress. */
interface RequestState {
  readonly resolved: ResolvedProvider
  readonly trace: CallTrace
  /** The seconds of the wait that was applied. */
  wait: number | undefined
  /** Whether the engine has the call, so that something may have been sent. */
  started: boolean
}

/** The decorator with the state of a request: in a `WeakMap` it would stay until the next major garbage collection. */
export const STATE = Symbol('fastify-batch-cancel.state')

type Request = FastifyRequest<BatchRoute> & { [STATE]?: RequestState | null }
type Reply = FastifyReply<BatchRoute>

/** The HTTP layer over the engine: how a request becomes a call, and its result a response. */
export function createHandlers (settings: RouteSettings) {
  const { engine, defaultProvider, portkeyConfig, allow, onCancelled, handlerTimeout = 0 } = settings
  const { providers } = engine.forwarder
  const reader = createCallReader({ providers, defaultProvider, portkeyConfig })
  const checkedAllow = allow && ((call: BatchCall) => checkAllowed(allow, call))
  const notifyCancelled = onCancelled && ((result: EngineResult, log: CallLog) => notify(onCancelled, result, log))
  const waits = new Set<() => void>()
  let closing = false

  /** Runs before the body is read and before the host's preHandler, which sees only calls that can be made. */
  const onRequest = (operation: CallOperation) => function checkCall (
    request: Request,
    _reply: Reply,
    done: (error?: Error) => void
  ): void {
    const resolved = reader.resolveProvider(request as FastifyRequest, request.params.id)
    if (resolved instanceof Promise) {
      resolved.then(found => { accept(operation, request, found) }).then(() => { done() }, done)
      return
    }
    accept(operation, request, resolved)
    done()
  }

  function accept (operation: CallOperation, request: Request, resolved: ResolvedProvider): void {
    const trace = traceCall({ operation, provider: resolved.provider, batchId: request.params.id })
    request[STATE] = { resolved, trace, wait: undefined, started: false }
    reader.check(resolved, request.params.id)
  }

  async function respond (
    request: Request,
    reply: Reply,
    run: (call: EngineCall) => Promise<EngineResult>,
    notify?: (result: EngineResult, log: CallLog) => void
  ): Promise<FastifyReply> {
    const state = request[STATE] as RequestState
    const { provider, headers } = state.resolved
    const { repeated, maxAttempts } = clientRetries(headers)
    const limit = responseLimit(reply as FastifyReply, clientLimit(headers))
    const wait = grantedWait(preferredWait(headers), limit)
    const call: EngineCall = {
      batchId: request.params.id,
      provider,
      headers,
      request: request as FastifyRequest,
      wait: wait === undefined ? 0 : wait * 1000,
      limit,
      onLeave (stop) {
        state.wait = wait
        return onLeave(reply as FastifyReply, stop)
      },
      allow: checkedAllow,
      log: request.log,
      repeated,
      maxAttempts
    }
    state.started = true
    const result = await state.trace.run(() => run(call))
    state.wait = wait
    notify?.(result, request.log)
    // Fastify may have ended the response by its handlerTimeout.
    if (reply.sent) return reply as FastifyReply
    reportSuccess(state.trace, request.log, result, reply.elapsedTime)
    return sendResponse(request as FastifyRequest, reply as FastifyReply, state, successResponse(result))
  }

  /** The milliseconds that a response may still take: what the client says, and what Fastify allows. */
  function responseLimit (reply: FastifyReply, limit: number | undefined): number | undefined {
    if (handlerTimeout === 0) return limit
    const left = Math.max(1, handlerTimeout - HANDLER_TIMEOUT_MARGIN_MS - reply.elapsedTime)
    return Math.min(limit ?? Infinity, left)
  }

  /** The seconds that a wait lasts at most; `undefined` if none is granted. */
  function grantedWait (seconds: number | undefined, limit = Infinity): number | undefined {
    const granted = Math.min(seconds ?? 0, Math.floor(Math.min(engine.maxWait, limit) / 1000))
    return granted >= 1 ? granted : undefined
  }

  /** Stops a wait when the client disconnects or the app closes. */
  function onLeave ({ raw }: FastifyReply, stop: () => void): () => void {
    waits.add(stop)
    raw.once('close', stop)
    if (closing || isDisconnected(raw)) stop()
    return () => {
      waits.delete(stop)
      raw.off('close', stop)
    }
  }

  const errorHandler = (operation: CallOperation) => function handleError (
    thrown: unknown,
    request: FastifyRequest,
    reply: FastifyReply
  ): FastifyReply {
    const state = (request as Request)[STATE] ?? undefined
    const provider = state?.resolved.provider
    const error = state?.started === true && isHandlerTimeout(thrown) ? TIMEOUTS[operation](thrown) : thrown
    const response = isCallError(error)
      ? callErrorResponse(error, provider)
      : hostErrorResponse(error, reply.statusCode)
    const failure = isCallError(error)
      ? failureOf(operation, error)
      : { ...response, error, reads: 0, message: REFUSED }
    const { id: batchId } = request.params as BatchParams
    const trace = state?.trace ?? traceCall({ operation, provider, batchId })
    reportFailure(trace, request.log, failure, reply.elapsedTime, request.headers)
    return sendResponse(request, reply, state ?? {}, response)
  }

  /** Ends waits at once, and starts no more of them. */
  function endWaits (): void {
    closing = true
    for (const stop of waits) stop()
  }

  // Tracers name spans by these functions.
  const cancelBatch = (request: Request, reply: Reply) => respond(request, reply, engine.cancel, notifyCancelled)
  const retrieveBatch = (request: Request, reply: Reply) => respond(request, reply, engine.retrieve)
  const hooks = (operation: CallOperation) =>
    ({ onRequest: onRequest(operation), errorHandler: errorHandler(operation) })

  return {
    endWaits,
    cancel: { handler: cancelBatch, ...hooks('cancel') },
    retrieve: { handler: retrieveBatch, ...hooks('retrieve') }
  }
}

function successResponse ({ json, headers, source, attempts, retryAfter }: EngineResult): RouteResponse {
  const own: ResponseHeaders = { 'x-batch-source': source }
  if (retryAfter !== undefined) own['retry-after'] = String(Math.ceil(retryAfter / 1000))
  return { status: 200, body: json, headers: Object.assign(own, headers), attempts }
}

/** The errors of calls that outlived the `handlerTimeout` of Fastify. */
const TIMEOUTS = { cancel: timedOut, retrieve: readTimedOut } satisfies Record<CallOperation, unknown>

const isHandlerTimeout = (error: unknown) => (error as FastifyError | undefined)?.code === 'FST_ERR_HANDLER_TIMEOUT'

/** HTTP/2 reports a client that left on the stream. */
const isDisconnected = (raw: FastifyReply['raw']) =>
  raw.destroyed || (raw as { stream?: { destroyed: boolean } }).stream?.destroyed === true

/** The host's own rules. An error with a status below 500 keeps it; anything else refuses with a 403. */
async function checkAllowed (allow: (call: BatchCall) => unknown, call: BatchCall): Promise<void> {
  const allowed = await runAllow(allow, call)
  if (allowed === false) throw notAllowed()
}

async function runAllow (allow: (call: BatchCall) => unknown, call: BatchCall): Promise<unknown> {
  try {
    return await allow(call)
  } catch (error) {
    throw isCallError(error) || isRefusal(error) ? error : notAllowed(error)
  }
}

/** A `status` may be what another service responded to the host. */
const isRefusal = (error: unknown) =>
  isObject(error) && Number(error['statusCode']) >= 400 && Number(error['statusCode']) < 500

const notAllowed = (cause?: unknown) =>
  new BatchCancelError('call_not_allowed', 'The server does not allow this call.', { cause })

async function notify (
  onCancelled: (call: BatchCall, batch: Batch) => unknown,
  { call, batch, accepted }: EngineResult,
  log: CallLog
): Promise<void> {
  if (!accepted) return
  try {
    await onCancelled(call, batch)
  } catch (error) {
    logError(log, 'error', call.headers, error, 'onCancelled failed')
  }
}
