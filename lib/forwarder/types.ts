import type { IncomingHttpHeaders } from 'node:http'
import type { TSchema } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Batch } from '../../schemas/batch.js'

export type { Batch } from '../../schemas/batch.js'

/** One client's wish for one batch. */
export interface BatchCall {
  /** Decoded, 1 to 512 printable characters. */
  readonly batchId: string
  /** `x-portkey-provider`, else `defaultProvider`. */
  readonly provider: string
  /** The request's headers, with the keys of `x-portkey-config` laid over them as the headers that they stand for. */
  readonly headers: Readonly<IncomingHttpHeaders>
  /** The request of the client: its log, user, ip. */
  readonly request: FastifyRequest
  /** Aborts when this operation is over, at the end of its time at the latest, never because the client leaves. Made on first use. */
  readonly signal: AbortSignal
}

/** A batch with the response headers of its provider, where the hook has them. */
export interface BatchResult<T extends Batch | null = Batch | null> {
  readonly batch: T
  /** Of these, the ones for retries, rate limits and request ids reach the client. */
  readonly headers?: IncomingHttpHeaders | Headers | null | undefined
}

/** What is known of a provider before it is called. */
export interface ProviderTraits {
  /** A sentence on why a cancel cannot keep its promise at this provider; every call to it is refused with it. */
  readonly refusal?: string
  /** What an id looks like at this provider, beyond what the route asks of every id. */
  readonly id?: RegExp
  /** The request headers that only this provider takes, lower case, each with the schema that its value must meet. */
  readonly headers?: Readonly<Record<string, TSchema>>
}

/**
 * Carries a call to whoever holds the batch. Plain functions: no `this`.
 *
 * A hook may throw anything. An error with a status (`status`, `statusCode` or `$metadata.httpStatusCode`) is
 * the provider's answer, with the words of the SDK's `error` object; a network error or an abort is no answer;
 * everything else is a bug of the hook, a 500.
 */
export interface BatchForwarder {
  /** Cancels, and answers the batch after it. `null`: accepted, but the batch was not shown. */
  readonly cancel: (this: void, call: BatchCall) => Promise<Batch | BatchResult | null>
  /** Answers the batch as it is now. Without it nothing is settled by reading, and `Prefer: wait` is ignored. */
  readonly retrieve?: (this: void, call: BatchCall) => Promise<Batch | BatchResult<Batch>>
  /** Waits with equal keys share one poller. Without it none is shared. */
  readonly shareKey?: (this: void, call: BatchCall) => string
  /** The providers that are served, by name, so that a call to any other is refused. Without it every name is passed on. */
  readonly providers?: ReadonlyMap<string, ProviderTraits>
}
