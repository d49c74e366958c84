import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import { documentOptions, security } from '../../gateway/document.js'
import { cancelBatchSchema, NAMED_SCHEMAS, retrieveBatchSchema, type BatchSchemaOptions } from '../../schemas/index.js'
import { cancelIn, retrieveIn, type Document, type Documented } from './document.js'

export interface RenderOptions extends BatchSchemaOptions {
  /** Whether the operations use the document's security scheme, which replaces the header `authorization`. */
  readonly secured?: boolean
}

/** Both operations, in the document of an app that registers the schemas without the plugin. */
export async function renderBothSchemas (
  { secured = true, ...options }: RenderOptions = {}
): Promise<{ cancel: Documented, retrieve: Documented }> {
  const app = Fastify()
  await app.register(swagger, documentOptions({ url: '/', description: 'A test' }))
  for (const schema of NAMED_SCHEMAS) app.addSchema(schema)
  const extra = secured ? { security } : {}
  const handler = async () => {}
  app.post('/v1/batches/:id/cancel', { schema: { ...cancelBatchSchema(options), ...extra } }, handler)
  app.get('/v1/batches/:id', { schema: { ...retrieveBatchSchema(options), ...extra } }, handler)
  await app.ready()
  const document = JSON.parse(JSON.stringify(app.swagger())) as Document
  await app.close()
  return { cancel: cancelIn(document), retrieve: retrieveIn(document) as Documented }
}
