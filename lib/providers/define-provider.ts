import type { BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { checkOptions, invalidOption, optionName } from '../check-options.js'
import { refuseAsForwarder } from '../forwarder/forwarder-option.js'
import { headerOf } from '../headers.js'
import { isObject } from '../is-object.js'
import { checkDefinition } from './check-definition.js'
import type { MappedBatch, ProviderDefinition, ProviderFactory } from './definition.js'
import { originTest, parseBase } from './hosts.js'
import { COMMON_RULES, mustHaveValues } from './option-rules.js'
import {
  ACCEPTED, UNRECOGNIZED, type Base, type LocateInput, type Provider, type ProviderOptions, type Resolvable,
  type Target, type UpstreamRequest
} from './provider.js'
import { compilePath, type RequestTemplate } from './requests.js'

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
  let common: ReturnType<typeof commonParts<O, C, P>> | undefined

  const createProvider: ProviderFactory<O, C> = (options = {} as O) => {
    checkOptions(path, options, allRules)
    const problem = conflict?.(options)
    if (problem !== undefined) throw invalidOption(`${optionName(path, ...problem.names)} ${problem.problem}`)
    // At the first provider, since most apps have few of those that an import defines.
    common ??= commonParts(definition)
    return { ...common, ...optionParts(definition, options) }
  }
  return refuseAsForwarder(createProvider, `is the factory ${path}, not a forwarder: ` +
    `use forwardToProviders({ providers: { '${name}': ${path} } }).`)
}

/** What all providers of a definition have in common. */
function commonParts<O, C, P> (definition: ProviderDefinition<O, C, P>) {
  const { name, source, id, headers = {}, accountHeaders = [], auth, sends = {}, requestHeaders = {} } = definition
  const { reservedHeaders = [], errorCode, cancellingTime } = definition
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
    ...errorCode !== undefined && { errorCode },
    ...cancellingTime !== undefined && { cancellingTime }
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
    locate ({ batchId, headers, hasBase }: LocateInput) {
      const found = place({ batchId, headers, hasBase, hasServerCredential: serverCredential !== undefined }, options)
      if (hasBase) return { base: undefined, place: found }
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
  const templates = { cancel: compileTemplate(definition.cancel), retrieve: compileTemplate(definition.retrieve) }
  return (action, target): UpstreamRequest => {
    const { fill, template: { method, headers, body } } = templates[action](target)
    const all: Record<string, string> = Object.assign({}, requestHeaders, headers)
    for (const [upstream, names] of sent) {
      const name = names.find(candidate => headerOf(target.headers, candidate) !== undefined)
      if (name !== undefined) all[upstream] = headerOf(target.headers, name) as string
    }
    const values = Object.assign({ id: target.batchId }, target.place)
    return { method, path: target.base.path + fill(values), headers: all, body }
  }
}

/** A template that does not depend on the call is compiled once. */
function compileTemplate<P> (template: RequestTemplate | ((target: Target<P>) => RequestTemplate)) {
  const compile = (template: RequestTemplate) => ({ template, fill: compilePath(template.path) })
  if (typeof template === 'function') return (target: Target<P>) => compile(template(target))
  const compiled = compile(template)
  return () => compiled
}

function mappedRead (definition: MappedBatch): Provider['read'] {
  const { statuses = {}, status: readStatus, fields, member, batchId: shownIdOf = ({ id }) => id, accepts } = definition
  const statusOf = readStatus ?? (({ status }) => statusIn(statuses, status))
  return (body, context) => {
    if (context.action === 'cancel' && accepts?.(body) === true) return ACCEPTED
    const object = member === undefined ? body : isObject(body) ? body[member] : undefined
    if (!isObject(object)) return UNRECOGNIZED
    const status = statusOf(object, context)
    if (status === undefined) return UNRECOGNIZED
    const { action, batchId: id } = context
    const own = fields(object, { action, batchId: id, status })
    const known = Object.assign({}, own, { id, status, provider_batch: object })
    return { kind: 'batch', batch: completeBatch(known), shownId: shownIdOf(object), member }
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
