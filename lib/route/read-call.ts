import type { IncomingHttpHeaders } from 'node:http'
import { Type, type TSchema } from '@sinclair/typebox'
import { TypeCompiler, type TypeCheck } from '@sinclair/typebox/compiler'
import type { FastifyRequest } from 'fastify'
import { CancelHeaders, CancelParams } from '../../schemas/cancel.js'
import { readConfig } from './portkey-config.js'
import { BatchCancelError, invalidHeader, invalidId } from '../errors.js'
import type { ProviderTraits } from '../forwarder/types.js'
import { headerOf } from '../headers.js'

/** The provider of a call, found before anything else is checked, so that every answer can name it. */
export interface Named {
  readonly provider: string
  readonly traits: ProviderTraits
  readonly headers: IncomingHttpHeaders
  /** What is wrong with `x-portkey-config`, to be said after what is wrong with the provider. */
  readonly fault: BatchCancelError | undefined
}

export interface CallReaderOptions {
  readonly providers: ReadonlyMap<string, ProviderTraits> | undefined
  readonly defaultProvider: string | undefined
}

type Check = readonly [name: string, check: TypeCheck<TSchema>, description: string]

const VIRTUAL_KEY = 'x-portkey-virtual-key'
const CLOUD: Readonly<Record<string, TSchema>> = {
  [VIRTUAL_KEY]: Type.Never({ description: 'Virtual keys live in Portkey\'s cloud; send the credential itself.' })
}

/** Reads calls out of requests; every check is compiled here, once. The order in which faults are found is part of the contract. */
export function createCallReader ({ providers, defaultProvider }: CallReaderOptions) {
  const id = TypeCompiler.Compile(CancelParams)
  const headerChecks = compileHeaders({ ...CLOUD, ...CancelHeaders })
  const ownChecks = new Map([...providers ?? []].map(([name, { headers = {} }]) => [name, compileHeaders(headers)]))
  const offered = [...providers ?? []].filter(([, { refusal }]) => refusal === undefined).map(([name]) => name).join(', ')

  /** Throws `missing_provider`, `unknown_provider` or `unsupported_provider`. */
  function nameProvider (request: FastifyRequest): Named {
    const { headers, fault } = readConfig(request.headers)
    const provider = headerOf(headers, 'x-portkey-provider') ?? defaultProvider
    if (provider === undefined) throw fault ?? missingProvider(headers)
    const traits = providers === undefined ? unknownTraits(provider) : providers.get(provider)
    if (traits === undefined) throw unknownProvider(provider)
    if (traits.refusal !== undefined) throw providerFault('unsupported_provider', `Batches of '${provider}' cannot be cancelled here: ${traits.refusal}`)
    return { provider, traits, headers, fault }
  }

  /** Throws what is wrong with the config, the id or a header, in that order. */
  function check ({ provider, traits, headers, fault }: Named, batchId: string): void {
    if (fault !== undefined) throw fault
    if (!id.Check({ id: batchId })) throw invalidId('should be 1 to 512 printable characters up to U+FFFF, and neither \'.\' nor \'..\'.')
    if (traits.id !== undefined && batchId.search(traits.id) === -1) throw invalidId(`at '${provider}' should match ${traits.id.source}.`)
    checkHeaders(headers, headerChecks)
    checkHeaders(headers, ownChecks.get(provider) ?? [])
  }

  const missingProvider = (headers: IncomingHttpHeaders) => providerFault('missing_provider', headerOf(headers, VIRTUAL_KEY) === undefined
    ? `Name the provider that holds the batch in the header x-portkey-provider${offered === '' ? '.' : `: ${offered}.`}`
    : `Virtual keys live in Portkey's cloud; name the provider in the header x-portkey-provider: ${offered}.`)

  const unknownProvider = (name: string) => providerFault('unknown_provider', providers === undefined
    ? 'The name of a provider should be 1 to 128 visible ASCII characters.'
    : name.startsWith('@')
      ? `Providers with an @ live in Portkey's cloud; these are here: ${offered}.`
      : `There is no provider '${name.slice(0, 64)}' here; these are: ${offered}.`)

  return { nameProvider, check }
}

/** Any name that can be answered in a header, for a hook that does not tell which it serves. */
const unknownTraits = (name: string): ProviderTraits | undefined => isProviderName(name) ? {} : undefined

export const isProviderName = (name: unknown) => typeof name === 'string' && /^[\x21-\x7e]{1,128}$/.test(name)

const providerFault = (code: 'missing_provider' | 'unknown_provider' | 'unsupported_provider', message: string) =>
  new BatchCancelError(code, message, { param: 'x-portkey-provider' })

const compileHeaders = (schemas: Readonly<Record<string, TSchema>>): Check[] =>
  Object.entries(schemas).map(([name, schema]) => [name, TypeCompiler.Compile(schema), schema.description ?? ''])

function checkHeaders (headers: IncomingHttpHeaders, checks: readonly Check[]): void {
  for (const [name, check, description] of checks) {
    const value = headerOf(headers, name)
    if (value !== undefined && !check.Check(value)) throw invalidHeader(name, `is not valid. ${description}`.trimEnd())
  }
}
