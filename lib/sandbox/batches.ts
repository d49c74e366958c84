import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { ApiError, rateLimited } from './errors.js'
import type { StoredFile } from './files.js'
import { newId } from './ids.js'
import { newJob, setStatus, toSeconds, type Job } from './job.js'
import { MAX_BATCHES, MAX_LIVE_INPUT_BYTES } from './limits.js'
import { CANCELLING_MS, VALIDATING_MS, finishCancel, runBatch, type Runtime } from './run-batch.js'

/** How long a seeded batch is shown as `cancelled` before it is reset, in milliseconds. */
export const SEED_RESET_MS = 60_000

export interface Sandbox extends Runtime {
  /** Oldest first. */
  readonly jobs: Map<string, Job>
  /** Logs an error of work that no request waits for. */
  logError (error: unknown): void
}

export interface NewBatch {
  readonly input: StoredFile
  readonly endpoint: string
  readonly metadata: Record<string, string> | null
}

const CANCELLABLE: readonly BatchStatus[] = ['validating', 'in_progress', 'finalizing']
const LIVE: readonly BatchStatus[] = [...CANCELLABLE, 'cancelling']

const isLive = ({ batch }: Job) => LIVE.includes(batch.status)

export function createBatch (sandbox: Sandbox, { input: { file, content }, endpoint, metadata }: NewBatch): Batch {
  makeRoom(sandbox, content.length)
  const job = newJob({
    id: newId('batch_'),
    endpoint,
    inputFileId: file.id,
    input: content,
    metadata,
    now: sandbox.now()
  })
  sandbox.jobs.set(job.batch.id, job)
  runBatch(sandbox, job).catch(sandbox.logError)
  return job.batch
}

export function cancelBatch (sandbox: Sandbox, id: string): Batch {
  const job = findJob(sandbox, id)
  const { status } = job.batch
  if (CANCELLABLE.includes(status)) {
    const now = sandbox.now()
    setStatus(job, 'cancelling', toSeconds(now))
    job.expectedEnd = now + VALIDATING_MS + sandbox.latency + CANCELLING_MS
    // A seed does not run; any other batch ends its cancel itself.
    if (job.seed !== undefined) finishCancel(sandbox, job).catch(sandbox.logError)
  } else if (status !== 'cancelling') {
    throw new ApiError(409, `Cannot cancel a batch with status '${status}'.`)
  }
  return job.batch
}

export const findBatch = (sandbox: Sandbox, id: string): Batch => findJob(sandbox, id).batch

/** Returns all batches, newest first. */
export const listBatches = (sandbox: Sandbox): Batch[] =>
  [...sandbox.jobs.values()].map(job => resetIfDue(sandbox, job).batch).reverse()

function findJob (sandbox: Sandbox, id: string): Job {
  const job = sandbox.jobs.get(id)
  if (job === undefined) throw new ApiError(404, `No batch found with id '${id}'.`)
  return resetIfDue(sandbox, job)
}

/** Resets a seeded batch some time after a cancel ended it, so that the documented call works again. */
function resetIfDue (sandbox: Sandbox, job: Job): Job {
  const { seed, cancelledAt } = job
  if (seed === undefined || cancelledAt === undefined || sandbox.now() - cancelledAt < SEED_RESET_MS) return job
  const fresh = seed.recreate()
  sandbox.jobs.set(fresh.batch.id, fresh)
  return fresh
}

/**
 * Makes room for a new batch by removing the oldest ones that have ended.
 * @throws {ApiError} 429 if too many are live; it says when enough of them will have ended.
 */
function makeRoom ({ jobs, now }: Sandbox, inputBytes: number) {
  const own = [...jobs.values()].filter(({ seed }) => seed === undefined)
  const wait = timeUntilRoom(own.filter(isLive), inputBytes, now())
  if (wait !== undefined) {
    throw rateLimited(`The sandbox runs at most ${MAX_BATCHES} batches with 64 MiB of input at a time.`, wait)
  }
  const excess = Math.max(0, own.length - MAX_BATCHES + 1)
  for (const { batch } of own.filter(job => !isLive(job)).slice(0, excess)) jobs.delete(batch.id)
}

/** Returns the milliseconds until enough live batches have ended; `undefined` if there is room now. */
function timeUntilRoom (live: readonly Job[], inputBytes: number, now: number): number | undefined {
  let count = live.length
  let bytes = live.reduce((sum, { input }) => sum + input.length, inputBytes)
  const hasRoom = () => count < MAX_BATCHES && bytes <= MAX_LIVE_INPUT_BYTES
  if (hasRoom()) return undefined
  const lastToEnd = live.toSorted((a, b) => a.expectedEnd - b.expectedEnd).find(({ input }) => {
    count -= 1
    bytes -= input.length
    return hasRoom()
  })
  return (lastToEnd as Job).expectedEnd - now
}
