import { Type } from '@sinclair/typebox'
import type { Batch, BatchRequestCounts, BatchStatus } from '../../schemas/batch.js'
import { isObject } from '../is-object.js'
import { headerKey } from './auth.js'
import { defineProvider, statusIn } from './define-provider.js'
import { endTimestamp, isEmptyBody, parseCount, stringOrNull, unixSeconds } from './parse-fields.js'
import { get, post } from './requests.js'

const KEY = 'x-goog-api-key'

/**
 * Google's Gemini API. It shows a batch as a long-running operation. A cancel returns `{}`, so the batch is read after
 * it; there is no status between running and cancelled. A batch is named `batches/x` or `x`.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const google = defineProvider({
  name: 'google',
  source: { package: '@google/genai', version: '2.32.0', document: 'ai.google.dev/api/batch-api' },
  baseUrl: 'https://generativelanguage.googleapis.com/v1beta',
  auth: headerKey(KEY),
  id: {
    pattern: /^(?:batches(?:\/|%2[Ff]))?[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/,
    description: 'batches/x or x, where x is 1 to 128 letters, digits, underscores and hyphens'
  },
  place: ({ batchId }) => ({ name: batchId.replace(/^batches(?:\/|%2f)/i, '') }),
  cancel: post('/batches/{name}:cancel', { json: {} }),
  retrieve: get('/batches/{name}'),
  headers: {
    [KEY]: Type.String({
      maxLength: 512,
      pattern: '^[\\x21-\\x7e]+$',
      description: 'The key of the Gemini API; it takes precedence over `Authorization`.'
    })
  },
  accountHeaders: [KEY],
  reservedHeaders: ['x-goog-user-project'],
  accepts: isEmptyBody,
  batchId: ({ name }) => name,
  status: ({ metadata }) => isObject(metadata) ? googleStatus(metadata['state']) : undefined,
  fields ({ metadata, response, error }, { status }) {
    const about = metadata as Record<string, unknown>
    return Object.assign({
      model: stringOrNull(about['model']),
      // The operation of a cancelled batch ends with an error, too.
      errors: status === 'cancelled' ? null : googleErrors(error),
      input_file_id: stringIn(about['inputConfig'], 'fileName') ?? '',
      output_file_id: stringIn(about['output'], 'responsesFile') ?? stringIn(response, 'responsesFile'),
      created_at: unixSeconds(about['createTime']) ?? 0,
      request_counts: toCounts(about['batchStats'])
    }, endTimestamp(status, about['endTime']))
  }
})

const stringIn = (value: unknown, key: string) => isObject(value) ? stringOrNull(value[key]) : null

function toCounts (stats: unknown): BatchRequestCounts | null {
  if (!isObject(stats)) return null
  const { requestCount, successfulRequestCount, failedRequestCount } = stats
  const total = parseCount(requestCount)
  if (total === undefined) return null
  return { total, completed: parseCount(successfulRequestCount) ?? 0, failed: parseCount(failedRequestCount) ?? 0 }
}

const STATES: Readonly<Record<string, BatchStatus>> = {
  UNSPECIFIED: 'validating',
  QUEUED: 'validating',
  PENDING: 'validating',
  RUNNING: 'in_progress',
  UPDATING: 'in_progress',
  PAUSED: 'in_progress',
  SUCCEEDED: 'completed',
  PARTIALLY_SUCCEEDED: 'completed',
  FAILED: 'failed',
  CANCELLING: 'cancelling',
  CANCELLED: 'cancelled',
  EXPIRED: 'expired'
}

/** The state of a batch of the Gemini API or of Vertex AI: the former has been seen to send the latter's. */
export const googleStatus = (state: unknown): BatchStatus | undefined =>
  statusIn(STATES, /^(?:JOB|BATCH)_STATE_([A-Z_]{1,32})$/.exec(String(state))?.[1])

/** A `google.rpc.Status` as what stopped the batch. */
export function googleErrors (value: unknown): NonNullable<Batch['errors']> | null {
  const message = stringIn(value, 'message')
  if (!isObject(value) || message === null) return null
  const { code } = value
  const data = [{ code: typeof code === 'number' ? String(code) : null, message, param: null, line: null }]
  return { object: 'list', data }
}
