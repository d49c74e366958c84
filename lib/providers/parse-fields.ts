import type { Batch, BatchError, BatchRequestCounts, BatchStatus } from '../../schemas/batch.js'
import { isObject } from '../is-object.js'

/* Readers for fields that providers send in another form than OpenAI's. What cannot be read is null. */

export const stringOrNull = (value: unknown): string | null => typeof value === 'string' && value !== '' ? value : null

const ISO_8601 = /^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d{2}:?\d{2})?)?$/
const HAS_ZONE = /(?:[Zz]|[+-]\d{2}:?\d{2})$/
const DIGITS = /^\d{1,17}(?:\.\d{1,9})?$/

/** 1971 and 9999: earlier is a zero time in some zone, and nothing is later. */
const MIN_SECONDS = 31_536_000
const MAX_SECONDS = 253_402_300_799

/** A time in seconds would be in the year 5138: it is in milliseconds. */
export const MIN_MILLISECONDS = 100_000_000_000

/**
 * Unix seconds, with fractions, of a number or digits (in seconds or milliseconds) or an ISO 8601 date; without a zone
 * it is UTC. Zero times are `null`.
 */
export function parseTime (value: unknown): number | null {
  const seconds = typeof value === 'string' && !DIGITS.test(value) ? parseDate(value) : parseNumber(value)
  return seconds >= MIN_SECONDS && seconds <= MAX_SECONDS ? seconds : null
}

function parseDate (text: string): number {
  if (!ISO_8601.test(text)) return NaN
  const hasTime = text.length > 10
  const iso = text.replace(/[t ]/, 'T').replace(',', '.').toUpperCase()
  return Date.parse(hasTime && !HAS_ZONE.test(iso) ? `${iso}Z` : iso) / 1000
}

function parseNumber (value: unknown): number {
  if (typeof value !== 'number' && typeof value !== 'string') return NaN
  const number = Number(value)
  return number >= MIN_MILLISECONDS ? number / 1000 : number
}

/** A time in whole Unix seconds. */
export function unixSeconds (value: unknown): number | null {
  const seconds = parseTime(value)
  return seconds === null ? null : Math.round(seconds)
}

const END = {
  completed: 'completed_at',
  failed: 'failed_at',
  expired: 'expired_at',
  cancelled: 'cancelled_at'
} as const

/** The one time at which a batch ended, under the name that OpenAI has for each way to end. */
export function endTimestamp (
  status: BatchStatus,
  time: unknown
): Partial<Pick<Batch, (typeof END)[keyof typeof END]>> {
  return Object.hasOwn(END, status) ? { [END[status as keyof typeof END]]: unixSeconds(time) } : {}
}

/** A whole number, as a number or, as Google's APIs write those of 64 bits, a string; a negative one means unknown. */
export const parseCount = (value: unknown): number | undefined =>
  /^\d{1,15}$/.test(String(value)) ? Number(value) : undefined

/** Counts of requests; `null` unless all three are whole numbers. */
export function requestCounts (total: unknown, completed: unknown, failed: unknown): BatchRequestCounts | null {
  const counts = { total, completed, failed }
  return Object.values(counts).every(Number.isInteger) ? counts as BatchRequestCounts : null
}

/** An object whose values are all strings. */
export const metadataOrNull = (value: unknown): Record<string, string> | null =>
  isObject(value) && Object.values(value).every(item => typeof item === 'string')
    ? value as Record<string, string>
    : null

/** No body, or `{}`. */
export const isEmptyBody = (body: unknown): boolean => body === null || isEmptyObject(body)

/** `{}`. */
export const isEmptyObject = (body: unknown): boolean => isObject(body) && Object.keys(body).length === 0

/** Errors of a batch as OpenAI's list, from a list or a single one, of strings or of objects. */
export function batchErrors (value: unknown): NonNullable<Batch['errors']> | null {
  const list = isObject(value) ? value['data'] : value
  const errors = Array.isArray(list) ? list : [value]
  const data = errors.map(batchError).filter(error => error !== null)
  return data.length === 0 ? null : { object: 'list', data }
}

function batchError (value: unknown): BatchError | null {
  if (!isObject(value)) {
    const message = stringOrNull(value)
    return message === null ? null : { code: null, message, param: null, line: null }
  }
  const { code, message, param, line } = value
  if (stringOrNull(message) === null && stringOrNull(code) === null) return null
  return {
    code: stringOrNull(code),
    message: stringOrNull(message),
    param: stringOrNull(param),
    line: Number.isInteger(line) ? line as number : null
  }
}
