import type { Dispatcher } from 'undici'
import { invalidOption } from '../check-options.js'
import { BatchCancelError, internalError } from '../errors.js'
import { MAX_ORIGINS } from '../limits.js'
import { connectBy, createConnect, type Connect } from './connection.js'
import { createOriginPool, type OriginPool } from './origin-pool.js'
import { ResponseReader, type OnCallEnd, type UpstreamResponse } from './response-reader.js'
import type { TracedRequest } from './trace-context.js'

export type { OnCallEnd, UpstreamResponse } from './response-reader.js'

/** The headers of every request, unless its provider sets others. */
export const DEFAULT_HEADERS = {
  accept: 'application/json',
  'accept-encoding': 'identity',
  'user-agent': 'fastify-batch-cancel'
}

/** The one HTTP client. */
export interface Upstream {
  /**
   * Sends one request and reads the whole response, unless the call ends first: then the connection is closed at once.
   *
   * @param provider the name of the provider, for messages
   * @throws BatchCancelError `upstream_busy` if too many requests to the origin are in progress: nothing was sent
   * @throws BatchCancelError `upstream_invalid_response` if the response exceeds a limit of limits.ts
   * @throws undici's and Node's network errors
   */
  (origin: string, request: TracedRequest, provider: string, onCallEnd: OnCallEnd): Promise<UpstreamResponse>
  /**
   * Loads undici ahead of the first request.
   *
   * @throws BatchCancelError `internal_error` if the runtime replaces undici by something else, as Bun does
   */
  warm (): Promise<void>
  /** Closes idle connections at once, and resolves when requests in progress are done. It may be used again. */
  close (): Promise<void>
}

export interface UpstreamOptions {
  /**
   * An undici dispatcher that sends all requests, for an egress proxy, client certificates, a custom CA or a test. It
   * is used as it is and never closed. Its own limits on connections and headers apply beside those of this package.
   *
   * @default connections of our own, which take no proxy from the environment
   */
  readonly dispatcher?: Dispatcher | undefined
  /** Loads undici. @default the dependency */
  readonly load?: () => Promise<typeof import('undici')>
}

/**
 * Creates the HTTP client: kept-alive connections, no time limit but that of the call, no redirect followed, no cookie
 * kept. Needs Node's undici, which Bun replaces by a module without dispatchers.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export function createUpstream ({ dispatcher, load = () => import('undici') }: UpstreamOptions = {}): Upstream {
  let connect = dispatcher === undefined ? undefined : connectBy(checkDispatcher(dispatcher))
  let pools = new Map<string, OriginPool>()

  function send (
    origin: string,
    request: TracedRequest,
    provider: string,
    onCallEnd: OnCallEnd
  ): Promise<UpstreamResponse> {
    const ready = connect
    // Loaded with the first request: an app whose forwarder is an SDK never needs it.
    if (ready === undefined) return warm().then(() => send(origin, request, provider, onCallEnd))
    return new Promise((resolve, reject) => {
      const reader = new ResponseReader(request, onCallEnd, resolve, reject)
      // The call may have ended while undici was being loaded.
      if (reader.settled) return
      const pool = pools.get(origin) ?? openPool(origin, ready)
      if (pool === undefined || pool.isFull()) reader.abort(busy(provider))
      else pool.send(reader)
    })
  }

  async function warm (): Promise<void> {
    connect ??= createConnect(checkUndici(await load()))
  }

  /** `undefined` if as many origins as there may be are in use. */
  function openPool (origin: string, connect: Connect): OriginPool | undefined {
    const all = pools
    if (all.size >= MAX_ORIGINS && !closeIdlePool(all)) return undefined
    const pool = createOriginPool(handlers => connect(origin, handlers), () => {
      if (all.get(origin) === pool) all.delete(origin)
    })
    all.set(origin, pool)
    return pool
  }

  async function close (): Promise<void> {
    const closing = [...pools.values()]
    pools = new Map()
    await Promise.all(closing.map(pool => pool.close()))
  }

  return Object.assign(send, { warm, close })
}

/** Makes room for another origin. */
function closeIdlePool (pools: Map<string, OriginPool>): boolean {
  for (const [origin, pool] of pools) {
    if (!pool.isIdle()) continue
    pools.delete(origin)
    pool.close()
    return true
  }
  return false
}

const busy = (provider: string) => new BatchCancelError(
  'upstream_busy',
  `Too many calls to '${provider}' are in progress. Nothing was sent; try again later.`,
  { outcome: 'final', headers: { 'retry-after': '1' } }
)

function checkDispatcher (dispatcher: Dispatcher): Dispatcher {
  if (typeof (dispatcher as Partial<Dispatcher> | null)?.dispatch === 'function') return dispatcher
  throw invalidOption(
    'forwardToProviders({ dispatcher }) must be a Dispatcher of undici, such as an Agent or a ProxyAgent.'
  )
}

function checkUndici (undici: typeof import('undici')): typeof import('undici') {
  if (typeof undici.Client?.prototype?.dispatch === 'function') return undici
  throw internalError(
    'This runtime replaces undici by a module without dispatchers, as Bun does: run on Node.js, or set a forwarder ' +
    'that does not need it, such as an SDK.'
  )
}
