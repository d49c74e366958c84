export { Batch, BATCH_STATUSES, BatchError, BatchRequestCounts, CANCELLED_STATUSES, isBatch, type BatchStatus } from './batch.js'
export { CancelHeaders, CancelParams, cancelBatchSchema, NAMED_SCHEMAS, type CancelSchemaOptions } from './cancel.js'
export { ErrorResponse } from './error.js'
