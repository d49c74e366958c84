// Accepts a cancel with 202 as soon as Redis has it, and shows what became of it. worker.js carries it out.

import Fastify from 'fastify'
import { Redis } from 'ioredis'
import { jobIdOf, openQueue, PROVIDERS, REDIS_URL } from './queue.js'

// While Redis is down a command fails at once: no cancel is accepted that is not stored.
const redis = new Redis(REDIS_URL, { enableOfflineQueue: false, maxRetriesPerRequest: 0 })
const queue = openQueue(redis)
await queue.waitUntilReady()

export const app = Fastify({
  logger: { level: process.env.LOG_LEVEL ?? 'info' },
  routerOptions: { maxParamLength: 512 }
})
queue.on('error', error => app.log.error(error))
// Works also while Redis is down, when queue.close() does not.
app.addHook('onClose', async () => redis.disconnect())

const schema = {
  params: {
    type: 'object',
    properties: { provider: { enum: PROVIDERS }, batchId: { type: 'string', minLength: 1, maxLength: 512 } }
  }
}

/** Without Redis nothing is promised: the client has to repeat the call. */
async function withRedis (work) {
  try {
    return await work()
  } catch (cause) {
    throw Object.assign(new Error('The queue is not available. Repeat the call.', { cause }), { statusCode: 503 })
  }
}

async function enqueue (provider, batchId) {
  const jobId = jobIdOf(provider, batchId)
  const acceptedAt = Date.now()
  await queue.add('cancel', { provider, batchId, acceptedAt }, { jobId })
  // If there was a job already, it is left as it is, unless it failed: then it is tried for another day.
  const job = await queue.getJob(jobId)
  if (!await job.isFailed()) return
  await job.updateData({ ...job.data, acceptedAt })
  await job.retry('failed', { resetAttemptsMade: true })
}

// In a real app: authenticate, and check whose batch it is.
app.post('/cancels/:provider/:batchId', { schema }, async ({ params: { provider, batchId } }, reply) => {
  await withRedis(() => enqueue(provider, batchId))
  const url = `/cancels/${jobIdOf(provider, batchId)}`
  return reply.code(202).header('location', url).send({ url })
})

const STATES = { completed: 'settled', failed: 'failed' }

app.get('/cancels/:provider/:batchId', { schema }, async ({ params: { provider, batchId } }) => {
  const job = await withRedis(() => queue.getJob(jobIdOf(provider, batchId)))
  if (job === undefined) throw Object.assign(new Error('No such cancel.'), { statusCode: 404 })
  const state = STATES[await withRedis(() => job.getState())] ?? 'pending'
  return { state, attempts: job.attemptsMade, batch: job.data.batch, error: job.failedReason }
})

await app.listen({ port: Number(process.env.PORT ?? 3000) })
