import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { ApiError, type ErrorDetails } from './errors.js'
import type { FileStore } from './files.js'
import { readInput } from './input.js'
import { carryOut, countsOf, end, inSeconds, newJob, type EndStatus, type Job, type Picture } from './job.js'

/** Seconds since something happened, when the sandbox begins. */
type Ages = Partial<Record<`${'in_progress' | 'finalizing' | 'failed' | 'cancelling'}_at`, number>>

interface Seed {
  readonly name: string
  readonly status: Exclude<BatchStatus, EndStatus>
  /** How it ended, where it did. */
  readonly ended?: { readonly status: EndStatus, readonly age: number }
  /** Seconds since it was created. */
  readonly age: number
  readonly ages?: Ages
  readonly total: number
  /** Requests that ran: the first `failed` ended in an error, the others completed. */
  readonly ran: number
  readonly failed: number
  /** Whether the input file is not valid. */
  readonly invalid?: boolean
  /** The batch as it is shown, where that is not what the rest says. */
  readonly shown?: Batch
  readonly stamps?: Picture['stamps']
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

/** The example shows `cancelled_at` while cancelling, and no other time of it. */
const DOCUMENTED_STAMPS: Picture['stamps'] = { cancelling: { cancelled_at: 1713895200 }, cancelled: {} }

/** The documented batch and one for every status, oldest first. */
const SEEDS: readonly Seed[] = [
  { name: 'abc123', status: 'in_progress', age: 0, total: 100, ran: 45, failed: 0, shown: DOCUMENTED, stamps: DOCUMENTED_STAMPS },
  { name: 'expired', status: 'in_progress', age: 2 * DAY, ages: { in_progress_at: 2 * DAY - 10 }, ended: { status: 'expired', age: DAY }, total: 10, ran: 6, failed: 1 },
  { name: 'cancelled', status: 'cancelling', age: 9_000, ages: { in_progress_at: 8_990, cancelling_at: 8_400 }, ended: { status: 'cancelled', age: 8_390 }, total: 10, ran: 4, failed: 1 },
  { name: 'completed', status: 'finalizing', age: 7_200, ages: { in_progress_at: 7_190, finalizing_at: 3_610 }, ended: { status: 'completed', age: 3_600 }, total: 10, ran: 10, failed: 1 },
  { name: 'failed', status: 'failed', age: 3_000, ages: { failed_at: 2_990 }, total: 3, ran: 0, failed: 0, invalid: true },
  { name: 'cancelling', status: 'cancelling', age: 1_800, ages: { in_progress_at: 1_790, cancelling_at: 30 }, total: 10, ran: 4, failed: 0 },
  { name: 'finalizing', status: 'finalizing', age: 1_200, ages: { in_progress_at: 1_190, finalizing_at: 5 }, total: 10, ran: 10, failed: 0 },
  { name: 'in_progress', status: 'in_progress', age: 600, ages: { in_progress_at: 590 }, total: 10, ran: 4, failed: 1 },
  { name: 'validating', status: 'validating', age: 5, total: 10, ran: 0, failed: 0 }
]

const FAULTS: ReadonlyMap<string, [status: number, message: string, details: ErrorDetails]> = new Map([
  ['batch_rate_limited', [429, 'Rate limit reached for requests. Please try again in 1s.', {
    type: 'requests',
    code: 'rate_limit_exceeded',
    headers: { 'retry-after': '1', 'x-ratelimit-limit-requests': '500', 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '1s' }
  }]],
  ['batch_unavailable', [503, 'The server is currently overloaded with other requests. Please try again later.', { type: 'server_error' }]],
  ['batch_unauthorized', [401, 'Incorrect API key provided.', { code: 'invalid_api_key' }]]
])

/** Throws what stands for an id that a client knows as an error, and not as a batch. */
export function throwFault (id: string) {
  const fault = FAULTS.get(id)
  if (fault !== undefined) throw new ApiError(...fault)
}

/** The batches that are there from the beginning, oldest first. */
export function seedJobs (files: FileStore, now: number): Map<string, Job> {
  return new Map(SEEDS.map(seed => [`batch_${seed.name}`, makeSeed(files, inSeconds(now), seed)]))
}

function makeSeed (files: FileStore, began: number, seed: Seed): Job {
  const { name, status, ended, age, ages = {}, ran, shown, stamps = {} } = seed
  const created = shown?.created_at ?? began - age
  const bytes = inputFile(seed)
  const inputFileId = files.add({ id: `file-${name}`, filename: `${name}.jsonl`, purpose: 'batch', createdAt: created, bytes }).id
  const picture: Picture = { outputId: `${inputFileId}-output`, errorId: `${inputFileId}-error`, stamps, again: () => makeSeed(files, began, seed) }
  const job = newJob({ id: `batch_${name}`, endpoint: ENDPOINT, inputFileId, inputBytes: bytes.length, metadata: null, now: created * 1000, picture })

  const { requests, errors, model } = readInput(bytes, ENDPOINT)
  job.requests = requests
  for (const request of requests.slice(0, ran)) carryOut(job, request, created)
  job.started = ran

  const times = Object.fromEntries(Object.entries(ages).map(([key, seconds]) => [key, began - seconds]))
  // A batch that is still validated has shown nothing of its input yet.
  const read = status === 'validating' ? {} : { model, request_counts: countsOf(job) }
  job.batch = shown ?? { ...job.batch, ...times, ...read, status, errors: errors.length === 0 ? null : { object: 'list', data: errors } }
  if (ended !== undefined) end(job, ended.status, began - ended.age, files)
  return job
}

function inputFile ({ total, failed, invalid = false }: Seed): Buffer {
  const rows = Array.from({ length: total }, (_, index) => {
    const messages = [{ role: 'user', content: `Question ${index + 1}` }]
    // A request without a model fails; one without a custom_id makes the whole file invalid.
    const body = index < failed ? { messages } : { model: 'gpt-4o-mini', messages }
    return JSON.stringify({ ...(invalid ? {} : { custom_id: `request-${index + 1}` }), method: 'POST', url: ENDPOINT, body })
  })
  return Buffer.from(rows.join('\n') + '\n')
}
