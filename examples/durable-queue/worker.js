// Takes jobs from the queue, cancels each batch, and reports it once it is terminal. Start as many as you like.

import { UnrecoverableError, Worker } from 'bullmq'
import {
  BatchCancelError, createBatchCanceller, forwardToProviders, openai, providerFactories
} from 'fastify-batch-cancel'
import { QUEUE_NAME, REDIS_URL } from './queue.js'

const { OPENAI_API_KEY, OPENAI_BASE_URL, GROQ_API_KEY, GROQ_BASE_URL, SETTLED_URL } = process.env

const milliseconds = (name, value) => Number(process.env[name] ?? value)
const RETRY_FOR_MS = milliseconds('RETRY_FOR_MS', 24 * 60 * 60 * 1000)
const MIN_BACKOFF_MS = milliseconds('MIN_BACKOFF_MS', 1000)
const MAX_BACKOFF_MS = milliseconds('MAX_BACKOFF_MS', 5 * 60 * 1000)
const WAIT_MS = milliseconds('WAIT_MS', 60_000)
/** How long a job stays with a worker that died. */
const LOCK_MS = milliseconds('LOCK_MS', 30_000)

const canceller = createBatchCanceller({
  forward: forwardToProviders({
    providers: {
      openai: openai({ apiKey: OPENAI_API_KEY, baseUrl: OPENAI_BASE_URL ?? 'https://api.openai.com/v1' }),
      groq: providerFactories.groq({
        apiKey: GROQ_API_KEY,
        baseUrl: GROQ_BASE_URL ?? 'https://api.groq.com/openai/v1'
      })
    }
  })
})

/**
 * Called at least once for each batch that is terminal, each time with the same key and batch. What it throws makes the
 * job try again later.
 */
async function onSettled ({ key, provider, batch }) {
  if (SETTLED_URL === undefined) return console.log(key, batch.status, batch.request_counts, batch.usage)
  const { ok, status } = await fetch(SETTLED_URL, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ provider, batch }),
    signal: AbortSignal.timeout(30_000)
  })
  if (!ok) throw new Error(`${SETTLED_URL} responded with ${status}.`)
}

async function settle (job) {
  const { provider } = job.data
  const batch = job.data.batch ?? await cancelUntilTerminal(job.data)
  // Stored first: if onSettled fails, the provider need not be asked again.
  await job.updateData({ ...job.data, batch })
  await onSettled({ key: job.id, provider, batch })
}

async function cancelUntilTerminal ({ provider, batchId }) {
  try {
    const { batch } = await canceller.cancel({ provider, batchId, wait: WAIT_MS, log: console })
    if (batch.status === 'cancelled') return batch
  } catch (error) {
    // A 409 is a result: the batch ended before the cancel, or in spite of it.
    if (error.code === 'batch_not_cancellable') return error.batch
    throw canPass(error) ? error : new UnrecoverableError(error.message)
  }
  throw new Error('The batch is still being cancelled.')
}

/** Outages, limits and wrong keys pass; a call that is not valid, or a batch that does not exist, does not. */
const canPass = error => error.statusCode !== 404 && !(error instanceof BatchCancelError && error.statusCode === 400)

/** The pause before a job is tried again, or -1 to give up. */
function backoffStrategy (attemptsMade, _type, error, { data: { acceptedAt } }) {
  const pause = Math.min(MIN_BACKOFF_MS * 2 ** (attemptsMade - 1), MAX_BACKOFF_MS) * (0.5 + Math.random() / 2)
  const retryAfter = Number(error.headers?.['retry-after'])
  const delay = Math.round(retryAfter > 0 ? Math.max(pause, retryAfter * 1000) : pause)
  return Date.now() + delay < acceptedAt + RETRY_FOR_MS ? delay : -1
}

const worker = new Worker(QUEUE_NAME, settle, {
  connection: { url: REDIS_URL },
  // A job mostly waits, and must not keep another one from being started.
  concurrency: 1000,
  lockDuration: LOCK_MS,
  stalledInterval: LOCK_MS,
  // A job may outlive any number of workers.
  maxStalledCount: Number.MAX_SAFE_INTEGER,
  settings: { backoffStrategy }
})

worker.on('error', error => console.error(error.message))
worker.on('failed', (job, error) => console.error(job?.id, job?.finishedOn ? 'gave up:' : 'later:', error.message))

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await worker.pause(true)
    // Ends waits: their jobs go back to the queue.
    await canceller.close()
    await worker.close()
  })
}
