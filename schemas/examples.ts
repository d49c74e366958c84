import type { Batch } from './batch.js'
import type { ErrorResponse } from './error.js'

/* The examples of the document. A test checks each of them against its schema. */

/** Examples by name. */
export type Examples<T> = Readonly<Record<string, T>>

export interface BatchExample {
  readonly summary: string
  readonly value: Batch
}

/** Gives the examples a short type: their own would be most of the declarations of this package. */
const byStatus = <S extends PropertyKey>(examples: Readonly<Record<S, Examples<ErrorResponse>>>) => examples

/** The example in OpenAI's documentation of the cancel. */
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

const IN_PROGRESS = {
  ...CANCELLING,
  status: 'in_progress',
  cancelled_at: null
} as const satisfies Batch

const COMPLETED = {
  ...CANCELLING,
  status: 'completed',
  output_file_id: 'file-def456',
  cancelled_at: null,
  completed_at: 1713898500,
  request_counts: { total: 100, completed: 100, failed: 0 }
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
  provider_batch: {
    jobArn: 'arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij12',
    status: 'Stopping'
  }
} as const satisfies Batch

/** Examples of a successful cancel. */
export const CANCEL_RESPONSES: Examples<BatchExample> = {
  cancelling: { summary: 'The cancel is in progress', value: CANCELLING },
  cancelled: {
    summary: 'The batch is cancelled: immediately, after `Prefer: wait`, or by an earlier attempt of this call',
    value: CANCELLED
  },
  mapped: { summary: 'A batch whose provider uses another shape, read after the cancel', value: MAPPED }
}

/** Examples of a successful retrieval. */
export const RETRIEVE_RESPONSES: Examples<BatchExample> = {
  in_progress: { summary: 'The batch is being processed', value: IN_PROGRESS },
  cancelled: { summary: 'The batch is cancelled; its output file has partial results', value: CANCELLED },
  completed: { summary: 'The batch is completed', value: COMPLETED },
  mapped: { summary: 'A batch whose provider uses another shape', value: MAPPED }
}

interface Failure {
  readonly message: string
  readonly code: string | null
  readonly type?: string
  readonly param?: string
  readonly provider?: string
}

const failure = ({ message, code, type = 'invalid_request_error', param, provider }: Failure): ErrorResponse =>
  ({ error: { message, type, param: param ?? null, code }, ...provider !== undefined && { provider } })

const invalidProvider = (code: string, message: string) => failure({ message, code, param: 'x-portkey-provider' })

const openaiFailure = (details: Failure) => failure({ provider: 'openai', ...details })

const openaiServerFailure = (code: string, message: string) => openaiFailure({ message, code, type: 'server_error' })

const notCancellable = (status: Batch['status'], fields: Partial<Batch>): ErrorResponse => ({
  ...openaiFailure({ message: `Cannot cancel a batch with status '${status}'.`, code: 'batch_not_cancellable' }),
  batch: { ...CANCELLING, id: `batch_${status}`, status, cancelled_at: null, ...fields }
})

/** Examples of the errors of both operations, by status and name. */
export const EXAMPLE_ERRORS = byStatus({
  400: {
    missing_provider: invalidProvider(
      'missing_provider',
      'Name the provider that holds the batch in the x-portkey-provider header. Available providers: openai, groq.'
    ),
    unknown_provider: invalidProvider(
      'unknown_provider',
      'Unknown provider \'opnai\'. Available providers: openai, groq.'
    ),
    unsupported_provider: invalidProvider(
      'unsupported_provider',
      'Cannot cancel batches of \'fireworks-ai\': its only way to stop a batch is to delete the job and its record.'
    ),
    invalid_batch_id: openaiFailure({
      message: 'The batch id is not valid: expected 1 to 512 printable characters (up to U+FFFF) ' +
        'without \'.\' or \'..\' as a path segment.',
      code: 'invalid_batch_id',
      param: 'id'
    }),
    provider_mismatch: failure({
      message: 'The batch id belongs to region \'eu-west-1\', but the request names \'us-east-1\'.',
      code: 'provider_mismatch',
      param: 'id',
      provider: 'bedrock'
    }),
    invalid_header: openaiFailure({
      message: 'Header \'x-portkey-custom-host\' names a host that is not trusted. ' +
        'The operator can add it to the option \'trustedHosts\'.',
      code: 'invalid_header',
      param: 'x-portkey-custom-host'
    })
  },
  401: {
    missing_credentials: openaiFailure({
      message: 'The request has no usable credential for \'openai\'.',
      code: 'missing_credentials',
      param: 'authorization'
    }),
    rejected: openaiFailure({ message: 'Incorrect API key provided.', code: 'invalid_api_key' })
  },
  403: {
    rejected: openaiFailure({ message: 'You have insufficient permissions for this operation.', code: null }),
    not_allowed: openaiFailure({ message: 'The server does not allow this call.', code: 'call_not_allowed' })
  },
  404: {
    not_found: openaiFailure({ message: 'No batch found with id \'batch_nope\'.', code: 'batch_not_found' })
  },
  429: {
    rate_limited: openaiFailure({
      message: 'Rate limit reached for requests.',
      code: 'rate_limit_exceeded',
      type: 'requests'
    })
  },
  500: {
    internal_error: failure({ message: 'Internal error', code: 'internal_error', type: 'server_error' }),
    upstream_error: openaiServerFailure('upstream_error', 'The server had an error while processing your request.')
  },
  502: {
    unreachable: openaiServerFailure('upstream_unreachable', 'The provider could not be reached.'),
    invalid_response: openaiServerFailure(
      'upstream_invalid_response',
      'The provider returned a response that is not a batch.'
    )
  },
  503: {
    unavailable: openaiServerFailure(
      'upstream_error',
      'The engine is currently overloaded, please try again later.'
    ),
    busy: openaiServerFailure(
      'upstream_busy',
      'Too many calls to \'openai\' are in progress. Nothing was sent; try again later.'
    )
  },
  504: {
    timeout: openaiServerFailure('upstream_timeout', 'The provider did not respond in time.')
  },
  '4XX': { rejected: openaiFailure({ message: 'The input is not valid.', code: null }) },
  '5XX': { failed: openaiServerFailure('upstream_error', 'The provider responded with status 520.') }
})

const OUTCOME_UNKNOWN = 'so it is not known whether the batch was cancelled. It is safe to repeat the call.'

/** Examples of the errors that only the cancel has, or that have another message there. */
export const CANCEL_ERRORS = byStatus({
  409: {
    completed: notCancellable('completed', {
      output_file_id: 'file-def456',
      completed_at: 1713898500,
      request_counts: { total: 100, completed: 100, failed: 0 }
    }),
    failed: notCancellable('failed', {
      failed_at: 1713895000,
      request_counts: { total: 0, completed: 0, failed: 0 }
    }),
    expired: notCancellable('expired', {
      expired_at: 1713981200,
      output_file_id: 'file-def456',
      error_file_id: 'file-ghi789'
    }),
    cancelled: notCancellable('cancelled', { cancelled_at: 1713895200, output_file_id: 'file-def456' })
  },
  413: {
    too_large: failure({ message: 'Request body is too large', code: 'FST_ERR_CTP_BODY_TOO_LARGE' })
  },
  415: {
    invalid_media_type: failure({ message: 'Unsupported Media Type', code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' })
  },
  502: {
    unreachable: openaiServerFailure('upstream_unreachable', `The provider could not be reached, ${OUTCOME_UNKNOWN}`),
    invalid_response: openaiServerFailure(
      'upstream_invalid_response',
      `The provider returned a response that is not a batch, ${OUTCOME_UNKNOWN}`
    )
  },
  504: {
    timeout: openaiServerFailure('upstream_timeout', `The provider did not respond in time, ${OUTCOME_UNKNOWN}`)
  }
})
