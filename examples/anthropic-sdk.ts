// Anthropic's SDK as the forwarder: its message batches, in the shape of OpenAI's batches.

import Anthropic from '@anthropic-ai/sdk'
import Fastify from 'fastify'
import batchCancel, {
  completeBatch, endTimestamp, unixSeconds, type Batch, type BatchForwarder
} from 'fastify-batch-cancel'

type MessageBatch = Anthropic.Messages.MessageBatch

// The engine retries and reads the batch in between, so the SDK must not retry by itself. The key is read from
// ANTHROPIC_API_KEY, the address from ANTHROPIC_BASE_URL.
const client = new Anthropic({ maxRetries: 0 })

function statusOf (batch: MessageBatch): Batch['status'] {
  if (batch.processing_status === 'canceling') return 'cancelling'
  if (batch.processing_status === 'in_progress') return 'in_progress'
  // It has ended, and only its counts say how.
  const { succeeded, errored, canceled, expired } = batch.request_counts
  if (canceled > 0 && batch.cancel_initiated_at !== null) return 'cancelled'
  return expired > 0 && succeeded + errored === 0 ? 'expired' : 'completed'
}

function countsOf ({ processing, succeeded, errored, canceled, expired }: MessageBatch['request_counts']) {
  const total = processing + succeeded + errored + canceled + expired
  return { total, completed: succeeded, failed: errored + expired }
}

function toBatch (batch: MessageBatch): Batch {
  const status = statusOf(batch)
  return completeBatch({
    id: batch.id,
    status,
    endpoint: '/v1/messages',
    completion_window: '24h',
    created_at: unixSeconds(batch.created_at) ?? 0,
    in_progress_at: unixSeconds(batch.created_at),
    expires_at: unixSeconds(batch.expires_at),
    cancelling_at: unixSeconds(batch.cancel_initiated_at),
    ...endTimestamp(status, batch.ended_at),
    request_counts: countsOf(batch.request_counts),
    // The results are fetched by the id of the batch: client.messages.batches.results(id).
    output_file_id: batch.results_url === null ? null : batch.id,
    provider_batch: { ...batch }
  })
}

const forward: BatchForwarder = {
  async cancel ({ batchId, signal }) {
    const { data, response } = await client.messages.batches.cancel(batchId, {}, { signal }).withResponse()
    // The headers for rate limits and the request id reach the client.
    return { batch: toBatch(data), headers: response.headers }
  },
  retrieve: async ({ batchId, signal }) => toBatch(await client.messages.batches.retrieve(batchId, {}, { signal })),
  // One account, so reads of the same id are the same.
  shareKey: ({ batchId }) => batchId
}

export const app = Fastify()
await app.register(batchCancel, { defaultProvider: 'anthropic', forward, retrieve: true })
await app.listen({ port: Number(process.env['PORT'] ?? 3000) })
