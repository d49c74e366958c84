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
export { completeBatch } from './batch/complete-batch.js'
export type { Batch, BatchCall, BatchForwarder, BatchResult, ProviderTraits, RawJson } from './forwarder/types.js'
export type { HeadersLike, ResponseHeaders } from './headers.js'
export {
  BatchCancelError, ERROR_STATUS, FST_BATCH_CANCEL_CLOSED, FST_BATCH_CANCEL_INVALID_OPTION, ProviderError,
  type BatchCancelErrorOptions, type ErrorCode, type ErrorDetails, type FailureOutcome
} from './errors.js'
export { CALL_CHANNEL, type CallReport } from './diagnostics.js'
export { forwardToProviders, type ForwardOptions } from './providers/forward.js'
export { builtIn, providerFactories } from './providers/registry.js'
export { anthropic, type AnthropicCredential } from './providers/anthropic.js'
export { azureAI, azureOpenAI, type AzureCredential, type AzureOptions } from './providers/azure.js'
export { bedrock, type BedrockOptions } from './providers/bedrock.js'
export { cohere } from './providers/cohere.js'
export { digitalocean } from './providers/digitalocean.js'
export { google } from './providers/google.js'
export { mistral } from './providers/mistral.js'
export { novita } from './providers/novita.js'
export { openai } from './providers/openai.js'
export type {
  Place,
  Provider,
  ProviderOptions,
  UnsupportedProvider,
  Resolvable,
  Target,
  UpstreamRequest
} from './providers/provider.js'
export { together } from './providers/together.js'
export { vertex, type VertexOptions } from './providers/vertex.js'
export { watsonx, type WatsonxOptions } from './providers/watsonx.js'
export { xai } from './providers/xai.js'
