import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import { BatchMetadata, type Batch, type BatchRequestCounts } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { isObject } from '../is-object.js'
import { BatchCancelError, FST_BATCH_CANCEL_INVALID_OPTION, internalError, invalidHeader, invalidId } from '../errors.js'
import { headerOf } from '../headers.js'
import { createTokens, type ServiceAccount } from './google-token.js'
import { googleRequest, toldCount, toldState, toldStatus } from './google.js'
import { bearerToken, checkProviderOptions, pinnedBy, type Base, type Place, type Provider, type ProviderOptions, type Resolvable } from './provider.js'
import { isEmptyBody, valueOrNull, endTimestamp, unixSeconds, stringOrNull } from './parse-fields.js'

/** The key file of a service account: of what is in it, `client_email` and `private_key` are used. */
export interface ServiceAccountKey extends ServiceAccount {
  readonly type: string
}

export interface VertexOptions extends ProviderOptions {
  /** The project, by id or number. Default: the client's `x-portkey-vertex-project-id`, else that of the id. */
  readonly project?: string | undefined
  /** The region, such as `us-central1` or `global`. Default: the client's `x-portkey-vertex-region`, else that of the id. */
  readonly region?: string | undefined
  /** The server's service account: its key file as an object or as JSON, or a function that finds it. */
  readonly serviceAccount?: Resolvable<string | ServiceAccountKey> | undefined
  /** An access token of the server's, rather a function that finds a fresh one. */
  readonly apiKey?: Resolvable | undefined
}

/** An access token, or the service account that gets one. */
export type VertexCredential = string | ServiceAccount

export interface VertexPlace extends Place {
  /** The full name of the job, encoded. */
  readonly name: string
}

const PROJECT = 'x-portkey-vertex-project-id'
const REGION = 'x-portkey-vertex-region'
const SERVICE_ACCOUNT = 'x-portkey-vertex-service-account-json'

/** An id, one of a domain's, or a number. */
const PROJECT_GRAMMAR = '(?:[a-z0-9.-]{3,63}:)?[a-z0-9][a-z0-9-]{0,62}'
const REGION_GRAMMAR = 'global|us|eu|[a-z]{2,20}-[a-z]{2,20}[0-9]{1,2}'

const ID = new RegExp(`^(?:projects/(${PROJECT_GRAMMAR})/locations/(${REGION_GRAMMAR})/batchPredictionJobs/)?([0-9]{1,20})$`)

const HEADERS = {
  [PROJECT]: Type.String({ pattern: `^(${PROJECT_GRAMMAR})$`, description: 'The Google Cloud project of the batch, by id or number; not needed beside a full resource name.' }),
  [REGION]: Type.String({ pattern: `^(${REGION_GRAMMAR})$`, description: 'The Google Cloud region of the batch, such as `us-central1`, `global`, `us` or `eu`; not needed beside a full resource name.' }),
  [SERVICE_ACCOUNT]: Type.String({ description: 'The key file of a service account, as JSON; it wins over `Authorization`.' })
}

/** Where those locations are that are no single region. */
const HOSTS: Readonly<Record<string, string>> = {
  global: 'aiplatform.googleapis.com',
  us: 'aiplatform.us.rep.googleapis.com',
  eu: 'aiplatform.eu.rep.googleapis.com'
}

/**
 * Google Cloud's Vertex AI: its batch prediction jobs. A cancel answers `{}` and shows late, so the job is read after
 * it; a second cancel of a job is an error there, which the read settles. A job is named by its number or by its full
 * name, `projects/…/locations/…/batchPredictionJobs/…`.
 *
 * Takes `baseUrl` (default `https://<region>-aiplatform.googleapis.com/v1`, for `global`, `us` and `eu` Google's hosts
 * of those), `project` and `region` (default: the client's, else those of the id), and either `serviceAccount` or
 * `apiKey` (an access token); default: the client's `x-portkey-vertex-service-account-json`, else its `Authorization`.
 * Service accounts need the optional peer `google-auth-library`. Throws `FST_BATCH_CANCEL_INVALID_OPTION` when an
 * option cannot work. Source: the official npm packages `@google-cloud/aiplatform` 6.11.0 and `@google/genai` 2.32.0.
 */
export const vertex = vertexWithTokens(createTokens())

/** The factory over a source of access tokens, so that a test can be it. */
export function vertexWithTokens (accessToken: (account: ServiceAccount) => Promise<string>) {
  return (options: VertexOptions = {}): Provider<VertexCredential, VertexPlace> => {
    checkOptions(options)
    const { baseUrl, apiKey, project, region } = options
    const serverCredential = apiKey ?? accountSetting(options)
    const isServer = serverCredential !== undefined
    return {
      baseUrl,
      serverCredential,
      id: ID,
      headers: HEADERS,
      accountHeaders: Object.keys(HEADERS),
      chosen: pinnedBy({ [PROJECT]: project, [REGION]: region }),
      reservedHeaders: ['authorization', 'x-goog-api-key', 'x-goog-user-project'],
      locate ({ batchId, headers }) {
        // The plugin let only ids of this grammar through.
        const [, namedProject, namedRegion, job] = ID.exec(batchId) as RegExpExecArray
        const held = {
          project: heldIn('project', namedProject, project ?? headerOf(headers, PROJECT)) ?? untold('project', PROJECT, isServer),
          region: heldIn('region', namedRegion, region ?? headerOf(headers, REGION)) ?? untold('region', REGION, isServer)
        }
        return { base: baseOf(held.region), name: `projects/${encodeURIComponent(held.project)}/locations/${held.region}/batchPredictionJobs/${job}` }
      },
      clientCredential: (headers) => broughtAccount(headers) ?? bearerToken(headers),
      async request (action, { base, place, credential }) {
        const token = typeof credential === 'string' ? credential : await accessToken(credential)
        return googleRequest(action, `${base.path}/${place.name}`, { authorization: `Bearer ${token}` })
      },
      batchIdOf: ({ name }) => name,
      batch (body, { batchId }, action) {
        if (action === 'cancel' && isEmptyBody(body)) return null
        return toBatch(body, batchId)
      }
    }
  }
}

function heldIn (what: string, named: string | undefined, chosen: string | undefined): string | undefined {
  if (named !== undefined && chosen !== undefined && differ(named, chosen)) {
    throw new BatchCancelError('provider_mismatch', `The id is of the ${what} '${named}', not of '${chosen}'.`, { param: 'id' })
  }
  return chosen ?? named
}

/** Beside a credential of the server no header may tell it. */
function untold (what: string, header: string, isServer: boolean): never {
  throw isServer
    ? invalidId(`should be the full name of the job: the server leaves the ${what} to it.`)
    : invalidHeader(header, `is missing, and neither the server nor the id tells the ${what}.`)
}

const isNumber = (project: string) => /^\d+$/.test(project)

/** Vertex AI itself names jobs by the number of a project whose id was used: a number and an id may be one project. */
const differ = (named: string, chosen: string) => named !== chosen && isNumber(named) === isNumber(chosen)

const baseOf = (region: string): Base => ({ origin: `https://${HOSTS[region] ?? `${region}-aiplatform.googleapis.com`}`, path: '/v1' })

function broughtAccount (headers: IncomingHttpHeaders): ServiceAccount | undefined {
  const json = headerOf(headers, SERVICE_ACCOUNT)
  if (json === undefined) return undefined
  const account = toAccount(json)
  if (account === undefined) throw invalidHeader(SERVICE_ACCOUNT, 'should be the JSON of a key file with type \'service_account\', client_email and private_key.')
  return account
}

/** Key files of other types could make whoever uses them read files and URLs of their choice. */
function toAccount (told: unknown): ServiceAccount | undefined {
  const key = typeof told === 'string' ? parseJson(told) : told
  if (!isObject(key)) return undefined
  const { type, client_email: email, private_key: pem } = key
  if (type !== 'service_account' || typeof email !== 'string' || typeof pem !== 'string') return undefined
  return /^[^\s@]{1,256}@[^\s@]{1,256}$/.test(email) && pem.startsWith('-----BEGIN ') ? { client_email: email, private_key: pem } : undefined
}

function parseJson (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The server's service account; that it can be one was checked. */
function accountSetting ({ serviceAccount: setting }: VertexOptions): Resolvable<ServiceAccount> | undefined {
  if (typeof setting !== 'function') return toAccount(setting)
  return async (call) => {
    const told = await setting(call)
    if (told === undefined) return undefined
    const account = toAccount(told)
    if (account === undefined) throw internalError('vertex({ serviceAccount }) gave no key file of a service account.')
    return account
  }
}

function checkOptions (options: VertexOptions): void {
  checkProviderOptions('vertex', options, ['project', 'region', 'serviceAccount'])
  const { project, region, serviceAccount, apiKey } = options
  const grammars = [
    { option: 'project', value: project, grammar: PROJECT_GRAMMAR, such: 'a project of Google Cloud, such as my-project-1' },
    { option: 'region', value: region, grammar: REGION_GRAMMAR, such: 'a region of Google Cloud, such as us-central1 or global' }
  ]
  for (const { option, value, grammar, such } of grammars) {
    if (value !== undefined && !new RegExp(`^(${grammar})$`).test(value)) throw new FST_BATCH_CANCEL_INVALID_OPTION(`vertex({ ${option} }) should be ${such}.`)
  }
  if (serviceAccount !== undefined && typeof serviceAccount !== 'function' && toAccount(serviceAccount) === undefined) {
    throw new FST_BATCH_CANCEL_INVALID_OPTION('vertex({ serviceAccount }) should be a function or the key file of a service account, as an object or as JSON.')
  }
  if (serviceAccount !== undefined && apiKey !== undefined) {
    throw new FST_BATCH_CANCEL_INVALID_OPTION('vertex() should have serviceAccount or apiKey, not both.')
  }
}

function toBatch (job: unknown, id: string): Batch | undefined {
  if (!isObject(job)) return undefined
  const status = toldState(job['state'])
  if (status === undefined) return undefined
  return completeBatch({
    id,
    model: stringOrNull(job['model']),
    // A cancelled job carries an error that says so.
    errors: status === 'cancelled' ? null : toldStatus(job['error']),
    input_file_id: inputOf(job['inputConfig']) ?? '',
    status,
    output_file_id: outputOf(job['outputInfo']),
    created_at: unixSeconds(job['createTime']) ?? 0,
    in_progress_at: unixSeconds(job['startTime']),
    ...endTimestamp(status, job['endTime']),
    request_counts: toCounts(job['completionStats']),
    metadata: valueOrNull(BatchMetadata, job['labels']),
    provider_batch: job
  })
}

function inputOf (config: unknown): string | null {
  if (!isObject(config)) return null
  const { gcsSource: gcs, bigquerySource: bigquery } = config
  if (isObject(gcs) && Array.isArray(gcs['uris'])) return stringOrNull(gcs['uris'][0])
  return isObject(bigquery) ? stringOrNull(bigquery['inputUri']) : null
}

/** The directory or the table that the answers are written into. */
function outputOf (info: unknown): string | null {
  if (!isObject(info)) return null
  const { gcsOutputDirectory, bigqueryOutputDataset, bigqueryOutputTable } = info
  const dataset = stringOrNull(bigqueryOutputDataset)
  const table = stringOrNull(bigqueryOutputTable)
  return stringOrNull(gcsOutputDirectory) ?? (dataset !== null && table !== null ? `${dataset}.${table}` : dataset)
}

function toCounts (stats: unknown): BatchRequestCounts | null {
  if (!isObject(stats)) return null
  const completed = toldCount(stats['successfulCount']) ?? 0
  const failed = toldCount(stats['failedCount']) ?? 0
  return { total: completed + failed + (toldCount(stats['incompleteCount']) ?? 0), completed, failed }
}
