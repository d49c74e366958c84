import type { FastifyContextConfig, FastifyInstance, FastifySchema, RegisterOptions } from 'fastify'
import fp from 'fastify-plugin'
import { cancelBatchSchema, NAMED_SCHEMAS } from '../schemas/cancel.js'
import type { BatchSchemaOptions } from '../schemas/request.js'
import { retrieveBatchSchema } from '../schemas/retrieve.js'
import { logError, type CallLog } from './cancel/operation.js'
import { invalidOption } from './check-options.js'
import { isObject } from './is-object.js'
import { readsJsonSchema } from './json-schema-host.js'
import {
  FASTIFY_OPTIONS, readOptions, type BatchCancelRouteOptions, type FastifyBatchCancelOptions, type Settings
} from './options.js'
import { discardBody } from './route/discard-body.js'
import { createHandlers, STATE, type BatchRoute } from './route/handler.js'

/** No body is needed, so little is read; a host may allow less. */
const MAX_BODY_BYTES = 16 * 1024

const META = { fastify: '5.x', name: 'fastify-batch-cancel', encapsulate: true }

function plugin (fastify: FastifyInstance, options: FastifyBatchCancelOptions): Promise<void> {
  checkInstance(fastify)
  return registerRoutes(fastify, options)
}

/** Throws at once, since nobody may handle the rejection of `batchCancel(options)`. */
function checkInstance (fastify: unknown): void {
  if (isObject(fastify) && typeof fastify['register'] === 'function') return
  throw invalidOption('batchCancel is a plugin, not a function that returns one: ' +
    'call app.register(batchCancel, options) instead of app.register(batchCancel(options)).')
}

async function registerRoutes (fastify: FastifyInstance, options: FastifyBatchCancelOptions): Promise<void> {
  const settings = readOptions(options)
  checkHandlerTimeout(fastify, settings)
  // A scope of its own even for `fp(batchCancel)`: the parsers of the host are not ours to remove.
  await fastify.register(fp(async (scope: FastifyInstance) => addRoutes(scope, settings), META), scopeOptions(options))
}

function checkHandlerTimeout ({ initialConfig, version }: FastifyInstance, { routeOptions }: Settings): void {
  if (routeOptions.handlerTimeout === undefined || 'handlerTimeout' in initialConfig) return
  throw invalidOption(`options.routeOptions.handlerTimeout is unknown to Fastify ${version}: use a later version, or ` +
    'leave it out.')
}

const SKIP_OVERRIDE = Symbol.for('skip-override')

/** The options of Fastify, which it does not apply itself to a plugin that `fp` has marked. */
function scopeOptions (options: RegisterOptions): RegisterOptions {
  if (Reflect.get(plugin, SKIP_OVERRIDE) !== true) return {}
  return Object.fromEntries(FASTIFY_OPTIONS.map(name => [name, options[name]]))
}

/** Not in the types of the first versions of Fastify 5. */
interface ServerTimes {
  readonly handlerTimeout?: number
}

function addRoutes (fastify: FastifyInstance, settings: Settings): void {
  const { schema, config, onRequest = [], ...hostOptions } = settings.routeOptions
  const hostHooks = [onRequest].flat()
  const { handlerTimeout = (fastify.initialConfig as ServerTimes).handlerTimeout } = hostOptions
  const { cancel, retrieve, endWaits } = createHandlers({ ...settings, handlerTimeout })
  const schemas = operationSchemas(settings, schema)

  for (const named of NAMED_SCHEMAS) if (fastify.getSchema(named.$id as string) === undefined) fastify.addSchema(named)
  fastify.addHook('onListen', () => warm(settings, fastify.log))
  fastify.addHook('preClose', async () => endWaits())
  fastify.addHook('onClose', settings.close)

  fastify.decorateRequest(STATE, null)
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser('*', discardBody)

  const routeOptions = {
    bodyLimit: Math.min(fastify.initialConfig.bodyLimit as number, MAX_BODY_BYTES),
    ...hostOptions,
    config: { ...documentConfig(fastify), ...config },
    // The schemas document the routes. Calls are checked when they are read, in the order of the contract; the host's
    // compilers would coerce or strip headers that are passed on, and drop or round fields of a batch.
    validatorCompiler: () => () => true,
    serializerCompiler: () => JSON.stringify
  }
  fastify.post<BatchRoute>('/v1/batches/:id/cancel', {
    ...routeOptions,
    ...cancel,
    onRequest: [...hostHooks, cancel.onRequest],
    schema: schemas.cancel
  })
  if (!settings.retrieve) return
  fastify.get<BatchRoute>('/v1/batches/:id', {
    ...routeOptions,
    ...retrieve,
    onRequest: [...hostHooks, retrieve.onRequest],
    schema: schemas.retrieve,
    exposeHeadRoute: false
  })
}

/** Fastify would log an error as it is, with all that it carries. */
async function warm ({ engine }: Settings, log: CallLog): Promise<void> {
  try {
    await engine.warm()
  } catch (error) {
    logError(log, 'error', {}, error, 'loading ahead of the first call failed')
  }
}

/** The transform of a host that cannot read JSON Schema would fail with the whole document. */
const documentConfig = (fastify: FastifyInstance): FastifyContextConfig =>
  readsJsonSchema(fastify) ? {} : { swaggerTransform: false }

/** The schemas of both operations, with what the host says about them. */
function operationSchemas (settings: Settings, { retrieve, ...schema }: BatchCancelRouteOptions['schema'] = {}) {
  const options = schemaOptions(settings)
  const { operationId: _id, summary: _summary, description: _description, ...common } = schema
  return {
    cancel: { ...cancelBatchSchema(options), ...schema } as FastifySchema,
    retrieve: { ...retrieveBatchSchema(options), ...common, ...retrieve } as FastifySchema
  }
}

/** What the document says about requests follows from the forwarder, as the checks do. */
function schemaOptions (settings: Settings): BatchSchemaOptions {
  const { engine } = settings
  const waits = engine.maxWait > 0
  const byFunction = typeof settings.defaultProvider === 'function'
  const provider = byFunction ? { choosesProvider: true } : { defaultProvider: settings.defaultProvider as string }
  const { providers } = engine.forwarder
  if (providers === undefined) return { ...provider, waits }
  const served = [...providers].filter(([, { unsupported }]) => unsupported === undefined)
  return {
    providers: served.map(([name]) => name),
    ...provider,
    waits,
    headersByProvider: new Map(served.map(([name, { headers = {} }]) => [name, headers]))
  }
}

/**
 * Registers `POST /v1/batches/:id/cancel`, in a scope of its own.
 *
 * @example app.register(fastifyBatchCancel, { defaultProvider: 'openai' })
 */
export const fastifyBatchCancel = fp(plugin, META)
