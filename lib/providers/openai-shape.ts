import { BATCH_STATUSES, isBatch, type Batch, type BatchRequestCounts, type BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { isObject } from '../is-object.js'
import { statusIn } from './define-provider.js'
import {
  batchErrors, metadataOrNull, MIN_MILLISECONDS, parseTime, requestCounts, stringOrNull, unixSeconds
} from './parse-fields.js'
import { UNRECOGNIZED, type ReadContext, type ReadResult } from './provider.js'

type JsonObject = Readonly<Record<string, unknown>>

/** How a server differs from OpenAI in the batches that it shows. */
export interface OpenAIShape {
  /** Statuses of its own, in lower case, and what they are to OpenAI. */
  readonly statuses?: Readonly<Record<string, BatchStatus>> | undefined
  /** The member with the id. @default `id`, else `batch_id` */
  readonly batchIdField?: string | undefined
}

/**
 * Reads a batch that is OpenAI's, or nearly: statuses in capitals or with one l, times as ISO dates, strings or
 * milliseconds, errors as strings, fields missing, the batch in `{ "data": … }`. One that is OpenAI's stays as it is.
 */
export function readOpenAIBatch (body: unknown, { batchId }: ReadContext, shape: OpenAIShape = {}): ReadResult {
  if (!isObject(body)) return UNRECOGNIZED
  const { batchIdField } = shape
  const idOf = (object: JsonObject) =>
    batchIdField === undefined ? object['id'] ?? object['batch_id'] : object[batchIdField]
  const member = stringOrNull(idOf(body)) === null && isObject(body['data']) ? 'data' : undefined
  const object = (member === undefined ? body : body[member]) as JsonObject
  const shownId = idOf(object)
  if (!isNamedBatch(object, shownId)) return UNRECOGNIZED
  if (batchIdField === undefined && isBatch(object) && !hasMilliseconds(object)) {
    return { kind: 'batch', batch: object, shownId, member }
  }
  const batch = toBatch(object, batchId, shape.statuses ?? {})
  return batch === undefined ? UNRECOGNIZED : { kind: 'batch', batch, shownId, member }
}

/** Other objects of these APIs have a status, too. */
const isNamedBatch = ({ object = 'batch' }: JsonObject, shownId: unknown) =>
  object === 'batch' && stringOrNull(shownId) !== null

const TIMES = [
  'created_at', 'in_progress_at', 'expires_at', 'finalizing_at', 'completed_at', 'failed_at', 'expired_at',
  'cancelling_at', 'cancelled_at'
] as const

type TimeName = (typeof TIMES)[number]

const hasMilliseconds = (batch: Batch) => TIMES.some(name => (batch[name] ?? 0) >= MIN_MILLISECONDS)

function toBatch (
  object: JsonObject,
  batchId: string,
  statuses: Readonly<Record<string, BatchStatus>>
): Batch | undefined {
  const status = toStatus(object, statuses)
  if (status === undefined) return undefined
  return completeBatch(Object.assign(toTimes(object), {
    id: batchId,
    endpoint: stringOrNull(object['endpoint']) ?? '',
    model: stringOrNull(object['model']),
    errors: batchErrors(object['errors']),
    input_file_id: stringOrNull(object['input_file_id']) ?? '',
    completion_window: stringOrNull(object['completion_window']) ?? '',
    status,
    output_file_id: stringOrNull(object['output_file_id']),
    error_file_id: stringOrNull(object['error_file_id']),
    created_at: unixSeconds(object['created_at']) ?? 0,
    request_counts: toCounts(object),
    usage: usageOrNull(object['usage']),
    metadata: metadataOrNull(object['metadata']),
    provider_batch: object
  }))
}

const toTimes = (object: JsonObject) =>
  Object.fromEntries(TIMES.map(name => [name, unixSeconds(object[name])])) as Record<TimeName, number | null>

/** Zhipu and Novita have the counts beside the other fields. */
function toCounts ({ request_counts: counts, total, completed, failed }: JsonObject): BatchRequestCounts | null {
  const own = isObject(counts) ? requestCounts(counts['total'], counts['completed'], counts['failed']) : null
  return own ?? requestCounts(total, completed, failed)
}

const isInteger = (value: unknown): value is number => Number.isInteger(value)

function usageOrNull (value: unknown): NonNullable<Batch['usage']> | null {
  if (!isObject(value)) return null
  const { input_tokens: input, output_tokens: output, total_tokens: total } = value
  const { input_tokens_details: inputDetails, output_tokens_details: outputDetails } = value
  const isUsage = [input, output, total].every(isInteger) &&
    isObject(inputDetails) && isInteger(inputDetails['cached_tokens']) &&
    isObject(outputDetails) && isInteger(outputDetails['reasoning_tokens'])
  return isUsage ? value as NonNullable<Batch['usage']> : null
}

const OPENAI_STATUSES: Readonly<Record<string, BatchStatus>> = {
  ...Object.fromEntries(BATCH_STATUSES.map(status => [status, status])),
  canceling: 'cancelling',
  canceled: 'cancelled'
}

/** What the times of a batch with an unknown status say. The end comes first: a batch that ended keeps other times. */
const STATUS_BY_TIME: ReadonlyArray<readonly [name: string, status: BatchStatus]> = [
  ['completed_at', 'completed'],
  ['failed_at', 'failed'],
  ['expired_at', 'expired'],
  ['cancelled_at', 'cancelled'],
  // Cerebras documents `calling` for a batch whose cancel has begun.
  ['cancelling_at', 'cancelling']
]

function toStatus (object: JsonObject, own: Readonly<Record<string, BatchStatus>>): BatchStatus | undefined {
  const status = stringOrNull(object['status'])?.toLowerCase()
  if (status === undefined) return undefined
  return statusIn(OPENAI_STATUSES, status) ?? statusIn(own, status) ?? statusByTime(object)
}

const statusByTime = (object: JsonObject): BatchStatus | undefined =>
  STATUS_BY_TIME.find(([name]) => parseTime(object[name]) !== null)?.[1]
