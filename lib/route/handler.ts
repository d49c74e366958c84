import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { CancelParams } from '../../schemas/cancel.js'
import type { ErrorResponse } from '../../schemas/error.js'
import { createCallReader, type Named } from './read-call.js'
import { cancelBatch, MOST_CANCELS, type Cancellation, type Tally } from '../cancel/cancel-batch.js'
import { report } from '../diagnostics.js'
import { isObject } from '../is-object.js'
import { BatchCancelError, envelope, errorBody, ProviderError } from '../errors.js'
import type { BatchCall } from '../forwarder/types.js'
import { headerOf, requestIdOf, traceOf, type ResponseHeaders } from '../headers.js'
import { checkForwarder } from '../forwarder/check-forwarder.js'
import { callUnder, Operation } from '../forwarder/lifetime.js'
import type { Settings } from '../options.js'
import { createPatience } from './patience.js'
import { writeBatch } from '../batch/raw-json.js'

/** What the route keeps of a request while it is on its way. */
export const kState = Symbol('fastify-batch-cancel.state')

interface State extends Tally {
  readonly named: Named
}

declare module 'fastify' {
  interface FastifyRequest {
    [kState]: State | null
  }
}

export interface CancelRoute {
  Params: CancelParams
}

/** The route's own part of its options: how a request becomes a call, and what becomes of it an answer. */
export function createRoute (settings: Settings) {
  const { clock, forwarder, defaultProvider, timeout, onCancelled } = settings
  const reader = createCallReader({ providers: forwarder.providers, defaultProvider })
  const hook = checkForwarder(forwarder)
  const patience = createPatience(settings, hook)
  let running = 0
  let finished = () => {}

  /** Runs before the host's own preHandler, so that this sees only calls that can be carried out. */
  function preValidation (request: FastifyRequest<CancelRoute>, _reply: FastifyReply<CancelRoute>, done: () => void): void {
    const named = reader.nameProvider(request)
    request[kState] = { named, cancels: 0, reads: 0 }
    reader.check(named, request.params.id)
    done()
  }

  async function handler (request: FastifyRequest<CancelRoute>, reply: FastifyReply<CancelRoute>): Promise<FastifyReply> {
    const state = request[kState] as State
    const { provider, headers } = state.named
    const operation = new Operation()
    const call = callUnder(operation, { batchId: request.params.id, provider, headers, request: request as FastifyRequest })
    const start = clock.now()
    const work = cancelBatch(hook, call, {
      clock,
      random: Math.random,
      end: start + timeout,
      repeated: retriesOf(state.named) >= 1,
      cancels: repeatsItself(state.named) ? 1 : MOST_CANCELS,
      tally: state,
      log: request.log
    })
    running++
    try {
      const cancellation = await patience.wait(await patience.untilLimit(work, call), call, start, reply as FastifyReply)
      if (cancellation.accepted && onCancelled !== undefined) tell(onCancelled, call, cancellation)
      const { batch, headers: told, source } = cancellation
      return send(request as FastifyRequest, reply.header('x-batch-source', source) as FastifyReply, 200, writeBatch(batch), told, batch.status)
    } finally {
      // The work goes on where the client's patience ended before it.
      const release = () => {
        operation.end()
        if (--running === 0) finished()
      }
      work.then(release, release)
    }
  }

  return {
    preValidation,
    handler,
    errorHandler,
    /** Ends waits at once, and begins none. */
    endWaits: async () => { patience.end() },
    /** Resolves when no cancel is under way any more, those of clients that left included. */
    finish: async () => { if (running > 0) await new Promise<void>(resolve => { finished = resolve }) }
  }
}

/** How often a client that repeats calls by itself has repeated this one; `NaN` for any other client. */
const retriesOf = ({ headers }: Named) => Number(headerOf(headers, 'x-stainless-retry-count'))

/** Portkey's SDK sends the count of the client that is inside it, but repeats nothing. */
const repeatsItself = (named: Named) => !Number.isNaN(retriesOf(named)) && headerOf(named.headers, 'x-portkey-package-version') === undefined

async function tell (onCancelled: NonNullable<Settings['onCancelled']>, call: BatchCall, { batch }: Cancellation): Promise<void> {
  try {
    await onCancelled(call, batch)
  } catch (error) {
    call.request.log.error({ err: error }, 'onCancelled failed')
  }
}

/** Whatever a hook of the host, Fastify, or this package threw. */
type Thrown = Partial<FastifyError> & { readonly status?: number, readonly headers?: Record<string, string> } | null | undefined

/** Errors of the route alone, so that the error handler of the host stays what it is. */
function errorHandler (error: Thrown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const own = error instanceof BatchCancelError || error instanceof ProviderError
  const status = own ? error.statusCode : hostStatus(error, reply)
  if (status >= 500) request.log.error({ err: error }, 'the batch was not cancelled')
  else request.log.info({ err: error }, 'the batch was not cancelled')
  if (!own && isObject(error?.headers)) reply.headers(error.headers)
  const body = own ? errorBody(error, request[kState]?.named.provider) : hostBody(error, status)
  return send(request, reply, status, own ? writeError(body, error) : JSON.stringify(body), own ? ownHeaders(error) : {}, body.error.code)
}

/** The batch stands beside the error, as its provider wrote it. */
function writeError (body: ErrorResponse, error: BatchCancelError | ProviderError): string {
  const text = JSON.stringify(body)
  const batch = error instanceof BatchCancelError ? error.batch : undefined
  return batch === undefined ? text : `${text.slice(0, -1)},"batch":${writeBatch(batch)}}`
}

const hostBody = (error: Thrown, status: number) => envelope(status, status === 500
  ? { message: 'Internal error', code: 'internal_error' }
  : { message: wordsIn(error?.message) ?? 'The server that hosts this route refused the call.', code: wordsIn(error?.code) })

const wordsIn = (value: unknown) => typeof value === 'string' && value !== '' ? value : undefined

/** The SDKs repeat a 409 unless they are told that it is final. */
const ownHeaders = (error: BatchCancelError | ProviderError): ResponseHeaders =>
  error instanceof BatchCancelError && error.code === 'batch_not_cancellable' ? { ...error.headers, 'x-should-retry': 'false' } : error.headers

/** The status of an error that is not this package's: of a hook of the host, or of Fastify itself. */
function hostStatus (error: Thrown, reply: FastifyReply): number {
  const status = Number(error?.statusCode ?? error?.status ?? reply.statusCode)
  return status >= 400 && status <= 599 ? status : 500
}

/** A string goes out as it is: no serializer and no preSerialization hook of the host sees it. */
function send (request: FastifyRequest, reply: FastifyReply, status: number, body: string, headers: ResponseHeaders, outcome: string | null): FastifyReply {
  const state = request[kState]
  const id = requestIdOf(request)
  report({ provider: state?.named.provider, outcome, status, cancels: state?.cancels ?? 0, reads: state?.reads ?? 0, duration: reply.elapsedTime })
  reply.code(status)
    .header('content-type', 'application/json; charset=utf-8')
    .header('x-request-id', id)
    .header('x-portkey-trace-id', traceOf(state?.named.headers ?? request.headers, id))
  if (state !== null) reply.header('x-portkey-provider', state.named.provider)
  if (state !== null && state.cancels > 0) reply.header('x-portkey-retry-attempt-count', String(state.cancels - 1))
  return reply.headers(headers).send(body)
}
