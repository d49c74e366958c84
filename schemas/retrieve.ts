import { Type } from '@sinclair/typebox'
import type { FastifySchema } from 'fastify'
import type {} from '@fastify/swagger'
import { Batch } from './batch.js'
import { RETRIEVE_RESPONSES } from './examples.js'
import { BatchParams, requestHeaders, RequestHeaders, type BatchSchemaOptions } from './request.js'
import { batchResponse, ERROR_RESPONSES } from './responses.js'

const DESCRIPTION = 'Retrieves a batch with its current status. With `Prefer: wait=N`, the response is delayed until ' +
  'the batch is terminal (`completed`, `failed`, `expired` or `cancelled`), for at most N seconds.'

const SOURCE = { values: ['retrieved'], description: 'Where the status comes from: a read of the batch.' } as const

const RESPONSES = {
  ...ERROR_RESPONSES,
  200: batchResponse('The batch.', SOURCE, Type.Ref(Batch.$id as string), RETRIEVE_RESPONSES)
}

/**
 * The schema of `GET /v1/batches/:id`: its request and every response. The schemas in {@link NAMED_SCHEMAS} must be
 * added to the same Fastify instance, and its error handler must send an `ErrorResponse`.
 *
 * @example
 * for (const schema of NAMED_SCHEMAS) app.addSchema(schema)
 * app.get('/v1/batches/:id', { schema: retrieveBatchSchema({ defaultProvider: 'openai' }) }, handler)
 */
export function retrieveBatchSchema (options: BatchSchemaOptions = {}) {
  return {
    operationId: 'retrieveBatch',
    tags: ['Batch'],
    summary: 'Retrieve a batch',
    description: DESCRIPTION,
    params: BatchParams,
    headers: requestHeaders(RequestHeaders, options),
    // A copy, because onRoute hooks may change the schema.
    response: { ...RESPONSES }
  } satisfies FastifySchema
}
