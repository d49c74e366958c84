import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import { isBatch } from '../../schemas/batch.js'
import { isObject } from '../is-object.js'
import { FST_BATCH_CANCEL_INVALID_OPTION, invalidHeader } from '../errors.js'
import { headerOf } from '../headers.js'
import { batchIdOf, toBatch } from './openai.js'
import { bearerToken, checkProviderOptions, pinnedBy, type Base, type LocateInput, type Place, type Provider, type ProviderOptions } from './provider.js'

export interface WatsonxOptions extends ProviderOptions {
  /** The region of the service, such as `us-south`. Default: the client's `x-portkey-watsonx-region`. */
  readonly region?: string
  /** The project that holds the batch; not together with `spaceId`. Default: the client's `x-portkey-watsonx-project-id`. */
  readonly projectId?: string
  /** The deployment space that holds the batch. Default: the client's `x-portkey-watsonx-space-id`. */
  readonly spaceId?: string
}

/** Where a batch is held: besides the host, what in the service owns it. */
interface WatsonxPlace extends Place {
  readonly owner: Readonly<Record<string, string>>
}

const REGION = '^[a-z]{2}-[a-z]{2,8}(-[0-9])?$'
const OWNER = '^[0-9A-Za-z-]{1,64}$'

const REGION_HEADER = 'x-portkey-watsonx-region'
const PROJECT_HEADER = 'x-portkey-watsonx-project-id'
const SPACE_HEADER = 'x-portkey-watsonx-space-id'

const HEADERS = {
  [REGION_HEADER]: Type.String({ pattern: REGION, description: 'The region of watsonx.ai, such as `us-south`.' }),
  [PROJECT_HEADER]: Type.String({ pattern: OWNER, description: 'The project in watsonx.ai that holds the batch; not together with a space.' }),
  [SPACE_HEADER]: Type.String({ pattern: OWNER, description: 'The deployment space in watsonx.ai that holds the batch; not together with a project.' })
}

/** The date of the API that the official package asks for. */
const VERSION = '2026-08-05'

/** In the place of a host that another base stands in for. */
const NO_HOST: Base = { origin: '', path: '' }

/**
 * IBM watsonx.ai's batch inference. Its batch is OpenAI's but for errors as strings and times in milliseconds, either
 * of which may be. A base URL starts before `/ml/v1`.
 *
 * Takes `baseUrl` (default: that of the region, such as `https://us-south.ml.cloud.ibm.com`), `apiKey` (an IAM token
 * or an API key; default: the client's `Authorization`), `region`, and `projectId` or `spaceId`; throws
 * `FST_BATCH_CANCEL_INVALID_OPTION` when one cannot work. A call without a region, or without exactly one of project and space, is an `invalid_header`.
 * Sources: the official npm package @ibm-cloud/watsonx-ai 1.7.16 and IBM's Java package.
 */
export function watsonx (options: WatsonxOptions = {}): Provider<string, WatsonxPlace> {
  checkProviderOptions('watsonx', options, ['region', 'projectId', 'spaceId'])
  checkWatsonxOptions(options)
  const { baseUrl, apiKey, region, projectId, spaceId } = options
  return {
    baseUrl,
    serverCredential: apiKey,
    id: /^[A-Za-z0-9][\w.-]{0,254}$/,
    headers: HEADERS,
    accountHeaders: Object.keys(HEADERS),
    chosen: pinnedBy({ [REGION_HEADER]: region, [PROJECT_HEADER]: projectId ?? noneBeside(spaceId), [SPACE_HEADER]: spaceId ?? noneBeside(projectId) }),
    reservedHeaders: ['authorization', 'content-type', 'x-ibm-project-id', 'x-ibm-space-id'],
    locate: ({ headers, hasBase }: LocateInput) => ({
      base: hasBase ? NO_HOST : { origin: `https://${hostOf(region ?? regionOf(headers))}`, path: '' },
      owner: asOwner(projectId, spaceId) ?? ownerOf(headers)
    }),
    clientCredential: bearerToken,
    request (action, { base, place, batchId, credential }) {
      const batch = `${base.path}/ml/v1/batches/${encodeURIComponent(batchId)}`
      const headers = { authorization: `Bearer ${credential}`, ...place.owner }
      if (action === 'retrieve') return { method: 'GET', path: `${batch}?version=${VERSION}`, headers }
      return { method: 'POST', path: `${batch}/cancel?version=${VERSION}`, headers: { ...headers, 'content-type': 'application/json' }, body: '{}' }
    },
    batchIdOf,
    batch (body, { batchId }) {
      if (!isObject(body)) return undefined
      const told = inSeconds(body)
      if (told === body && isBatch(body)) return body
      const batch = toBatch(told, batchId)
      return batch && { ...batch, provider_batch: body }
    }
  }
}

/** A batch has one owner: beside the one that the server chose there is to be no other. */
const noneBeside = (owner: string | undefined) => owner === undefined ? undefined : ''

/** Regions with a number are Amazon's. */
const hostOf = (region: string) => /[0-9]$/.test(region) ? `${region}.aws.wxai.ibm.com` : `${region}.ml.cloud.ibm.com`

/** No time in seconds is as large. */
const LEAST_MILLISECONDS = 100_000_000_000

/** IBM's packages do not agree on whether the times are seconds or milliseconds. */
function inSeconds (body: Record<string, unknown>): Record<string, unknown> {
  const late = Object.entries(body).filter(([name, value]) => name.endsWith('_at') && typeof value === 'number' && value >= LEAST_MILLISECONDS)
  return late.length === 0 ? body : { ...body, ...Object.fromEntries(late.map(([name, value]) => [name, value as number / 1000])) }
}

function regionOf (headers: IncomingHttpHeaders): string {
  const region = headerOf(headers, REGION_HEADER)
  if (region === undefined) throw invalidHeader(REGION_HEADER, 'is missing: it names the region that holds the batch.')
  return region
}

function ownerOf (headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  const project = headerOf(headers, PROJECT_HEADER)
  const space = headerOf(headers, SPACE_HEADER)
  if (project !== undefined && space !== undefined) throw invalidHeader(SPACE_HEADER, `is not taken together with '${PROJECT_HEADER}'.`)
  const owner = asOwner(project, space)
  if (owner === undefined) throw invalidHeader(PROJECT_HEADER, `is missing: it, or '${SPACE_HEADER}', names what holds the batch.`)
  return owner
}

function asOwner (project: string | undefined, space: string | undefined): Readonly<Record<string, string>> | undefined {
  if (project !== undefined) return { 'x-ibm-project-id': project }
  return space === undefined ? undefined : { 'x-ibm-space-id': space }
}

const matches = (pattern: string, value: unknown) => typeof value === 'string' && new RegExp(pattern).test(value)

function checkWatsonxOptions ({ baseUrl, apiKey, region, projectId, spaceId }: WatsonxOptions): void {
  const faults: ReadonlyArray<readonly [fault: boolean, sentence: string]> = [
    [region !== undefined && !matches(REGION, region), 'watsonx({ region }) should be a region such as \'us-south\'.'],
    [projectId !== undefined && !matches(OWNER, projectId), 'watsonx({ projectId }) should be the id of a project.'],
    [spaceId !== undefined && !matches(OWNER, spaceId), 'watsonx({ spaceId }) should be the id of a space.'],
    [projectId !== undefined && spaceId !== undefined, 'watsonx({ projectId, spaceId }) should be one of the two.'],
    // With a credential of the server no header of a client chooses them.
    [apiKey !== undefined && region === undefined && baseUrl === undefined, 'watsonx({ apiKey }) should come with region or baseUrl.'],
    [apiKey !== undefined && projectId === undefined && spaceId === undefined, 'watsonx({ apiKey }) should come with projectId or spaceId.']
  ]
  const found = faults.find(([fault]) => fault)
  if (found !== undefined) throw new FST_BATCH_CANCEL_INVALID_OPTION(found[1])
}
