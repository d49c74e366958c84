import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import {
  jsonSchemaTransform, serializerCompiler, validatorCompiler, type ZodTypeProvider
} from 'fastify-type-provider-zod'
import t from 'tap'
import { z } from 'zod'
import batchCancel from '../../lib/index.js'
import { BATCH, cancel } from '../support/app.js'
import { violations } from '../support/document.js'

t.test('an app of Zod, with its document', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'Zod', version: '1' } },
    transform: jsonSchemaTransform
  })
  await app.register(batchCancel, { defaultProvider: 'x', forward: async () => BATCH })
  app.withTypeProvider<ZodTypeProvider>().get('/double', {
    schema: { querystring: z.object({ n: z.coerce.number() }), response: { 200: z.object({ n: z.number() }) } }
  }, async ({ query }) => ({ n: query.n * 2 }))
  await app.ready()

  const { paths } = JSON.parse(JSON.stringify(app.swagger()))
  t.match(paths, {
    '/double': { get: { parameters: [{ name: 'n' }] } },
    '/v1/batches/{id}/cancel': { post: { operationId: 'cancelBatch', responses: { 200: {}, 409: {} } } }
  })
  const response = await cancel(app)
  t.equal(response.statusCode, 200)
  t.strictSame(response.json(), BATCH)
  t.strictSame(violations(response), [])
  t.match((await cancel(app, { id: '\u0001' })).json(), { error: { code: 'invalid_batch_id' } })
  t.strictSame((await app.inject('/double?n=4')).json(), { n: 8 })
  t.equal((await app.inject('/double?n=x')).statusCode, 400)
})
