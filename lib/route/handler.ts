import type { FastifyReply, FastifyRequest } from 'fastify'
import type { BatchParams } from '../../schemas/request.js'
import type { Engine, EngineCall, EngineResult } from '../cancel/engine.js'
import { logError, type CallLog } from '../cancel/operation.js'
import { failureKind } from '../cancel/outcome.js'
import { publishCall } from '../diagnostics.js'
import { BatchCancelError, type CallError } from '../errors.js'
import type { Batch, BatchCall } from '../forwarder/types.js'
import { redactError, secretsIn } from '../redact.js'
import type { ResponseHeaders } from '../headers.js'
import { callErrorResponse, hostErrorResponse, isCallError } from './error-response.js'
import { clientLimit, preferredWait } from './prefer.js'
import { clientRetries, createCallReader, type ResolvedProvider } from './read-call.js'
import { sendResponse, type RouteResponse } from './reply.js'

export interface BatchRoute {
  Params: BatchParams
}

export interface RouteSettings {
  readonly engine: Engine
  readonly defaultProvider: string | undefined
  readonly portkeyConfig: boolean
  readonly allow: ((call: BatchCall) => unknown) | undefined
  readonly onCancelled: ((call: BatchCall, batch: Batch) => unknown) | undefined
}

/** What the route knows about a request while it is in progress. */
interface RequestState {
  readonly resolved: ResolvedProvider
  /** The seconds of the wait that was applied. */
  wait: number | undefined
}

type Request = FastifyRequest<BatchRoute>
type Reply = FastifyReply<BatchRoute>

/** The HTTP layer over the engine: how a request becomes a call, and its result a response. */
export function createHandlers ({ engine, defaultProvider, portkeyConfig, allow, onCancelled }: RouteSettings) {
  const { providers } = engine.forwarder
  const reader = createCallReader({ providers, defaultProvider, portkeyConfig })
  const checkedAllow = allow && ((call: BatchCall) => checkAllowed(allow, call))
  const notifyCancelled = onCancelled && ((result: EngineResult, log: CallLog) => notify(onCancelled, result, log))
  const states = new WeakMap<object, RequestState>()
  const waits = new Set<() => void>()
  let closing = false

  /** Runs before the body is read and before the host's preHandler, which sees only calls that can be made. */
  function onRequest (request: Request, _reply: Reply, done: () => void): void {
    const resolved = reader.resolveProvider(request as FastifyRequest)
    states.set(request, { resolved, wait: undefined })
    reader.check(resolved, request.params.id)
    done()
  }

  async function respond (
    request: Request,
    reply: Reply,
    run: (call: EngineCall) => Promise<EngineResult>,
    notify?: (result: EngineResult, log: CallLog) => void
  ): Promise<FastifyReply> {
    const state = states.get(request) as RequestState
    const { provider, headers } = state.resolved
    const { repeated, maxAttempts } = clientRetries(headers)
    const limit = clientLimit(headers)
    const wait = grantedWait(preferredWait(headers), limit)
    const result = await run({
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
    })
    state.wait = wait
    notify?.(result, request.log)
    return send(request as FastifyRequest, reply as FastifyReply, successResponse(result), result)
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

  /** @param describe what the log says about an error of a call */
  const errorHandler = (describe: (error: CallError) => string) => function handleError (
    error: unknown,
    request: FastifyRequest,
    reply: FastifyReply
  ): FastifyReply {
    const provider = states.get(request)?.resolved.provider
    const response = isCallError(error)
      ? callErrorResponse(error, provider)
      : hostErrorResponse(error, reply.statusCode)
    const message = isCallError(error) ? describe(error) : 'the call was refused before anything was sent'
    const err = redactError(error, secretsIn(request.headers))
    if (response.status >= 500) request.log.error({ err }, message)
    else request.log.info({ err }, message)
    return send(request, reply, response, { reads: isCallError(error) ? error.reads : 0, outcome: response.code })
  }

  function send (
    request: FastifyRequest,
    reply: FastifyReply,
    response: RouteResponse,
    result: { readonly reads: number, readonly outcome?: string | null, readonly batch?: Batch }
  ): FastifyReply {
    const { resolved, wait } = states.get(request) ?? {}
    publishCall({
      provider: resolved?.provider,
      outcome: result.batch?.status ?? result.outcome ?? null,
      status: response.status,
      attempts: response.attempts,
      reads: result.reads,
      duration: reply.elapsedTime
    })
    return sendResponse(request, reply, { resolved, wait }, response)
  }

  /** Ends waits at once, and starts no more of them. */
  function endWaits (): void {
    closing = true
    for (const stop of waits) stop()
  }

  return {
    onRequest,
    endWaits,
    cancel: {
      handler: (request: Request, reply: Reply) => respond(request, reply, engine.cancel, notifyCancelled),
      errorHandler: errorHandler(describeCancel)
    },
    retrieve: {
      handler: (request: Request, reply: Reply) => respond(request, reply, engine.retrieve),
      errorHandler: errorHandler(() => 'the batch was not retrieved')
    }
  }
}

function successResponse ({ json, headers, source, attempts, retryAfter }: EngineResult): RouteResponse {
  const own: ResponseHeaders = { 'x-batch-source': source }
  if (retryAfter !== undefined) own['retry-after'] = String(Math.ceil(retryAfter / 1000))
  return { status: 200, body: json, headers: Object.assign(own, headers), attempts }
}

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
    const { status } = hostErrorResponse(error, 500)
    throw isCallError(error) || status < 500 ? error : notAllowed(error)
  }
}

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

/** What the log may claim: that a batch was not cancelled is known only if nothing was sent or the provider said so. */
const describeCancel = (error: CallError): string =>
  failureKind(error) === 'unknown' ? 'the outcome of the cancel is not known' : 'the batch was not cancelled'
