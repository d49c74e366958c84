import { isObject } from '../is-object.js'
import { toBatch } from './openai.js'
import { bearerToken, checkProviderOptions, type Base, type Provider, type ProviderOptions } from './provider.js'

const PLACE = { base: { origin: 'https://inference.do-ai.run', path: '/v1' } as Base }

/**
 * DigitalOcean's batch inference. Its batch has `batch_id`, ISO dates and a bare list of errors. It refuses with a
 * 409 not only a batch that ended but also one that it has not submitted yet: that one goes out as it came, and is
 * worth another try.
 *
 * Takes `baseUrl` (default `https://inference.do-ai.run/v1`) and `apiKey`, a model access key (default: the client's
 * `Authorization`); throws `FST_BATCH_CANCEL_INVALID_OPTION` when one cannot work. Source: the official npm package
 * @digitalocean/dots 1.19.0, which sends JSON's content type with every request.
 */
export function digitalocean (options: ProviderOptions = {}): Provider<string> {
  checkProviderOptions('digitalocean', options)
  return {
    baseUrl: options.baseUrl,
    serverCredential: options.apiKey,
    id: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
    reservedHeaders: ['authorization', 'content-type'],
    locate: () => PLACE,
    clientCredential: bearerToken,
    request (action, { base, batchId, credential }) {
      const batch = `${base.path}/batches/${batchId}`
      const headers = { authorization: `Bearer ${credential}`, 'content-type': 'application/json' }
      return action === 'cancel' ? { method: 'POST', path: `${batch}/cancel`, headers } : { method: 'GET', path: batch, headers }
    },
    batchIdOf: ({ batch_id: id }) => id,
    batch: (body, { batchId }) => isObject(body) && typeof body['batch_id'] === 'string' ? toBatch(body, batchId) : undefined
  }
}
