import { Type, type Static } from '@sinclair/typebox'
import { TypeCompiler, type TypeCheck } from '@sinclair/typebox/compiler'
import { Nullish, RefTo, StringEnum, StringMap } from './typebox.js'

/** The eight statuses of a batch. Source: OpenAI's OpenAPI document 2.3.0, schema `Batch`. */
export const BATCH_STATUSES = [
  'validating', 'failed', 'in_progress', 'finalizing',
  'completed', 'expired', 'cancelling', 'cancelled'
] as const

export type BatchStatus = (typeof BATCH_STATUSES)[number]

/** The statuses that a batch can have in a 200 of the cancel. */
export const CANCELLED_STATUSES = ['cancelling', 'cancelled'] as const

const component = (title: string, description: string) =>
  ({ $id: `fastify-batch-cancel.${title}`, title, description, additionalProperties: true })

const NullishTimestamp = (event: string) =>
  Nullish(Type.Integer({ description: `Unix timestamp (in seconds) of when the batch ${event}.` }))

export const BatchError = Type.Object(
  {
    code: Nullish(Type.String({ description: 'The error code.' })),
    message: Nullish(Type.String({ description: 'A human-readable description of the error.' })),
    param: Nullish(Type.String({ description: 'The parameter that caused the error.' })),
    line: Nullish(Type.Integer({ description: 'The line of the input file that caused the error, starting at 1.' }))
  },
  component('BatchError', 'An error that stopped the whole batch.')
)

export const BatchRequestCounts = Type.Object(
  {
    total: Type.Integer({ description: 'Total number of requests in the batch.' }),
    completed: Type.Integer({ description: 'Number of requests that completed successfully.' }),
    failed: Type.Integer({
      description: 'Number of requests that failed. Requests that did not run because of a cancel are not included.'
    })
  },
  component('BatchRequestCounts', 'Request counts of the batch, by result.')
)

const BatchUsage = Type.Object(
  {
    input_tokens: Type.Integer(),
    input_tokens_details: Type.Object({ cached_tokens: Type.Integer() }, { additionalProperties: true }),
    output_tokens: Type.Integer(),
    output_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }, { additionalProperties: true }),
    total_tokens: Type.Integer()
  },
  { additionalProperties: true, description: 'Tokens used by the completed requests.' }
)

const BatchMetadata = StringMap({ description: 'Key-value pairs that the creator of the batch attached to it.' })

/**
 * OpenAI's batch object; unknown fields are allowed.
 *
 * OpenAI's document allows `null` only for `metadata`, but OpenAI's own responses contain `null` for every value that
 * is not available yet, so all optional fields allow it here. The seven required fields never are `null`.
 */
export const Batch = Type.Object(
  {
    id: Type.String({ description: 'The id of the batch, as sent by the caller.' }),
    object: Type.Literal('batch'),
    endpoint: Type.String({ description: 'The API endpoint of the requests; empty if the provider does not report it.' }),
    model: Nullish(Type.String({ description: 'The model that processes the batch.' })),
    errors: Nullish(Type.Object(
      { object: Nullish(Type.String()), data: Nullish(Type.Array(RefTo(BatchError))) },
      { additionalProperties: true, description: 'Errors that stopped the whole batch.' }
    )),
    input_file_id: Type.String({
      description: 'The id of the input file; empty if the provider does not report it.'
    }),
    completion_window: Type.String({
      description: 'The time frame in which the batch should be processed; empty if the provider does not report it.'
    }),
    status: StringEnum(BATCH_STATUSES, { description: 'The current status of the batch.' }),
    output_file_id: Nullish(Type.String({
      description: 'The id of the file with the responses of completed requests. It may contain partial results.'
    })),
    error_file_id: Nullish(Type.String({
      description: 'The id of the file with the requests that failed or did not run.'
    })),
    created_at: Type.Integer({
      description: 'Unix timestamp (in seconds) of when the batch was created; 0 if the provider does not report it.'
    }),
    in_progress_at: NullishTimestamp('started processing'),
    expires_at: NullishTimestamp('will expire'),
    finalizing_at: NullishTimestamp('started finalizing'),
    completed_at: NullishTimestamp('was completed'),
    failed_at: NullishTimestamp('failed'),
    expired_at: NullishTimestamp('expired'),
    cancelling_at: NullishTimestamp('started cancelling'),
    cancelled_at: NullishTimestamp('was cancelled'),
    request_counts: Nullish(RefTo(BatchRequestCounts)),
    usage: Nullish(BatchUsage),
    metadata: Nullish(BatchMetadata),
    provider_batch: Type.Optional(Type.Unknown({
      description: 'The unmodified batch object of the provider, if its shape differs from this one.'
    }))
  },
  component('Batch', 'A batch of requests, in the shape of OpenAI\'s batch object.')
)

export type BatchError = Static<typeof BatchError>
export type BatchRequestCounts = Static<typeof BatchRequestCounts>
/** An interface, so that type errors name it instead of listing its fields. */
export interface Batch extends Static<typeof Batch> {}

let compiled: TypeCheck<typeof Batch> | undefined

/** Returns whether a value is a valid batch, so that it can be sent to the client unchanged. */
export function isBatch (value: unknown): value is Batch {
  // Compiled when it is first needed: it takes longer than all other schemas of this package together.
  compiled ??= TypeCompiler.Compile(Batch, [BatchError, BatchRequestCounts])
  return compiled.Check(value)
}
