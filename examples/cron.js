// A job that cancels batches which run for too long, and waits for their partial results. Start it with cron.

import OpenAI from 'openai'
import { BatchCancelError, createBatchCanceller, forwardToProviders, openai, ProviderError } from 'fastify-batch-cancel'

const baseUrl = process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'

const MAX_AGE_SECONDS = 12 * 60 * 60
const LIVE = new Set(['validating', 'in_progress', 'finalizing'])

const client = new OpenAI()
const canceller = createBatchCanceller({
  forward: forwardToProviders({
    providers: { openai: openai({ apiKey: process.env.OPENAI_API_KEY, baseUrl }) }
  })
})

const isOverdue = ({ status, created_at: created }) => LIVE.has(status) && Date.now() / 1000 - created > MAX_AGE_SECONDS

async function cancel (batchId) {
  try {
    const { batch } = await canceller.cancel({ provider: 'openai', batchId, wait: 60_000, log: console })
    return { batchId, status: batch.status, output: batch.output_file_id }
  } catch (error) {
    // A 409 has the batch: it ended in the meantime, and its results are there.
    if (error instanceof BatchCancelError) return { batchId, error: error.code, output: error.batch?.output_file_id }
    if (error instanceof ProviderError) return { batchId, error: error.message }
    throw error
  }
}

export const report = []
for await (const batch of client.batches.list({ limit: 100 })) {
  if (isOverdue(batch)) report.push(await cancel(batch.id))
}
await canceller.close()
console.error(report)
