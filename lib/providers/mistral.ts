import { bearer } from './auth.js'
import { defineProvider } from './define-provider.js'
import { UUID_ID } from './ids.js'
import {
  batchErrors, endTimestamp, metadataOrNull, requestCounts, stringOrNull, unixSeconds
} from './parse-fields.js'
import { get, post } from './requests.js'

/** Mistral's batch jobs. @throws FST_BATCH_CANCEL_INVALID_OPTION */
export const mistral = defineProvider({
  name: 'mistral-ai',
  factory: 'mistral',
  source: {
    package: '@mistralai/mistralai',
    version: '2.7.0',
    document: 'mistralai/platform-docs-public 222f4ba, public/openapi.yaml'
  },
  baseUrl: 'https://api.mistral.ai/v1',
  auth: bearer(),
  id: UUID_ID,
  cancel: post('/batch/jobs/{id}/cancel'),
  retrieve: get('/batch/jobs/{id}'),
  statuses: {
    QUEUED: 'validating',
    RUNNING: 'in_progress',
    SUCCESS: 'completed',
    FAILED: 'failed',
    TIMEOUT_EXCEEDED: 'expired',
    CANCELLATION_REQUESTED: 'cancelling',
    CANCELLED: 'cancelled'
  },
  fields: (job, { status }) => Object.assign({
    endpoint: stringOrNull(job['endpoint']) ?? '',
    model: stringOrNull(job['model']),
    // A job that succeeded lists the errors of its requests there, too.
    errors: status === 'failed' ? batchErrors(job['errors']) : null,
    input_file_id: Array.isArray(job['input_files']) ? stringOrNull(job['input_files'][0]) ?? '' : '',
    output_file_id: stringOrNull(job['output_file']),
    error_file_id: stringOrNull(job['error_file']),
    created_at: unixSeconds(job['created_at']) ?? 0,
    in_progress_at: unixSeconds(job['started_at']),
    // `completed_requests` counts those that failed, too.
    request_counts: requestCounts(job['total_requests'], job['succeeded_requests'], job['failed_requests']),
    metadata: metadataOrNull(job['metadata'])
  }, endTimestamp(status, job['completed_at']))
})
