import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import type { BatchStatus } from '../../schemas/batch.js'
import { BatchCancelError, internalError, invalidHeader, invalidId } from '../errors.js'
import { headerOf } from '../headers.js'
import { isObject } from '../is-object.js'
import { bearerToken, type Auth } from './auth.js'
import { defineProvider } from './define-provider.js'
import type { OptionConflict, PlaceInput } from './definition.js'
import { peerConflict } from './import-peer.js'
import { matching, resolvable } from './option-rules.js'
import { batchErrors, isEmptyBody, requestCounts, stringOrNull, unixSeconds } from './parse-fields.js'
import type { ProviderOptions, Resolvable } from './provider.js'
import { get, post } from './requests.js'
import { createSigner, SIGNER_PEERS, type AwsKeys, type Sign } from './sigv4.js'

export interface BedrockOptions extends ProviderOptions {
  /** The AWS region. @default that of the ARN, else the client's `x-portkey-aws-region` */
  readonly region?: string
  /**
   * The server's AWS keys, or a function that finds them, such as `fromNodeProviderChain()` of
   * `@aws-sdk/credential-providers`; not with `apiKey`.
   */
  readonly credentials?: Resolvable<AwsKeys> | (() => Promise<AwsKeys>)
}

/** A Bedrock API key, or AWS keys to sign with. */
export type BedrockCredential = string | AwsKeys

interface BedrockPlace {
  /** Empty if nothing needs it. */
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

const NO_ROLES =
  'a role is not assumed for a client: the server\'s own identity is the option `credentials` of bedrock().'

const KEYS = '{ accessKeyId, secretAccessKey, sessionToken? }'

const REGION_GRAMMAR = '[a-z]{2,4}(?:-[a-z]{2,16}){1,3}-[0-9]{1,2}'

const arn = (colon: string, slash: string) => [
  'arn', '(aws(?:-[a-z-]{1,16})?)', 'bedrock', `(${REGION_GRAMMAR})`, '[0-9]{12}',
  `model-invocation-job${slash}[a-z0-9]{12}`
].join(colon)

const ID = new RegExp(`^(?:[a-z0-9]{12}|${arn(':', '/')}|${arn('%3[Aa]', '%2[Ff]')})$`)
const ARN = new RegExp(`^${arn(':', '/')}$`)

const HEADERS = {
  [KEY_ID]: Type.String({
    maxLength: 128,
    pattern: '^\\w+$',
    description: 'The id of the AWS access key to sign with.'
  }),
  [SECRET]: Type.String({
    maxLength: 256,
    pattern: '^[\\x21-\\x7e]+$',
    description: 'The secret of the AWS access key.'
  }),
  [SESSION]: Type.String({
    maxLength: 8192,
    pattern: '^[\\x21-\\x7e]+$',
    description: 'The session token of temporary AWS keys.'
  }),
  [REGION]: Type.String({
    maxLength: 64,
    pattern: `^${REGION_GRAMMAR}$`,
    description: 'The AWS region of the batch, such as `us-east-1`; not needed beside an ARN.'
  }),
  [AUTH_TYPE]: Type.String({
    maxLength: 16,
    pattern: '^(?:apiKey|accessKey)$',
    description: '`apiKey` if the credential is a Bedrock API key in `Authorization`, `accessKey` for AWS keys; ' +
      NO_ROLES
  })
}

/**
 * The regions that are not at `amazonaws.com` or not in the partition `aws`, by how they begin. Source: the endpoint
 * rules of `@aws-sdk/client-bedrock` 3.1164.0.
 */
const PARTITIONS: ReadonlyArray<readonly [prefix: string, partition: string, suffix: string]> = [
  ['cn-', 'aws-cn', 'amazonaws.com.cn'],
  ['us-gov-', 'aws-us-gov', 'amazonaws.com'],
  ['eusc-', 'aws-eusc', 'amazonaws.eu'],
  ['us-iso-', 'aws-iso', 'c2s.ic.gov'],
  ['us-isob-', 'aws-iso-b', 'sc2s.sgov.gov'],
  ['eu-isoe-', 'aws-iso-e', 'cloud.adc-e.uk'],
  ['us-isof-', 'aws-iso-f', 'csp.hci.ic.gov'],
  ['', 'aws', 'amazonaws.com']
]

const partitionOf = (region: string) =>
  PARTITIONS.find(([prefix]) => region.startsWith(prefix)) as (typeof PARTITIONS)[number]

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

export interface BedrockParts {
  readonly sign: Sign
  /** Returns those of the packages that are not installed. */
  readonly missing?: (names: readonly string[]) => readonly string[]
}

/** The definition for a signer. */
export function defineBedrock ({ sign, missing }: BedrockParts) {
  const auth: Auth<BedrockCredential, BedrockOptions, BedrockPlace> = {
    sets: ['authorization', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'],
    fromClient: headers => hasKeys(headers) ? clientKeys(headers) : bearerToken(headers),
    fromServer: ({ apiKey, credentials }) => apiKey ?? toKeysOption(credentials),
    toHeaders: (credential, { place: { region }, ...request }) => typeof credential === 'string'
      ? { authorization: `Bearer ${credential}` }
      : sign(request, credential, { service: 'bedrock', region })
  }
  return defineProvider({
    name: 'bedrock',
    source: { package: '@aws-sdk/client-bedrock', version: '3.1164.0' },
    baseUrl: ({ region }) => `https://bedrock.${region}.${partitionOf(region)[2]}`,
    domains: PARTITIONS.map(([,, suffix]) => `bedrock.*.${suffix}`),
    auth,
    id: {
      pattern: ID,
      description: 'the ARN of a model invocation job, plain or percent-encoded, or its last 12 characters'
    },
    place: placeOf,
    cancel: post('/model-invocation-job/{job}/stop'),
    retrieve: get('/model-invocation-job/{job}'),
    headers: HEADERS,
    accountHeaders: [...Object.keys(HEADERS), ROLE],
    options: {
      region: matching(new RegExp(`^${REGION_GRAMMAR}$`), 'an AWS region such as us-east-1'),
      credentials: resolvable(areKeys, KEYS)
    },
    conflict ({ apiKey, credentials }): OptionConflict | undefined {
      if (credentials === undefined) return undefined
      if (apiKey !== undefined) return { names: ['credentials', 'apiKey'], problem: 'exclude each other.' }
      return peerConflict('credentials', SIGNER_PEERS, missing)
    },
    pins: ({ region }) => ({ [REGION]: region }),
    errorCode: bedrockErrorCode,
    accepts: isEmptyBody,
    batchId: ({ jobArn }) => jobArn,
    statuses: STATUSES,
    fields: toFields
  })
}

/**
 * Amazon Bedrock's batch inference jobs (model invocation jobs), through its control plane. A cancel returns nothing,
 * so the job is read after it. AWS keys need the optional packages `@smithy/signature-v4` and `@smithy/hash-node`.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const bedrock = defineBedrock({ sign: createSigner() })

/** The kind of an error, from AWS's header for it: `ConflictException:http://…`, perhaps in a namespace. */
export function bedrockErrorCode (headers: Readonly<IncomingHttpHeaders>): string | undefined {
  return /^(?:[\w.]{1,128}#)?([A-Za-z]{1,128})/.exec(headerOf(headers, 'x-amzn-errortype') ?? '')?.[1]
}

function placeOf (input: PlaceInput, options: BedrockOptions): BedrockPlace {
  const { batchId, headers, hasBase, hasServerCredential } = input
  if (headerOf(headers, ROLE) !== undefined) throw invalidHeader(ROLE, `is not accepted: ${NO_ROLES}`)
  // A client that encodes ids itself encodes what was encoded before.
  const job = batchId.startsWith('arn%') ? decodeURIComponent(batchId) : batchId
  const [, partition, ownRegion] = ARN.exec(job) ?? []
  const region = agreedRegion(ownRegion, options.region ?? headerOf(headers, REGION))
  if (region === undefined && (!hasBase || signs(headers, options))) throw notNamed(hasServerCredential)
  if (region !== undefined && partition !== undefined) checkPartition(partition, region)
  return { job, region: region ?? '' }
}

/** Whether the request will be signed, which needs a region whatever the host. */
const signs = (headers: Readonly<IncomingHttpHeaders>, { apiKey, credentials }: BedrockOptions) =>
  credentials !== undefined || (apiKey === undefined && hasKeys(headers))

/** Beside a server credential no header may name the region. */
const notNamed = (hasServerCredential: boolean) => hasServerCredential
  ? invalidId('is not valid: expected an ARN, since the server sets no region.')
  : invalidHeader(REGION, 'is required, since neither the server nor the id, which is not an ARN, names the region.')

function agreedRegion (own: string | undefined, chosen: string | undefined): string | undefined {
  if (own === undefined || chosen === undefined || own === chosen) return own ?? chosen
  throw new BatchCancelError('provider_mismatch', `The batch id names the region '${own}', not '${chosen}'.`, {
    param: 'id'
  })
}

function checkPartition (own: string, region: string): void {
  const [, partition] = partitionOf(region)
  if (own === partition) return
  throw invalidId(`is not valid: it names the partition '${own}', but the region '${region}' is in '${partition}'.`)
}

const hasKeys = (headers: Readonly<IncomingHttpHeaders>) =>
  headerOf(headers, AUTH_TYPE) !== 'apiKey' &&
  [KEY_ID, SECRET, SESSION].some(name => headerOf(headers, name) !== undefined)

function clientKeys (headers: Readonly<IncomingHttpHeaders>): AwsKeys {
  const required = (name: string) => {
    const value = headerOf(headers, name)
    if (value === undefined) throw invalidHeader(name, 'is required beside the other AWS keys.')
    return value
  }
  return { accessKeyId: required(KEY_ID), secretAccessKey: required(SECRET), sessionToken: headerOf(headers, SESSION) }
}

/** The server's keys, which were checked unless a function finds them. */
function toKeysOption (option: BedrockOptions['credentials']): Resolvable<AwsKeys> | undefined {
  if (typeof option !== 'function') return option
  return async (call) => {
    const keys = await option(call)
    if (keys === undefined || areKeys(keys)) return keys
    throw internalError(`bedrock({ credentials }) returned something else than ${KEYS}.`)
  }
}

function areKeys (value: unknown): value is AwsKeys {
  if (!isObject(value)) return false
  const { accessKeyId, secretAccessKey, sessionToken = 'none' } = value
  return [accessKeyId, secretAccessKey, sessionToken].every(text => typeof text === 'string' && text !== '')
}

/** A job that has not begun has written nothing. */
const NOT_BEGUN: ReadonlySet<BatchStatus> = new Set<BatchStatus>(['validating', 'expired'])

function toFields (job: Readonly<Record<string, unknown>>, { status }: { readonly status: BatchStatus }) {
  const ended = unixSeconds(job['endTime'])
  const hours = job['timeoutDurationInHours']
  const name = stringOrNull(job['jobName'])
  return {
    model: stringOrNull(job['modelId']),
    errors: batchErrors(job['message']),
    input_file_id: s3Uri(job['inputDataConfig'], 's3InputDataConfig') ?? '',
    completion_window: Number.isInteger(hours) ? `${hours}h` : '',
    // The place under which the files of the job are, each in a folder named after the job.
    output_file_id: NOT_BEGUN.has(status) ? null : s3Uri(job['outputDataConfig'], 's3OutputDataConfig'),
    created_at: unixSeconds(job['submitTime']) ?? 0,
    expires_at: unixSeconds(job['jobExpirationTime']),
    completed_at: status === 'completed' ? ended : null,
    failed_at: status === 'failed' ? ended : null,
    expired_at: status === 'expired' ? ended : null,
    cancelling_at: status === 'cancelling' ? unixSeconds(job['lastModifiedTime']) : null,
    cancelled_at: status === 'cancelled' ? ended : null,
    request_counts: toCounts(job),
    metadata: name === null ? null : { jobName: name }
  }
}

function s3Uri (config: unknown, kind: string): string | null {
  const s3 = isObject(config) ? config[kind] : undefined
  return isObject(s3) ? stringOrNull(s3['s3Uri']) : null
}

/** Without a total there are none; a missing count of successes or errors is 0. */
const toCounts = ({ totalRecordCount: total, successRecordCount: completed = 0, errorRecordCount: failed = 0 }:
Readonly<Record<string, unknown>>) => requestCounts(total, completed, failed)
