import type { Batch } from '../../schemas/batch.js'

/**
 * Whether a batch is `cancelling` for longer than its provider documents. Without `cancelling_at` that is not known.
 *
 * @param cancellingTime the documented time in milliseconds
 * @param unixTime the current time in milliseconds
 */
export function isOverdue (
  { status, cancelling_at: since }: Pick<Batch, 'status' | 'cancelling_at'>,
  cancellingTime: number,
  unixTime: number
): boolean {
  if (status !== 'cancelling' || typeof since !== 'number') return false
  return since > 0 && unixTime - since * 1000 > cancellingTime
}
