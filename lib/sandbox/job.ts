import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { answerTo, tokenUsage, type Answer } from './endpoints.js'
import { envelope } from './errors.js'
import type { FileStore } from './files.js'
import { newId } from './ids.js'
import type { BatchRequest } from './input.js'

/** How many characters of answers a batch may gather (64 Mi); requests beyond that fail. */
export const MAX_OUTPUT_LENGTH = 64 * 1024 * 1024
/** The time in which a batch must be done: 24 hours, in milliseconds. */
export const WINDOW_MS = 24 * 60 * 60 * 1000

export type EndStatus = 'completed' | 'expired' | 'cancelled'

/** A seeded batch, which stands still until it is cancelled. */
export interface Picture {
  readonly outputId: string
  readonly errorId: string
  /** What a status sets, where that is not its own time. */
  readonly stamps: Partial<Record<BatchStatus, Partial<Batch>>>
  /** Makes the batch anew. */
  readonly again: () => Job
}

/** A batch and the work on it. */
export interface Job {
  /** The batch as it stands: replaced at every change, never mutated, since it was handed out. */
  batch: Batch
  /** The requests that wait, run or ran; none once the batch ended. */
  requests: readonly BatchRequest[]
  /** How many of them were started, in their order. */
  started: number
  completed: number
  failed: number
  inputTokens: number
  outputTokens: number
  /** The rows of the output and of the error file. */
  outputs: string[]
  errors: string[]
  outputLength: number
  /** Size of the input file. */
  readonly inputBytes: number
  /** Unix time in milliseconds when the batch expires. */
  readonly deadline: number
  readonly picture?: Picture
  /** Unix time in milliseconds when a cancel ended it. */
  cancelledAt?: number
}

export interface NewJob {
  readonly id: string
  readonly endpoint: string
  readonly inputFileId: string
  readonly inputBytes: number
  readonly metadata: Record<string, string> | null
  /** Unix time in milliseconds. */
  readonly now: number
  readonly picture?: Picture
}

export const inSeconds = (ms: number) => Math.floor(ms / 1000)

export function newJob ({ id, endpoint, inputFileId, inputBytes, metadata, now, ...rest }: NewJob): Job {
  const batch: Batch = {
    id,
    object: 'batch',
    endpoint,
    model: null,
    errors: null,
    input_file_id: inputFileId,
    completion_window: '24h',
    status: 'validating',
    output_file_id: null,
    error_file_id: null,
    created_at: inSeconds(now),
    in_progress_at: null,
    expires_at: inSeconds(now + WINDOW_MS),
    finalizing_at: null,
    completed_at: null,
    failed_at: null,
    expired_at: null,
    cancelling_at: null,
    cancelled_at: null,
    request_counts: { total: 0, completed: 0, failed: 0 },
    usage: tokenUsage(0, 0),
    metadata
  }
  return {
    ...rest,
    batch,
    requests: [],
    started: 0,
    completed: 0,
    failed: 0,
    inputTokens: 0,
    outputTokens: 0,
    outputs: [],
    errors: [],
    outputLength: 0,
    inputBytes,
    deadline: now + WINDOW_MS
  }
}

/** Gives the batch another status and the time of that, in Unix seconds. */
export function move (job: Job, status: BatchStatus, at: number, also: Partial<Batch> = {}) {
  const stamp = job.picture?.stamps[status] ?? { [`${status}_at`]: at }
  job.batch = { ...job.batch, status, ...stamp, ...also }
}

const FULL: Answer = {
  status: 400,
  body: envelope('The sandbox keeps at most 64 MiB of answers of one batch.', { code: 'output_limit_exceeded' }),
  inputTokens: 0,
  outputTokens: 0
}

/** Answers one request of the batch and counts it. */
export function carryOut (job: Job, { customId, line }: BatchRequest, created: number) {
  const answer = job.outputLength > MAX_OUTPUT_LENGTH ? FULL : answerTo(job.batch.endpoint, JSON.parse(line).body, created)
  const row = JSON.stringify({
    id: newId('batch_req_'),
    custom_id: customId,
    response: { status_code: answer.status, request_id: newId('req_'), body: answer.body },
    error: null
  })
  if (answer.status === 200) {
    job.outputs.push(row)
    job.outputLength += row.length
    job.completed += 1
  } else {
    job.errors.push(row)
    job.failed += 1
  }
  job.inputTokens += answer.inputTokens
  job.outputTokens += answer.outputTokens
  job.batch = { ...job.batch, request_counts: countsOf(job), usage: tokenUsage(job.inputTokens, job.outputTokens) }
}

export const countsOf = ({ requests, completed, failed }: Job) => ({ total: requests.length, completed, failed })

/** Why the requests that never ran did not, by how the batch ended. All requests of a completed one ran. */
const NEVER_RAN: Partial<Record<EndStatus, { code: string, message: string }>> = {
  cancelled: { code: 'batch_cancelled', message: 'This request was not executed because the batch was cancelled.' },
  expired: { code: 'batch_expired', message: 'This request could not be executed before the completion window expired.' }
}

/**
 * Ends the batch: writes its output and error file, and lets go of its requests.
 * @param at Unix time in seconds.
 */
export function end (job: Job, status: EndStatus, at: number, files: FileStore) {
  const write = (rows: string[], kind: string, id?: string) => rows.length === 0
    ? null
    : files.add({ id, filename: `${job.batch.id}_${kind}.jsonl`, purpose: 'batch_output', createdAt: at, bytes: Buffer.from(rows.join('\n') + '\n') }).id

  const neverRan = job.requests.slice(job.started).map(({ customId }) =>
    JSON.stringify({ id: newId('batch_req_'), custom_id: customId, response: null, error: NEVER_RAN[status] }))

  move(job, status, at, {
    request_counts: countsOf(job),
    output_file_id: write(job.outputs, 'output', job.picture?.outputId),
    error_file_id: write([...job.errors, ...neverRan], 'error', job.picture?.errorId)
  })
  job.requests = []
  job.outputs = []
  job.errors = []
}
