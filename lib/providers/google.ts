import { Type } from '@sinclair/typebox'
import type { Batch, BatchRequestCounts, BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { isObject } from '../is-object.js'
import { headerOf } from '../headers.js'
import { bearerToken, checkProviderOptions, type Base, type Provider, type ProviderOptions } from './provider.js'
import { isEmptyBody, endTimestamp, unixSeconds, stringOrNull } from './parse-fields.js'

const KEY = 'x-goog-api-key'

const PLACE = { base: { origin: 'https://generativelanguage.googleapis.com', path: '/v1beta' } as Base }

/**
 * Google's Gemini API. It shows a batch as a long-running operation, and a cancel answers `{}`, so the batch is read
 * after it; there is no state between running and cancelled. A batch is named `batches/x` or `x`.
 *
 * Takes `baseUrl` (default `https://generativelanguage.googleapis.com/v1beta`) and `apiKey` (default: the client's
 * `x-goog-api-key`, else its `Authorization`); throws `FST_BATCH_CANCEL_INVALID_OPTION` when one cannot work.
 * Source: the official npm package `@google/genai` 2.32.0.
 */
export function google (options: ProviderOptions = {}): Provider<string> {
  checkProviderOptions('google', options)
  return {
    baseUrl: options.baseUrl,
    serverCredential: options.apiKey,
    id: /^(batches(\/|%2[Ff]))?[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/,
    headers: { [KEY]: Type.String({ pattern: '^[\\x21-\\x7e]{1,512}$', description: 'The key of the Gemini API; it wins over `Authorization`.' }) },
    accountHeaders: [KEY],
    reservedHeaders: [KEY, 'authorization', 'x-goog-user-project'],
    locate: () => PLACE,
    clientCredential: (headers) => headerOf(headers, KEY) ?? bearerToken(headers),
    request (action, { base, batchId, credential }) {
      const name = encodeURIComponent(batchId.replace(/^batches(\/|%2f)/i, ''))
      return googleRequest(action, `${base.path}/batches/${name}`, { [KEY]: credential })
    },
    batchIdOf: ({ name }) => name,
    batch (body, { batchId }, action) {
      if (action === 'cancel' && isEmptyBody(body)) return null
      return toBatch(body, batchId)
    }
  }
}

/** The two requests as Google's own SDK makes them. */
export const googleRequest = (action: 'cancel' | 'retrieve', path: string, credential: Record<string, string>) => action === 'cancel'
  ? { method: 'POST', path: `${path}:cancel`, headers: { ...credential, 'content-type': 'application/json' }, body: '{}' } as const
  : { method: 'GET', path, headers: credential } as const

function toBatch (operation: unknown, id: string): Batch | undefined {
  if (!isObject(operation) || !isObject(operation['metadata'])) return undefined
  const { metadata, response, error } = operation
  const status = toldState(metadata['state'])
  if (status === undefined) return undefined
  return completeBatch({
    id,
    model: stringOrNull(metadata['model']),
    // The operation of a cancelled batch ends with an error, too.
    errors: status === 'cancelled' ? null : toldStatus(error),
    input_file_id: toldIn(metadata['inputConfig'], 'fileName') ?? '',
    status,
    output_file_id: toldIn(metadata['output'], 'responsesFile') ?? toldIn(response, 'responsesFile'),
    created_at: unixSeconds(metadata['createTime']) ?? 0,
    ...endTimestamp(status, metadata['endTime']),
    request_counts: toCounts(metadata['batchStats']),
    provider_batch: operation
  })
}

const toldIn = (value: unknown, key: string) => isObject(value) ? stringOrNull(value[key]) : null

function toCounts (stats: unknown): BatchRequestCounts | null {
  if (!isObject(stats)) return null
  const total = toldCount(stats['requestCount'])
  return total === undefined ? null : { total, completed: toldCount(stats['successfulRequestCount']) ?? 0, failed: toldCount(stats['failedRequestCount']) ?? 0 }
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

/** A state of either API: the Gemini API has been seen to tell those of Vertex AI. */
export function toldState (value: unknown): BatchStatus | undefined {
  const state = /^(?:JOB|BATCH)_STATE_([A-Z_]{1,32})$/.exec(String(value))?.[1]
  return state !== undefined && Object.hasOwn(STATES, state) ? STATES[state] : undefined
}

/** A `google.rpc.Status` as what stopped the batch. */
export function toldStatus (value: unknown): NonNullable<Batch['errors']> | null {
  const message = toldIn(value, 'message')
  if (!isObject(value) || message === null) return null
  const { code } = value
  return { object: 'list', data: [{ code: typeof code === 'number' ? String(code) : null, message, param: null, line: null }] }
}

/** Google tells its 64-bit integers as strings, and leaves out those that are 0; a negative one says that it is not known. */
export const toldCount = (value: unknown): number | undefined =>
  /^\d{1,15}$/.test(String(value)) ? Number(value) : undefined
