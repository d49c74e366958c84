import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import { invalidHeader } from '../errors.js'
import { headerOf } from '../headers.js'
import { bearerToken, type Auth } from './auth.js'
import { defineProvider } from './define-provider.js'
import type { OptionConflict, PlaceInput } from './definition.js'
import { OPENAI_ID } from './ids.js'
import { readOpenAIBatch } from './openai-shape.js'
import { CREDENTIAL, matching } from './option-rules.js'
import {
  isToken, type ProviderOptions, type Resolvable, type Source, type Target
} from './provider.js'
import { get, post } from './requests.js'

export interface AzureOptions extends ProviderOptions {
  /** The key of the resource, sent as `api-key`; not with `entraToken`. @default the client's own credential */
  readonly apiKey?: Resolvable
  /**
   * An access token of Microsoft Entra ID for `https://cognitiveservices.azure.com/.default`, sent as Bearer; or a
   * function that fetches one.
   */
  readonly entraToken?: Resolvable
  /** The name of the resource, the first label of its host. @default as the client's header says */
  readonly resourceName?: string
  /** `v1`, `preview` or a date. @default as the client's header says, else `2024-10-21` */
  readonly apiVersion?: string
}

/** A key of a resource, or a token of Microsoft Entra ID. */
export type AzureCredential = string | { readonly token: string }

interface AzurePlace {
  /** Undefined if another base replaces the resource's. */
  readonly host: string | undefined
  readonly version: string
}

/** One of the two names under which Azure's batches are known: everything that is particular to it. */
interface Kind {
  readonly name: string
  readonly factory: string
  readonly source: Source
  readonly domains: readonly string[]
  /** The domain of the resource of the option `resourceName`. */
  readonly domain: string
  /** The header with which a client chooses the resource. */
  readonly header: string
  readonly pattern: RegExp
  readonly maxLength: number
  readonly description: string
  /** The host, from a match of the pattern. */
  readonly host: (match: RegExpExecArray) => string
}

/** One label of a host name; `xn--` would be another name in disguise. */
const LABEL = '(?![xX][nN]--)[0-9A-Za-z][0-9A-Za-z-]{0,61}[0-9A-Za-z]'
const RESOURCE_NAME = new RegExp(`^${LABEL}$`)

const API_VERSION = 'x-portkey-azure-api-version'
const AD_TOKEN = 'x-portkey-azure-ad-token'

/** It is written into the query as it is. */
const VERSION = /^(?:v1|preview|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview)?)$/
const DEFAULT_VERSION = '2024-10-21'

/** Modes of Portkey's gateway in which it fetches a token itself, some of them with the identity of its own host. */
const MODE_HEADERS = [
  'auth-mode', 'managed-client-id', 'workload-client-id', 'entra-client-id', 'entra-client-secret', 'entra-tenant-id',
  'entra-scope'
].map(name => `x-portkey-azure-${name}`)

/** How tokens of Microsoft Entra ID begin; a key has no dot. Clients of Portkey send either in `Authorization`. */
const JWT = /^eyJ[\w-]+\./

const AUTH: Auth<AzureCredential, AzureOptions> = {
  sets: ['authorization', 'api-key'],
  fromClient (headers) {
    const token = bearerToken({ authorization: headerOf(headers, AD_TOKEN) })
    if (token !== undefined) return { token }
    const key = headerOf(headers, 'api-key')
    if (key !== undefined) return key
    const either = bearerToken(headers)
    return either !== undefined && JWT.test(either) ? { token: either } : either
  },
  fromServer: ({ apiKey, entraToken }) => apiKey ?? toTokenOption(entraToken),
  toHeaders: credential => typeof credential === 'string'
    ? { 'api-key': credential }
    : { authorization: `Bearer ${credential.token}` }
}

function toTokenOption (option: Resolvable | undefined): Resolvable<AzureCredential> | undefined {
  if (typeof option !== 'function') return option === undefined ? undefined : { token: option }
  return async call => {
    const token = await option(call)
    return isToken(token) ? { token } : token
  }
}

const HEADERS = {
  [API_VERSION]: Type.String({
    maxLength: 32,
    pattern: VERSION.source,
    description: 'The version of Azure\'s API: `v1`, `preview` (of v1) or a date such as `2024-10-21`, the default.'
  }),
  [AD_TOKEN]: Type.String({
    maxLength: 8192,
    pattern: '^(?:[Bb]earer )?(?![Bb]earer$)[\\x21-\\x7e]+$',
    description: 'An access token of Microsoft Entra ID; it takes precedence over `api-key` and `Authorization`.'
  }),
  'api-key': Type.String({
    maxLength: 512,
    pattern: '^[\\x21-\\x7e]+$',
    description: 'The key of a resource at Azure; it takes precedence over `Authorization`.'
  })
}

const defineAzure = (kind: Kind) => defineProvider({
  name: kind.name,
  factory: kind.factory,
  source: kind.source,
  baseUrl: ({ host }: AzurePlace) => `https://${host}/openai`,
  domains: kind.domains,
  auth: AUTH,
  id: OPENAI_ID,
  place: (input, options: AzureOptions): AzurePlace => ({
    host: hostFor(kind, input, options),
    version: options.apiVersion ?? headerOf(input.headers, API_VERSION) ?? DEFAULT_VERSION
  }),
  cancel: target => post(pathFor(target, '/cancel')),
  retrieve: target => get(pathFor(target, '')),
  headers: {
    ...HEADERS,
    [kind.header]: Type.String({
      maxLength: kind.maxLength,
      pattern: kind.pattern.source,
      description: kind.description
    })
  },
  accountHeaders: [kind.header, AD_TOKEN],
  reservedHeaders: ['ocp-apim-subscription-key', 'x-api-key'],
  options: {
    entraToken: CREDENTIAL,
    resourceName: matching(RESOURCE_NAME, '2 to 63 letters, digits and hyphens, the first label of a host'),
    apiVersion: matching(VERSION, 'v1, preview or a date such as 2024-10-21')
  },
  conflict: findConflict,
  pins: ({ resourceName }) => ({
    [kind.header]: resourceName === undefined
      ? undefined
      : value => hostIn(kind, value) === hostOfResource(kind, resourceName)
  }),
  read: readOpenAIBatch
})

/** A dated version is of the first API, any other one of `/v1`. */
function pathFor ({ place: { version } }: Target<AzurePlace>, end: string): string {
  const query = version === 'v1' ? '' : `?api-version=${version}`
  return `${/^[0-9]/.test(version) ? '' : '/v1'}/batches/{id}${end}${query}`
}

const hostOfResource = ({ domain }: Kind, resourceName: string) => `${resourceName}.${domain}`.toLowerCase()

function hostIn ({ pattern, host }: Kind, value: string): string | undefined {
  const match = pattern.exec(value)
  return match === null ? undefined : host(match).toLowerCase()
}

function hostFor (kind: Kind, { headers, hasBase }: PlaceInput, { resourceName }: AzureOptions): string | undefined {
  refuseModes(headers)
  if (hasBase) return undefined
  if (resourceName !== undefined) return hostOfResource(kind, resourceName)
  const host = hostIn(kind, headerOf(headers, kind.header) ?? '')
  if (host === undefined) throw invalidHeader(kind.header, `is required. ${kind.description}`)
  return host
}

function refuseModes (headers: Readonly<IncomingHttpHeaders>): void {
  const mode = MODE_HEADERS.find(name => headerOf(headers, name) !== undefined)
  if (mode === undefined) return
  throw invalidHeader(mode, 'is not accepted: no client makes the server fetch a token. Send a key or a token. A ' +
    'server with a credential of its own sets the option apiKey, or entraToken to a function that fetches a token.')
}

/** Beside a server credential no client chooses the resource. */
function findConflict (options: AzureOptions): OptionConflict | undefined {
  const { baseUrl, apiKey, entraToken, resourceName } = options
  if (apiKey !== undefined && entraToken !== undefined) {
    return { names: ['apiKey', 'entraToken'], problem: 'exclude each other.' }
  }
  const name = apiKey !== undefined ? 'apiKey' : 'entraToken'
  if ((apiKey ?? entraToken) === undefined || (resourceName ?? baseUrl) !== undefined) return undefined
  return { names: [name], problem: 'needs resourceName or baseUrl: no client chooses the resource for it.' }
}

/**
 * Azure OpenAI, where a client names the resource in `x-portkey-azure-resource-name`. A `baseUrl` replaces
 * `https://<resource>.openai.azure.com/openai`. A token in `Authorization` goes out as Bearer, anything else there as
 * `api-key`.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const azureOpenAI = defineAzure({
  name: 'azure-openai',
  factory: 'azureOpenAI',
  source: { package: 'openai', version: '6.49.0', document: 'Azure OpenAI REST API 2024-10-21, Batch - Cancel' },
  domains: ['*.openai.azure.com'],
  domain: 'openai.azure.com',
  header: 'x-portkey-azure-resource-name',
  pattern: RESOURCE_NAME,
  maxLength: 63,
  description: 'The name of the resource at Azure OpenAI, the first label of its host.',
  host: ([name]) => `${name}.openai.azure.com`
})

/**
 * Batches of a resource at Azure AI Foundry, which a client names in `x-portkey-azure-foundry-url`. A `baseUrl`
 * replaces `https://<resource>.services.ai.azure.com/openai`. Everything else is as with `azureOpenAI`.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const azureAI = defineAzure({
  name: 'azure-ai',
  factory: 'azureAI',
  source: { document: 'learn.microsoft.com/azure/foundry/reference/rest/batches-cancel-batch' },
  domains: ['*.services.ai.azure.com', '*.openai.azure.com', '*.cognitiveservices.azure.com'],
  domain: 'services.ai.azure.com',
  header: 'x-portkey-azure-foundry-url',
  pattern: new RegExp(
    `^https://(${LABEL}\\.(?:services\\.ai|openai|cognitiveservices)\\.azure\\.com)(?:/[\\x21-\\x7e]*)?$`
  ),
  maxLength: 1024,
  description: 'A URL of the resource at Azure AI Foundry, whose host ends in `services.ai.azure.com`, ' +
    '`openai.azure.com` or `cognitiveservices.azure.com` (any other goes into `x-portkey-custom-host`); its path is ' +
    'ignored.',
  host: match => match[1] as string
})
