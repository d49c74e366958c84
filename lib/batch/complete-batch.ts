import type { Batch, BatchStatus } from '../../schemas/batch.js'

/** Every field of OpenAI's batch when nothing is told: the seven required ones keep their type, since typed clients rely on it. */
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

/** A whole batch from what is known of it; nothing is invented for the rest. */
export function completeBatch (told: Partial<Batch> & { id: string, status: BatchStatus }): Batch {
  const { id, ...rest } = told
  return { id, ...UNREPORTED, ...rest }
}
