import type { FastifyInstance, FastifySchema } from 'fastify'
import fp from 'fastify-plugin'
import { cancelBatchSchema, NAMED_SCHEMAS, type CancelSchemaOptions } from '../schemas/cancel.js'
import { serializerCompiler, validatorCompiler } from './route/compilers.js'
import { readOptions, type FastifyBatchCancelOptions, type Settings } from './options.js'
import { createRoute, kState, type CancelRoute } from './route/handler.js'

async function plugin (fastify: FastifyInstance, options: FastifyBatchCancelOptions): Promise<void> {
  const settings = readOptions(options)
  const { schema, preValidation, ...routeOptions } = settings.routeOptions
  const route = createRoute(settings)

  for (const named of NAMED_SCHEMAS) if (fastify.getSchema(named.$id as string) === undefined) fastify.addSchema(named)
  fastify.addHook('preClose', route.endWaits)
  fastify.addHook('onClose', route.finish)
  fastify.decorateRequest(kState, null)

  // Any body up to the limit is read and ignored: curl sends JSON's content type with nothing, other clients `{}`.
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null))

  fastify.post<CancelRoute>('/v1/batches/:id/cancel', {
    ...routeOptions,
    schema: { ...cancelBatchSchema(schemaOptions(settings)), ...schema as FastifySchema },
    preValidation: [...preValidation === undefined ? [] : [preValidation].flat(), route.preValidation],
    errorHandler: route.errorHandler,
    validatorCompiler,
    serializerCompiler
  }, route.handler)
}

/** What the document says of the request comes from the forwarder, as the checks do. */
function schemaOptions ({ forwarder: { providers, retrieve }, defaultProvider, maxWait }: Settings): CancelSchemaOptions {
  const waits = retrieve !== undefined && maxWait > 0
  if (providers === undefined) return { defaultProvider, waits }
  const served = [...providers].filter(([, { refusal }]) => refusal === undefined)
  return {
    providers: served.map(([name]) => name),
    defaultProvider,
    waits,
    headers: Object.assign({}, ...served.map(([, { headers }]) => headers))
  }
}

/** Registers `POST /v1/batches/:id/cancel`, in a scope of its own. */
export const fastifyBatchCancel = fp(plugin, { fastify: '5.x', name: 'fastify-batch-cancel', encapsulate: true })
