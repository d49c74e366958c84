import { Errors, type ValueError } from '@sinclair/typebox/errors'
import { Batch, BatchError, BatchRequestCounts } from '../../schemas/batch.js'

/** How much of a wrong value a message shows, in characters. */
const MAX_SHOWN = 64

/**
 * Says which field keeps a value, which is not a batch, from being one.
 *
 * @example batchProblem({ object: 'batch', status: 'canceled' }) // "id is missing"
 */
export function batchProblem (value: unknown): string {
  const error = Errors(Batch, [BatchError, BatchRequestCounts], value).First() as ValueError
  const field = error.path.slice(1).replaceAll('/', '.')
  if (field === '') return `it is ${show(value)}`
  return error.value === undefined ? `${field} is missing` : `${field} is ${show(error.value)}`
}

/** Says how the id of a batch differs from that of the call. */
export const idProblem = (id: string, requested: string): string =>
  `id is ${show(id)}, but the call is for ${show(requested)}`

function show (value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, MAX_SHOWN)}'`
  return typeof value === 'object' && value !== null ? 'an object of another kind' : String(value)
}
