import { Type, type Static } from '@sinclair/typebox'
import { Batch } from './batch.js'
import { RefTo, Nullable } from './typebox.js'

/** OpenAI's error envelope: the shape of every response that is not a batch. */
export const ErrorResponse = Type.Object(
  {
    error: Type.Object(
      {
        message: Type.String({ description: 'What went wrong, in the provider\'s words if it sent a message.' }),
        type: Type.String({
          description: 'The provider\'s error type, otherwise `invalid_request_error` or `server_error`.'
        }),
        param: Nullable(Type.String({ description: 'The parameter or header that caused the error.' })),
        code: Nullable(Type.String({ description: 'The machine-readable error code.' }))
      },
      { additionalProperties: true }
    ),
    provider: Type.Optional(Type.String({ description: 'The provider that the request named.' })),
    batch: Type.Optional(RefTo(Batch))
  },
  {
    $id: 'fastify-batch-cancel.ErrorResponse',
    title: 'ErrorResponse',
    description: 'An error, in the shape of OpenAI\'s error object.',
    additionalProperties: true
  }
)

export type ErrorResponse = Static<typeof ErrorResponse>
