import { isBatch, type BatchStatus } from '../../schemas/batch.js'
import { batchIdOf, toBatch } from './openai.js'
import { bearerToken, checkProviderOptions, type Base, type Provider, type ProviderOptions } from './provider.js'

const PLACE = { base: { origin: 'https://api.novita.ai', path: '/openai/v1' } as Base }

/** Beside OpenAI's own, which it tells in capitals. */
const STATUSES: Readonly<Record<string, BatchStatus>> = { progress: 'in_progress' }

/**
 * Novita's LLM batches. They look like OpenAI's, but the statuses are in capitals, the times and the errors are strings.
 *
 * Takes `baseUrl` (default `https://api.novita.ai/openai/v1`) and `apiKey` (default: the client's `Authorization`);
 * throws `FST_BATCH_CANCEL_INVALID_OPTION` when one cannot work. Source: Novita's API reference, "Cancel batch" and
 * "Retrieve batch", which asks for JSON's content type on both.
 */
export function novita (options: ProviderOptions = {}): Provider<string> {
  checkProviderOptions('novita', options)
  return {
    baseUrl: options.baseUrl,
    serverCredential: options.apiKey,
    id: /^[A-Za-z0-9][\w.-]{0,254}$/,
    reservedHeaders: ['authorization', 'content-type'],
    locate: () => PLACE,
    clientCredential: bearerToken,
    request (action, { base, batchId, credential }) {
      const batch = `${base.path}/batches/${encodeURIComponent(batchId)}`
      const headers = { authorization: `Bearer ${credential}`, 'content-type': 'application/json' }
      return action === 'cancel' ? { method: 'POST', path: `${batch}/cancel`, headers } : { method: 'GET', path: batch, headers }
    },
    batchIdOf,
    batch: (body, { batchId }) => isBatch(body) ? body : toBatch(body, batchId, STATUSES)
  }
}
