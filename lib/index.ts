/**
 * The plugin, the canceller, and the forwarder to providers.
 *
 * @module fastify-batch-cancel
 */

import { fastifyBatchCancel } from './plugin.js'

export { fastifyBatchCancel }
export default fastifyBatchCancel

export type { BatchCancelRouteOptions, FastifyBatchCancelOptions } from './options.js'
export {
  createBatchCanceller, type BatchCanceller, type BatchCancellerOptions, type CallOptions, type CallResult
} from './cancel/canceller.js'
export type { CallLog } from './cancel/operation.js'
export type { BatchSource } from './cancel/batch-state.js'
export { redactError, type RedactedError } from './redact.js'
export type { Rule } from './check-options.js'
export { completeBatch } from './batch/complete-batch.js'
export type { DefaultProvider, UnresolvedCall } from './forwarder/default-provider.js'
export type { Batch, BatchCall, BatchForwarder, BatchResult, ProviderTraits, RawJson } from './forwarder/types.js'
export type { HeadersLike, ResponseHeaders } from './headers.js'
export {
  BatchCancelError, ERROR_STATUS, FST_BATCH_CANCEL_CLOSED, FST_BATCH_CANCEL_INVALID_OPTION, ProviderError,
  type BatchCancelErrorOptions, type ErrorCode, type ErrorDetails, type FailureOutcome
} from './errors.js'
export {
  CALL_CHANNEL, type CallEnd, type CallMessage, type CallOperation, type CallReport, type CallStart, type PublishedError
} from './diagnostics.js'
export { forwardToProviders } from './providers/forward.js'
export type { ForwardOptions } from './providers/forward-options.js'
export { builtIn, providerFactories } from './providers/registry.js'
export { defineProvider } from './providers/define-provider.js'
export type {
  CustomRead, FieldContext, MappedBatch, OptionConflict, PlaceInput,
  ProviderBasics, ProviderDefinition, ProviderFactory
} from './providers/definition.js'
export { openaiCompatible, type OpenAICompatibleDefinition } from './providers/openai-compatible.js'
export { bearer, bearerToken, headerKey, type Auth } from './providers/auth.js'
export { del, get, post, withHeaders, type RequestTemplate } from './providers/requests.js'
export { OPENAI_ID, SEGMENT_ID, UUID_ID, type IdGrammar } from './providers/ids.js'
export {
  batchErrors, endTimestamp, isEmptyBody, isEmptyObject, metadataOrNull, requestCounts, stringOrNull, unixSeconds
} from './providers/parse-fields.js'
export {
  ACCEPTED, UNRECOGNIZED, type Action, type Base, type BatchRead, type Located, type LocateInput, type Provider,
  type ProviderOptions, type ReadContext, type ReadResult, type Resolvable, type SendRequest, type SentResponse,
  type Source, type Target, type UnsignedRequest, type UnsupportedProvider, type UpstreamRequest
} from './providers/provider.js'
export { anthropic, type AnthropicCredential } from './providers/anthropic.js'
export type { AwsCredential, AwsOptions } from './providers/aws.js'
export { azureAI, azureOpenAI, type AzureCredential, type AzureOptions } from './providers/azure.js'
export { bedrockOpenAI } from './providers/bedrock-openai.js'
export { bedrock, type BedrockCredential, type BedrockOptions } from './providers/bedrock.js'
export { claudePlatformAWS, type ClaudePlatformAWSOptions } from './providers/claude-platform-aws.js'
export { cohere } from './providers/cohere.js'
export * from './providers/compatible.js'
export { databricks, type DatabricksOptions } from './providers/databricks.js'
export { google } from './providers/google.js'
export type { ServiceAccount } from './providers/google-token.js'
export { mistral } from './providers/mistral.js'
export type { AwsKeys } from './providers/sigv4.js'
export { together } from './providers/together.js'
export { vertex, type ServiceAccountKey, type VertexCredential, type VertexOptions } from './providers/vertex.js'
export { watsonx, type WatsonxOptions } from './providers/watsonx.js'
export { xai } from './providers/xai.js'
