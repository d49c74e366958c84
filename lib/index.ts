import { fastifyBatchCancel } from './plugin.js'

export { fastifyBatchCancel }
export default fastifyBatchCancel

export type { BatchCancelRouteOptions, FastifyBatchCancelOptions } from './options.js'
export type { Batch, BatchAnswer, BatchCall, BatchForwarder, ProviderTraits } from './forwarder.js'
export { BatchCancelError, ERROR_STATUS, FST_BATCH_CANCEL_INVALID_OPTION, ProviderError, type ErrorCode, type ErrorDetails } from './errors.js'
export { forwardToProviders, type ForwardOptions } from './providers/forward.js'
export { builtIn, providerFactories } from './providers/index.js'
export { openai } from './providers/openai.js'
export type { Provider, ProviderOptions, Refusal, Setting } from './providers/provider.js'
