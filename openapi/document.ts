import { createRequire } from 'node:module'
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import Fastify from 'fastify'
import { fastifyBatchCancel } from '../lib/index.js'

const { version, description } = createRequire(import.meta.url)('fastify-batch-cancel/package.json') as { version: string, description: string }

interface Server {
  url: string
  description: string
}

/** Credentials are optional: the server may have its own. */
export const security = [{ providerKey: [] }, {}]

/** What @fastify/swagger needs in order to write the document of this package. */
export function documentOptions (server: Server): FastifyDynamicSwaggerOptions {
  return {
    convertConstToEnum: false,
    refResolver: { buildLocalReference: ({ title }) => String(title) },
    openapi: {
      openapi: '3.1.0',
      info: { title: 'fastify-batch-cancel', version, description: `${description}.`, license: { name: 'MIT', identifier: 'MIT' } },
      servers: [server],
      tags: [{ name: 'Batch', description: 'Cancelling batches.' }],
      components: { securitySchemes: { providerKey: { type: 'http', scheme: 'bearer', description: 'The credential for the provider.' } } }
    },
    transformObject: withOptionalBody
  }
}

type Transform = NonNullable<FastifyDynamicSwaggerOptions['transformObject']>

/** Fastify can only say that a body is required; clients send `{}`, or nothing, and it is ignored. */
function withOptionalBody (document: Parameters<Transform>[0]): ReturnType<Transform> {
  const { openapiObject } = document as { openapiObject: { paths: Record<string, { post?: object }> } }
  const requestBody = { required: false, description: 'Ignored: clients send `{}`, or nothing.', content: { 'application/json': { schema: { type: 'object' } } } }
  const paths = Object.entries(openapiObject.paths).map(([path, item]) => [path, { ...item, post: { ...item.post, requestBody } }])
  return { ...openapiObject, paths: Object.fromEntries(paths) }
}

/** The document of the plugin as it is registered with no options, its one operation only. */
export async function renderDocument (): Promise<string> {
  const app = Fastify()
  await app.register(swagger, documentOptions({ url: 'http://127.0.0.1:8787', description: 'The gateway that `npm start` runs' }))
  await app.register(fastifyBatchCancel, { routeOptions: { schema: { security } } })
  await app.ready()
  const document = JSON.stringify(app.swagger(), null, 2) + '\n'
  await app.close()
  return document
}
