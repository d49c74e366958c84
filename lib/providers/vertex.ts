import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import type { BatchRequestCounts } from '../../schemas/batch.js'
import { BatchCancelError, internalError, invalidHeader, invalidId } from '../errors.js'
import { headerOf } from '../headers.js'
import { isObject } from '../is-object.js'
import { bearerToken, type Auth } from './auth.js'
import { defineProvider } from './define-provider.js'
import type { OptionConflict, PlaceInput } from './definition.js'
import { createTokens, type ServiceAccount } from './google-token.js'
import { googleErrors, googleStatus } from './google.js'
import { matching, resolvable } from './option-rules.js'
import { endTimestamp, isEmptyBody, metadataOrNull, parseCount, stringOrNull, unixSeconds } from './parse-fields.js'
import type { ProviderOptions, Resolvable, SendRequest } from './provider.js'
import { get, post } from './requests.js'

/** The key file of a service account, of which `client_email` and `private_key` are used. */
export interface ServiceAccountKey extends ServiceAccount {
  readonly type: string
}

export interface VertexOptions extends ProviderOptions {
  /** The project, by id or number. @default the client's `x-portkey-vertex-project-id`, else that of the id */
  readonly project?: string
  /** Such as `us-central1` or `global`. @default the client's `x-portkey-vertex-region`, else that of the id */
  readonly region?: string
  /** The server's service account: its key file as an object or as JSON, or a function that finds it. */
  readonly serviceAccount?: Resolvable<string | ServiceAccountKey>
  /** An access token of the server; since it expires, rather a function that finds a valid one. */
  readonly apiKey?: Resolvable
}

/** An access token, or the service account that gets one. */
export type VertexCredential = string | ServiceAccount

interface VertexPlace {
  readonly project: string
  readonly region: string
  readonly job: string
}

const PROJECT = 'x-portkey-vertex-project-id'
const REGION = 'x-portkey-vertex-region'
const SERVICE_ACCOUNT = 'x-portkey-vertex-service-account-json'

/** An id, one within a domain, or a number. */
const PROJECT_GRAMMAR = '(?:[a-z0-9.-]{3,63}:)?[a-z0-9][a-z0-9-]{0,62}'
const REGION_GRAMMAR = 'global|us|eu|[a-z]{2,20}-[a-z]{2,20}[0-9]{1,2}'

const ID = new RegExp(
  `^(?:projects/(${PROJECT_GRAMMAR})/locations/(${REGION_GRAMMAR})/batchPredictionJobs/)?([0-9]{1,20})$`
)

const HEADERS = {
  [PROJECT]: Type.String({
    maxLength: 128,
    pattern: `^(?:${PROJECT_GRAMMAR})$`,
    description: 'The Google Cloud project of the batch, by id or number; not needed beside a full resource name.'
  }),
  [REGION]: Type.String({
    maxLength: 48,
    pattern: `^(?:${REGION_GRAMMAR})$`,
    description: 'The Google Cloud region of the batch, such as `us-central1`, `global`, `us` or `eu`; not needed ' +
      'beside a full resource name.'
  }),
  [SERVICE_ACCOUNT]: Type.String({
    maxLength: 8192,
    description: 'The key file of a service account, as JSON; it takes precedence over `Authorization`.'
  })
}

/** The hosts of locations that are not a single region. */
const HOSTS: Readonly<Record<string, string>> = {
  global: 'aiplatform.googleapis.com',
  us: 'aiplatform.us.rep.googleapis.com',
  eu: 'aiplatform.eu.rep.googleapis.com'
}

const NAME = '/projects/{project}/locations/{region}/batchPredictionJobs/{job}'

export interface VertexParts {
  /** Returns an access token for a service account. */
  readonly accessToken: (account: ServiceAccount, send: SendRequest) => Promise<string>
}

/** The definition for a source of access tokens. */
export function defineVertex ({ accessToken }: VertexParts) {
  const auth: Auth<VertexCredential, VertexOptions> = {
    sets: ['authorization'],
    fromClient: headers => clientAccount(headers) ?? bearerToken(headers),
    fromServer: ({ apiKey, serviceAccount }) => apiKey ?? toAccountOption(serviceAccount),
    async toHeaders (credential, _request, send) {
      const token = typeof credential === 'string' ? credential : await accessToken(credential, send)
      return { authorization: `Bearer ${token}` }
    }
  }
  return defineProvider({
    name: 'vertex-ai',
    factory: 'vertex',
    source: { package: '@google-cloud/aiplatform', version: '6.11.0', document: '@google/genai 2.32.0 for the requests' },
    baseUrl: ({ region }) => `https://${HOSTS[region] ?? `${region}-aiplatform.googleapis.com`}/v1`,
    domains: [...Object.values(HOSTS), '*-aiplatform.googleapis.com'],
    auth,
    id: {
      pattern: ID,
      description: 'the number of a job, or its full name projects/…/locations/…/batchPredictionJobs/…'
    },
    place: placeOf,
    cancel: post(`${NAME}:cancel`, { json: {} }),
    retrieve: get(NAME),
    headers: HEADERS,
    accountHeaders: Object.keys(HEADERS),
    reservedHeaders: ['x-goog-api-key', 'x-goog-user-project'],
    options: {
      project: matching(new RegExp(`^(?:${PROJECT_GRAMMAR})$`), 'a Google Cloud project such as my-project-1'),
      region: matching(new RegExp(`^(?:${REGION_GRAMMAR})$`), 'a Google Cloud region such as us-central1 or global'),
      serviceAccount: resolvable(
        value => toAccount(value) !== undefined,
        'the key file of a service account, as an object or as JSON'
      )
    },
    conflict ({ apiKey, serviceAccount }): OptionConflict | undefined {
      if (serviceAccount === undefined || apiKey === undefined) return undefined
      return { names: ['serviceAccount', 'apiKey'], problem: 'exclude each other.' }
    },
    pins: ({ project, region }) => ({ [PROJECT]: project, [REGION]: region }),
    accepts: isEmptyBody,
    batchId: ({ name }) => name,
    status: ({ state }) => googleStatus(state),
    fields: (job, { status }) => Object.assign({
      model: stringOrNull(job['model']),
      // A cancelled job carries an error that says so.
      errors: status === 'cancelled' ? null : googleErrors(job['error']),
      input_file_id: inputOf(job['inputConfig']) ?? '',
      output_file_id: outputOf(job['outputInfo']),
      created_at: unixSeconds(job['createTime']) ?? 0,
      in_progress_at: unixSeconds(job['startTime']),
      request_counts: toCounts(job['completionStats']),
      metadata: metadataOrNull(job['labels'])
    }, endTimestamp(status, job['endTime']))
  })
}

/**
 * Google Cloud's Vertex AI: its batch prediction jobs. A cancel returns `{}` and shows late, so the job is read after
 * it; a second cancel of a job is an error there, which the read resolves. A job is named by its number or by its full
 * name.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const vertex = defineVertex({ accessToken: createTokens() })

function placeOf ({ batchId, headers, hasServerCredential }: PlaceInput, options: VertexOptions): VertexPlace {
  // The id was checked by the same grammar.
  const [, ownProject, ownRegion, job = ''] = ID.exec(batchId) as RegExpExecArray
  const project = agreed('project', ownProject, options.project ?? headerOf(headers, PROJECT))
  const region = agreed('region', ownRegion, options.region ?? headerOf(headers, REGION))
  return {
    project: project ?? notNamed('project', PROJECT, hasServerCredential),
    region: region ?? notNamed('region', REGION, hasServerCredential),
    job
  }
}

function agreed (what: string, own: string | undefined, chosen: string | undefined): string | undefined {
  if (own !== undefined && chosen !== undefined && differ(own, chosen)) {
    throw new BatchCancelError('provider_mismatch', `The batch id names the ${what} '${own}', not '${chosen}'.`, {
      param: 'id'
    })
  }
  return chosen ?? own
}

/** Beside a server credential no header may name it. */
function notNamed (what: string, header: string, hasServerCredential: boolean): never {
  throw hasServerCredential
    ? invalidId(`is not valid: expected the full name of the job, since the server sets no ${what}.`)
    : invalidHeader(header, `is required, since neither the server nor the id names the ${what}.`)
}

const isNumber = (project: string) => /^\d+$/.test(project)

/** Vertex AI itself names jobs by the number of a project whose id was used: a number and an id may be one project. */
const differ = (own: string, chosen: string) => own !== chosen && isNumber(own) === isNumber(chosen)

function clientAccount (headers: Readonly<IncomingHttpHeaders>): ServiceAccount | undefined {
  const json = headerOf(headers, SERVICE_ACCOUNT)
  if (json === undefined) return undefined
  const account = toAccount(json)
  if (account !== undefined) return account
  throw invalidHeader(SERVICE_ACCOUNT, 'is not valid: expected the JSON of a key file with type \'service_account\', ' +
    'client_email and private_key.')
}

const EMAIL = /^[^\s@]{1,256}@[^\s@]{1,256}$/

/** Key files of other types would make their user read files and URLs of the client's choice. */
function toAccount (value: unknown): ServiceAccount | undefined {
  const key = typeof value === 'string' ? parseJson(value) : value
  if (!isObject(key)) return undefined
  const { type, client_email: email, private_key: pem } = key
  if (type !== 'service_account' || typeof email !== 'string' || typeof pem !== 'string') return undefined
  return EMAIL.test(email) && pem.startsWith('-----BEGIN ') ? { client_email: email, private_key: pem } : undefined
}

function parseJson (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The server's service account, which was checked unless a function finds it. */
function toAccountOption (
  option: Resolvable<string | ServiceAccountKey> | undefined
): Resolvable<ServiceAccount> | undefined {
  if (typeof option !== 'function') return toAccount(option)
  return async (call) => {
    const value = await option(call)
    const account = toAccount(value)
    if (value === undefined || account !== undefined) return account
    throw internalError('vertex({ serviceAccount }) returned something else than the key file of a service account.')
  }
}

function inputOf (config: unknown): string | null {
  if (!isObject(config)) return null
  const { gcsSource: gcs, bigquerySource: bigquery } = config
  if (isObject(gcs) && Array.isArray(gcs['uris'])) return stringOrNull(gcs['uris'][0])
  return isObject(bigquery) ? stringOrNull(bigquery['inputUri']) : null
}

/** The directory or the table that the results are written to. */
function outputOf (info: unknown): string | null {
  if (!isObject(info)) return null
  const { gcsOutputDirectory, bigqueryOutputDataset, bigqueryOutputTable } = info
  const dataset = stringOrNull(bigqueryOutputDataset)
  const table = stringOrNull(bigqueryOutputTable)
  return stringOrNull(gcsOutputDirectory) ?? (dataset !== null && table !== null ? `${dataset}.${table}` : dataset)
}

function toCounts (stats: unknown): BatchRequestCounts | null {
  if (!isObject(stats)) return null
  const completed = parseCount(stats['successfulCount']) ?? 0
  const failed = parseCount(stats['failedCount']) ?? 0
  return { total: completed + failed + (parseCount(stats['incompleteCount']) ?? 0), completed, failed }
}
