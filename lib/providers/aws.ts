import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import { internalError, invalidHeader } from '../errors.js'
import { headerOf } from '../headers.js'
import { isObject } from '../is-object.js'
import { bearerToken, type Auth } from './auth.js'
import type { OptionConflict, PlaceInput } from './definition.js'
import { peerConflict } from './import-peer.js'
import { matching, resolvable } from './option-rules.js'
import type { ProviderOptions, Resolvable } from './provider.js'
import { SIGNER_PEERS, type AwsKeys, type Sign } from './sigv4.js'

/* What the services of AWS have in common: keys, regions, and the headers in which clients name them. */

export interface AwsOptions extends ProviderOptions {
  /** The AWS region. @default the client's `x-portkey-aws-region` */
  readonly region?: string
  /**
   * The server's AWS keys, or a function that finds them, such as `fromNodeProviderChain()` of
   * `@aws-sdk/credential-providers`; not with `apiKey`.
   */
  readonly credentials?: Resolvable<AwsKeys> | (() => Promise<AwsKeys>)
}

/** An API key, or AWS keys to sign with. */
export type AwsCredential = string | AwsKeys

const KEY_ID = 'x-portkey-aws-access-key-id'
const SECRET = 'x-portkey-aws-secret-access-key'
const SESSION = 'x-portkey-aws-session-token'
const AUTH_TYPE = 'x-portkey-aws-auth-type'
const ROLE = 'x-portkey-aws-role-arn'

export const REGION_HEADER = 'x-portkey-aws-region'

const NO_ROLES =
  'a role is not assumed for a client: the server\'s own identity is the option `credentials` of the factory.'

const KEYS = '{ accessKeyId, secretAccessKey, sessionToken? }'

export const REGION_GRAMMAR = '[a-z]{2,4}(?:-[a-z]{2,16}){1,3}-[0-9]{1,2}'

export const AWS_HEADERS = {
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
  [REGION_HEADER]: Type.String({
    maxLength: 64,
    pattern: `^${REGION_GRAMMAR}$`,
    description: 'The AWS region of the batch, such as `us-east-1`; not needed beside an ARN.'
  }),
  [AUTH_TYPE]: Type.String({
    maxLength: 16,
    pattern: '^(?:apiKey|accessKey)$',
    description: '`apiKey` if the credential is an API key in `Authorization`, `accessKey` for AWS keys; ' + NO_ROLES
  })
}

export const AWS_ACCOUNT_HEADERS = [...Object.keys(AWS_HEADERS), ROLE]

/**
 * The regions that are not at `amazonaws.com` or not in the partition `aws`, by how they begin. Source: the endpoint
 * rules of `@aws-sdk/client-bedrock` and `@aws-sdk/client-bedrock-runtime` 3.1164.0.
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

/** The partition of a region, and the domain of its services. */
export function partitionOf (region: string): { readonly partition: string, readonly suffix: string } {
  const [, partition, suffix] =
    PARTITIONS.find(([prefix]) => region.startsWith(prefix)) as (typeof PARTITIONS)[number]
  return { partition, suffix }
}

/** The hosts of a service in all regions. */
export const awsDomains = (service: string) => PARTITIONS.map(([,, suffix]) => `${service}.*.${suffix}`)

type AwsAuth = Auth<AwsCredential, AwsOptions, { readonly region: string }>

export interface AwsAuthParts {
  /** Whose options the credential is among, for messages. */
  readonly factory: string
  /** The name that the signature is for. */
  readonly service: string
  readonly sign: Sign
}

/** A key goes out as Bearer, AWS keys as a signature for the service. */
export const awsAuth = ({ factory, service, sign }: AwsAuthParts): AwsAuth => ({
  sets: ['authorization', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'],
  fromClient: headers => hasKeys(headers) ? clientKeys(headers) : bearerToken(headers),
  fromServer: ({ apiKey, credentials }) => apiKey ?? toKeysOption(factory, credentials),
  toHeaders: (credential, { place: { region }, ...request }) => typeof credential === 'string'
    ? { authorization: `Bearer ${credential}` }
    : sign(request, credential, { service, region })
})

/** The rules of the options that all services have. */
export const awsOptionRules = () => ({
  region: matching(new RegExp(`^${REGION_GRAMMAR}$`), 'an AWS region such as us-east-1'),
  credentials: resolvable(areKeys, KEYS)
})

/** What is wrong with the options for the credential. */
export function credentialsConflict (
  { apiKey, credentials }: AwsOptions,
  missing?: (names: readonly string[]) => readonly string[]
): OptionConflict | undefined {
  if (credentials === undefined) return undefined
  if (apiKey !== undefined) return { names: ['credentials', 'apiKey'], problem: 'exclude each other.' }
  return peerConflict('credentials', SIGNER_PEERS, missing)
}

/** @throws BatchCancelError `invalid_header` if the client wants the server to assume a role */
export function refuseRole (headers: Readonly<IncomingHttpHeaders>): void {
  if (headerOf(headers, ROLE) !== undefined) throw invalidHeader(ROLE, `is not accepted: ${NO_ROLES}`)
}

/** What a server credential lacks if no id names the region. */
export function regionConflict ({ apiKey, baseUrl, credentials, region }: AwsOptions): OptionConflict | undefined {
  if (region !== undefined) return undefined
  if (credentials !== undefined) return { names: ['credentials'], problem: 'needs region.' }
  if (apiKey === undefined || baseUrl !== undefined) return undefined
  return { names: ['apiKey'], problem: 'needs region or baseUrl.' }
}

/**
 * The region, if no id names it. Empty if nothing needs it.
 *
 * @throws BatchCancelError `invalid_header` if it is needed and nothing names it
 */
export function requiredRegion ({ headers, hasBase }: PlaceInput, options: AwsOptions): string {
  const region = options.region ?? headerOf(headers, REGION_HEADER)
  if (region === undefined && (!hasBase || signs(headers, options))) {
    throw invalidHeader(REGION_HEADER, 'is required: it names the region that holds the batch.')
  }
  return region ?? ''
}

/** The kind of an error, from AWS's header for it: `ConflictException:http://…`, perhaps in a namespace. */
export function awsErrorCode (headers: Readonly<IncomingHttpHeaders>): string | undefined {
  return /^(?:[\w.]{1,128}#)?([A-Za-z]{1,128})/.exec(headerOf(headers, 'x-amzn-errortype') ?? '')?.[1]
}

/** Whether the request will be signed, which needs a region whatever the host. */
export const signs = (headers: Readonly<IncomingHttpHeaders>, { apiKey, credentials }: AwsOptions) =>
  credentials !== undefined || (apiKey === undefined && hasKeys(headers))

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
function toKeysOption (
  factory: string,
  option: AwsOptions['credentials']
): Resolvable<AwsKeys> | undefined {
  if (typeof option !== 'function') return option
  return async (call) => {
    const keys = await option(call)
    if (keys === undefined || areKeys(keys)) return keys
    throw internalError(`${factory}({ credentials }) returned something else than ${KEYS}.`)
  }
}

function areKeys (value: unknown): value is AwsKeys {
  if (!isObject(value)) return false
  const { accessKeyId, secretAccessKey, sessionToken = 'none' } = value
  return [accessKeyId, secretAccessKey, sessionToken].every(text => typeof text === 'string' && text !== '')
}
