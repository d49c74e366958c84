import { Type, type Static } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { Nullish, RefTo, StringEnum } from './typebox.js'

/** Every status of a batch, in the order of its life. Source: OpenAI's OpenAPI document, schema `Batch`. */
export const BATCH_STATUSES = [
  'validating', 'failed', 'in_progress', 'finalizing',
  'completed', 'expired', 'cancelling', 'cancelled'
] as const

export type BatchStatus = (typeof BATCH_STATUSES)[number]

/** The statuses that a 200 of the route may show. */
export const CANCELLED_STATUSES = ['cancelling', 'cancelled'] as const

const named = (title: string, description: string) =>
  ({ $id: `fastify-batch-cancel.${title}`, title, description, additionalProperties: true })

const Seconds = (what: string) => Nullish(Type.Integer({ description: `Unix time in whole seconds when the batch ${what}.` }))

export const BatchError = Type.Object(
  {
    code: Nullish(Type.String({ description: 'What kind of error it is.' })),
    message: Nullish(Type.String({ description: 'What went wrong, for a reader.' })),
    param: Nullish(Type.String({ description: 'The parameter at fault.' })),
    line: Nullish(Type.Integer({ description: 'The line of the input file, counted from 1.' }))
  },
  named('BatchError', 'An error that stopped a batch as a whole.')
)

export const BatchRequestCounts = Type.Object(
  {
    total: Type.Integer({ description: 'Requests in the batch.' }),
    completed: Type.Integer({ description: 'Requests that were answered.' }),
    failed: Type.Integer({ description: 'Requests that ended in an error. Requests that a cancel kept from running are not among them.' })
  },
  named('BatchRequestCounts', 'How many requests of the batch stand where.')
)

export const BatchUsage = Type.Object(
  {
    input_tokens: Type.Integer(),
    input_tokens_details: Type.Object({ cached_tokens: Type.Integer() }, { additionalProperties: true }),
    output_tokens: Type.Integer(),
    output_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }, { additionalProperties: true }),
    total_tokens: Type.Integer()
  },
  { additionalProperties: true, description: 'Tokens used by the requests that completed.' }
)

export const BatchMetadata = Type.Record(Type.String(), Type.String(), { description: 'Pairs that the creator of the batch attached to it.' })

/**
 * OpenAI's batch object, open to fields that it does not know.
 *
 * OpenAI's document lets only `metadata` be `null`; the answers of OpenAI itself have `null` wherever
 * nothing is to be told yet, so it is allowed there too. The seven required fields never are.
 */
export const Batch = Type.Object(
  {
    id: Type.String({ description: 'The id of the batch, as the caller sent it.' }),
    object: Type.Literal('batch'),
    endpoint: Type.String({ description: 'The API endpoint that the requests go to; empty when the provider does not tell.' }),
    model: Nullish(Type.String({ description: 'The model that processes the batch.' })),
    errors: Nullish(Type.Object(
      { object: Nullish(Type.String()), data: Nullish(Type.Array(RefTo(BatchError))) },
      { additionalProperties: true, description: 'Errors that stopped the batch as a whole.' }
    )),
    input_file_id: Type.String({ description: 'The file of requests; empty when the provider does not tell.' }),
    completion_window: Type.String({ description: 'The time in which the batch should be processed; empty when the provider does not tell.' }),
    status: StringEnum(BATCH_STATUSES, { description: 'Where the batch stands.' }),
    output_file_id: Nullish(Type.String({ description: 'The file of answers to the requests that completed, partial results among them.' })),
    error_file_id: Nullish(Type.String({ description: 'The file of requests that failed or never ran.' })),
    created_at: Type.Integer({ description: 'Unix time in whole seconds when the batch was created; 0 when the provider does not tell.' }),
    in_progress_at: Seconds('started to be processed'),
    expires_at: Seconds('will expire'),
    finalizing_at: Seconds('started to be finalized'),
    completed_at: Seconds('was completed'),
    failed_at: Seconds('failed'),
    expired_at: Seconds('expired'),
    cancelling_at: Seconds('started to be cancelled'),
    cancelled_at: Seconds('was cancelled'),
    request_counts: Nullish(RefTo(BatchRequestCounts)),
    usage: Nullish(BatchUsage),
    metadata: Nullish(BatchMetadata),
    provider_batch: Type.Optional(Type.Unknown({ description: 'The answer of the provider, untouched, where it had another shape than this one.' }))
  },
  named('Batch', 'A batch of requests, in the shape of OpenAI.')
)

export type BatchError = Static<typeof BatchError>
export type BatchRequestCounts = Static<typeof BatchRequestCounts>
export type Batch = Static<typeof Batch>

const compiled = TypeCompiler.Compile(Batch, [BatchError, BatchRequestCounts])

/** Whether a value is a batch, so that it may be sent as it came. */
export const isBatch = (value: unknown): value is Batch => compiled.Check(value)
