import type { Batch } from '../schemas/batch.js'

const texts = new WeakMap<Batch, string>()

/**
 * Remembers the JSON text that a batch was parsed from, so that it goes out byte for byte: parsing rounds
 * integers over 2^53. Whoever wants to send something else makes another object.
 */
export function keepText (batch: Batch, text: string): Batch {
  texts.set(batch, text)
  return batch
}

export const textOf = (batch: Batch): string | undefined => texts.get(batch)
