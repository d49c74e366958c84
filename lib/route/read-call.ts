import type { IncomingHttpHeaders } from 'node:http'
import { Type, type TSchema } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { CancelHeaders } from '../../schemas/cancel.js'
import { invalidHeader, type BatchCancelError } from '../errors.js'
import { checkHeaders, checkId, namesOf, providerError, traitsOf } from '../forwarder/check-call.js'
import { findDefaultProvider, type DefaultProvider } from '../forwarder/default-provider.js'
import type { ProviderTraits } from '../forwarder/types.js'
import { headerOf } from '../headers.js'
import { mergePortkeyConfig, type MergedHeaders } from './portkey-config.js'

/** The provider of a request, resolved before anything else is checked, so that every response can name it. */
export interface ResolvedProvider {
  readonly provider: string
  readonly traits: ProviderTraits
  /** The request's headers, with `x-portkey-config` merged in. */
  readonly headers: IncomingHttpHeaders
  /** What is wrong with `x-portkey-config`, to be reported after what is wrong with the provider. */
  readonly problem: BatchCancelError | undefined
}

export interface CallReaderOptions {
  readonly providers: ReadonlyMap<string, ProviderTraits> | undefined
  readonly defaultProvider: DefaultProvider | undefined
  /** Whether `x-portkey-config` is accepted. */
  readonly portkeyConfig: boolean
}

const CONFIG = 'x-portkey-config'
const VIRTUAL_KEY = 'x-portkey-virtual-key'

const ROUTE_HEADERS: Readonly<Record<string, TSchema>> = {
  [VIRTUAL_KEY]: Type.Never({
    description: 'Virtual keys exist only in Portkey\'s cloud. Send the credential itself in Authorization.'
  }),
  ...CancelHeaders
}

/** Reads calls out of requests. The order in which problems are reported is part of the contract. */
export function createCallReader ({ providers, defaultProvider, portkeyConfig }: CallReaderOptions) {
  /**
   * Throws `missing_provider`, `unknown_provider` or `unsupported_provider`. Without a promise if no function of the
   * server has to be called.
   */
  function resolveProvider (request: FastifyRequest, batchId: string): ResolvedProvider | Promise<ResolvedProvider> {
    const merged = portkeyConfig ? mergePortkeyConfig(request.headers) : refuseConfig(request.headers)
    const named = headerOf(merged.headers, 'x-portkey-provider')
    if (named !== undefined) return resolved(named, merged)
    if (typeof defaultProvider !== 'function') return resolved(defaultProvider, merged)
    if (merged.problem !== undefined) throw merged.problem
    const call = { batchId, headers: merged.headers, request }
    return findDefaultProvider(defaultProvider, call, providers).then(provider => resolved(provider, merged))
  }

  function resolved (provider: string | undefined, { headers, problem }: MergedHeaders): ResolvedProvider {
    if (provider === undefined) throw problem ?? missingProvider(headers)
    return { provider, traits: traitsOf(provider, providers), headers, problem }
  }

  /** Throws what is wrong with the config, the id or a header, in that order. */
  function check ({ provider, traits, headers, problem }: ResolvedProvider, batchId: string): void {
    if (problem !== undefined) throw problem
    checkId(batchId, provider, traits)
    checkHeaders(headers, ROUTE_HEADERS)
    checkHeaders(headers, traits.headers ?? NO_HEADERS)
  }

  function missingProvider (headers: IncomingHttpHeaders): BatchCancelError {
    const names = namesOf(providers)
    const available = names === '' ? '' : ` Available providers: ${names}.`
    const reason = headerOf(headers, VIRTUAL_KEY) === undefined ? '' : 'Virtual keys exist only in Portkey\'s cloud. '
    return providerError(
      'missing_provider',
      `${reason}Name the provider that holds the batch in the x-portkey-provider header.${available}`
    )
  }

  return { resolveProvider, check }
}

const NO_HEADERS = {}

function refuseConfig (headers: IncomingHttpHeaders): MergedHeaders {
  if (headerOf(headers, CONFIG) === undefined) return { headers }
  return {
    headers,
    problem: invalidHeader(CONFIG, 'is not accepted by this server. Send the single x-portkey-* headers instead.')
  }
}

/** How a client that repeats calls by itself is treated. */
export interface ClientRetries {
  /** Whether this call repeats one that got no response. */
  readonly repeated: boolean
  /** 1 for a client that repeats calls by itself. */
  readonly maxAttempts: number | undefined
}

/** Reads `x-stainless-retry-count`, which OpenAI's and Anthropic's SDKs send with each call. */
export function clientRetries (headers: IncomingHttpHeaders): ClientRetries {
  const count = Number(headerOf(headers, 'x-stainless-retry-count') ?? NaN)
  // Portkey's SDK passes on the header of the client inside it, but repeats nothing.
  const repeatsItself = !Number.isNaN(count) && headerOf(headers, 'x-portkey-package-version') === undefined
  return { repeated: count >= 1, maxAttempts: repeatsItself ? 1 : undefined }
}
