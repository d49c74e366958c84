import { BatchRequestCounts, type Batch, type BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { isObject } from '../is-object.js'
import { bearerToken, checkProviderOptions, type Action, type Base, type Provider, type ProviderOptions } from './provider.js'
import { valueOrNull, batchErrors, unixSeconds, stringOrNull } from './parse-fields.js'

const PLACE = { base: { origin: 'https://api.x.ai', path: '/v1' } as Base }

/**
 * xAI's batches. They tell no status: it is read from the counters and the times.
 *
 * Takes `baseUrl` (default `https://api.x.ai/v1`) and `apiKey` (default: the client's `Authorization`); throws
 * `FST_BATCH_CANCEL_INVALID_OPTION` when one cannot work. `now` is the time in milliseconds, by which a batch has
 * expired. Sources: xAI's Batch API guide, its protocol definitions (xai-proto), and answers that others recorded.
 */
export function xai (options: ProviderOptions = {}, now: () => number = Date.now): Provider<string> {
  checkProviderOptions('xai', options)
  return {
    baseUrl: options.baseUrl,
    serverCredential: options.apiKey,
    id: /^[A-Za-z0-9][\w.-]{0,254}$/,
    reservedHeaders: ['authorization'],
    locate: () => PLACE,
    clientCredential: bearerToken,
    request (action, { base, batchId, credential }) {
      const batch = `${base.path}/batches/${encodeURIComponent(batchId)}`
      const headers = { authorization: `Bearer ${credential}` }
      return action === 'cancel' ? { method: 'POST', path: `${batch}:cancel`, headers } : { method: 'GET', path: batch, headers }
    },
    batchIdOf: ({ batch_id: id }) => id,
    batch: (body, { batchId }, action) => isObject(body) && typeof body['batch_id'] === 'string' ? toBatch(body, batchId, action, now()) : undefined
  }
}

function toBatch (told: Record<string, unknown>, batchId: string, action: Action, now: number): Batch | undefined {
  const counts = toCounts(told['state'])
  const status = toStatus(told, counts, action, now)
  if (status === undefined) return undefined
  const cancelled = unixSeconds(told['cancel_time'])
  return completeBatch({
    id: batchId,
    errors: batchErrors(told['cancel_by_xai_message']),
    input_file_id: stringOrNull(told['input_file_id']) ?? '',
    status,
    created_at: unixSeconds(told['create_time']) ?? 0,
    expires_at: unixSeconds(told['expire_time']),
    failed_at: status === 'failed' ? cancelled : null,
    cancelling_at: status === 'failed' ? null : cancelled,
    cancelled_at: status === 'cancelled' ? cancelled : null,
    request_counts: counts === undefined ? null : valueOrNull(BatchRequestCounts, { total: counts.requests, completed: counts.success, failed: counts.error }),
    provider_batch: told
  })
}

interface Counts {
  readonly requests: number
  readonly pending: number
  readonly success: number
  readonly error: number
  readonly cancelled: number
}

function toCounts (state: unknown): Counts | undefined {
  if (!isObject(state)) return undefined
  const { num_requests: requests, num_pending: pending, num_success: success, num_error: error, num_cancelled: cancelled } = state
  const counts = { requests, pending, success, error, cancelled }
  return Object.values(counts).every(Number.isInteger) ? counts as Counts : undefined
}

/** The first of these that holds. Counters go back: a batch that was cancelled may yet have completed, so what completed comes first. */
function toStatus (told: Record<string, unknown>, counts: Counts | undefined, action: Action, now: number): BatchStatus | undefined {
  const cancelled = stringOrNull(told['cancel_time'])
  if (stringOrNull(told['cancel_by_xai_message']) !== null) return 'failed'
  if (counts === undefined) return cancelled === null ? undefined : 'cancelling'
  const unfinished = counts.pending > 0 || counts.requests === 0
  if (counts.success + counts.error > 0 && counts.pending === 0 && counts.cancelled === 0) return 'completed'
  if (cancelled !== null && counts.requests === 0) return 'cancelled'
  if (cancelled !== null && counts.cancelled > 0 && counts.pending === 0) return action === 'retrieve' && isOver(cancelled, SETTLING, now) ? 'cancelled' : 'cancelling'
  if (unfinished && isOver(stringOrNull(told['expire_time']), 0, now)) return 'expired'
  if (cancelled !== null && counts.pending > 0) return 'cancelling'
  if (counts.requests === 0) return 'validating'
  return counts.pending > 0 ? 'in_progress' : 'completed'
}

const DAY = 86_400_000
const DATE_ONLY = /^\d{4}-\d{2}-\d{2}$/

/** After a cancel requests in progress still land: within 20 seconds where it was observed. In milliseconds. */
const SETTLING = 60_000

/** Whether a told time lies back by so much for sure: a date without an hour may mean the end of its day. */
const isOver = (time: string | null, since: number, now: number) =>
  time !== null && Date.parse(time) + (DATE_ONLY.test(time) ? DAY : 0) + since <= now
