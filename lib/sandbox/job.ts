import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { createByteBuffer, type ByteBuffer } from './byte-buffer.js'
import { respondTo, tokenUsage, type RequestResult } from './endpoints.js'
import { envelope } from './errors.js'
import type { FileStore } from './files.js'
import { newId } from './ids.js'
import type { BatchRequest } from './input.js'
import { MAX_LIVE_OUTPUT_BYTES, MAX_OUTPUT_BYTES, SLICE_BYTES } from './limits.js'
import type { Steps } from './work-queue.js'

/** How long a batch may take, in milliseconds: 24 hours. */
export const WINDOW_MS = 24 * 60 * 60 * 1000

export type EndStatus = 'completed' | 'expired' | 'cancelled'

/** What a seeded batch has besides: it does not run, but can be cancelled. */
export interface Seed {
  readonly outputFileId: string
  readonly errorFileId: string
  /** The fields that a status sets, if not the time of its own. */
  readonly stamps: Partial<Record<BatchStatus, Partial<Batch>>>
  /** Returns the batch as it was at first. */
  readonly recreate: () => Job
}

/** A batch and the state of its work. */
export interface Job {
  /** The batch as it is now: replaced at every change, never mutated, since it was handed out. */
  batch: Batch
  /** The input file; empty once the batch has ended. */
  input: Buffer
  /** All requests, whether queued, running or done; empty once the batch has ended. */
  requests: readonly BatchRequest[]
  /** How many of the requests were started, in their order. */
  started: number
  completed: number
  failed: number
  inputTokens: number
  outputTokens: number
  /** The content of the output file. */
  outputs: ByteBuffer
  /** The content of the error file. */
  errors: ByteBuffer
  /** When the batch will have ended, if nothing else happens, as Unix time in milliseconds. */
  expectedEnd: number
  /** When the batch expires, as Unix time in milliseconds. */
  readonly deadline: number
  readonly seed?: Seed
  /** When a cancel ended the batch, as Unix time in milliseconds. */
  cancelledAt?: number
}

export interface NewJob {
  readonly id: string
  readonly endpoint: string
  readonly inputFileId: string
  readonly input: Buffer
  readonly metadata: Record<string, string> | null
  /** Unix time in milliseconds. */
  readonly now: number
  readonly seed?: Seed
}

/** What is stored outside of the batches. */
export interface Storage {
  readonly files: FileStore
  /** How many bytes of responses the batches hold that have not ended. */
  readonly outputTotal: { bytes: number }
}

export const toSeconds = (ms: number) => Math.floor(ms / 1000)

export function newJob ({ id, endpoint, inputFileId, input, metadata, now, ...rest }: NewJob): Job {
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
    created_at: toSeconds(now),
    in_progress_at: null,
    expires_at: toSeconds(now + WINDOW_MS),
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
    input,
    requests: [],
    started: 0,
    completed: 0,
    failed: 0,
    inputTokens: 0,
    outputTokens: 0,
    outputs: createByteBuffer(),
    errors: createByteBuffer(),
    expectedEnd: now + WINDOW_MS,
    deadline: now + WINDOW_MS
  }
}

/** Changes the status of a batch and sets the time of it, in Unix seconds. */
export function setStatus (job: Job, status: BatchStatus, at: number, fields: Partial<Batch> = {}) {
  const stamp = job.seed?.stamps[status] ?? { [`${status}_at`]: at }
  job.batch = { ...job.batch, status, ...stamp, ...fields }
}

const OUTPUT_LIMIT_EXCEEDED: RequestResult = {
  status: 400,
  body: envelope('The sandbox cannot store more responses. Send fewer or smaller requests, or try again later.', {
    code: 'output_limit_exceeded'
  }),
  inputTokens: 0,
  outputTokens: 0
}

/**
 * Runs one request of a batch and counts it.
 * @param created Unix time in seconds.
 * @returns How many bytes it processed.
 */
export function runRequest (job: Job, request: BatchRequest, created: number, { outputTotal }: Storage): number {
  const { customId, start, end } = request
  const hasRoom = job.outputs.length <= MAX_OUTPUT_BYTES && outputTotal.bytes <= MAX_LIVE_OUTPUT_BYTES
  const { body: requestBody } = JSON.parse(job.input.toString('utf8', start, end))
  const result = hasRoom ? respondTo(job.batch.endpoint, requestBody, created) : OUTPUT_LIMIT_EXCEEDED
  const row = rowOf({
    id: newId('batch_req_'),
    custom_id: customId,
    response: { status_code: result.status, request_id: newId('req_'), body: result.body },
    error: null
  })
  if (result.status === 200) {
    job.outputs.append(row)
    job.completed += 1
    outputTotal.bytes += row.length
  } else {
    job.errors.append(row)
    job.failed += 1
  }
  job.inputTokens += result.inputTokens
  job.outputTokens += result.outputTokens
  job.batch = { ...job.batch, request_counts: countsOf(job), usage: tokenUsage(job.inputTokens, job.outputTokens) }
  return end - start + row.length
}

const rowOf = (row: object) => Buffer.from(JSON.stringify(row) + '\n')

export const countsOf = ({ requests, completed, failed }: Job) => ({ total: requests.length, completed, failed })

/** Why requests never ran, by how the batch ended; all requests of a completed batch ran. */
const NEVER_RAN: Partial<Record<EndStatus, { code: string, message: string }>> = {
  cancelled: { code: 'batch_cancelled', message: 'This request was not executed because the batch was cancelled.' },
  expired: {
    code: 'batch_expired',
    message: 'This request could not be executed before the completion window expired.'
  }
}

/** Returns the content of the error file, including the requests that never ran. */
export function * errorFile (job: Job, status: EndStatus): Steps<Buffer> {
  const unrun = createByteBuffer()
  let written = 0
  for (const { customId } of job.requests.slice(job.started)) {
    unrun.append(rowOf({ id: newId('batch_req_'), custom_id: customId, response: null, error: NEVER_RAN[status] }))
    if (unrun.length - written < SLICE_BYTES) continue
    yield unrun.length - written
    written = unrun.length
  }
  yield unrun.length - written
  return Buffer.concat([job.errors.toBuffer(), unrun.toBuffer()])
}

export interface End {
  readonly status: EndStatus
  /** Unix time in seconds. */
  readonly at: number
  /** The content of the error file. */
  readonly errors: Buffer
}

/** Ends a batch: stores its output and error file, and releases everything else. */
export function endJob (job: Job, { status, at, errors }: End, { files, outputTotal }: Storage) {
  const store = (content: Buffer, kind: string, id?: string) => content.length === 0
    ? null
    : files.add({ id, filename: `${job.batch.id}_${kind}.jsonl`, purpose: 'batch_output', createdAt: at, content }).id

  setStatus(job, status, at, {
    request_counts: countsOf(job),
    output_file_id: store(job.outputs.toBuffer(), 'output', job.seed?.outputFileId),
    error_file_id: store(errors, 'error', job.seed?.errorFileId)
  })
  outputTotal.bytes -= job.outputs.length
  job.input = Buffer.alloc(0)
  job.requests = []
  job.outputs = createByteBuffer()
  job.errors = createByteBuffer()
}
