import type { Batch, BatchStatus } from '../../schemas/batch.js'

/** Every field of OpenAI's batch if nothing is known. The seven required fields keep their type for typed clients. */
const UNREPORTED = {
  object: 'batch',
  endpoint: '',
  model: null,
  errors: null,
  input_file_id: '',
  completion_window: '',
  output_file_id: null,
  error_file_id: null,
  created_at: 0,
  in_progress_at: null,
  expires_at: null,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: null,
  request_counts: null,
  usage: null,
  metadata: null
} as const

/**
 * A complete batch from what is known of it. Nothing is invented: a field that is not given is `null`, and one of the
 * seven required fields is `''`, or `0` for `created_at`.
 *
 * @example completeBatch({ id: 'batch_1', status: 'cancelling' })
 */
export function completeBatch (known: Partial<Batch> & { id: string, status: BatchStatus }): Batch {
  return Object.assign({ id: known.id }, UNREPORTED, known)
}
