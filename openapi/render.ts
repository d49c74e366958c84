import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import { documentOptions, security } from '../gateway/document.js'
import { fastifyBatchCancel, type FastifyBatchCancelOptions } from '../lib/index.js'

interface RenderOptions extends FastifyBatchCancelOptions {
  readonly retrieve?: boolean
}

/**
 * Renders the document of a registration.
 *
 * @param options the options of the plugin, such as `{ retrieve: true }`
 * @returns the document as JSON
 */
export async function renderDocument (options: RenderOptions = {}): Promise<string> {
  const app = Fastify()
  await app.register(swagger, documentOptions({
    url: 'http://127.0.0.1:8787',
    description: 'The gateway that `npm start` runs'
  }))
  await app.register(fastifyBatchCancel, { ...options, routeOptions: { schema: { security } } })
  await app.ready()
  const document = JSON.stringify(app.swagger(), null, 2) + '\n'
  await app.close()
  return document
}
