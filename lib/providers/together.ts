import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { isObject } from '../is-object.js'
import { bearerToken, checkProviderOptions, type Place, type Provider, type ProviderOptions } from './provider.js'
import { endTimestamp, batchErrors, unixSeconds, stringOrNull } from './parse-fields.js'

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
    reservedHeaders: ['authorization'],
    locate: () => PLACE,
    clientCredential: bearerToken,
    request (action, { base, batchId, credential }) {
      const batch = `${base.path}/batches/${encodeURIComponent(batchId)}`
      const headers = { authorization: `Bearer ${credential}` }
      return action === 'retrieve' ? { method: 'GET', path: batch, headers } : { method: 'POST', path: `${batch}/cancel`, headers }
    },
    batchIdOf: ({ id }) => id,
    batch: (body, { batchId }) => toBatch(body, batchId)
  }
}

/** Together counts no requests: its `progress` is a share of them, not a number. */
function toBatch (body: unknown, batchId: string): Batch | undefined {
  if (!isObject(body)) return undefined
  const status = STATUSES.get(body['status'])
  if (status === undefined) return undefined
  return completeBatch({
    id: batchId,
    endpoint: stringOrNull(body['endpoint']) ?? '',
    model: stringOrNull(body['model_id']),
    errors: batchErrors(body['error']),
    input_file_id: stringOrNull(body['input_file_id']) ?? '',
    status,
    output_file_id: stringOrNull(body['output_file_id']),
    error_file_id: stringOrNull(body['error_file_id']),
    created_at: unixSeconds(body['created_at']) ?? 0,
    expires_at: unixSeconds(body['job_deadline']),
    ...endTimestamp(status, body['completed_at']),
    provider_batch: body
  })
}
