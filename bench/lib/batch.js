/** A batch that is being cancelled, with every field that OpenAI sends: some 900 bytes. */
const BATCH = {
  id: 'batch_6740c7a2f1b48190b7c5d9e3a6f20811',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  model: 'gpt-4.1-mini-2025-04-14',
  errors: null,
  input_file_id: 'file-9QxT4vHq3ZkLw8Nf2RbYcE',
  completion_window: '24h',
  status: 'cancelling',
  output_file_id: null,
  error_file_id: null,
  created_at: 1713894800,
  in_progress_at: 1713894900,
  expires_at: 1713981200,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: 1713895200,
  cancelled_at: null,
  request_counts: { total: 10000, completed: 4512, failed: 3 },
  usage: {
    input_tokens: 1283044,
    input_tokens_details: { cached_tokens: 204800 },
    output_tokens: 384210,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 1667254
  },
  metadata: { description: 'Daily batch job', team: 'search-quality', dataset: 'queries-2024-04-23-eu-west', run: '2024-04-23T17:53:20Z', requested_by: 'pipeline' }
}

export const BATCH_ID = BATCH.id
export const CANCEL_PATH = `/v1/batches/${BATCH_ID}/cancel`

/** How each operation is asked for. */
export const OPERATIONS = {
  cancel: { method: 'POST', path: CANCEL_PATH },
  retrieve: { method: 'GET', path: `/v1/batches/${BATCH_ID}` }
}

/** The JSON of the batch, grown to about so many bytes by lines of its errors. */
export function batchText (bytes = 0) {
  const text = JSON.stringify(BATCH)
  const lines = Math.max(0, Math.ceil((bytes - text.length) / JSON.stringify(errorOn(10000)).length))
  if (lines === 0) return text
  return JSON.stringify({ ...BATCH, errors: { object: 'list', data: Array.from({ length: lines }, (_, index) => errorOn(10000 + index)) } })
}

const errorOn = (line) => ({ code: 'invalid_json_line', message: `Line ${line} of the input file is not valid JSON.`, param: null, line })

/** The JSON of one batch of many. */
export const batchTextOf = (id, status) => JSON.stringify({ ...BATCH, id, status })
