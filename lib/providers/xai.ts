import type { BatchStatus } from '../../schemas/batch.js'
import { isObject } from '../is-object.js'
import { MAX_REMEMBERED_COUNTERS } from '../limits.js'
import { bearer } from './auth.js'
import { defineProvider } from './define-provider.js'
import { SEGMENT_ID } from './ids.js'
import { batchErrors, parseTime, requestCounts, stringOrNull, unixSeconds } from './parse-fields.js'
import type { ReadContext } from './provider.js'
import { get, post } from './requests.js'

type JsonObject = Readonly<Record<string, unknown>>

export interface XaiOptions {
  /** Unix time in milliseconds. @default Date.now */
  readonly date?: () => number
  /** Monotonic time in milliseconds. @default performance.now */
  readonly now?: () => number
}

/** xAI's batches. They have no status: it follows from the counters and the times. */
export function defineXai ({ date = Date.now, now = () => performance.now() }: XaiOptions = {}) {
  const unchangedFor = createStability(now)
  return defineProvider({
    name: 'x-ai',
    factory: 'xai',
    source: {
      document: 'docs.x.ai/developers/advanced-api-usage/batch-api; xai-proto 9700be4; recorded responses of ' +
        'OpenRouterTeam/docs'
    },
    baseUrl: 'https://api.x.ai/v1',
    auth: bearer(),
    id: SEGMENT_ID,
    cancel: post('/batches/{id}:cancel'),
    retrieve: get('/batches/{id}'),
    batchId: batch => batch['batch_id'],
    status (batch, context) {
      if (typeof batch['batch_id'] !== 'string') return undefined
      const counts = toCounts(batch['state'])
      const unchanged = unchangedFor(context.batchId, JSON.stringify(counts ?? null))
      return toStatus(batch, counts, { ...context, date: date(), unchanged })
    },
    fields (batch, { status }) {
      const cancelled = unixSeconds(batch['cancel_time'])
      const counts = toCounts(batch['state'])
      return {
        errors: batchErrors(batch['cancel_by_xai_message']),
        input_file_id: stringOrNull(batch['input_file_id']) ?? '',
        created_at: unixSeconds(batch['create_time']) ?? 0,
        expires_at: unixSeconds(batch['expire_time']),
        failed_at: status === 'failed' ? cancelled : null,
        cancelling_at: status === 'failed' ? null : cancelled,
        cancelled_at: status === 'cancelled' ? cancelled : null,
        request_counts: requestCounts(counts?.requests, counts?.success, counts?.error)
      }
    }
  })
}

/** xAI's batches. @throws FST_BATCH_CANCEL_INVALID_OPTION */
export const xai = defineXai()

interface Counts {
  readonly requests: number
  readonly pending: number
  readonly success: number
  readonly error: number
  readonly cancelled: number
}

/** Counters that are 0 may be left out. */
function toCounts (state: unknown): Counts | undefined {
  if (!isObject(state)) return undefined
  const { num_requests: requests = 0, num_pending: pending = 0 } = state
  const { num_success: success = 0, num_error: error = 0, num_cancelled: cancelled = 0 } = state
  const counts = { requests, pending, success, error, cancelled }
  return Object.values(counts).every(Number.isInteger) ? counts as Counts : undefined
}

interface StatusContext extends ReadContext {
  /** Unix time in milliseconds. */
  readonly date: number
  /** For how many milliseconds the counters have been the same. */
  readonly unchanged: number
}

/**
 * The first of these that holds. Counters go back: requests of a cancelled batch may have completed after all, so
 * `completed` comes first.
 */
function toStatus (batch: JsonObject, counts: Counts | undefined, context: StatusContext): BatchStatus | undefined {
  const cancelTime = stringOrNull(batch['cancel_time'])
  if (stringOrNull(batch['cancel_by_xai_message']) !== null) return 'failed'
  if (counts === undefined) return cancelTime === null ? undefined : 'cancelling'
  const { requests, pending, success, error, cancelled } = counts
  const finished = success + error
  if (finished > 0 && pending === 0 && cancelled === 0) return 'completed'
  if (cancelTime !== null && requests === 0) return 'cancelled'
  if (pending === 0 && cancelled > 0 && (cancelTime !== null || finished === 0)) {
    return isSettled(cancelTime, context) ? 'cancelled' : 'cancelling'
  }
  if ((pending > 0 || requests === 0) && isOver(batch['expire_time'], 0, context.date)) return 'expired'
  if (cancelTime !== null && pending > 0) return 'cancelling'
  if (requests === 0) return 'validating'
  return pending > 0 ? 'in_progress' : 'completed'
}

const DAY_MS = 86_400_000
const DATE_ONLY = /^\d{4}-\d{2}-\d{2}$/

/** After a cancel requests in progress still finish: within 20 seconds as recorded. */
const SETTLING_MS = 60_000

/** A cancel whose time of day is not known is settled when its day is over, or the counters have not changed. */
function isSettled (cancelTime: string | null, { action, date, unchanged }: StatusContext): boolean {
  if (action === 'cancel') return false
  if (isOver(cancelTime, SETTLING_MS, date)) return true
  return (cancelTime === null || DATE_ONLY.test(cancelTime)) && unchanged >= SETTLING_MS
}

/** Whether a time is certainly this long ago: a date alone may mean the end of its day. */
function isOver (time: unknown, ms: number, date: number): boolean {
  const seconds = parseTime(time)
  if (seconds === null) return false
  return seconds * 1000 + (DATE_ONLY.test(String(time)) ? DAY_MS : 0) + ms <= date
}

/** Returns for how many milliseconds a batch has been read with the same counters. */
function createStability (now: () => number) {
  const batches = new Map<string, { readonly counters: string, readonly since: number }>()
  return function unchangedFor (batchId: string, counters: string): number {
    const known = batches.get(batchId)
    if (known?.counters === counters) return now() - known.since
    batches.delete(batchId)
    batches.set(batchId, { counters, since: now() })
    // The one whose counters changed first is forgotten first.
    if (batches.size > MAX_REMEMBERED_COUNTERS) batches.delete(batches.keys().next().value as string)
    return 0
  }
}
