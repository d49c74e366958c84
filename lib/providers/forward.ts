import { createHash } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { parseErrorBody } from '../forwarder/error-body.js'
import { isObject } from '../is-object.js'
import { BatchCancelError, FST_BATCH_CANCEL_INVALID_OPTION, internalError, invalidHeader, invalidResponse, ProviderError, type ErrorDetails } from '../errors.js'
import type { Batch, BatchResult, BatchCall, BatchForwarder, ProviderTraits } from '../forwarder/types.js'
import { headerOf } from '../headers.js'
import { onCallEnd } from '../forwarder/lifetime.js'
import { tieShareKey } from '../forwarder/share-key.js'
import { deepFreeze } from '../batch/raw-json.js'
import { builtIn } from './registry.js'
import { checkNames, isUnsupported, isToken, parseBase, type Action, type Base, type Provider, type UnsupportedProvider, type Target } from './provider.js'
import { createUpstream, OWN_HEADERS, type UpstreamAnswer } from './http-client.js'

export interface ForwardOptions {
  /** The providers that are served, by the name that `x-portkey-provider` gives. Default: `builtIn`. */
  readonly providers?: Readonly<Record<string, Provider | UnsupportedProvider>>
  /**
   * The hosts that `x-portkey-custom-host` may name: `host`, `host:port` or an origin. They are reached by https,
   * and by http only where the entry says `http://`. Default: none.
   */
  readonly trustedHosts?: readonly string[]
}

const CUSTOM_HOST = 'x-portkey-custom-host'

/** A call that passed every check, ready to be sent. */
interface Prepared extends Target {
  readonly provider: Provider
  readonly extraHeaders: Readonly<Record<string, string>>
}

/** What every provider takes besides its own headers. */
const COMMON_HEADERS = {
  authorization: Type.String({ description: 'The credential for the provider, as `Bearer <key>`.' }),
  'x-portkey-custom-host': Type.String({ description: 'The base URL to use in place of the provider\'s own, such as `https://llm.example.com/v1`; only hosts that the operator trusts.' }),
  'x-portkey-forward-headers': Type.String({ pattern: '^[!#$%&\'*+.^_`|~0-9A-Za-z-]+( *, *[!#$%&\'*+.^_`|~0-9A-Za-z-]+)*$', description: 'Names of headers of this request, separated by commas, to send on to the provider, such as `x-tenant, x-team`.' })
}

/**
 * Forwards calls to providers over HTTP, with the credentials of the server or of the client.
 *
 * What is given is exactly what is served. Throws `FST_BATCH_CANCEL_INVALID_OPTION` when an option cannot work.
 */
export function forwardToProviders (options: ForwardOptions = {}): Required<BatchForwarder> {
  checkNames('forwardToProviders()', options, ['providers', 'trustedHosts'])
  const { providers = builtIn, trustedHosts = [] } = options
  const served = new Map(Object.entries(checkedProviders(providers)))
  const trusted = new Set(checkedHosts(trustedHosts))
  const send = createUpstream()
  const baseOf = rememberLast(parseBase)
  /** By the very call: a copy of it may differ. */
  const preparedCalls = new WeakMap<BatchCall, Prepared>()

  async function prepare (call: BatchCall): Promise<Prepared> {
    const { batchId, headers } = call
    const provider = providerOf(served, call)
    const { baseUrl, serverCredential } = provider
    let otherBase = customBase(provider, call)
    refuseOthers(provider, call)
    if (otherBase === undefined && baseUrl !== undefined) otherBase = operatorBase(call, typeof baseUrl === 'function' ? await baseUrl(call) : baseUrl)
    const place = provider.locate({ batchId, headers, hasBase: otherBase !== undefined })
    const target = {
      provider,
      base: otherBase ?? place.base,
      place,
      batchId,
      headers,
      extraHeaders: forwardedHeaders(provider, call),
      credential: checkCredential(call, typeof serverCredential === 'function' ? await serverCredential(call) : serverCredential ?? provider.clientCredential(headers))
    }
    preparedCalls.set(call, target)
    return target
  }

  function customBase ({ serverCredential, accountHeaders = [] }: Provider, { headers }: BatchCall): Base | undefined {
    if (serverCredential !== undefined) {
      const chosen = [CUSTOM_HOST, ...accountHeaders].find(name => headerOf(headers, name) !== undefined)
      if (chosen !== undefined) throw invalidHeader(chosen, 'is not taken: the server chose the host and the account of this provider.')
    }
    const url = headerOf(headers, CUSTOM_HOST)
    if (url === undefined) return undefined
    const base = baseOf(url)
    if (base === undefined) throw invalidHeader(CUSTOM_HOST, 'should be an http or https URL without userinfo, query and fragment.')
    if (!trusted.has(base.origin)) throw invalidHeader(CUSTOM_HOST, 'names a host that the operator does not trust; see the option trustedHosts.')
    return base
  }

  function operatorBase (call: BatchCall, url: string | undefined): Base {
    const base = url === undefined ? undefined : baseOf(url)
    if (base === undefined) throw internalError(`baseUrl of '${call.provider}' gave no http or https URL.`)
    return base
  }

  async function ask (action: Action, call: BatchCall): Promise<BatchResult> {
    const target = preparedCalls.get(call) ?? await prepare(call)
    const { provider, base, extraHeaders } = target
    const { method, path, headers, body } = await provider.request(action, target)
    // Spreads of several objects cost ten times as much.
    const request = { method, path, headers: Object.assign({}, OWN_HEADERS, extraHeaders, headers), body }
    const answer = await send(base.origin, request, listener => onCallEnd(call, listener))
    return readBatch(answer, target, action)
  }

  // No read returns without a batch.
  const retrieve = (call: BatchCall) => ask('retrieve', call) as Promise<BatchResult<Batch>>

  function shareKey (call: BatchCall): string | undefined {
    const target = preparedCalls.get(call)
    return target && readKey(target)
  }

  return {
    prepare: async (call) => { await prepare(call) },
    cancel: (call) => ask('cancel', call),
    retrieve,
    shareKey: tieShareKey(shareKey, retrieve),
    close: () => send.close(),
    providers: new Map([...served].map(([name, provider]) => [name, traitsOf(provider)]))
  }
}

/** What makes two reads the same: all of the request but its signature. Hashed, since it holds the credential and is kept. */
function readKey ({ provider, base, place, batchId, credential, extraHeaders, headers }: Prepared): string {
  const names = [...Object.keys(provider.headers ?? {}), ...provider.accountHeaders ?? [], ...provider.reservedHeaders]
  const own = provider.serverCredential === undefined ? names.map(name => headers[name]) : []
  return createHash('sha256').update(JSON.stringify([base, place, batchId, credential, extraHeaders, own])).digest('base64')
}

/** Only what may be known: a provider holds the server's credential. */
const traitsOf = ({ unsupported, id, headers }: Provider | UnsupportedProvider): ProviderTraits => ({
  ...unsupported !== undefined && { unsupported },
  ...id !== undefined && { id },
  headers: { ...COMMON_HEADERS, ...headers }
})

function providerOf (served: ReadonlyMap<string, Provider | UnsupportedProvider>, { provider: name }: BatchCall): Provider {
  const provider = served.get(name)
  // The plugin lets only served providers through: this is a hook that changed the name.
  if (provider === undefined || isUnsupported(provider)) throw internalError(`No provider '${name}' is served.`)
  return provider
}

/** What the server chose no client chooses otherwise, with whichever credential. */
function refuseOthers ({ chosen = {} }: Provider, { headers }: BatchCall): void {
  for (const [header, isChosen] of Object.entries(chosen)) {
    const told = headerOf(headers, header)
    if (told !== undefined && !isChosen(told)) throw new BatchCancelError('provider_mismatch', `Header '${header}' names another than the server chose for this provider.`, { param: header })
  }
}

function checkCredential ({ provider }: BatchCall, credential: unknown): unknown {
  if (typeof credential === 'string' ? isToken(credential) : isObject(credential)) return credential
  throw new BatchCancelError('missing_credentials', `No credential that '${provider}' can use came with the call.`, { param: 'authorization' })
}

/** Most calls go where the one before went. */
function rememberLast<T> (read: (text: string) => T): (text: string) => T {
  let last: { readonly text: string, readonly value: T } | undefined
  return (text) => {
    if (last?.text !== text) last = { text, value: read(text) }
    return last.value
  }
}

/** Never sent on: what belongs to one connection, to the message, or is a secret of the client for somebody else. */
const NEVER_FORWARDED = /^(connection|keep-alive|proxy-.+|te|trailer|transfer-encoding|upgrade|expect|host|content-.+|cookie|authorization|accept|accept-encoding|user-agent|x-http-method.*|x-method-override|.*api-key|.*-subscription-key|(x-amz|x-goog|x-ibm|x-dashscope|x-portkey|openai|anthropic)-.+)$/

function forwardedHeaders ({ reservedHeaders }: Provider, { headers }: BatchCall): Record<string, string> {
  const names = headerOf(headers, 'x-portkey-forward-headers')
  const forwarded: Record<string, string> = {}
  for (const name of names?.toLowerCase().split(',').map(part => part.trim()) ?? []) {
    const value = headerOf(headers, name)
    if (value !== undefined && !NEVER_FORWARDED.test(name) && !reservedHeaders.includes(name)) forwarded[name] = value
  }
  return forwarded
}

function readBatch (answer: UpstreamAnswer, target: Prepared, action: Action): BatchResult {
  const { status, text, headers } = answer
  if (status >= 400 && status <= 599) throw providerError(answer, target)
  if (status < 200 || status > 299) throw invalidResponse(`The provider answered ${status}.`)
  const body = parseJson(text)
  if (isObject(body) && isAnother(target.provider.batchIdOf?.(body), target.batchId)) throw invalidResponse('The provider answered another batch.')
  const batch = target.provider.batch(body, target, action)
  if (batch === undefined || (batch === null && action === 'retrieve')) throw invalidResponse(`The provider answered ${status} without a batch.`)
  if (batch === null) return { batch, headers }
  deepFreeze(batch)
  return { batch, headers, ...isObject(body) && { raw: { text, value: body } } }
}

const isAnother = (told: unknown, asked: string) => typeof told === 'string' && told !== '' && told !== asked && endOf(told) !== endOf(asked)

/** What all forms of an id have in common: names and ARNs, encoded or not, end with it; UUIDs come in either case. */
const endOf = (id: string) => id.toLowerCase().replace(/^.*(?:\/|%2f)/s, '')

/** `null` is no body; what is not JSON is `undefined`. */
function parseJson (text: string): unknown {
  if (text.trim() === '') return null
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The provider's own words; plain ones where it sent no JSON, but never a page. Some repeat the key that they refuse; it may be the server's. */
function providerError (answer: UpstreamAnswer, { provider, credential }: Prepared): ProviderError {
  const mask = maskOf(credential)
  const { status } = answer
  const text = mask(answer.text)
  const headers = Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, typeof value === 'string' ? mask(value) : value]))
  const body = parseJson(text)
  const plain = body === undefined && !text.includes('<') ? text : undefined
  const details: ErrorDetails = parseErrorBody(body ?? plain) ?? { message: `The provider answered ${status}.` }
  return new ProviderError(status, { ...details, code: details.code ?? provider.errorCode?.(headers) }, headers)
}

const maskOf = (credential: unknown) => (text: string) => secretsOf(credential).reduce((masked, secret) => masked.replaceAll(secret, '***'), text)

/** Anything shorter is no secret, and would tear words apart. */
const SHORTEST_SECRET = 8

const secretsOf = (credential: unknown): string[] =>
  (typeof credential === 'string' ? [credential] : Object.values(credential as object))
    .filter(value => typeof value === 'string' && value.length >= SHORTEST_SECRET)

function checkedProviders (providers: NonNullable<ForwardOptions['providers']>): NonNullable<ForwardOptions['providers']> {
  if (!isObject(providers)) throw new FST_BATCH_CANCEL_INVALID_OPTION('providers should be an object of providers by name.')
  for (const [name, provider] of Object.entries(providers)) {
    if (!isObject(provider) || (typeof provider['request'] !== 'function' && typeof provider['unsupported'] !== 'string')) {
      throw new FST_BATCH_CANCEL_INVALID_OPTION(`providers['${name}'] should be a provider, such as openai() makes one.`)
    }
  }
  return providers
}

function checkedHosts (hosts: readonly string[]): string[] {
  if (!Array.isArray(hosts)) throw new FST_BATCH_CANCEL_INVALID_OPTION('trustedHosts should be an array of hosts.')
  return hosts.map(host => {
    const base = typeof host === 'string' ? parseBase(/^https?:\/\//.test(host) ? host : `https://${host}`) : undefined
    if (base === undefined || base.path !== '') throw new FST_BATCH_CANCEL_INVALID_OPTION(`trustedHosts should hold hosts such as 'llm.example.com:8443' or origins such as 'http://10.0.0.5:8000'; '${String(host)}' is neither.`)
    return base.origin
  })
}
