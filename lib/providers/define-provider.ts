import type { IncomingHttpHeaders } from 'node:http'
import type { TSchema } from '@sinclair/typebox'
import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { checkOptions, invalidOption, optionName, type Rules } from '../check-options.js'
import { headerOf } from '../headers.js'
import { isObject } from '../is-object.js'
import type { Auth } from './auth.js'
import { checkDefinition } from './check-definition.js'
import { originTest, parseBase } from './hosts.js'
import type { IdGrammar } from './ids.js'
import { COMMON_RULES, mustHaveValues } from './option-rules.js'
import {
  ACCEPTED, UNRECOGNIZED, type Base, type LocateInput, type Provider, type ProviderOptions, type ReadContext,
  type ReadResult, type Resolvable, type Source, type Target, type UpstreamRequest
} from './provider.js'
import { fillPath, type RequestTemplate } from './requests.js'

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
   * Reads what else tells where a batch is, such as a region. Its strings fill the parts of paths in braces.
   *
   * @throws BatchCancelError `invalid_header`, `invalid_batch_id` or `provider_mismatch`
   */
  readonly place?: (input: PlaceInput, options: O) => P
  /** The grammar of its ids; the route checks each id against it. */
  readonly id: IdGrammar
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

/**
 * Defines a provider of your own, from data and pure functions. Returns its factory.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION if the definition cannot work
 * @example
 * const acme = defineProvider({
 *   name: 'acme',
 *   baseUrl: 'https://api.acme.example/v1',
 *   auth: bearer(),
 *   id: { pattern: /^job-\d+$/, description: 'an id such as job-123' },
 *   cancel: post('/jobs/{id}:cancel'),
 *   retrieve: get('/jobs/{id}'),
 *   statuses: { RUNNING: 'in_progress', STOPPING: 'cancelling', STOPPED: 'cancelled', DONE: 'completed' },
 *   fields: job => ({ created_at: unixSeconds(job.created) ?? 0 })
 * })
 * forwardToProviders({ providers: { acme: acme({ apiKey: process.env.ACME_KEY ?? fail() }) } })
 */
export function defineProvider<O extends ProviderOptions = ProviderOptions, C = string, P = unknown> (
  definition: ProviderDefinition<O, C, P>
): ProviderFactory<O, C> {
  checkDefinition(definition)
  const { name, factory = camelCase(name), options: rules = {}, conflict } = definition
  const path = `${factory}()`
  const allRules = { ...COMMON_RULES, ...mustHaveValues(rules) }
  const common = commonParts(definition)

  return (options = {} as O) => {
    checkOptions(path, options, allRules)
    const problem = conflict?.(options)
    if (problem !== undefined) throw invalidOption(`${optionName(path, ...problem.names)} ${problem.problem}`)
    return { ...common, ...optionParts(definition, options) }
  }
}

/** What all providers of a definition have in common. */
function commonParts<O, C, P> (definition: ProviderDefinition<O, C, P>) {
  const { name, source, id, headers = {}, accountHeaders = [], auth, sends = {}, requestHeaders = {} } = definition
  const { reservedHeaders = [], errorCode } = definition
  return {
    name,
    source,
    id: id.pattern,
    idDescription: id.description,
    headers,
    accountHeaders,
    reservedHeaders: [...auth.sets, ...Object.keys(sends), ...Object.keys(requestHeaders), ...reservedHeaders],
    ownsOrigin: ownOrigins(definition),
    clientCredential: auth.fromClient,
    request: requestBuilder(definition),
    authorize: auth.toHeaders,
    read: 'read' in definition ? definition.read : mappedRead(definition),
    ...errorCode !== undefined && { errorCode }
  }
}

/** What follows from the options of the server. */
function optionParts<O extends ProviderOptions, C, P> (definition: ProviderDefinition<O, C, P>, options: O) {
  const { auth, place = noPlace<P>, baseUrl, pins } = definition
  const { fromServer = ({ apiKey }) => apiKey as Resolvable<C> | undefined } = auth
  const serverCredential = fromServer(options)
  const ownBase = typeof baseUrl === 'string' ? parseBase(baseUrl) : undefined
  return {
    baseUrl: options.baseUrl,
    serverCredential,
    pinned: toPredicates(pins?.(options) ?? {}),
    locate (input: LocateInput) {
      const found = place({ ...input, hasServerCredential: serverCredential !== undefined }, options)
      if (input.hasBase) return { base: undefined, place: found }
      return { base: ownBase ?? parseBase((baseUrl as (place: P) => string)(found)), place: found }
    }
  }
}

const noPlace = <P>() => ({}) as P

function ownOrigins<O, C, P> ({ baseUrl, domains }: ProviderDefinition<O, C, P>): (origin: string) => boolean {
  if (domains !== undefined) return originTest(domains)
  const { origin: own } = parseBase(baseUrl as string) as Base
  return origin => origin === own
}

function requestBuilder<O, C, P> (definition: ProviderDefinition<O, C, P>): Provider<C, P>['request'] {
  const { sends = {}, requestHeaders = {} } = definition
  const sent = Object.entries(sends)
  return (action, target): UpstreamRequest => {
    const template = definition[action]
    const { method, path, headers, body } = typeof template === 'function' ? template(target) : template
    const all: Record<string, string> = { ...requestHeaders, ...headers }
    for (const [upstream, names] of sent) {
      const name = names.find(candidate => headerOf(target.headers, candidate) !== undefined)
      if (name !== undefined) all[upstream] = headerOf(target.headers, name) as string
    }
    const values = { id: target.batchId, ...target.place as object }
    return { method, path: target.base.path + fillPath(path, values), headers: all, body }
  }
}

function mappedRead (definition: MappedBatch): Provider['read'] {
  const { statuses = {}, status: readStatus, fields, member, batchId = ({ id }) => id, accepts } = definition
  const statusOf = readStatus ?? (({ status }) => statusIn(statuses, status))
  return (body, context) => {
    if (context.action === 'cancel' && accepts?.(body) === true) return ACCEPTED
    const object = member === undefined ? body : isObject(body) ? body[member] : undefined
    if (!isObject(object)) return UNRECOGNIZED
    const status = statusOf(object, context)
    if (status === undefined) return UNRECOGNIZED
    const known = { ...fields(object, { ...context, status }), id: context.batchId, status, provider_batch: object }
    return { kind: 'batch', batch: completeBatch(known), shownId: batchId(object), member }
  }
}

/** Looks a status up, and not what every object inherits. */
export const statusIn = (statuses: Readonly<Record<string, BatchStatus>>, status: unknown): BatchStatus | undefined =>
  typeof status === 'string' && Object.hasOwn(statuses, status) ? statuses[status] : undefined

const toPredicates = (pins: Readonly<Record<string, string | ((value: string) => boolean) | undefined>>) =>
  Object.fromEntries(Object.entries(pins).flatMap(([header, pin]): Array<[string, (value: string) => boolean]> => {
    if (pin === undefined) return []
    return [[header, typeof pin === 'function' ? pin : value => value === pin]]
  }))

const camelCase = (name: string) => name.replace(/-+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
