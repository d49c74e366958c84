import type { Static, TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Batch, BatchError, BatchStatus } from '../../schemas/batch.js'
import { isObject } from '../is-object.js'

/* Readers for what providers tell in another form than OpenAI's batch has it. Whatever cannot be read is not told. */

export const stringOrNull = (value: unknown): string | null => typeof value === 'string' && value !== '' ? value : null

/** Unix seconds of a moment told as such, as digits in a string or as an ISO 8601 date, in UTC where it names no zone; 0 tells nothing. */
export function unixSeconds (value: unknown): number | null {
  const seconds = typeof value === 'string' && !/^\d+$/.test(value) ? Date.parse(/T[\d:.]+$/.test(value) ? `${value}Z` : value) / 1000 : Number(value ?? NaN)
  return Number.isFinite(seconds) && seconds !== 0 ? Math.round(seconds) : null
}

/** A value that already has the form that a schema asks for. */
export const valueOrNull = <T extends TSchema>(schema: T, value: unknown): Static<T> | null => Value.Check(schema, value) ? value : null

const END = { completed: 'completed_at', failed: 'failed_at', expired: 'expired_at', cancelled: 'cancelled_at' } as const

/** The one moment at which a batch ended, under the name that OpenAI gives it for each way to end. */
export function endTimestamp (status: BatchStatus, moment: unknown): Partial<Pick<Batch, (typeof END)[keyof typeof END]>> {
  return Object.hasOwn(END, status) ? { [END[status as keyof typeof END]]: unixSeconds(moment) } : {}
}

/** A body with nothing in it: none at all, or `{}`. */
export const isEmptyBody = (body: unknown): boolean => body === null || (isObject(body) && Object.keys(body).length === 0)

/** Errors of a batch told as OpenAI's list, as an array or as one, of strings or of objects. */
export function batchErrors (value: unknown): NonNullable<Batch['errors']> | null {
  const told = isObject(value) && Array.isArray(value['data']) ? value['data'] : Array.isArray(value) ? value : [value]
  const data = told.map(toldError).filter(error => error !== null)
  return data.length === 0 ? null : { object: 'list', data }
}

function toldError (value: unknown): BatchError | null {
  if (!isObject(value)) return stringOrNull(value) === null ? null : { code: null, message: value as string, param: null, line: null }
  const { code, message, param, line } = value
  if (stringOrNull(message) === null && stringOrNull(code) === null) return null
  return { code: stringOrNull(code), message: stringOrNull(message), param: stringOrNull(param), line: Number.isInteger(line) ? line as number : null }
}
