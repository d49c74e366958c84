import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { ApiError } from './errors.js'
import type { StoredFile } from './files.js'
import { newId } from './ids.js'
import { move, newJob, inSeconds, type Job } from './job.js'
import { conclude, live, type Workshop } from './run-batch.js'

/** How many batches are kept besides the seeds; the oldest that ended is dropped for a new one. */
export const MAX_BATCHES = 500
/** How many bytes the input files of all batches that have not ended may have together (64 MiB). */
export const MAX_LIVE_BYTES = 64 * 1024 * 1024
/** How long a seeded batch that a cancel ended is shown before it is made anew, in milliseconds. */
export const SHOWN_MS = 60_000

export interface Sandbox extends Workshop {
  /** Oldest first. */
  readonly jobs: Map<string, Job>
  /** Takes an error that nobody waits for. */
  report (error: unknown): void
}

export interface NewBatch {
  readonly input: StoredFile
  readonly endpoint: string
  readonly metadata: Record<string, string> | null
}

const CANCELLABLE: readonly BatchStatus[] = ['validating', 'in_progress', 'finalizing']
const LIVE: readonly BatchStatus[] = [...CANCELLABLE, 'cancelling']

const isLive = ({ batch }: Job) => LIVE.includes(batch.status)

export function createBatch (sandbox: Sandbox, { input, endpoint, metadata }: NewBatch): Batch {
  const inputBytes = input.bytes.length
  makeRoom(sandbox, inputBytes)
  const job = newJob({ id: newId('batch_'), endpoint, inputFileId: input.about.id, inputBytes, metadata, now: sandbox.now() })
  sandbox.jobs.set(job.batch.id, job)
  live(sandbox, job, input.bytes).catch(sandbox.report)
  return job.batch
}

export function cancelBatch (sandbox: Sandbox, id: string): Batch {
  const job = findJob(sandbox, id)
  const { status } = job.batch
  if (CANCELLABLE.includes(status)) {
    move(job, 'cancelling', inSeconds(sandbox.now()))
    // Nobody works on a picture; any other batch is concluded by its own work.
    if (job.picture !== undefined) conclude(sandbox, job).catch(sandbox.report)
  } else if (status !== 'cancelling') {
    throw new ApiError(409, `Cannot cancel a batch with status '${status}'.`)
  }
  return job.batch
}

export const findBatch = (sandbox: Sandbox, id: string): Batch => findJob(sandbox, id).batch

/** All batches, newest first. */
export const listBatches = (sandbox: Sandbox): Batch[] =>
  [...sandbox.jobs.values()].map(job => renewed(sandbox, job).batch).reverse()

function findJob (sandbox: Sandbox, id: string): Job {
  const job = sandbox.jobs.get(id)
  if (job === undefined) throw new ApiError(404, `No batch found with id '${id}'.`)
  return renewed(sandbox, job)
}

/** A seeded batch is made anew a while after a cancel ended it, so that the documented call works again. */
function renewed (sandbox: Sandbox, job: Job): Job {
  const { picture, cancelledAt } = job
  if (picture === undefined || cancelledAt === undefined || sandbox.now() - cancelledAt < SHOWN_MS) return job
  const fresh = picture.again()
  sandbox.jobs.set(fresh.batch.id, fresh)
  return fresh
}

function makeRoom ({ jobs }: Sandbox, inputBytes: number) {
  const own = [...jobs.values()].filter(({ picture }) => picture === undefined)
  const living = own.filter(isLive)
  const held = living.reduce((sum, job) => sum + job.inputBytes, inputBytes)
  if (living.length >= MAX_BATCHES || held > MAX_LIVE_BYTES) {
    throw new ApiError(429, `The sandbox works on at most ${MAX_BATCHES} batches with 64 MiB of input at a time. Try again when one has ended.`,
      { type: 'requests', code: 'rate_limit_exceeded', headers: { 'retry-after': '1' } })
  }
  const excess = Math.max(0, own.length - MAX_BATCHES + 1)
  for (const { batch } of own.filter(job => !isLive(job)).slice(0, excess)) jobs.delete(batch.id)
}
