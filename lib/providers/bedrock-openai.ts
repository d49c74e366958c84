import {
  AWS_ACCOUNT_HEADERS, awsAuth, awsDomains, awsErrorCode, AWS_HEADERS, awsOptionRules, credentialsConflict, partitionOf,
  refuseRole, REGION_HEADER, regionConflict, requiredRegion, type AwsOptions
} from './aws.js'
import { defineProvider } from './define-provider.js'
import { OPENAI_ID } from './ids.js'
import { readOpenAIBatch } from './openai-shape.js'
import { get, post } from './requests.js'
import { createSigner } from './sigv4.js'

interface BedrockOpenAIPlace {
  /** Empty if nothing needs it. */
  readonly region: string
}

/**
 * Batches that were created by OpenAI's API at Amazon Bedrock, whose ids `bedrock` does not know. A Bedrock API key is
 * sent as Bearer. AWS keys need the optional packages `@smithy/signature-v4` and `@smithy/hash-node`.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const bedrockOpenAI = defineProvider({
  name: 'bedrock-openai',
  factory: 'bedrockOpenAI',
  source: { document: 'docs.aws.amazon.com/bedrock/latest/userguide/inference-openai-batch.html' },
  baseUrl: ({ region }: BedrockOpenAIPlace) =>
    `https://bedrock-runtime.${region}.${partitionOf(region).suffix}/openai/v1`,
  domains: awsDomains('bedrock-runtime'),
  // The name with which AWS's own client for this host signs: @aws-sdk/client-bedrock-runtime 3.1164.0.
  auth: awsAuth({ factory: 'bedrockOpenAI', service: 'bedrock', sign: createSigner() }),
  id: OPENAI_ID,
  place (input, options: AwsOptions): BedrockOpenAIPlace {
    refuseRole(input.headers)
    return { region: requiredRegion(input, options) }
  },
  cancel: post('/batches/{id}/cancel'),
  retrieve: get('/batches/{id}'),
  headers: AWS_HEADERS,
  accountHeaders: AWS_ACCOUNT_HEADERS,
  options: awsOptionRules(),
  conflict: options => credentialsConflict(options) ?? regionConflict(options),
  pins: ({ region }) => ({ [REGION_HEADER]: region }),
  errorCode: awsErrorCode,
  read: readOpenAIBatch
})
