import { Type, type Static } from '@sinclair/typebox'
import { Batch } from './batch.js'
import { RefTo, Nullable } from './typebox.js'

/** OpenAI's error envelope: the shape of every answer of the route that is not a batch. */
export const ErrorResponse = Type.Object(
  {
    error: Type.Object(
      {
        message: Type.String({ description: 'What went wrong, in the words of the provider where it gave any.' }),
        type: Type.String({ description: 'The type that the provider gave, else `invalid_request_error` or `server_error`.' }),
        param: Nullable(Type.String({ description: 'The parameter or header at fault.' })),
        code: Nullable(Type.String({ description: 'What went wrong, for a program.' }))
      },
      { additionalProperties: true }
    ),
    provider: Type.Optional(Type.String({ description: 'The provider that was asked.' })),
    batch: Type.Optional(RefTo(Batch))
  },
  { $id: 'fastify-batch-cancel.ErrorResponse', title: 'ErrorResponse', description: 'An error, in the shape of OpenAI.', additionalProperties: true }
)

export type ErrorResponse = Static<typeof ErrorResponse>
