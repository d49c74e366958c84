import type { IncomingHttpHeaders } from 'node:http'
import { invalidHeader } from '../errors.js'
import { headerOf } from '../headers.js'
import {
  ANTHROPIC_HEADERS, ANTHROPIC_SENDS, MESSAGE_BATCH, VERSION, VERSION_FOR_BEARER, WORKSPACE
} from './anthropic.js'
import {
  AWS_ACCOUNT_HEADERS, awsAuth, AWS_HEADERS, awsOptionRules, credentialsConflict, refuseRole, REGION_HEADER,
  regionConflict, requiredRegion, type AwsOptions
} from './aws.js'
import { defineProvider } from './define-provider.js'
import type { OptionConflict } from './definition.js'
import { SEGMENT_ID } from './ids.js'
import { matching } from './option-rules.js'
import { get, post, withHeaders } from './requests.js'
import { createSigner, type Sign } from './sigv4.js'

export interface ClaudePlatformAWSOptions extends AwsOptions {
  /** The workspace that holds the batch. @default the client's `anthropic-workspace-id` */
  readonly workspaceId?: string
}

interface ClaudePlatformAWSPlace {
  /** Empty if nothing needs it. */
  readonly region: string
  readonly workspace: string
}

/** The definition for a signer. */
export function defineClaudePlatformAWS (sign: Sign) {
  return defineProvider({
    name: 'claude-platform-aws',
    factory: 'claudePlatformAWS',
    source: {
      package: '@anthropic-ai/aws-sdk',
      version: '1.1.2',
      document: 'docs.aws.amazon.com/claude-platform/latest/userguide/making-requests.html'
    },
    baseUrl: ({ region }: ClaudePlatformAWSPlace) => `https://aws-external-anthropic.${region}.api.aws/v1`,
    domains: ['aws-external-anthropic.*.api.aws'],
    auth: awsAuth({ factory: 'claudePlatformAWS', service: 'aws-external-anthropic', sign }),
    id: SEGMENT_ID,
    place (input, options: ClaudePlatformAWSOptions): ClaudePlatformAWSPlace {
      refuseRole(input.headers)
      return { region: requiredRegion(input, options), workspace: workspaceOf(input.headers, options) }
    },
    cancel: ({ place }) => inWorkspace(post('/messages/batches/{id}/cancel'), place),
    retrieve: ({ place }) => inWorkspace(get('/messages/batches/{id}'), place),
    headers: { ...AWS_HEADERS, ...ANTHROPIC_HEADERS },
    accountHeaders: [...AWS_ACCOUNT_HEADERS, WORKSPACE],
    sends: ANTHROPIC_SENDS,
    requestHeaders: { [VERSION]: VERSION_FOR_BEARER },
    reservedHeaders: [WORKSPACE, 'x-api-key'],
    options: {
      ...awsOptionRules(),
      workspaceId: matching(/^[\x21-\x7e]{1,256}$/, 'the id of a workspace, such as wrkspc_1')
    },
    conflict: findConflict,
    pins: ({ region, workspaceId }) => ({ [REGION_HEADER]: region, [WORKSPACE]: workspaceId }),
    ...MESSAGE_BATCH
  })
}

/**
 * Anthropic's Message Batches on AWS (not in Amazon Bedrock). A key, such as `apiKey`, is sent as Bearer. AWS keys need
 * the optional packages `@smithy/signature-v4` and `@smithy/hash-node`; the signature covers Anthropic's headers, too.
 * A base URL ends in `/v1`.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const claudePlatformAWS = defineClaudePlatformAWS(createSigner())

const inWorkspace = (template: ReturnType<typeof get>, { workspace }: ClaudePlatformAWSPlace) =>
  withHeaders(template, { [WORKSPACE]: workspace })

function workspaceOf (headers: Readonly<IncomingHttpHeaders>, { workspaceId }: ClaudePlatformAWSOptions): string {
  const workspace = workspaceId ?? headerOf(headers, WORKSPACE)
  if (workspace !== undefined) return workspace
  throw invalidHeader(WORKSPACE, 'is required: it names the workspace that holds the batch.')
}

/** Beside a server credential no header of a client chooses the region or the workspace. */
function findConflict (options: ClaudePlatformAWSOptions): OptionConflict | undefined {
  const problem = credentialsConflict(options) ?? regionConflict(options)
  if (problem !== undefined) return problem
  const { apiKey, credentials, workspaceId } = options
  if ((credentials ?? apiKey) === undefined || workspaceId !== undefined) return undefined
  return { names: [credentials === undefined ? 'apiKey' : 'credentials'], problem: 'needs workspaceId.' }
}
