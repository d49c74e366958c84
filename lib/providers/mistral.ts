import { BatchMetadata, BatchRequestCounts, type Batch, type BatchStatus } from '../../schemas/batch.js'
import { wholeBatch } from '../batch.js'
import { isObject } from '../error-shape.js'
import { bearerToken, checkProviderOptions, type Place, type Provider, type ProviderOptions } from './provider.js'
import { toldAs, toldEnd, toldErrors, toldSeconds, toldString } from './told.js'

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
    ownHeaders: ['authorization'],
    locate: () => PLACE,
    clientCredential: bearerToken,
    request (action, { base, batchId, credential }) {
      const job = `${base.path}/batch/jobs/${encodeURIComponent(batchId)}`
      const headers = { authorization: `Bearer ${credential}` }
      return action === 'retrieve' ? { method: 'GET', path: job, headers } : { method: 'POST', path: `${job}/cancel`, headers }
    },
    idIn: ({ id }) => id,
    batch: (body, { batchId }) => toBatch(body, batchId)
  }
}

/** A job says `object: "batch"` and has little else of OpenAI's. */
function toBatch (body: unknown, batchId: string): Batch | undefined {
  if (!isObject(body)) return undefined
  const status = STATUSES.get(body['status'])
  if (status === undefined) return undefined
  const counts = { total: body['total_requests'], completed: body['succeeded_requests'], failed: body['failed_requests'] }
  return wholeBatch({
    id: batchId,
    endpoint: toldString(body['endpoint']) ?? '',
    model: toldString(body['model']),
    // A job that succeeded lists the errors of its requests there, too.
    errors: status === 'failed' ? toldErrors(body['errors']) : null,
    input_file_id: Array.isArray(body['input_files']) ? toldString(body['input_files'][0]) ?? '' : '',
    status,
    output_file_id: toldString(body['output_file']),
    error_file_id: toldString(body['error_file']),
    created_at: toldSeconds(body['created_at']) ?? 0,
    in_progress_at: toldSeconds(body['started_at']),
    ...toldEnd(status, body['completed_at']),
    request_counts: toldAs(BatchRequestCounts, counts),
    metadata: toldAs(BatchMetadata, body['metadata']),
    provider_batch: body
  })
}
