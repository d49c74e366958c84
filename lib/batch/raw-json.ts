import type { Batch } from '../../schemas/batch.js'

/** The JSON that an object was parsed from. Large integers survive in the text, not in the object. */
export interface RawJson {
  readonly text: string
  /** The parsed object: the batch itself, or its `provider_batch`. The text counts only for this very object. */
  readonly value: object
}

/** A batch as JSON, as its provider wrote it. Throws a `TypeError` if the batch cannot be serialized. */
export function batchJson (batch: Batch, raw?: RawJson): string {
  if (raw === undefined) return JSON.stringify(batch)
  if (raw.value === batch) return raw.text
  const { provider_batch: original, ...own } = batch
  if (raw.value !== original) return JSON.stringify(batch)
  return `${JSON.stringify(own).slice(0, -1)},"provider_batch":${raw.text}}`
}

/** Freezes a parsed JSON value in depth: a change that the raw JSON would hide throws instead. */
export function deepFreeze (value: unknown): void {
  const pending = [value]
  while (pending.length > 0) {
    const next = pending.pop()
    if (typeof next !== 'object' || next === null || Object.isFrozen(next)) continue
    Object.freeze(next)
    for (const key in next) {
      const member = (next as Record<string, unknown>)[key]
      if (typeof member === 'object') pending.push(member)
    }
  }
}
