import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from './complete-batch.js'
import { isObject } from '../is-object.js'

/** Not enumerable, so that no copy has it. A WeakMap would cost ten times as much, and garbage collections more. */
const kText = Symbol('fastify-batch-cancel.text')

/**
 * Remembers the JSON text that an object was parsed from, so that it goes out byte for byte, as a batch or within one:
 * parsing rounds integers over 2^53. Whoever wants to send something else makes another object.
 */
export function keepText (parsed: object, text: string): void {
  Object.defineProperty(parsed, kText, { value: text })
}

export const textOf = (parsed: object & { readonly [kText]?: string }): string | undefined => parsed[kText]

/** The batch with another status, and all else as its provider wrote it. */
export function withStatus (batch: Batch, status: BatchStatus): Batch {
  const other = { ...batch, status }
  const text = textOf(batch)
  if (text !== undefined) keepText(other, replaceStatus(text, status))
  return other
}

const STRING = '"[^"\\\\]*(?:\\\\.[^"\\\\]*)*"'
const TOKEN = new RegExp(`(${STRING})(\\s*:\\s*)?(${STRING})?|[{}[\\]]`, 'g')

/** Only of the object itself, however often and with whichever escapes it tells it. */
function replaceStatus (text: string, status: BatchStatus): string {
  let depth = 0
  return text.replace(TOKEN, (token: string, key?: string, colon?: string, value?: string) => {
    if (key === undefined) depth += token === '{' || token === '[' ? 1 : -1
    return depth === 1 && key !== undefined && value !== undefined && JSON.parse(key) === 'status' ? `${key}${colon}"${status}"` : token
  })
}

/** A batch as JSON: as its provider wrote it, else as it is; where it cannot be written (too deep, or a hook's own object), what names it. */
export function writeBatch (batch: Batch): string {
  try {
    return textOf(batch) ?? writeAround(batch)
  } catch {
    return JSON.stringify(completeBatch({ id: batch.id, status: batch.status }))
  }
}

/** A batch of our making around the provider's own object, which goes out as it came. */
function writeAround (batch: Batch): string {
  const { provider_batch: told, ...own } = batch
  const text = isObject(told) ? textOf(told) : undefined
  return text === undefined ? JSON.stringify(batch) : `${JSON.stringify(own).slice(0, -1)},"provider_batch":${text}}`
}
