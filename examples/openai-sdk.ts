// OpenAI's SDK as the forwarder: its proxy settings, its fetch, its types.

import Fastify from 'fastify'
import batchCancel, { type BatchForwarder } from 'fastify-batch-cancel'
import OpenAI from 'openai'

// The engine retries and reads the batch in between, so the SDK must not retry by itself. The key is read from
// OPENAI_API_KEY, the address from OPENAI_BASE_URL.
const client = new OpenAI({ maxRetries: 0 })

const forward: BatchForwarder = {
  async cancel ({ batchId, signal }) {
    const { data, response } = await client.batches.cancel(batchId, { signal }).withResponse()
    // The headers for rate limits and the request id reach the client.
    return { batch: data, headers: response.headers }
  },
  retrieve: async ({ batchId, signal }) => await client.batches.retrieve(batchId, { signal }),
  // One account, so reads of the same id are the same.
  shareKey: ({ batchId }) => batchId
}

export const app = Fastify()
await app.register(batchCancel, { defaultProvider: 'openai', forward, retrieve: true })
await app.listen({ port: Number(process.env['PORT'] ?? 3000) })
