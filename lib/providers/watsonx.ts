import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import { invalidHeader } from '../errors.js'
import { headerOf } from '../headers.js'
import { bearer } from './auth.js'
import { defineProvider } from './define-provider.js'
import type { OptionConflict, PlaceInput } from './definition.js'
import { SEGMENT_ID } from './ids.js'
import { readOpenAIBatch } from './openai-shape.js'
import { matching } from './option-rules.js'
import type { ProviderOptions } from './provider.js'
import { get, post, withHeaders } from './requests.js'

export interface WatsonxOptions extends ProviderOptions {
  /** The region of the service, such as `us-south`. @default the client's `x-portkey-watsonx-region` */
  readonly region?: string
  /** The project that holds the batch; not with `spaceId`. @default the client's `x-portkey-watsonx-project-id` */
  readonly projectId?: string
  /** The deployment space that holds the batch. @default the client's `x-portkey-watsonx-space-id` */
  readonly spaceId?: string
}

/** Where a batch is: its region, and the upstream headers that name its project or space. */
interface WatsonxPlace {
  readonly region: string
  readonly owner: Readonly<Record<string, string>>
}

const REGION = '^[a-z]{2}-[a-z]{2,8}(?:-[0-9])?$'
const OWNER = '^[0-9A-Za-z-]{1,64}$'

const REGION_HEADER = 'x-portkey-watsonx-region'
const PROJECT_HEADER = 'x-portkey-watsonx-project-id'
const SPACE_HEADER = 'x-portkey-watsonx-space-id'

const HEADERS = {
  [REGION_HEADER]: Type.String({
    maxLength: 16,
    pattern: REGION,
    description: 'The region of watsonx.ai, such as `us-south`.'
  }),
  [PROJECT_HEADER]: Type.String({
    maxLength: 64,
    pattern: OWNER,
    description: 'The project in watsonx.ai that holds the batch; not with a space.'
  }),
  [SPACE_HEADER]: Type.String({
    maxLength: 64,
    pattern: OWNER,
    description: 'The deployment space in watsonx.ai that holds the batch; not with a project.'
  })
}

/** The version of the API that the official package requests. */
const VERSION = '2026-08-05'

/**
 * IBM watsonx.ai's batch inference. Its batch is OpenAI's but for errors as strings and times in milliseconds. A base
 * URL starts before `/ml/v1`. `apiKey` is an IAM token or an API key.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const watsonx = defineProvider({
  name: 'watsonx',
  source: { package: '@ibm-cloud/watsonx-ai', version: '1.7.16' },
  baseUrl: ({ region }: WatsonxPlace) => `https://${hostOf(region)}`,
  domains: ['*.ml.cloud.ibm.com', '*.aws.wxai.ibm.com'],
  auth: bearer(),
  id: SEGMENT_ID,
  place: (input, options: WatsonxOptions): WatsonxPlace => ({
    region: options.region ?? regionOf(input),
    owner: toOwner(options.projectId, options.spaceId) ?? ownerOf(input.headers)
  }),
  cancel: ({ place }) => withHeaders(post(`/ml/v1/batches/{id}/cancel?version=${VERSION}`, { json: {} }), place.owner),
  retrieve: ({ place }) => withHeaders(get(`/ml/v1/batches/{id}?version=${VERSION}`), place.owner),
  headers: HEADERS,
  accountHeaders: Object.keys(HEADERS),
  reservedHeaders: ['content-type', 'x-ibm-project-id', 'x-ibm-space-id'],
  options: {
    region: matching(new RegExp(REGION), 'a region such as \'us-south\''),
    projectId: matching(new RegExp(OWNER), 'the id of a project'),
    spaceId: matching(new RegExp(OWNER), 'the id of a space')
  },
  conflict: findConflict,
  // A batch has one owner: beside the one that the server set there must be no other.
  pins: ({ region, projectId, spaceId }) => ({
    [REGION_HEADER]: region,
    [PROJECT_HEADER]: projectId ?? (spaceId === undefined ? undefined : ''),
    [SPACE_HEADER]: spaceId ?? (projectId === undefined ? undefined : '')
  }),
  read: readOpenAIBatch
})

/** Regions with a number are on AWS. */
const hostOf = (region: string) => /[0-9]$/.test(region) ? `${region}.aws.wxai.ibm.com` : `${region}.ml.cloud.ibm.com`

/** Not needed, and perhaps empty, if another base replaces the region's. */
function regionOf ({ headers, hasBase }: PlaceInput): string {
  const region = headerOf(headers, REGION_HEADER)
  if (region === undefined && !hasBase) {
    throw invalidHeader(REGION_HEADER, 'is required: it names the region that holds the batch.')
  }
  return region ?? ''
}

function ownerOf (headers: Readonly<IncomingHttpHeaders>): Readonly<Record<string, string>> {
  const project = headerOf(headers, PROJECT_HEADER)
  const space = headerOf(headers, SPACE_HEADER)
  if (project !== undefined && space !== undefined) {
    throw invalidHeader(SPACE_HEADER, `must not be sent together with '${PROJECT_HEADER}'.`)
  }
  const owner = toOwner(project, space)
  if (owner === undefined) {
    throw invalidHeader(PROJECT_HEADER, `is required: it, or '${SPACE_HEADER}', names what holds the batch.`)
  }
  return owner
}

function toOwner (
  project: string | undefined,
  space: string | undefined
): Readonly<Record<string, string>> | undefined {
  if (project !== undefined) return { 'x-ibm-project-id': project }
  return space === undefined ? undefined : { 'x-ibm-space-id': space }
}

/** Beside a server credential no header of a client chooses the region or the owner. */
function findConflict ({ baseUrl, apiKey, region, projectId, spaceId }: WatsonxOptions): OptionConflict | undefined {
  if (projectId !== undefined && spaceId !== undefined) {
    return { names: ['projectId', 'spaceId'], problem: 'exclude each other.' }
  }
  if (apiKey === undefined) return undefined
  const names = ['apiKey']
  if ((region ?? baseUrl) === undefined) return { names, problem: 'needs region or baseUrl.' }
  return (projectId ?? spaceId) === undefined ? { names, problem: 'needs projectId or spaceId.' } : undefined
}
