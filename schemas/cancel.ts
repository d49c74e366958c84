import { Type } from '@sinclair/typebox'
import type { FastifySchema } from 'fastify'
import type {} from '@fastify/swagger'
import { Batch, CANCELLED_STATUSES } from './batch.js'
import { CANCEL_ERRORS, CANCEL_RESPONSES } from './examples.js'
import { BatchParams, requestHeaders, RequestHeaders, RetryCountHeader, type BatchSchemaOptions } from './request.js'
import { batchResponse, COMMON_HEADERS, errorResponse, ERROR_RESPONSES, PROVIDER_HEADERS } from './responses.js'
import { StringEnum } from './typebox.js'

export { NAMED_SCHEMAS } from './responses.js'

/** The request headers that the cancel route itself reads, with any forwarder. */
export const CancelHeaders = { ...RequestHeaders, ...RetryCountHeader }

const DESCRIPTION = 'Cancels a batch that is being processed. This is permanent: a cancelled batch cannot be resumed. ' +
  'Requests in progress may complete, queued requests are cancelled, and an output file is created with all completed ' +
  'requests; only these are billed. Wait a few seconds before retrieving the batch, and check its `output_file_id`: ' +
  'partial results may be useful.'

const SOURCE = {
  values: ['provider', 'retrieved', 'assumed'],
  description: 'Where the status comes from: the provider\'s response to the cancel (`provider`), a read after it ' +
    '(`retrieved`), or only the fact that the provider accepted the cancel (`assumed`).'
} as const

const CancelledBatch = Type.Intersect([
  Type.Ref(Batch.$id as string),
  Type.Object(
    { status: StringEnum(CANCELLED_STATUSES, { description: 'Whether the cancel is in progress or done.' }) },
    { additionalProperties: true }
  )
])

const RESPONSES = {
  ...ERROR_RESPONSES,
  200: batchResponse(
    'The batch is being cancelled, or was cancelled by this call. Cancelling a batch that is already `cancelling` is ' +
      'not an error.',
    SOURCE,
    CancelledBatch,
    CANCEL_RESPONSES
  ),
  409: errorResponse(
    'The batch is completed, failed or expired, or was cancelled before. The response contains the batch.',
    {
      ...PROVIDER_HEADERS,
      'x-should-retry': Type.String({
        description: '`false` if the batch has ended: this response is final. A 409 of the provider itself may lack it.'
      })
    },
    CANCEL_ERRORS[409]
  ),
  413: errorResponse('The request body exceeds the server\'s limit.', COMMON_HEADERS, CANCEL_ERRORS[413]),
  415: errorResponse('The Content-Type header is not a valid media type.', COMMON_HEADERS, CANCEL_ERRORS[415]),
  502: errorResponse(
    'The provider did not return a usable response, so it is not known whether the batch was cancelled.',
    PROVIDER_HEADERS,
    CANCEL_ERRORS[502]
  ),
  504: errorResponse(
    'The provider did not respond in time, so it is not known whether the batch was cancelled.',
    PROVIDER_HEADERS,
    CANCEL_ERRORS[504]
  )
}

/**
 * The schema of `POST /v1/batches/:id/cancel`: its request and every response. The schemas in {@link NAMED_SCHEMAS}
 * must be added to the same Fastify instance, and its error handler must send an `ErrorResponse`.
 *
 * @example
 * for (const schema of NAMED_SCHEMAS) app.addSchema(schema)
 * app.post('/v1/batches/:id/cancel', { schema: cancelBatchSchema({ defaultProvider: 'openai' }) }, handler)
 */
export function cancelBatchSchema (options: BatchSchemaOptions = {}) {
  return {
    operationId: 'cancelBatch',
    tags: ['Batch'],
    summary: 'Cancel a batch',
    description: DESCRIPTION,
    params: BatchParams,
    headers: requestHeaders(CancelHeaders, options),
    // A copy, because onRoute hooks may change the schema.
    response: { ...RESPONSES }
  } satisfies FastifySchema
}
