import type { Static, TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Batch, BatchError } from '../../schemas/batch.js'
import { isObject } from '../error-shape.js'

/* Readers for what providers tell in another form than OpenAI's batch has it. Whatever cannot be read is not told. */

export const toldString = (value: unknown): string | null => typeof value === 'string' && value !== '' ? value : null

/** Unix seconds of a moment told as such, as digits in a string or as an ISO 8601 date; 0 tells nothing. */
export function toldSeconds (value: unknown): number | null {
  const seconds = typeof value === 'string' && !/^\d+$/.test(value) ? Date.parse(value) / 1000 : Number(value ?? NaN)
  return Number.isFinite(seconds) && seconds !== 0 ? Math.round(seconds) : null
}

/** A value that already has the form that a schema asks for. */
export const toldAs = <T extends TSchema>(schema: T, value: unknown): Static<T> | null => Value.Check(schema, value) ? value : null

/** Errors of a batch told as OpenAI's list, as an array or as one, of strings or of objects. */
export function toldErrors (value: unknown): NonNullable<Batch['errors']> | null {
  const told = isObject(value) && Array.isArray(value['data']) ? value['data'] : Array.isArray(value) ? value : [value]
  const data = told.map(toldError).filter(error => error !== null)
  return data.length === 0 ? null : { object: 'list', data }
}

function toldError (value: unknown): BatchError | null {
  if (!isObject(value)) return toldString(value) === null ? null : { code: null, message: value as string, param: null, line: null }
  const { code, message, param, line } = value
  if (toldString(message) === null && toldString(code) === null) return null
  return { code: toldString(code), message: toldString(message), param: toldString(param), line: Number.isInteger(line) ? line as number : null }
}
