// Many tenants: each has a key of its own, and nobody cancels, or learns of, the batches of another one.

import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai, ProviderError } from 'fastify-batch-cancel'

const baseUrl = process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'

// In a real app: a database and a vault.
const tenants = new Map([
  ['ann', { apiKey: 'sk-ann', batches: new Set(['batch_abc123', 'batch_completed']) }],
  ['bob', { apiKey: 'sk-bob', batches: new Set(['batch_in_progress']) }]
])

async function identify (request) {
  request.tenant = tenants.get(request.headers['x-tenant'])
  if (request.tenant === undefined) throw Object.assign(new Error('Unknown tenant.'), { statusCode: 401 })
}

export const app = Fastify()
app.decorateRequest('tenant', null)
await app.register(batchCancel, {
  defaultProvider: 'openai',
  forward: forwardToProviders({
    providers: { openai: openai({ apiKey: ({ request }) => request.tenant.apiKey, baseUrl }) }
  }),
  portkeyConfig: false,
  allow ({ batchId, request }) {
    if (request.tenant.batches.has(batchId)) return
    // As if the batch did not exist: a 403 would reveal that it does.
    throw new ProviderError(404, { message: `No batch found with id '${batchId}'.`, code: 'batch_not_found' })
  },
  routeOptions: { onRequest: identify }
})
await app.listen({ port: Number(process.env.PORT ?? 3000) })
