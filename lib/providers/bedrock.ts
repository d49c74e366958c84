import type { BatchStatus } from '../../schemas/batch.js'
import { BatchCancelError, invalidHeader, invalidId } from '../errors.js'
import { headerOf } from '../headers.js'
import { isObject } from '../is-object.js'
import {
  AWS_ACCOUNT_HEADERS, awsAuth, awsDomains, awsErrorCode, AWS_HEADERS, awsOptionRules, credentialsConflict, partitionOf,
  refuseRole, REGION_GRAMMAR, REGION_HEADER, signs, type AwsCredential, type AwsOptions
} from './aws.js'
import { defineProvider } from './define-provider.js'
import type { PlaceInput } from './definition.js'
import { batchErrors, isEmptyBody, requestCounts, stringOrNull, unixSeconds } from './parse-fields.js'
import { get, post } from './requests.js'
import { createSigner, type Sign } from './sigv4.js'

export interface BedrockOptions extends AwsOptions {
  /** The AWS region. @default that of the ARN, else the client's `x-portkey-aws-region` */
  readonly region?: string
}

/** A Bedrock API key, or AWS keys to sign with. */
export type BedrockCredential = AwsCredential

interface BedrockPlace {
  /** Empty if nothing needs it. */
  readonly region: string
  /** The job, decoded: its ARN or its 12 characters. */
  readonly job: string
}

const arn = (colon: string, slash: string) => [
  'arn', '(aws(?:-[a-z-]{1,16})?)', 'bedrock', `(${REGION_GRAMMAR})`, '[0-9]{12}',
  `model-invocation-job${slash}[a-z0-9]{12}`
].join(colon)

const ID = new RegExp(`^(?:[a-z0-9]{12}|${arn(':', '/')}|${arn('%3[Aa]', '%2[Ff]')})$`)
const ARN = new RegExp(`^${arn(':', '/')}$`)

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
  return defineProvider({
    name: 'bedrock',
    source: { package: '@aws-sdk/client-bedrock', version: '3.1164.0' },
    baseUrl: ({ region }: BedrockPlace) => `https://bedrock.${region}.${partitionOf(region).suffix}`,
    domains: awsDomains('bedrock'),
    auth: awsAuth({ factory: 'bedrock', service: 'bedrock', sign }),
    id: {
      pattern: ID,
      description: 'the ARN of a model invocation job, plain or percent-encoded, or its last 12 characters'
    },
    place: placeOf,
    cancel: post('/model-invocation-job/{job}/stop'),
    retrieve: get('/model-invocation-job/{job}'),
    headers: AWS_HEADERS,
    accountHeaders: AWS_ACCOUNT_HEADERS,
    options: awsOptionRules(),
    conflict: options => credentialsConflict(options, missing),
    pins: ({ region }) => ({ [REGION_HEADER]: region }),
    errorCode: awsErrorCode,
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

function placeOf (input: PlaceInput, options: BedrockOptions): BedrockPlace {
  const { batchId, headers, hasBase, hasServerCredential } = input
  refuseRole(headers)
  // A client that encodes ids itself encodes what was encoded before.
  const job = batchId.startsWith('arn%') ? decodeURIComponent(batchId) : batchId
  const [, partition, ownRegion] = ARN.exec(job) ?? []
  const region = agreedRegion(ownRegion, options.region ?? headerOf(headers, REGION_HEADER))
  if (region === undefined && (!hasBase || signs(headers, options))) throw notNamed(hasServerCredential)
  if (region !== undefined && partition !== undefined) checkPartition(partition, region)
  return { job, region: region ?? '' }
}

/** Beside a server credential no header may name the region. */
const notNamed = (hasServerCredential: boolean) => hasServerCredential
  ? invalidId('is not valid: expected an ARN, since the server sets no region.')
  : invalidHeader(
    REGION_HEADER,
    'is required, since neither the server nor the id, which is not an ARN, names the region.'
  )

function agreedRegion (own: string | undefined, chosen: string | undefined): string | undefined {
  if (own === undefined || chosen === undefined || own === chosen) return own ?? chosen
  throw new BatchCancelError('provider_mismatch', `The batch id names the region '${own}', not '${chosen}'.`, {
    param: 'id'
  })
}

function checkPartition (own: string, region: string): void {
  const { partition } = partitionOf(region)
  if (own === partition) return
  throw invalidId(`is not valid: it names the partition '${own}', but the region '${region}' is in '${partition}'.`)
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

/** Without a total no counts are known; a missing count of successes or errors is 0. */
const toCounts = ({ totalRecordCount: total, successRecordCount: completed = 0, errorRecordCount: failed = 0 }:
Readonly<Record<string, unknown>>) => requestCounts(total, completed, failed)
