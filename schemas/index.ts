/**
 * The TypeBox schemas of the routes, with their static types.
 *
 * @module fastify-batch-cancel/schemas
 */

export {
  Batch, BATCH_STATUSES, BatchError, BatchRequestCounts, CANCELLED_STATUSES, isBatch, type BatchStatus
} from './batch.js'
export { CancelHeaders, cancelBatchSchema } from './cancel.js'
export { ErrorResponse } from './error.js'
export { BatchParams, headerReaders, RequestHeaders, type BatchSchemaOptions, type HeaderSchemas } from './request.js'
export { NAMED_SCHEMAS, type ResponseSchema } from './responses.js'
export { retrieveBatchSchema } from './retrieve.js'
