import type { Batch } from './batch.js'
import type { ErrorResponse } from './error.js'

/* The examples of the document. The schemas accept each of them: a test says so. */

export type ErrorExample = ErrorResponse

const CANCELLING = {
  id: 'batch_abc123',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  errors: null,
  input_file_id: 'file-abc123',
  completion_window: '24h',
  status: 'cancelling',
  output_file_id: null,
  error_file_id: null,
  created_at: 1713894800,
  in_progress_at: 1713894900,
  cancelled_at: 1713895200,
  completed_at: null,
  request_counts: { total: 100, completed: 45, failed: 0 },
  metadata: { description: 'Daily batch job' }
} as const satisfies Batch

const CANCELLED = {
  ...CANCELLING,
  status: 'cancelled',
  output_file_id: 'file-def456',
  error_file_id: 'file-ghi789'
} as const satisfies Batch

const MAPPED = {
  id: 'abcdefghij12',
  object: 'batch',
  endpoint: '',
  model: 'anthropic.claude-sonnet-5',
  errors: null,
  input_file_id: 's3://my-bucket/input.jsonl',
  completion_window: '24h',
  output_file_id: 's3://my-bucket/output/',
  error_file_id: null,
  created_at: 1713894800,
  in_progress_at: null,
  expires_at: 1713981200,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: 1713895200,
  cancelled_at: null,
  request_counts: { total: 100, completed: 45, failed: 0 },
  usage: null,
  metadata: null,
  status: 'cancelling',
  provider_batch: { jobArn: 'arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij12', status: 'Stopping' }
} as const satisfies Batch

/** The ways in which a cancel succeeds. */
export const EXAMPLE_ANSWERS = {
  cancelling: { summary: 'The cancel is under way', value: CANCELLING },
  cancelled: { summary: 'The cancel is done: at once, after `Prefer: wait`, or by the first try of this call', value: CANCELLED },
  mapped: { summary: 'A batch of a provider with another shape, read after the cancel', value: MAPPED }
}

const ended = (status: Batch['status'], told: Partial<Batch>): ErrorExample => ({
  ...failure(`Cannot cancel a batch with status '${status}'.`, 'invalid_request_error', 'batch_not_cancellable'),
  batch: { ...CANCELLING, id: `batch_${status}`, status, cancelled_at: null, ...told }
})

const failure = (message: string, type: string, code: string | null, param: string | null = null): ErrorExample =>
  ({ error: { message, type, param, code }, provider: 'openai' })

const refusal = (message: string, code: string | null, param: string | null = null): ErrorExample =>
  ({ error: { message, type: 'invalid_request_error', param, code } })

/** Examples of errors, by the status that they are answered with and a name. */
export const EXAMPLE_ERRORS = {
  400: {
    missing_provider: refusal('Name the provider that holds the batch in the header x-portkey-provider: openai, groq.', 'missing_provider', 'x-portkey-provider'),
    unknown_provider: refusal('There is no provider \'opnai\' here; these are: openai, groq.', 'unknown_provider', 'x-portkey-provider'),
    unsupported_provider: refusal('Batches of \'fireworks-ai\' cannot be cancelled here: Its only way to stop a batch is to delete the job and its record.', 'unsupported_provider', 'x-portkey-provider'),
    invalid_batch_id: failure('The id of a batch should be 1 to 512 printable characters up to U+FFFF, and neither \'.\' nor \'..\'.', 'invalid_request_error', 'invalid_batch_id', 'id'),
    provider_mismatch: refusal('The id names the region \'eu-west-1\', the headers \'us-east-1\'.', 'provider_mismatch', 'id'),
    invalid_header: failure('Header \'x-portkey-custom-host\' names a host that the operator does not trust; see the option trustedHosts.', 'invalid_request_error', 'invalid_header', 'x-portkey-custom-host')
  },
  401: {
    missing_credentials: failure('No credential that \'openai\' can use came with the call.', 'invalid_request_error', 'missing_credentials', 'authorization'),
    refused: failure('Incorrect API key provided.', 'invalid_request_error', 'invalid_api_key')
  },
  403: { refused: failure('You have insufficient permissions for this operation.', 'invalid_request_error', null) },
  404: { missing: failure('No batch found with id \'batch_nope\'.', 'invalid_request_error', 'batch_not_found') },
  409: {
    completed: ended('completed', { output_file_id: 'file-def456', completed_at: 1713898500, request_counts: { total: 100, completed: 100, failed: 0 } }),
    failed: ended('failed', { failed_at: 1713895000, request_counts: { total: 0, completed: 0, failed: 0 } }),
    expired: ended('expired', { expired_at: 1713981200, output_file_id: 'file-def456', error_file_id: 'file-ghi789' }),
    cancelled: ended('cancelled', { cancelled_at: 1713895200, output_file_id: 'file-def456' })
  },
  413: { too_large: refusal('Request body is too large', 'FST_ERR_CTP_BODY_TOO_LARGE') },
  415: { no_type: refusal('Unsupported Media Type', 'FST_ERR_CTP_INVALID_MEDIA_TYPE') },
  429: { limited: failure('Rate limit reached for requests.', 'requests', 'rate_limit_exceeded') },
  500: {
    internal_error: { error: { message: 'Internal error', type: 'server_error', param: null, code: 'internal_error' } },
    upstream_error: failure('The server had an error while processing your request.', 'server_error', 'upstream_error')
  },
  502: {
    unreachable: failure('The provider could not be reached, so it is not known whether the batch was cancelled. The call may be repeated.', 'server_error', 'upstream_unreachable'),
    invalid: failure('The provider answered something that is no batch, so it is not known whether the batch was cancelled. The call may be repeated.', 'server_error', 'upstream_invalid_response')
  },
  503: { unavailable: failure('The engine is currently overloaded, please try again later.', 'server_error', 'upstream_error') },
  504: { late: failure('The provider did not answer in time, so it is not known whether the batch was cancelled. The call may be repeated.', 'server_error', 'upstream_timeout') },
  '4XX': { refused: failure('The input is not valid.', 'invalid_request_error', null) },
  '5XX': { failed: failure('The provider answered 520.', 'server_error', 'upstream_error') }
} as const
