import type { FastifyInstance, FastifySchema } from 'fastify'
import fp from 'fastify-plugin'
import { cancelBatchSchema, NAMED_SCHEMAS, type CancelSchemaOptions } from '../schemas/cancel.js'
import { readOptions, type FastifyBatchCancelOptions, type Settings } from './options.js'
import { discardBody } from './route/discard-body.js'
import { createHandlers, type BatchRoute } from './route/handler.js'

/** No body is needed, so little is read; a host may allow less. */
const MAX_BODY_BYTES = 16 * 1024

async function plugin (fastify: FastifyInstance, options: FastifyBatchCancelOptions): Promise<void> {
  const settings = readOptions(options)
  const { schema, onRequest = [], ...routeOptions } = settings.routeOptions
  const handlers = createHandlers(settings)

  for (const named of NAMED_SCHEMAS) if (fastify.getSchema(named.$id as string) === undefined) fastify.addSchema(named)
  fastify.addHook('preClose', async () => handlers.endWaits())
  fastify.addHook('onClose', settings.close)

  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser('*', discardBody)

  fastify.post<BatchRoute>('/v1/batches/:id/cancel', {
    bodyLimit: Math.min(fastify.initialConfig.bodyLimit ?? MAX_BODY_BYTES, MAX_BODY_BYTES),
    ...routeOptions,
    schema: { ...cancelBatchSchema(schemaOptions(settings)), ...schema as FastifySchema },
    onRequest: [...[onRequest].flat(), handlers.onRequest],
    errorHandler: handlers.errorHandler,
    // The schemas document the route. Calls are checked when they are read, in the order of the contract; the host's
    // compilers would coerce or strip headers that are passed on, and drop or round fields of a batch.
    validatorCompiler: () => () => true,
    serializerCompiler: () => JSON.stringify
  }, handlers.cancel)
}

/** What the document says about the request follows from the forwarder, as the checks do. */
function schemaOptions ({ engine, defaultProvider }: Settings): CancelSchemaOptions {
  const waits = engine.maxWait > 0
  const { providers } = engine.forwarder
  if (providers === undefined) return { defaultProvider, waits }
  const served = [...providers].filter(([, { unsupported }]) => unsupported === undefined)
  return {
    providers: served.map(([name]) => name),
    defaultProvider,
    waits,
    headers: Object.assign({}, ...served.map(([, { headers }]) => headers))
  }
}

/**
 * Registers `POST /v1/batches/:id/cancel`, in a scope of its own.
 *
 * @example app.register(fastifyBatchCancel, { defaultProvider: 'openai' })
 */
export const fastifyBatchCancel = fp(plugin, { fastify: '5.x', name: 'fastify-batch-cancel', encapsulate: true })
