import type { BatchStatus } from '../../schemas/batch.js'
import type { FileStore } from './files.js'
import { readInput } from './input.js'
import { carryOut, countsOf, end, inSeconds, move, type Job } from './job.js'

/** How long a batch is `validating`, `finalizing`, and `cancelling` after its last request ended; in milliseconds. */
export const VALIDATING_MS = 500
export const FINALIZING_MS = 500
export const CANCELLING_MS = 2_000

/** What the work on batches needs. */
export interface Workshop {
  readonly files: FileStore
  /** Milliseconds that a request takes. */
  readonly latency: number
  /** Requests of one batch that run at a time. */
  readonly concurrency: number
  /** Unix time in milliseconds. */
  now (): number
  /** Resolves after some milliseconds, and never once the sandbox is closed. */
  pause (ms: number): Promise<void>
}

// A function, since a status changes while the work waits, which the compiler does not expect of a field.
const is = (job: Job, status: BatchStatus) => job.batch.status === status

/** Leads a batch from its creation to its end. */
export async function live (shop: Workshop, job: Job, input: Buffer) {
  await shop.pause(VALIDATING_MS)
  admit(shop, job, input)
  if (is(job, 'failed')) return

  const workers = Math.min(shop.concurrency, job.requests.length)
  await Promise.all(Array.from({ length: workers }, () => work(shop, job)))

  if (is(job, 'in_progress')) {
    if (job.started < job.requests.length) return end(job, 'expired', inSeconds(shop.now()), shop.files)
    move(job, 'finalizing', inSeconds(shop.now()))
    await shop.pause(FINALIZING_MS)
    if (is(job, 'finalizing')) return end(job, 'completed', inSeconds(shop.now()), shop.files)
  }
  await conclude(shop, job)
}

/** Ends a cancelled batch of which nothing runs any more. */
export async function conclude (shop: Workshop, job: Job) {
  await shop.pause(CANCELLING_MS)
  job.cancelledAt = shop.now()
  end(job, 'cancelled', inSeconds(job.cancelledAt), shop.files)
}

/** Reads the input. A batch that was cancelled meanwhile stays so, whatever its input is. */
function admit (shop: Workshop, job: Job, input: Buffer) {
  const { requests, errors, model } = readInput(input, job.batch.endpoint)
  const at = inSeconds(shop.now())
  job.requests = requests
  job.batch = { ...job.batch, model, request_counts: countsOf(job) }
  if (is(job, 'cancelling')) return
  if (errors.length === 0) move(job, 'in_progress', at)
  else move(job, 'failed', at, { errors: { object: 'list', data: errors } })
}

/** Carries out one request after another until none is left, or the batch is cancelled or out of time. */
async function work (shop: Workshop, job: Job) {
  for (;;) {
    const request = job.requests[job.started]
    if (request === undefined || !is(job, 'in_progress')) return
    const left = job.deadline - shop.now()
    // What cannot end in time counts as never run.
    if (left < shop.latency) return shop.pause(Math.max(0, left))
    job.started += 1
    await shop.pause(shop.latency)
    carryOut(job, request, inSeconds(shop.now()))
  }
}
