import type { BatchStatus } from '../../schemas/batch.js'
import { readInput } from './input.js'
import { countsOf, endJob, errorFile, runRequest, setStatus, toSeconds, type Job, type Storage } from './job.js'
import { runInTurns, type WorkQueue } from './work-queue.js'

/** How long a batch is `validating`, in milliseconds. */
export const VALIDATING_MS = 500
/** How long a batch is `finalizing`, in milliseconds. */
export const FINALIZING_MS = 500
/** How long a batch is `cancelling` after its last request has ended, in milliseconds. */
export const CANCELLING_MS = 2_000

/** What running a batch needs. */
export interface Runtime extends Storage {
  readonly queue: WorkQueue
  /** How long a request takes, in milliseconds. */
  readonly latency: number
  /** How many requests of one batch run at the same time. */
  readonly concurrency: number
  /** Returns the Unix time in milliseconds. */
  now (): number
  /** Resolves after `ms` milliseconds, but never once the sandbox is closed. */
  sleep (ms: number): Promise<void>
}

// A function, because the compiler does not expect a status to change during an await.
const is = (job: Job, status: BatchStatus) => job.batch.status === status

/** Runs a batch from its creation to its end. */
export async function runBatch (runtime: Runtime, job: Job) {
  job.expectedEnd = runtime.now() + VALIDATING_MS + runtime.latency + FINALIZING_MS
  await runtime.sleep(VALIDATING_MS)
  await validate(runtime, job)
  if (is(job, 'failed')) return

  const workers = Math.min(runtime.concurrency, job.requests.length)
  await Promise.all(Array.from({ length: workers }, () => runRequests(runtime, job)))

  if (is(job, 'in_progress') && job.started < job.requests.length) await expire(runtime, job)
  if (is(job, 'in_progress')) await finalize(runtime, job)
  if (is(job, 'cancelling')) await finishCancel(runtime, job)
}

/** Completes a batch, unless it is cancelled while it is finalizing. */
async function finalize (runtime: Runtime, job: Job) {
  setStatus(job, 'finalizing', toSeconds(runtime.now()))
  await runtime.sleep(FINALIZING_MS)
  if (!is(job, 'finalizing')) return
  endJob(job, { status: 'completed', at: toSeconds(runtime.now()), errors: job.errors.toBuffer() }, runtime)
}

/** Ends a cancelled batch whose requests have all ended. */
export async function finishCancel (runtime: Runtime, job: Job) {
  await runtime.sleep(CANCELLING_MS)
  const errors = await runInTurns(runtime.queue, errorFile(job, 'cancelled'))
  job.cancelledAt = runtime.now()
  endJob(job, { status: 'cancelled', at: toSeconds(job.cancelledAt), errors }, runtime)
}

/** Ends a batch whose time is up, unless it is cancelled at the last moment. */
async function expire (runtime: Runtime, job: Job) {
  const errors = await runInTurns(runtime.queue, errorFile(job, 'expired'))
  if (!is(job, 'in_progress')) return
  endJob(job, { status: 'expired', at: toSeconds(runtime.now()), errors }, runtime)
}

/** Reads the input. A batch that was cancelled in the meantime stays so, even if its input is not valid. */
async function validate (runtime: Runtime, job: Job) {
  const { requests, errors, model } = await runInTurns(runtime.queue, readInput(job.input, job.batch.endpoint))
  const now = runtime.now()
  job.requests = requests
  job.batch = { ...job.batch, model, request_counts: countsOf(job) }
  if (is(job, 'cancelling')) return
  if (errors.length > 0) {
    job.input = Buffer.alloc(0)
    return setStatus(job, 'failed', toSeconds(now), { errors: { object: 'list', data: errors } })
  }
  const rounds = Math.ceil(requests.length / runtime.concurrency)
  job.expectedEnd = Math.min(job.deadline, now + rounds * runtime.latency + FINALIZING_MS)
  setStatus(job, 'in_progress', toSeconds(now))
}

/** Runs one request after another until none is left, or the batch is cancelled or out of time. */
async function runRequests (runtime: Runtime, job: Job) {
  for (;;) {
    const request = job.requests[job.started]
    if (request === undefined || !is(job, 'in_progress')) return
    const left = job.deadline - runtime.now()
    // A request that cannot end in time counts as never run.
    if (left < runtime.latency) return runtime.sleep(Math.max(0, left))
    job.started += 1
    await runtime.sleep(runtime.latency)
    await runtime.queue.run(() => runRequest(job, request, toSeconds(runtime.now()), runtime))
  }
}
