import { BatchRequestCounts, type Batch, type BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { isObject } from '../is-object.js'
import { bearerToken, checkProviderOptions, type Base, type Provider, type ProviderOptions } from './provider.js'
import { valueOrNull, batchErrors, unixSeconds, stringOrNull } from './parse-fields.js'

const PLACE = { base: { origin: 'https://api.cohere.com', path: '' } as Base }

/** No batch of Cohere expires. */
const STATUSES: Readonly<Record<string, BatchStatus>> = {
  BATCH_STATUS_UNSPECIFIED: 'validating',
  BATCH_STATUS_QUEUED: 'validating',
  BATCH_STATUS_IN_PROGRESS: 'in_progress',
  BATCH_STATUS_CANCELING: 'cancelling',
  BATCH_STATUS_COMPLETED: 'completed',
  BATCH_STATUS_FAILED: 'failed',
  BATCH_STATUS_CANCELED: 'cancelled'
}

/**
 * Cohere's Batch API v2 (not its older embed jobs). Its datasets stand as the files of the batch; the cancel answers
 * `{}`, so the batch is read after it. A base URL starts before `/v2`.
 *
 * Takes `baseUrl` (default `https://api.cohere.com`) and `apiKey` (default: the client's `Authorization`); throws
 * `FST_BATCH_CANCEL_INVALID_OPTION` when one cannot work. Source: the official npm package cohere-ai 8.1.0.
 */
export function cohere (options: ProviderOptions = {}): Provider<string> {
  checkProviderOptions('cohere', options)
  return {
    baseUrl: options.baseUrl,
    serverCredential: options.apiKey,
    id: /^[A-Za-z0-9][\w.-]{0,254}$/,
    reservedHeaders: ['authorization'],
    locate: () => PLACE,
    clientCredential: bearerToken,
    request (action, { base, batchId, credential }) {
      const batch = `${base.path}/v2/batches/${encodeURIComponent(batchId)}`
      const headers = { authorization: `Bearer ${credential}` }
      return action === 'cancel' ? { method: 'POST', path: `${batch}:cancel`, headers } : { method: 'GET', path: batch, headers }
    },
    batchIdOf: ({ batch }) => isObject(batch) ? batch['id'] : undefined,
    batch (body, { batchId }, action) {
      if (!isObject(body)) return undefined
      if (action === 'cancel' && Object.keys(body).length === 0) return null
      return toBatch(body['batch'], batchId)
    }
  }
}

function toBatch (told: unknown, batchId: string): Batch | undefined {
  if (!isObject(told)) return undefined
  const status = Object.hasOwn(STATUSES, String(told['status'])) ? STATUSES[String(told['status'])] : undefined
  if (status === undefined) return undefined
  return completeBatch({
    id: batchId,
    model: stringOrNull(told['model']),
    // The reason of any other status is no error.
    errors: status === 'failed' ? batchErrors(told['status_reason']) : null,
    input_file_id: stringOrNull(told['input_dataset_id']) ?? '',
    status,
    output_file_id: stringOrNull(told['output_dataset_id']),
    created_at: unixSeconds(told['created_at']) ?? 0,
    request_counts: valueOrNull(BatchRequestCounts, { total: told['num_records'], completed: told['num_successful_records'], failed: told['num_failed_records'] }),
    provider_batch: told
  })
}
