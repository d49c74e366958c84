import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import { isBatch } from '../../schemas/batch.js'
import { FST_BATCH_CANCEL_INVALID_OPTION, invalidHeader } from '../errors.js'
import { headerOf } from '../headers.js'
import { batchIdOf, toBatch } from './openai.js'
import { bearerToken, checkProviderOptions, isToken, type Place, type Provider, type ProviderOptions, type Resolvable } from './provider.js'

export interface AzureOptions extends ProviderOptions {
  /** The key of the resource, sent as `api-key`. Not together with `entraToken`. Default: the client's own credential. */
  readonly apiKey?: Resolvable | undefined
  /** An access token of Microsoft Entra ID for `https://cognitiveservices.azure.com/.default`, sent as Bearer; a function fetches it anew. */
  readonly entraToken?: Resolvable | undefined
  /** The name of the resource, the first label of its host. Default: what the client's header says. */
  readonly resourceName?: string | undefined
  /** `v1`, `preview` or the date of a version. Default: what the client's header says, else `2024-10-21`. */
  readonly apiVersion?: string | undefined
}

/** A key of a resource, or a token of Microsoft Entra ID. */
export type AzureCredential = string | { readonly token: string }

/** One of the two names under which Azure's batches are known: all that is its own. */
interface Kind {
  /** The factory, for messages. */
  readonly factory: string
  /** Where the resource of the option `resourceName` is. */
  readonly domain: string
  /** The header with which a client chooses the resource. */
  readonly header: string
  readonly pattern: RegExp
  readonly description: string
  /** The host, out of a match of the pattern. */
  readonly host: (match: RegExpExecArray) => string
}

/** One label of a host: a resource has 2 to 64 letters, digits and hyphens, a label 63 at most; `xn--` would be another name in disguise. */
const LABEL = '(?![xX][nN]--)[0-9A-Za-z][0-9A-Za-z-]{0,61}[0-9A-Za-z]'
const RESOURCE_NAME = new RegExp(`^${LABEL}$`)

const AZURE_OPENAI: Kind = {
  factory: 'azureOpenAI',
  domain: 'openai.azure.com',
  header: 'x-portkey-azure-resource-name',
  pattern: RESOURCE_NAME,
  description: 'The name of the resource at Azure OpenAI, the first label of its host.',
  host: ([name]) => `${name}.openai.azure.com`
}

const AZURE_AI: Kind = {
  factory: 'azureAI',
  domain: 'services.ai.azure.com',
  header: 'x-portkey-azure-foundry-url',
  pattern: new RegExp(`^https://(${LABEL}\\.(?:services\\.ai|openai|cognitiveservices)\\.azure\\.com)(?:/[\\x21-\\x7e]*)?$`),
  description: 'A URL of the resource at Azure AI Foundry, whose host ends in `services.ai.azure.com`, `openai.azure.com` or `cognitiveservices.azure.com` (any other goes into `x-portkey-custom-host`); its path is of no matter.',
  host: match => match[1] as string
}

const API_VERSION = 'x-portkey-azure-api-version'
const AD_TOKEN = 'x-portkey-azure-ad-token'

/** It goes into the query as it is. */
const VERSION = /^(?:v1|preview|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview)?)$/
const DEFAULT_VERSION = '2024-10-21'

/** Modes of Portkey's gateway in which it fetches a token itself, some of them with the identity of its own host. */
const MODE_HEADERS = ['auth-mode', 'managed-client-id', 'workload-client-id', 'entra-client-id', 'entra-client-secret', 'entra-tenant-id', 'entra-scope']
  .map(name => `x-portkey-azure-${name}`)

const HEADERS = {
  [API_VERSION]: Type.String({ pattern: VERSION.source, description: 'The version of Azure\'s API: `v1`, `preview` (of v1) or a date such as `2024-10-21`, which is the default.' }),
  [AD_TOKEN]: Type.String({ pattern: '^(?:[Bb]earer )?(?![Bb]earer$)[\\x21-\\x7e]+$', description: 'An access token of Microsoft Entra ID; it goes before `api-key` and `Authorization`.' }),
  'api-key': Type.String({ pattern: '^[\\x21-\\x7e]+$', description: 'The key of a resource at Azure; it goes before `Authorization`.' })
}

/** Stands for any place where there is a base already: no host of Azure's is needed then. */
const ELSEWHERE: Place = { base: { origin: 'https://openai.azure.com', path: '/openai' } }

/**
 * Azure OpenAI, where a client names the resource by `x-portkey-azure-resource-name`. A `baseUrl` stands in for
 * `https://<resource>.openai.azure.com/openai`. A token in `Authorization` goes out as Bearer, anything else there as `api-key`.
 *
 * Throws `FST_BATCH_CANCEL_INVALID_OPTION` when an option cannot work. Sources: `AzureOpenAI` of the npm package
 * openai; Microsoft's reference of "Batch - Cancel" and of Foundry's `/openai/v1`; Portkey's gateway for the headers.
 */
export const azureOpenAI = (options: AzureOptions = {}): Provider<AzureCredential> => azure(AZURE_OPENAI, options)

/**
 * Batches of a resource at Azure AI Foundry, which a client names by `x-portkey-azure-foundry-url`. A `baseUrl` stands in for
 * `https://<resource>.services.ai.azure.com/openai`. All else is as with `azureOpenAI`.
 *
 * Throws `FST_BATCH_CANCEL_INVALID_OPTION` when an option cannot work.
 */
export const azureAI = (options: AzureOptions = {}): Provider<AzureCredential> => azure(AZURE_AI, options)

function azure (kind: Kind, options: AzureOptions): Provider<AzureCredential> {
  checkOptions(kind.factory, options)
  const { baseUrl, apiKey, entraToken, resourceName, apiVersion } = options
  const own = resourceName === undefined ? undefined : placeAt(`${resourceName}.${kind.domain}`)
  return {
    baseUrl,
    serverCredential: apiKey ?? tokenSetting(entraToken),
    headers: { ...HEADERS, [kind.header]: Type.String({ pattern: kind.pattern.source, description: kind.description }) },
    accountHeaders: [kind.header, AD_TOKEN],
    chosen: own === undefined ? {} : { [kind.header]: told => placeTold(kind, told)?.base.origin === own.base.origin },
    reservedHeaders: ['authorization', 'api-key', 'ocp-apim-subscription-key', 'x-api-key'],
    locate ({ headers, hasBase }) {
      refuseModes(headers)
      return hasBase ? ELSEWHERE : own ?? chosenPlace(kind, headers)
    },
    clientCredential,
    request (action, { base, batchId, credential, headers }) {
      const version = apiVersion ?? headerOf(headers, API_VERSION) ?? DEFAULT_VERSION
      const batch = `${base.path}${isDated(version) ? '' : '/v1'}/batches/${encodeURIComponent(batchId)}`
      const query = version === 'v1' ? '' : `?api-version=${version}`
      const sent = authorized(credential)
      if (action === 'retrieve') return { method: 'GET', path: batch + query, headers: sent }
      return { method: 'POST', path: `${batch}/cancel${query}`, headers: sent }
    },
    batchIdOf,
    batch: (body, { batchId }) => isBatch(body) ? body : toBatch(body, batchId)
  }
}

const isDated = (version: string) => /^[0-9]/.test(version)

const placeAt = (host: string): Place => ({ base: { origin: `https://${host.toLowerCase()}`, path: '/openai' } })

function placeTold ({ pattern, host }: Kind, told: string): Place | undefined {
  const match = pattern.exec(told)
  return match === null ? undefined : placeAt(host(match))
}

function chosenPlace (kind: Kind, headers: IncomingHttpHeaders): Place {
  const place = placeTold(kind, headerOf(headers, kind.header) ?? '')
  if (place === undefined) throw invalidHeader(kind.header, `is needed. ${kind.description}`)
  return place
}

function refuseModes (headers: IncomingHttpHeaders): void {
  const mode = MODE_HEADERS.find(name => headerOf(headers, name) !== undefined)
  if (mode === undefined) return
  throw invalidHeader(mode, 'is not taken: no client makes the server fetch a token. Send a key or a token; a server that has its own sets the option apiKey, or entraToken with a function that fetches one.')
}

/** How tokens of Microsoft Entra ID begin; a key has no dot. Clients of Portkey send either in `Authorization`. */
const JWT = /^eyJ[\w-]+\./

function clientCredential (headers: IncomingHttpHeaders): AzureCredential | undefined {
  const token = bearerToken({ authorization: headerOf(headers, AD_TOKEN) })
  if (token !== undefined) return { token }
  const key = headerOf(headers, 'api-key')
  if (key !== undefined) return key
  const either = bearerToken(headers)
  return either !== undefined && JWT.test(either) ? { token: either } : either
}

const authorized = (credential: AzureCredential): Record<string, string> =>
  typeof credential === 'string' ? { 'api-key': credential } : { authorization: `Bearer ${credential.token}` }

function tokenSetting (setting: Resolvable | undefined): Resolvable<AzureCredential> | undefined {
  if (typeof setting !== 'function') return setting === undefined ? undefined : { token: setting }
  return async call => {
    const token = await setting(call)
    return token !== undefined && isToken(token) ? { token } : undefined
  }
}

function checkOptions (factory: string, options: AzureOptions): void {
  checkProviderOptions(factory, options, ['entraToken', 'resourceName', 'apiVersion'])
  const { baseUrl, apiKey, entraToken, resourceName, apiVersion } = options
  const faults: Array<[wrong: boolean, names: string, should: string]> = [
    [entraToken !== undefined && typeof entraToken !== 'function' && (typeof entraToken !== 'string' || !isToken(entraToken)), 'entraToken', 'be a function or a string of visible ASCII characters'],
    [apiKey !== undefined && entraToken !== undefined, 'apiKey, entraToken', 'be one of the two'],
    [resourceName !== undefined && !matches(RESOURCE_NAME, resourceName), 'resourceName', 'be 2 to 63 letters, digits and hyphens, the first label of a host'],
    [apiVersion !== undefined && !matches(VERSION, apiVersion), 'apiVersion', 'be v1, preview or a date such as 2024-10-21'],
    [(apiKey ?? entraToken) !== undefined && (resourceName ?? baseUrl) === undefined, 'apiKey, entraToken', 'come with resourceName or baseUrl: no client chooses the resource for a credential of the server']
  ]
  const fault = faults.find(([wrong]) => wrong)
  if (fault !== undefined) throw new FST_BATCH_CANCEL_INVALID_OPTION(`${factory}({ ${fault[1]} }) should ${fault[2]}.`)
}

const matches = (pattern: RegExp, value: unknown) => typeof value === 'string' && pattern.test(value)
