import { Type, type TSchema } from '@sinclair/typebox'
import { BatchCancelError, internalError, invalidHeader } from '../errors.js'
import { checkHeaders, checkId, traitsOf } from '../forwarder/check-call.js'
import type { BatchCall, ProviderTraits } from '../forwarder/types.js'
import { headerOf } from '../headers.js'
import { callOption, checkCredential, isFunctionOption, refuseClientCredential } from './credentials.js'
import { FORWARD_HEADERS, forwardedHeaders, HEADER_NAMES } from './forwarded-headers.js'
import { parseBase } from './hosts.js'
import { isUnsupported, type Base, type Provider, type Target, type UnsupportedProvider } from './provider.js'

/** What the operator decided about every call. */
export interface CallPolicy {
  /** The origins that `x-portkey-custom-host` may name. */
  readonly trustedOrigins: ReadonlySet<string>
  /** The headers that `x-portkey-forward-headers` may name. @default none beside a server credential, else any */
  readonly forwardHeaders: ReadonlySet<string> | undefined
  /** Whether a client's credential is passed on. */
  readonly clientCredentials: boolean
}

/** A call that passed every check, ready to be sent. */
export interface ResolvedCall {
  readonly provider: Provider
  readonly target: Target
  readonly credential: unknown
  readonly forwarded: Readonly<Record<string, string>>
}

type PreparedCall = Omit<ResolvedCall, 'credential'>

const CUSTOM_HOST = 'x-portkey-custom-host'

/** What every provider accepts besides its own headers. */
const COMMON_HEADERS: Readonly<Record<string, TSchema>> = {
  authorization: Type.String({
    maxLength: 16_384,
    description: 'The credential for the provider, as `Bearer <key>`.'
  }),
  [CUSTOM_HOST]: Type.String({
    maxLength: 1024,
    description: 'The base URL to use in place of the provider\'s own, such as `https://llm.example.com/v1`; only ' +
      'hosts that the operator trusts.'
  }),
  [FORWARD_HEADERS]: Type.String({
    maxLength: 2048,
    pattern: HEADER_NAMES,
    description: 'Names of headers of this request, separated by commas, to send on to the provider, such as ' +
      '`x-tenant, x-team`.'
  })
}

interface Served {
  readonly provider: Provider
  /** The operator's base, if it is not a function. */
  readonly base: Base | undefined
}

type Providers = Readonly<Record<string, Provider | UnsupportedProvider>>

/** Checks calls and resolves what is needed to send them; nothing is taken on trust, whatever made the call. */
export function createCallResolver (providers: Providers, policy: CallPolicy) {
  const traits = new Map(Object.entries(providers).map(([name, provider]) => [name, toTraits(provider)]))
  const served = new Map(Object.entries(providers).flatMap(([name, provider]) =>
    isUnsupported(provider) ? [] : [[name, toServed(provider)] as const]))

  /** Without a promise if no function of the server has to be called. */
  function resolve (call: BatchCall): ResolvedCall | Promise<ResolvedCall> {
    const { provider, base } = check(call)
    const otherBase = customBase(provider, call) ?? base
    refuseDisagreement(provider, call)
    const { baseUrl, serverCredential } = provider
    const findsBase = otherBase === undefined && isFunctionOption(baseUrl)
    if (findsBase || isFunctionOption(serverCredential)) return resolveByFunctions(provider, call, otherBase)
    return withCredential(prepare(provider, call, otherBase), call, serverCredential)
  }

  async function resolveByFunctions (
    provider: Provider,
    call: BatchCall,
    otherBase: Base | undefined
  ): Promise<ResolvedCall> {
    const base = otherBase ?? await foundBase(provider, call)
    const prepared = prepare(provider, call, base)
    return withCredential(prepared, call, await serverCredentialFor(provider, call))
  }

  /** The provider, the id and the headers, in the order in which problems are reported. */
  function check (call: BatchCall): Served {
    const { provider: name, batchId, headers } = call
    const own = traitsOf(name, traits)
    checkId(batchId, name, own)
    checkHeaders(headers, own.headers as Readonly<Record<string, TSchema>>)
    return served.get(name) as Served
  }

  /** The base that the client named. Throws `invalid_header` unless the operator trusts its origin. */
  function customBase ({ serverCredential, accountHeaders = [] }: Provider, { headers }: BatchCall): Base | undefined {
    if (serverCredential !== undefined) refuseHeaders(headers, [CUSTOM_HOST, ...accountHeaders])
    const url = headerOf(headers, CUSTOM_HOST)
    if (url === undefined) return undefined
    const base = parseBase(url)
    if (base === undefined) {
      throw invalidHeader(CUSTOM_HOST, 'must be an http or https URL without userinfo, query and fragment.')
    }
    if (policy.trustedOrigins.has(base.origin)) return base
    throw invalidHeader(CUSTOM_HOST, 'names a host that the server does not trust; see the option trustedHosts.')
  }

  function prepare (provider: Provider, call: BatchCall, otherBase: Base | undefined): PreparedCall {
    const { batchId, headers } = call
    const { base, place } = provider.locate({ batchId, headers, hasBase: otherBase !== undefined })
    const target = { base: otherBase ?? ownBase(provider, base), place, batchId, headers }
    return { provider, target, forwarded: forwardedHeaders(headers, name => mayForward(provider, name)) }
  }

  function mayForward ({ serverCredential, reservedHeaders }: Provider, name: string): boolean {
    if (reservedHeaders.includes(name)) return false
    return policy.forwardHeaders?.has(name) ?? serverCredential === undefined
  }

  function withCredential (
    { provider, target, forwarded }: PreparedCall,
    { provider: name, headers }: BatchCall,
    serverCredential: unknown
  ): ResolvedCall {
    const isServer = provider.serverCredential !== undefined
    if (!isServer && !policy.clientCredentials) refuseClientCredential(name)
    const credential = isServer ? serverCredential : provider.clientCredential(headers)
    return { provider, target, forwarded, credential: checkCredential(name, credential, isServer) }
  }

  /** The same call with the server's credential looked up once more. */
  async function refresh (resolved: ResolvedCall, call: BatchCall): Promise<ResolvedCall> {
    return withCredential(resolved, call, await serverCredentialFor(resolved.provider, call))
  }

  return { traits, resolve, refresh }
}

const toServed = (provider: Provider): Served => {
  const { baseUrl } = provider
  return { provider, base: typeof baseUrl === 'string' ? parseBase(baseUrl) : undefined }
}

/** Only what may be known: a provider holds the server's credential. */
const toTraits = (
  { unsupported, id, idDescription, headers, cancellingTime }: Provider | UnsupportedProvider
): ProviderTraits => ({
  ...unsupported !== undefined && { unsupported },
  ...id !== undefined && { id },
  ...idDescription !== undefined && { idDescription },
  headers: { ...COMMON_HEADERS, ...headers },
  ...cancellingTime !== undefined && { cancellingTime }
})

function refuseHeaders (headers: BatchCall['headers'], names: readonly string[]): void {
  const refused = names.find(name => headerOf(headers, name) !== undefined)
  if (refused === undefined) return
  throw invalidHeader(refused, 'is not accepted: the server\'s credential goes only to the host and the account that ' +
    'the server configured.')
}

/** What a server option sets, no client sets otherwise, whatever its credential. */
function refuseDisagreement ({ pinned = {} }: Provider, { headers }: BatchCall): void {
  for (const [header, agrees] of Object.entries(pinned)) {
    const value = headerOf(headers, header)
    if (value === undefined || agrees(value)) continue
    throw new BatchCancelError('provider_mismatch', `Header '${header}' conflicts with the value that the server ` +
      'configured for this provider.', { param: header })
  }
}

/** The base that the provider itself named, which must be one of its own hosts. */
function ownBase (provider: Provider, base: Base | undefined): Base {
  if (base !== undefined && provider.ownsOrigin(base.origin)) return base
  throw internalError(`The provider '${provider.name}' named a base URL outside its own domains: ${base?.origin}.`)
}

async function foundBase ({ baseUrl }: Provider, call: BatchCall): Promise<Base | undefined> {
  if (!isFunctionOption(baseUrl)) return undefined
  const url = await callOption(`The base URL of '${call.provider}'`, baseUrl, call)
  const base = typeof url === 'string' ? parseBase(url) : undefined
  if (base !== undefined) return base
  throw internalError(`The function baseUrl of '${call.provider}' returned something else than an http or https URL.`)
}

async function serverCredentialFor ({ serverCredential }: Provider, call: BatchCall): Promise<unknown> {
  if (!isFunctionOption(serverCredential)) return serverCredential
  return await callOption(`The server's credential for '${call.provider}'`, serverCredential, call)
}
