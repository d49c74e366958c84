import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import type { Batch, BatchRequestCounts, BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { isObject } from '../is-object.js'
import { BatchCancelError, FST_BATCH_CANCEL_INVALID_OPTION, internalError, invalidHeader, invalidId } from '../errors.js'
import { headerOf } from '../headers.js'
import { bearerToken, checkProviderOptions, pinnedBy, type Base, type Place, type Provider, type ProviderOptions, type Resolvable } from './provider.js'
import { createSigner, type AwsKeys, type Sign } from './sigv4.js'
import { isEmptyBody, batchErrors, unixSeconds, stringOrNull } from './parse-fields.js'

export interface BedrockOptions extends ProviderOptions {
  /** The AWS region. Default: of the ARN, else the client's `x-portkey-aws-region`. */
  readonly region?: string | undefined
  /** The server's AWS keys, or a function that finds them, such as `fromNodeProviderChain()` of `@aws-sdk/credential-providers`. */
  readonly credentials?: Resolvable<AwsKeys> | (() => Promise<AwsKeys>) | undefined
}

/** A Bedrock API key, or keys of AWS to sign with. */
export type BedrockCredential = string | AwsKeys

export interface BedrockPlace extends Place {
  /** Empty where nothing needs it. */
  readonly region: string
  /** The job, decoded: its ARN or its 12 characters. */
  readonly job: string
}

const KEY_ID = 'x-portkey-aws-access-key-id'
const SECRET = 'x-portkey-aws-secret-access-key'
const SESSION = 'x-portkey-aws-session-token'
const REGION = 'x-portkey-aws-region'
const AUTH_TYPE = 'x-portkey-aws-auth-type'
const ROLE = 'x-portkey-aws-role-arn'

const NO_ROLES = 'a role is not assumed for a client: the server\'s own identity is the option `credentials` of bedrock().'

const REGION_GRAMMAR = '[a-z]{2,4}(?:-[a-z]{2,16}){1,3}-[0-9]{1,2}'

const arn = (colon: string, slash: string) =>
  `arn${colon}(aws(?:-[a-z-]{1,16})?)${colon}bedrock${colon}(${REGION_GRAMMAR})${colon}[0-9]{12}${colon}model-invocation-job${slash}[a-z0-9]{12}`

const ID = new RegExp(`^([a-z0-9]{12}|${arn(':', '/')}|${arn('%3[Aa]', '%2[Ff]')})$`)
const ARN = new RegExp(`^${arn(':', '/')}$`)

const HEADERS = {
  [KEY_ID]: Type.String({ pattern: '^\\w{1,128}$', description: 'The id of the AWS access key to sign with.' }),
  [SECRET]: Type.String({ pattern: '^[\\x21-\\x7e]{1,256}$', description: 'The secret of the AWS access key.' }),
  [SESSION]: Type.String({ pattern: '^[\\x21-\\x7e]{1,8192}$', description: 'The session token of temporary AWS keys.' }),
  [REGION]: Type.String({ pattern: `^${REGION_GRAMMAR}$`, description: 'The AWS region of the batch, such as `us-east-1`; not needed beside an ARN.' }),
  [AUTH_TYPE]: Type.String({ pattern: '^(apiKey|accessKey)$', description: `\`apiKey\` when the credential is a Bedrock API key in \`Authorization\`, \`accessKey\` for AWS keys; ${NO_ROLES}` })
}

/** Where regions are that are not at `amazonaws.com`, or not in the partition `aws`, by how they begin. Source: the endpoint rules of `@aws-sdk/client-bedrock`. */
const PARTITIONS: ReadonlyArray<readonly [begins: string, partition: string, suffix: string]> = [
  ['cn-', 'aws-cn', 'amazonaws.com.cn'],
  ['us-gov-', 'aws-us-gov', 'amazonaws.com'],
  ['eusc-', 'aws-eusc', 'amazonaws.eu'],
  ['us-iso-', 'aws-iso', 'c2s.ic.gov'],
  ['us-isob-', 'aws-iso-b', 'sc2s.sgov.gov'],
  ['eu-isoe-', 'aws-iso-e', 'cloud.adc-e.uk'],
  ['us-isof-', 'aws-iso-f', 'csp.hci.ic.gov']
]

const STATUSES: Readonly<Record<string, BatchStatus>> = {
  Submitted: 'validating',
  Validating: 'validating',
  Scheduled: 'validating',
  InProgress: 'in_progress',
  Completed: 'completed',
  PartiallyCompleted: 'completed',
  Failed: 'failed',
  Stopping: 'cancelling',
  Stopped: 'cancelled',
  Expired: 'expired'
}

/**
 * Amazon Bedrock's batch inference jobs (model invocation jobs), through its control plane. A cancel answers nothing,
 * so the job is read after it. A job is named by its ARN, plain or percent-encoded, or by its last 12 characters.
 *
 * Takes `baseUrl` (default `https://bedrock.<region>.<suffix of the partition>`), `region` (default: of the ARN, else
 * the client's), and either `credentials` (AWS keys) or `apiKey` (a Bedrock API key); default: the client's
 * `x-portkey-aws-*` keys, else its `Authorization`. AWS keys need the optional peers `@smithy/signature-v4` and
 * `@smithy/hash-node`. Throws `FST_BATCH_CANCEL_INVALID_OPTION` when an option cannot work.
 * Source: the service model and the official npm package `@aws-sdk/client-bedrock` 3.1164.0.
 */
export const bedrock = bedrockSignedBy(createSigner())

/** The factory over a signer, so that a test can set its time. */
export function bedrockSignedBy (sign: Sign) {
  return (options: BedrockOptions = {}): Provider<BedrockCredential, BedrockPlace> => {
    checkOptions(options)
    const { baseUrl, apiKey, credentials, region } = options
    const serverCredential = apiKey ?? (typeof credentials === 'function' ? found(credentials) : credentials)
    const signs = (headers: IncomingHttpHeaders) => credentials !== undefined || (apiKey === undefined && bringsKeys(headers))
    return {
      baseUrl,
      serverCredential,
      id: ID,
      headers: HEADERS,
      accountHeaders: [...Object.keys(HEADERS), ROLE],
      chosen: pinnedBy({ [REGION]: region }),
      reservedHeaders: ['authorization', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'],
      locate ({ batchId, headers, hasBase }) {
        if (headerOf(headers, ROLE) !== undefined) throw invalidHeader(ROLE, `is not taken: ${NO_ROLES}`)
        // A client that encodes ids by itself encodes what was encoded before.
        const job = batchId.startsWith('arn%') ? decodeURIComponent(batchId) : batchId
        const [, partition, named] = ARN.exec(job) ?? []
        const held = heldIn(named, region ?? headerOf(headers, REGION))
        if (held === undefined && (!hasBase || signs(headers))) throw untold(serverCredential !== undefined)
        return { job, region: held ?? '', base: hasBase || held === undefined ? ELSEWHERE : baseOf(held, partition) }
      },
      clientCredential: (headers) => bringsKeys(headers) ? broughtKeys(headers) : bearerToken(headers),
      async request (action, { base, place, credential }) {
        const job = `${base.path}/model-invocation-job/${encodeURIComponent(place.job)}`
        const request = action === 'cancel' ? { method: 'POST', path: `${job}/stop` } as const : { method: 'GET', path: job } as const
        if (typeof credential === 'string') return { ...request, headers: { authorization: `Bearer ${credential}` } }
        return { ...request, headers: await sign({ ...request, origin: base.origin }, credential, place.region) }
      },
      batchIdOf: ({ jobArn }) => jobArn,
      batch (body, { batchId }, action) {
        if (action === 'cancel' && isEmptyBody(body)) return null
        return toBatch(body, batchId)
      },
      errorCode: bedrockErrorCode
    }
  }
}

/** What kind of error it is, by the header in which AWS tells it: `ConflictException:http://…`, perhaps after a name space. */
export const bedrockErrorCode = (headers: IncomingHttpHeaders): string | undefined =>
  /^(?:[\w.]{1,128}#)?([A-Za-z]{1,128})/.exec(headerOf(headers, 'x-amzn-errortype') ?? '')?.[1]

/** Beside a credential of the server no header may tell the region. */
const untold = (isServer: boolean) => isServer
  ? invalidId('should be an ARN: the server leaves the region to it.')
  : invalidHeader(REGION, 'is missing, and neither the server nor the id, which is no ARN, tells the region.')

/** Never used: another base stands in for the provider's own. */
const ELSEWHERE: Base = { origin: '', path: '' }

function heldIn (named: string | undefined, chosen: string | undefined): string | undefined {
  if (named !== undefined && chosen !== undefined && named !== chosen) {
    throw new BatchCancelError('provider_mismatch', `The id is of the region '${named}', not of '${chosen}'.`, { param: 'id' })
  }
  return named ?? chosen
}

function baseOf (region: string, named: string | undefined): Base {
  const [, partition, suffix] = PARTITIONS.find(([begins]) => region.startsWith(begins)) ?? ['', 'aws', 'amazonaws.com']
  if (named !== undefined && named !== partition) {
    throw new BatchCancelError('invalid_batch_id', `The id is of the partition '${named}', but its region '${region}' is in '${partition}'.`, { param: 'id' })
  }
  return { origin: `https://bedrock.${region}.${suffix}`, path: '' }
}

const bringsKeys = (headers: IncomingHttpHeaders) =>
  headerOf(headers, AUTH_TYPE) !== 'apiKey' && [KEY_ID, SECRET, SESSION].some(name => headerOf(headers, name) !== undefined)

function broughtKeys (headers: IncomingHttpHeaders): AwsKeys {
  const brought = (name: string) => {
    const value = headerOf(headers, name)
    if (value === undefined) throw invalidHeader(name, 'is missing beside the other AWS keys.')
    return value
  }
  return { accessKeyId: brought(KEY_ID), secretAccessKey: brought(SECRET), sessionToken: headerOf(headers, SESSION) }
}

const found = (find: Extract<Resolvable<AwsKeys>, Function>): Resolvable<AwsKeys> => async (call) => {
  const keys = await find(call)
  if (keys === undefined || areKeys(keys)) return keys
  throw internalError('bedrock({ credentials }) gave something else than { accessKeyId, secretAccessKey, sessionToken? }.')
}

const isText = (value: unknown) => typeof value === 'string' && value !== ''

const areKeys = (value: unknown) => isObject(value) && isText(value['accessKeyId']) && isText(value['secretAccessKey']) &&
  (value['sessionToken'] === undefined || isText(value['sessionToken']))

function checkOptions (options: BedrockOptions): void {
  checkProviderOptions('bedrock', options, ['region', 'credentials'])
  const { region, credentials, apiKey } = options
  if (region !== undefined && !new RegExp(`^${REGION_GRAMMAR}$`).test(region)) {
    throw new FST_BATCH_CANCEL_INVALID_OPTION('bedrock({ region }) should be a region of AWS, such as us-east-1.')
  }
  if (credentials !== undefined && typeof credentials !== 'function' && !areKeys(credentials)) {
    throw new FST_BATCH_CANCEL_INVALID_OPTION('bedrock({ credentials }) should be a function or { accessKeyId, secretAccessKey, sessionToken? }.')
  }
  if (credentials !== undefined && apiKey !== undefined) {
    throw new FST_BATCH_CANCEL_INVALID_OPTION('bedrock() should have credentials or apiKey, not both.')
  }
}

/** A job that has not begun has written nothing. */
const UNBEGUN: ReadonlySet<BatchStatus> = new Set<BatchStatus>(['validating', 'expired'])

function toBatch (job: unknown, id: string): Batch | undefined {
  if (!isObject(job)) return undefined
  const told = stringOrNull(job['status'])
  const status = told !== null && Object.hasOwn(STATUSES, told) ? STATUSES[told] : undefined
  if (status === undefined) return undefined
  const ended = unixSeconds(job['endTime'])
  const hours = job['timeoutDurationInHours']
  const name = stringOrNull(job['jobName'])
  return completeBatch({
    id,
    model: stringOrNull(job['modelId']),
    errors: batchErrors(job['message']),
    input_file_id: s3Uri(job['inputDataConfig'], 's3InputDataConfig') ?? '',
    completion_window: Number.isInteger(hours) ? `${hours}h` : '',
    status,
    // The place under which the files of the job are, each in a folder named by the job.
    output_file_id: UNBEGUN.has(status) ? null : s3Uri(job['outputDataConfig'], 's3OutputDataConfig'),
    created_at: unixSeconds(job['submitTime']) ?? 0,
    expires_at: unixSeconds(job['jobExpirationTime']),
    completed_at: status === 'completed' ? ended : null,
    failed_at: status === 'failed' ? ended : null,
    expired_at: status === 'expired' ? ended : null,
    cancelling_at: status === 'cancelling' ? unixSeconds(job['lastModifiedTime']) : null,
    cancelled_at: status === 'cancelled' ? ended : null,
    request_counts: toCounts(job),
    metadata: name === null ? null : { jobName: name },
    provider_batch: job
  })
}

function s3Uri (config: unknown, kind: string): string | null {
  const s3 = isObject(config) ? config[kind] : undefined
  return isObject(s3) ? stringOrNull(s3['s3Uri']) : null
}

/** Without a total none is told; of the others those that are not told are none yet. */
function toCounts ({ totalRecordCount: total, successRecordCount: completed = 0, errorRecordCount: failed = 0 }: Record<string, unknown>): BatchRequestCounts | null {
  const counts = { total, completed, failed }
  return Object.values(counts).every(Number.isInteger) ? counts as BatchRequestCounts : null
}
