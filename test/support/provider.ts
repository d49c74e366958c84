import type { IncomingHttpHeaders } from 'node:http'
import type { Action, Base, Batch, Provider } from '../../lib/index.js'

export interface RequestOptions<C> {
  readonly headers?: IncomingHttpHeaders
  /** @default the client's */
  readonly credential?: C
  /** Replaces the provider's own base. */
  readonly base?: Base
}

/** The request that a provider makes, with the headers that only it sets, and its origin. */
export async function requestOf<C> (
  provider: Provider<C>,
  action: Action,
  batchId: string,
  { headers = {}, credential = provider.clientCredential(headers) as C, base }: RequestOptions<C> = {}
) {
  const { base: own, place } = provider.locate({ batchId, headers, hasBase: base !== undefined })
  const used = base ?? own as Base
  const { body, ...request } = provider.request(action, { base: used, place, batchId, headers })
  const authorized = await provider.authorize(credential, { ...request, origin: used.origin, place })
  return {
    origin: used.origin,
    ...request,
    headers: { ...request.headers, ...authorized },
    ...body !== undefined && { body }
  }
}

/** What a provider reads from a body: a batch, `null` for an accepted cancel without one, else `undefined`. */
export function batchIn (
  provider: Provider,
  body: unknown,
  batchId: string,
  action: Action = 'retrieve'
): Batch | null | undefined {
  const result = provider.read(body, { batchId, action })
  if (result.kind === 'batch') return result.batch
  return result.kind === 'accepted' ? null : undefined
}
