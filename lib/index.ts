import { fastifyBatchCancel } from './plugin.js'

export { fastifyBatchCancel }
export default fastifyBatchCancel

export type { BatchCancelRouteOptions, FastifyBatchCancelOptions } from './options.js'
export type { Batch, BatchAnswer, BatchCall, BatchForwarder, ProviderTraits } from './forwarder.js'
export { BatchCancelError, ERROR_STATUS, FST_BATCH_CANCEL_INVALID_OPTION, ProviderError, type ErrorCode, type ErrorDetails } from './errors.js'
export { forwardToProviders, type ForwardOptions } from './providers/forward.js'
export { builtIn, providerFactories } from './providers/index.js'
export { anthropic, type AnthropicCredential } from './providers/anthropic.js'
export { azureAI, azureOpenAI, type AzureCredential, type AzureOptions } from './providers/azure.js'
export { bedrock, type BedrockOptions } from './providers/bedrock.js'
export { cohere } from './providers/cohere.js'
export { digitalocean } from './providers/digitalocean.js'
export { google } from './providers/google.js'
export { mistral } from './providers/mistral.js'
export { novita } from './providers/novita.js'
export { openai } from './providers/openai.js'
export type { Place, Provider, ProviderOptions, Refusal, Setting, Target, UpstreamRequest } from './providers/provider.js'
export { together } from './providers/together.js'
export { vertex, type VertexOptions } from './providers/vertex.js'
export { watsonx, type WatsonxOptions } from './providers/watsonx.js'
export { xai } from './providers/xai.js'
