import type { IncomingHttpHeaders } from 'node:http'
import type { TSchema } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Batch } from '../../schemas/batch.js'
import type { RawJson } from '../batch/raw-json.js'
import type { HeadersLike } from '../headers.js'

export type { Batch } from '../../schemas/batch.js'
export type { RawJson } from '../batch/raw-json.js'

/** One cancel (or read) of one batch. */
export interface BatchCall {
  /** Decoded, 1 to 512 printable characters. */
  readonly batchId: string
  /** `x-portkey-provider`, else `defaultProvider`. */
  readonly provider: string
  /**
   * The client's headers in lower case, with the keys of `x-portkey-config` merged in as the headers they stand for.
   */
  readonly headers: Readonly<IncomingHttpHeaders>
  /** The client's request; `undefined` if the call was made from code by a `BatchCanceller`. */
  readonly request: FastifyRequest | undefined
  /** Aborts when the operation's time is up, never because the client left. Created on first use. */
  readonly signal: AbortSignal
}

/** A batch with the response headers of its provider. */
export interface BatchResult<T extends Batch | null = Batch | null> {
  readonly batch: T
  /** The headers for retries, rate limits and request ids reach the client. */
  readonly headers?: HeadersLike
  /** Sent byte for byte in place of the object it was parsed from. */
  readonly raw?: RawJson | undefined
}

/** What is known about a provider before it is called. */
export interface ProviderTraits {
  /** A sentence that says why batches of this provider cannot be cancelled. Every call to it is refused. */
  readonly unsupported?: string
  /** What an id looks like at this provider, beyond what the route asks of every id. */
  readonly id?: RegExp
  /** What `id` accepts, in words that complete "expected …". */
  readonly idDescription?: string
  /** The request headers that only this provider reads, in lower case, each with the schema of its value. */
  readonly headers?: Readonly<Record<string, TSchema>>
  /**
   * How long a batch is `cancelling` at most, in milliseconds, if the provider documents it. A batch that takes longer
   * is logged and reported as overdue.
   */
  readonly cancellingTime?: number
}

/**
 * The provider-forwarding hook: passes a call on to the provider that holds the batch. Plain functions: no `this`.
 *
 * A forwarder may throw anything. An error with a status (`status`, `statusCode` or `$metadata.httpStatusCode`) is the
 * provider's response, with the details of the SDK's `error` object; a network error or an abort means that there was
 * no response; everything else is a bug in the forwarder and becomes a 500.
 */
export interface BatchForwarder {
  /** Cancels and returns the batch after it; `null` if the cancel was accepted but no batch was returned. */
  readonly cancel: (this: void, call: BatchCall) => Promise<Batch | BatchResult | null>
  /**
   * Returns the batch as it is now. Without it no outcome can be resolved by reading, and `Prefer: wait` is ignored.
   */
  readonly retrieve?: (this: void, call: BatchCall) => Promise<Batch | BatchResult<Batch>>
  /**
   * Checks a call and finds its credential; called once per call, before anything is sent. What it throws ends the
   * call with no attempt made.
   */
  readonly prepare?: (this: void, call: BatchCall) => void | Promise<void>
  /** Loads what the first call would have to wait for. Called once, when the app listens; what it throws is logged. */
  readonly warm?: (this: void) => void | Promise<void>
  /** Closes idle connections. Called when the app or the canceller closes; the forwarder may be used again. */
  readonly close?: (this: void) => void | Promise<void>
  /** Waits with the same key share one poller; `undefined` means not shared. Without it no wait shares a poller. */
  readonly shareKey?: (this: void, call: BatchCall) => string | undefined
  /** The providers that are served, by name: a call to any other is refused. Without it every name is passed on. */
  readonly providers?: ReadonlyMap<string, ProviderTraits>
}
