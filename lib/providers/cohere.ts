import { bearer } from './auth.js'
import { defineProvider } from './define-provider.js'
import { SEGMENT_ID } from './ids.js'
import { batchErrors, isEmptyObject, requestCounts, stringOrNull, unixSeconds } from './parse-fields.js'
import { get, post } from './requests.js'

/**
 * Cohere's Batch API v2 (not its older embed jobs). Its datasets stand for the files of a batch. A cancel returns `{}`,
 * so the batch is read after it. A base URL starts before `/v2`.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const cohere = defineProvider({
  name: 'cohere',
  source: { package: 'cohere-ai', version: '8.1.0', document: 'docs.cohere.com/reference/cancel-batch' },
  baseUrl: 'https://api.cohere.com',
  auth: bearer(),
  id: SEGMENT_ID,
  cancel: post('/v2/batches/{id}:cancel'),
  retrieve: get('/v2/batches/{id}'),
  accepts: isEmptyObject,
  member: 'batch',
  // No batch of Cohere expires.
  statuses: {
    BATCH_STATUS_UNSPECIFIED: 'validating',
    BATCH_STATUS_QUEUED: 'validating',
    BATCH_STATUS_IN_PROGRESS: 'in_progress',
    BATCH_STATUS_CANCELING: 'cancelling',
    BATCH_STATUS_COMPLETED: 'completed',
    BATCH_STATUS_FAILED: 'failed',
    BATCH_STATUS_CANCELED: 'cancelled'
  },
  fields: (batch, { status }) => ({
    model: stringOrNull(batch['model']),
    // The reason of any other status is not an error.
    errors: status === 'failed' ? batchErrors(batch['status_reason']) : null,
    input_file_id: stringOrNull(batch['input_dataset_id']) ?? '',
    output_file_id: stringOrNull(batch['output_dataset_id']),
    created_at: unixSeconds(batch['created_at']) ?? 0,
    request_counts: requestCounts(
      batch['num_records'], batch['num_successful_records'], batch['num_failed_records']
    )
  })
})
