import type { IncomingHttpHeaders } from 'node:http'
import type { TSchema } from '@sinclair/typebox'
import type { Batch, BatchStatus } from '../../schemas/batch.js'
import type { Rules } from '../check-options.js'
import type { Auth } from './auth.js'
import type { IdGrammar } from './ids.js'
import type { LocateInput, Provider, ProviderOptions, ReadContext, ReadResult, Source, Target } from './provider.js'
import type { RequestTemplate } from './requests.js'

type JsonObject = Readonly<Record<string, unknown>>

/** What the fields of a batch are read for. */
export interface FieldContext extends ReadContext {
  /** As OpenAI names it. */
  readonly status: BatchStatus
}

/** A provider whose batch has a shape of its own. */
export interface MappedBatch {
  /** What each status of the provider, found in the member `status`, is to OpenAI; instead of `status`. */
  readonly statuses?: Readonly<Record<string, BatchStatus>>
  /** Reads the status from elsewhere; `undefined` if the object is not a batch. */
  readonly status?: (object: JsonObject, context: ReadContext) => BatchStatus | undefined
  /** The fields of OpenAI's batch; those left out are `null`, or empty if OpenAI requires them. */
  readonly fields: (object: JsonObject, context: FieldContext) => Partial<Batch>
  /** The key under which a body has the batch. @default the body itself */
  readonly member?: string
  /** The id in the provider's batch. @default its `id` */
  readonly batchId?: (object: JsonObject) => unknown
  /** Whether a body of a cancel means that it was accepted although it shows no batch. @default never */
  readonly accepts?: (body: unknown) => boolean
}

/** A provider that reads bodies in its own way. */
export interface CustomRead {
  readonly read: (body: unknown, context: ReadContext) => ReadResult
}

/** Everything that is particular to a provider: data and pure functions. `P` is what `place` returns. */
export interface ProviderBasics<O, C, P> {
  /** As in `x-portkey-provider`. */
  readonly name: string
  /** The name of the factory in messages about options. @default `name` in camel case */
  readonly factory?: string
  /** Where the facts come from. */
  readonly source?: Source
  /** Where the API starts. A function gets what `place` returned, and needs `domains`. */
  readonly baseUrl: string | ((place: P) => string)
  /** The hosts that are the provider's own; `*` stands for a part of one label. @default the host of `baseUrl` */
  readonly domains?: readonly string[]
  /**
   * Reads what else determines where a batch is, such as a region. Its strings fill the parts of paths in braces.
   *
   * @throws BatchCancelError `invalid_header`, `invalid_batch_id` or `provider_mismatch`
   */
  readonly place?: (input: PlaceInput, options: O) => P
  /** The grammar of its ids; the route checks each id against it. */
  readonly id: IdGrammar
  /** How long a batch is `cancelling` at most, in milliseconds, as `source` documents it. @default not known */
  readonly cancellingTime?: number
  readonly auth: Auth<C, O, P>
  /** The two requests, such as `post('/batches/{id}/cancel')`. */
  readonly cancel: RequestTemplate | ((target: Target<P>) => RequestTemplate)
  readonly retrieve: RequestTemplate | ((target: Target<P>) => RequestTemplate)
  /** The request headers that it reads, in lower case, each with a schema that limits its length. */
  readonly headers?: Readonly<Record<string, TSchema>>
  /** Those of them that choose an account: refused beside a server credential. */
  readonly accountHeaders?: readonly string[]
  /** Upstream headers that are sent if the client sent one of these headers; the first counts. */
  readonly sends?: Readonly<Record<string, readonly string[]>>
  /** Upstream headers that are sent with every request. */
  readonly requestHeaders?: Readonly<Record<string, string>>
  /** Further upstream headers that no client may add. */
  readonly reservedHeaders?: readonly string[]
  /** The options of the factory beside `baseUrl` and `apiKey`. */
  readonly options?: Rules
  /** What is wrong with options together. */
  readonly conflict?: (options: O) => OptionConflict | undefined
  /**
   * By the request header that a server option stands for: the option's value, or whether a header agrees with it. A
   * header that disagrees is refused; `undefined` leaves the header to the client, `''` allows no value.
   */
  readonly pins?: (options: O) => Readonly<Record<string, string | ((value: string) => boolean) | undefined>>
  /** The code of an error whose body has none. */
  readonly errorCode?: (headers: Readonly<IncomingHttpHeaders>) => string | undefined
}

/** What a definition reads a place from. */
export interface PlaceInput extends LocateInput {
  /** Whether the server has a credential: beside one no header of the client chooses an account. */
  readonly hasServerCredential: boolean
}

export interface OptionConflict {
  readonly names: readonly string[]
  /** Completes "openai({ names }) …". */
  readonly problem: string
}

export type ProviderDefinition<O = ProviderOptions, C = string, P = unknown> =
  ProviderBasics<O, C, P> & (MappedBatch | CustomRead)

/** Makes a provider. @throws FST_BATCH_CANCEL_INVALID_OPTION */
export type ProviderFactory<O = ProviderOptions, C = string> = (options?: O) => Provider<C>
