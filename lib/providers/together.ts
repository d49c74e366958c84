import { bearer } from './auth.js'
import { defineProvider } from './define-provider.js'
import { SEGMENT_ID } from './ids.js'
import { batchErrors, endTimestamp, stringOrNull, unixSeconds } from './parse-fields.js'
import { get, post } from './requests.js'

/** Together AI. @throws FST_BATCH_CANCEL_INVALID_OPTION */
export const together = defineProvider({
  name: 'together-ai',
  factory: 'together',
  source: {
    package: 'together-ai',
    version: '0.52.0',
    document: 'togethercomputer/openapi 090263a; recorded responses of OpenRouterTeam/docs'
  },
  baseUrl: 'https://api.together.ai/v1',
  auth: bearer(),
  id: SEGMENT_ID,
  cancel: post('/batches/{id}/cancel'),
  retrieve: get('/batches/{id}'),
  statuses: {
    VALIDATING: 'validating',
    IN_PROGRESS: 'in_progress',
    COMPLETED: 'completed',
    FAILED: 'failed',
    EXPIRED: 'expired',
    // Not documented, but what a cancel and the reads after it return.
    CANCELING: 'cancelling',
    CANCELLED: 'cancelled'
  },
  // It does not count requests: `progress` is a share of them, not a number.
  fields: (job, { status }) => Object.assign({
    endpoint: stringOrNull(job['endpoint']) ?? '',
    model: stringOrNull(job['model_id']),
    errors: batchErrors(job['error']),
    input_file_id: stringOrNull(job['input_file_id']) ?? '',
    output_file_id: stringOrNull(job['output_file_id']),
    error_file_id: stringOrNull(job['error_file_id']),
    created_at: unixSeconds(job['created_at']) ?? 0,
    expires_at: unixSeconds(job['job_deadline'])
  }, endTimestamp(status, job['completed_at']))
})
