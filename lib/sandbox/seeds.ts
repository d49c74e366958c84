import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { ApiError, type ErrorDetails } from './errors.js'
import { readInput } from './input.js'
import { countsOf, endJob, errorFile, newJob, runRequest, toSeconds } from './job.js'
import type { EndStatus, Job, Seed, Storage } from './job.js'
import { runAtOnce } from './work-queue.js'

/** Seconds from an event until the sandbox started. */
type Ages = Partial<Record<`${'in_progress' | 'finalizing' | 'failed' | 'cancelling'}_at`, number>>

interface SeedDefinition {
  readonly name: string
  readonly status: Exclude<BatchStatus, EndStatus>
  /** How it ended, and how many seconds before the sandbox started. */
  readonly end?: { readonly status: EndStatus, readonly age: number }
  /** Seconds from its creation until the sandbox started. */
  readonly age: number
  readonly ages?: Ages
  readonly total: number
  /** How many requests ran: the first `failed` of them failed, the others completed. */
  readonly ran: number
  readonly failed: number
  /** Whether the input file is invalid. */
  readonly invalid?: boolean
  /** The batch as it is shown, if it does not follow from the rest. */
  readonly batch?: Batch
  readonly stamps?: Seed['stamps']
}

const ENDPOINT = '/v1/chat/completions'
const DAY = 24 * 60 * 60

/** The batch of the documented example, as it is before it is cancelled. */
const DOCUMENTED: Batch = {
  id: 'batch_abc123',
  object: 'batch',
  endpoint: ENDPOINT,
  errors: null,
  input_file_id: 'file-abc123',
  completion_window: '24h',
  status: 'in_progress',
  output_file_id: null,
  error_file_id: null,
  created_at: 1713894800,
  in_progress_at: 1713894900,
  cancelled_at: null,
  completed_at: null,
  request_counts: { total: 100, completed: 45, failed: 0 },
  metadata: { description: 'Daily batch job' }
}

/** The example shows `cancelled_at` already while cancelling, and no `cancelling_at`. */
const DOCUMENTED_STAMPS: Seed['stamps'] = { cancelling: { cancelled_at: 1713895200 }, cancelled: {} }

/** The documented batch and one for every status, oldest first. */
const SEEDS: readonly SeedDefinition[] = [
  {
    name: 'abc123',
    status: 'in_progress',
    age: 0,
    total: 100,
    ran: 45,
    failed: 0,
    batch: DOCUMENTED,
    stamps: DOCUMENTED_STAMPS
  },
  {
    name: 'expired',
    status: 'in_progress',
    age: 2 * DAY,
    ages: { in_progress_at: 2 * DAY - 10 },
    end: { status: 'expired', age: DAY },
    total: 10,
    ran: 6,
    failed: 1
  },
  {
    name: 'cancelled',
    status: 'cancelling',
    age: 9_000,
    ages: { in_progress_at: 8_990, cancelling_at: 8_400 },
    end: { status: 'cancelled', age: 8_390 },
    total: 10,
    ran: 4,
    failed: 1
  },
  {
    name: 'completed',
    status: 'finalizing',
    age: 7_200,
    ages: { in_progress_at: 7_190, finalizing_at: 3_610 },
    end: { status: 'completed', age: 3_600 },
    total: 10,
    ran: 10,
    failed: 1
  },
  {
    name: 'failed',
    status: 'failed',
    age: 3_000,
    ages: { failed_at: 2_990 },
    total: 3,
    ran: 0,
    failed: 0,
    invalid: true
  },
  {
    name: 'cancelling',
    status: 'cancelling',
    age: 1_800,
    ages: { in_progress_at: 1_790, cancelling_at: 30 },
    total: 10,
    ran: 4,
    failed: 0
  },
  {
    name: 'finalizing',
    status: 'finalizing',
    age: 1_200,
    ages: { in_progress_at: 1_190, finalizing_at: 5 },
    total: 10,
    ran: 10,
    failed: 0
  },
  { name: 'in_progress', status: 'in_progress', age: 600, ages: { in_progress_at: 590 }, total: 10, ran: 4, failed: 1 },
  { name: 'validating', status: 'validating', age: 5, total: 10, ran: 0, failed: 0 }
]

const FAULTS: ReadonlyMap<string, readonly [status: number, message: string, details: ErrorDetails]> = new Map([
  ['batch_rate_limited', [429, 'Rate limit reached for requests. Please try again in 1s.', {
    type: 'requests',
    code: 'rate_limit_exceeded',
    headers: {
      'retry-after': '1',
      'x-ratelimit-limit-requests': '500',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '1s'
    }
  }]],
  ['batch_unavailable', [503, 'The server is currently overloaded with other requests. Please try again later.', {
    type: 'server_error'
  }]],
  ['batch_unauthorized', [401, 'Incorrect API key provided.', { code: 'invalid_api_key' }]]
])

/** Throws the error that an id stands for, if it is one of those. */
export function throwFault (id: string) {
  const fault = FAULTS.get(id)
  if (fault !== undefined) throw new ApiError(...fault)
}

/**
 * Returns the batches that exist from the start, oldest first, and stores their files.
 * @param now Unix time in milliseconds.
 */
export function seedJobs (storage: Storage, now: number): Map<string, Job> {
  return new Map(SEEDS.map(definition => [`batch_${definition.name}`, createSeed(storage, toSeconds(now), definition)]))
}

/** @param start When the sandbox started, in Unix seconds. */
function createSeed (storage: Storage, start: number, definition: SeedDefinition): Job {
  const { name, status, end, age, ages = {}, ran, batch, stamps = {} } = definition
  const created = batch?.created_at ?? start - age
  const input = inputFile(definition)
  const file = storage.files.add({
    id: `file-${name}`,
    filename: `${name}.jsonl`,
    purpose: 'batch',
    createdAt: created,
    content: input
  })
  const job = newJob({
    id: `batch_${name}`,
    endpoint: ENDPOINT,
    inputFileId: file.id,
    input,
    metadata: null,
    now: created * 1000,
    seed: {
      outputFileId: `${file.id}-output`,
      errorFileId: `${file.id}-error`,
      stamps,
      recreate: () => createSeed(storage, start, definition)
    }
  })

  const { requests, errors, model } = runAtOnce(readInput(input, ENDPOINT))
  job.requests = requests
  for (const request of requests.slice(0, ran)) runRequest(job, request, created, storage)
  job.started = ran

  const times = Object.fromEntries(Object.entries(ages).map(([key, seconds]) => [key, start - seconds]))
  // While it is validating, a batch shows nothing of its input.
  const read = status === 'validating' ? {} : { model, request_counts: countsOf(job) }
  const errorList = errors.length === 0 ? null : { object: 'list', data: errors }
  job.batch = batch ?? { ...job.batch, ...times, ...read, status, errors: errorList }
  if (end !== undefined) {
    const errors = runAtOnce(errorFile(job, end.status))
    endJob(job, { status: end.status, at: start - end.age, errors }, storage)
  }
  return job
}

function inputFile ({ total, failed, invalid = false }: SeedDefinition): Buffer {
  const rows = Array.from({ length: total }, (_, index) => {
    const messages = [{ role: 'user', content: `Question ${index + 1}` }]
    // A request without a model fails; a line without a custom_id makes the whole file invalid.
    const body = index < failed ? { messages } : { model: 'gpt-4o-mini', messages }
    const customId = invalid ? {} : { custom_id: `request-${index + 1}` }
    return JSON.stringify({ ...customId, method: 'POST', url: ENDPOINT, body })
  })
  return Buffer.from(rows.join('\n') + '\n')
}
