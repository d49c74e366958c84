// Providers of one's own: one whose API has a shape of its own, and one that speaks OpenAI's API with small differences.

import Fastify from 'fastify'
import batchCancel, {
  batchErrors, builtIn, defineProvider, endTimestamp, forwardToProviders, get, headerKey, openaiCompatible, post,
  requestCounts, unixSeconds
} from 'fastify-batch-cancel'

const acme = defineProvider({
  name: 'acme',
  source: { document: 'docs.acme.example/batch' },
  baseUrl: 'https://api.acme.example/v1',
  auth: headerKey('x-acme-key'),
  id: { pattern: /^job-[0-9a-f]{8}$/, description: 'an id such as job-00c0ffee' },
  cancel: post('/jobs/{id}:cancel'),
  retrieve: get('/jobs/{id}'),
  // A cancel returns 202 without a body, so the job is read afterwards.
  accepts: body => body === null,
  statuses: {
    QUEUED: 'validating',
    RUNNING: 'in_progress',
    STOPPING: 'cancelling',
    STOPPED: 'cancelled',
    DONE: 'completed',
    BROKEN: 'failed'
  },
  fields: (job, { status }) => ({
    created_at: unixSeconds(job.created) ?? 0,
    ...endTimestamp(status, job.ended),
    output_file_id: job.results ?? null,
    request_counts: requestCounts(job.tasks?.all, job.tasks?.done, job.tasks?.broken),
    errors: batchErrors(job.error)
  })
})

// This server cancels with DELETE, and has a status that OpenAI does not know.
const inHouse = openaiCompatible({
  name: 'in-house',
  baseUrl: 'http://llm.internal:8000/v1',
  cancelMethod: 'DELETE',
  statuses: { paused: 'in_progress' }
})

const { ACME_KEY, ACME_URL = 'https://api.acme.example/v1', IN_HOUSE_URL = 'http://llm.internal:8000/v1' } = process.env

export const app = Fastify()
await app.register(batchCancel, {
  forward: forwardToProviders({
    providers: {
      ...builtIn,
      acme: acme({ apiKey: ACME_KEY, baseUrl: ACME_URL }),
      'in-house': inHouse({ apiKey: 'none', baseUrl: IN_HOUSE_URL })
    }
  }),
  retrieve: true
})
await app.listen({ port: Number(process.env.PORT ?? 3000) })
