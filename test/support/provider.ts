import type { IncomingHttpHeaders } from 'node:http'
import type { Test } from 'tap'
import type { Action, Base, Batch, BatchCall, Provider, Resolvable, SendRequest } from '../../lib/index.js'

export interface RequestOptions<C> {
  readonly headers?: IncomingHttpHeaders
  /** @default the client's */
  readonly credential?: C
  /** Replaces the provider's own base. */
  readonly base?: Base
}

const sendNothing: SendRequest = async () => { throw new Error('Nothing is to be sent') }

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
  const authorized = await provider.authorize(credential, { ...request, origin: used.origin, place }, sendNothing)
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

/** The value of an option of the server for a call. */
export const found = async <T>(option: Resolvable<T> | undefined): Promise<T | undefined> =>
  typeof option === 'function'
    ? (option as (call: BatchCall) => Promise<T>)({ batchId: 'b' } as BatchCall)
    : option

/** What a function throws, or returns. */
export function thrown (run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}

/** Where a provider would look for a batch, or why not. */
export const located = (
  provider: Provider,
  batchId: string,
  headers: IncomingHttpHeaders = {},
  hasBase = false
): unknown => thrown(() => provider.locate({ batchId, headers, hasBase }))

/** Checks some fields of the batch that a body is read as, `null` and empty strings to the letter. */
export function checkFields (t: Test, provider: Provider, body: unknown, fields: object | undefined): void {
  const batch = batchIn(provider, body, 'asked')
  if (fields === undefined || !batch) {
    t.equal(batch, fields, JSON.stringify(body))
    return
  }
  const same = Object.fromEntries(Object.keys(fields).map(key => [key, batch[key as keyof typeof batch]]))
  t.strictSame(same, fields, JSON.stringify(body))
  t.equal(batch.id, 'asked')
  t.equal(batch.provider_batch, body)
}
