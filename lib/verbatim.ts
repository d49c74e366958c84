import type { Batch } from '../schemas/batch.js'
import { wholeBatch } from './batch.js'

const texts = new WeakMap<Batch, string>()

/**
 * Remembers the JSON text that a batch was parsed from, so that it goes out byte for byte: parsing rounds
 * integers over 2^53. Whoever wants to send something else makes another object.
 */
export function keepText (batch: Batch, text: string): Batch {
  texts.set(batch, text)
  return batch
}

/** A batch as JSON: as its provider wrote it, else as it is; where it cannot be written (too deep, or a hook's own object), what names it. */
export function writeBatch (batch: Batch): string {
  try {
    return textOf(batch) ?? JSON.stringify(batch)
  } catch {
    return JSON.stringify(wholeBatch({ id: batch.id, status: batch.status }))
  }
}

export const textOf = (batch: Batch): string | undefined => texts.get(batch)
