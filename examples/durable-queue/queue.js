// What the app and the worker share: the queue, and what identifies a job. No credential is in either.

import { Queue } from 'bullmq'

export const QUEUE_NAME = 'batch-cancels'
export const REDIS_URL = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'

/** The providers that the worker has keys for. */
export const PROVIDERS = ['openai', 'groq']

const WEEK_SECONDS = 7 * 24 * 60 * 60

/** One job per batch. The id is also the idempotency key, and part of a URL; BullMQ allows no colon in it. */
export const jobIdOf = (provider, batchId) => `${provider}/${encodeURIComponent(batchId)}`

export const openQueue = connection => new Queue(QUEUE_NAME, {
  connection,
  defaultJobOptions: {
    // The worker's backoff decides when to give up.
    attempts: Number.MAX_SAFE_INTEGER,
    backoff: { type: 'custom' },
    stackTraceLimit: 1,
    removeOnComplete: { age: WEEK_SECONDS },
    removeOnFail: false
  }
})
