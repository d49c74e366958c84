import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { wholeBatch } from '../batch.js'
import { isObject } from '../error-shape.js'
import { bearerToken, checkProviderOptions, type Place, type Provider, type ProviderOptions } from './provider.js'
import { toldEnd, toldErrors, toldSeconds, toldString } from './told.js'

const PLACE: Place = { base: { origin: 'https://api.together.ai', path: '/v1' } }

const STATUSES: ReadonlyMap<unknown, BatchStatus> = new Map<unknown, BatchStatus>([
  ['VALIDATING', 'validating'],
  ['IN_PROGRESS', 'in_progress'],
  ['COMPLETED', 'completed'],
  ['FAILED', 'failed'],
  ['EXPIRED', 'expired'],
  // In no document, but what a cancel and the reads after it show.
  ['CANCELING', 'cancelling'],
  ['CANCELLED', 'cancelled']
])

/**
 * Together AI. A `baseUrl` stands in for `https://api.together.ai/v1`.
 *
 * Throws `FST_BATCH_CANCEL_INVALID_OPTION` when an option cannot work. Sources: the npm package together-ai and
 * Together's OpenAPI document; captured answers for the status `CANCELING`.
 */
export function together (options: ProviderOptions = {}): Provider<string> {
  checkProviderOptions('together', options)
  return {
    baseUrl: options.baseUrl,
    serverCredential: options.apiKey,
    ownHeaders: ['authorization'],
    locate: () => PLACE,
    clientCredential: bearerToken,
    request (action, { base, batchId, credential }) {
      const batch = `${base.path}/batches/${encodeURIComponent(batchId)}`
      const headers = { authorization: `Bearer ${credential}` }
      return action === 'retrieve' ? { method: 'GET', path: batch, headers } : { method: 'POST', path: `${batch}/cancel`, headers }
    },
    idIn: ({ id }) => id,
    batch: (body, { batchId }) => toBatch(body, batchId)
  }
}

/** Together counts no requests: its `progress` is a share of them, not a number. */
function toBatch (body: unknown, batchId: string): Batch | undefined {
  if (!isObject(body)) return undefined
  const status = STATUSES.get(body['status'])
  if (status === undefined) return undefined
  return wholeBatch({
    id: batchId,
    endpoint: toldString(body['endpoint']) ?? '',
    model: toldString(body['model_id']),
    errors: toldErrors(body['error']),
    input_file_id: toldString(body['input_file_id']) ?? '',
    status,
    output_file_id: toldString(body['output_file_id']),
    error_file_id: toldString(body['error_file_id']),
    created_at: toldSeconds(body['created_at']) ?? 0,
    expires_at: toldSeconds(body['job_deadline']),
    ...toldEnd(status, body['completed_at']),
    provider_batch: body
  })
}
