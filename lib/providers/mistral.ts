import { BatchMetadata, BatchRequestCounts, type Batch, type BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { isObject } from '../is-object.js'
import { bearerToken, checkProviderOptions, type Place, type Provider, type ProviderOptions } from './provider.js'
import { valueOrNull, endTimestamp, batchErrors, unixSeconds, stringOrNull } from './parse-fields.js'

const PLACE: Place = { base: { origin: 'https://api.mistral.ai', path: '/v1' } }

const STATUSES: ReadonlyMap<unknown, BatchStatus> = new Map<unknown, BatchStatus>([
  ['QUEUED', 'validating'],
  ['RUNNING', 'in_progress'],
  ['SUCCESS', 'completed'],
  ['FAILED', 'failed'],
  ['TIMEOUT_EXCEEDED', 'expired'],
  ['CANCELLATION_REQUESTED', 'cancelling'],
  ['CANCELLED', 'cancelled']
])

/**
 * Mistral's batch jobs. A `baseUrl` stands in for `https://api.mistral.ai/v1`.
 *
 * Throws `FST_BATCH_CANCEL_INVALID_OPTION` when an option cannot work. Sources: the npm package
 * @mistralai/mistralai and the OpenAPI document of Mistral's documentation.
 */
export function mistral (options: ProviderOptions = {}): Provider<string> {
  checkProviderOptions('mistral', options)
  return {
    baseUrl: options.baseUrl,
    serverCredential: options.apiKey,
    id: /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/,
    reservedHeaders: ['authorization'],
    locate: () => PLACE,
    clientCredential: bearerToken,
    request (action, { base, batchId, credential }) {
      const job = `${base.path}/batch/jobs/${encodeURIComponent(batchId)}`
      const headers = { authorization: `Bearer ${credential}` }
      return action === 'retrieve' ? { method: 'GET', path: job, headers } : { method: 'POST', path: `${job}/cancel`, headers }
    },
    batchIdOf: ({ id }) => id,
    batch: (body, { batchId }) => toBatch(body, batchId)
  }
}

/** A job says `object: "batch"` and has little else of OpenAI's. */
function toBatch (body: unknown, batchId: string): Batch | undefined {
  if (!isObject(body)) return undefined
  const status = STATUSES.get(body['status'])
  if (status === undefined) return undefined
  const counts = { total: body['total_requests'], completed: body['succeeded_requests'], failed: body['failed_requests'] }
  return completeBatch({
    id: batchId,
    endpoint: stringOrNull(body['endpoint']) ?? '',
    model: stringOrNull(body['model']),
    // A job that succeeded lists the errors of its requests there, too.
    errors: status === 'failed' ? batchErrors(body['errors']) : null,
    input_file_id: Array.isArray(body['input_files']) ? stringOrNull(body['input_files'][0]) ?? '' : '',
    status,
    output_file_id: stringOrNull(body['output_file']),
    error_file_id: stringOrNull(body['error_file']),
    created_at: unixSeconds(body['created_at']) ?? 0,
    in_progress_at: unixSeconds(body['started_at']),
    ...endTimestamp(status, body['completed_at']),
    request_counts: valueOrNull(BatchRequestCounts, counts),
    metadata: valueOrNull(BatchMetadata, body['metadata']),
    provider_batch: body
  })
}
