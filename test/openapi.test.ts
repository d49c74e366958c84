import { readFile } from 'node:fs/promises'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import swagger from '@fastify/swagger'
import t from 'tap'
import { documentOptions } from '../gateway/document.js'
import { renderDocument } from '../openapi/render.js'
import { ERROR_STATUS } from '../lib/index.js'
import { headerReaders, type BatchSchemaOptions } from '../schemas/index.js'
import { document, operation, PATH, RETRIEVE_PATH, retrieveDocument } from './support/document.js'
import { renderBothSchemas } from './support/render-schemas.js'
import { ROOT } from './support/root.js'

const readCommitted = (name: string) => readFile(new URL(`openapi/${name}`, ROOT), 'utf8')

t.test('the committed documents are up to date', async t => {
  t.equal(await readCommitted('openapi.json'), await renderDocument(), 'run npm run openapi')
  if (retrieveDocument === undefined) return t.comment('openapi.retrieve.json is not generated yet')
  t.equal(await readCommitted('openapi.retrieve.json'), await renderDocument({ retrieve: true }), 'run npm run openapi')
  t.strictSame(Object.keys(retrieveDocument.paths).sort(), [RETRIEVE_PATH, PATH].sort(), 'both operations')
  t.strictSame(retrieveDocument.paths[PATH], document.paths[PATH], 'the same cancel')
})

t.test('the default document has one operation, and OpenAI\'s component names', async t => {
  t.strictSame(Object.keys(document.paths), [PATH])
  t.strictSame(Object.keys(document.paths[PATH] as object), ['post'])
  t.match(operation, {
    operationId: 'cancelBatch',
    requestBody: { required: false, content: { 'application/json': { schema: { type: 'object' } } } }
  })
  const components = Object.keys(document.components.schemas).sort()
  t.strictSame(components, ['Batch', 'BatchError', 'BatchRequestCounts', 'ErrorResponse'])
})

t.test('every error code of this package has an example under its status', async t => {
  for (const [code, status] of Object.entries(ERROR_STATUS)) {
    const examples = JSON.stringify(operation.responses[status]?.content['application/json'].examples)
    t.match(examples, `"code":"${code}"`, `${code} under ${status}`)
  }
})

t.test('Swagger UI fills in only the parameters that every call needs', async t => {
  const { cancel, retrieve } = await renderBothSchemas({ waits: true })
  for (const { parameters } of [operation, cancel.operation, retrieve.operation]) {
    const filled = parameters.filter(({ example }) => example !== undefined).map(({ name }) => name)
    t.strictSame(filled, ['id', 'x-portkey-provider'])
  }
})

t.test('the retrieval is documented as a GET without a body, a 409 or body errors', async t => {
  const { cancel, retrieve } = await renderBothSchemas({ waits: true })
  t.match(retrieve.operation, { operationId: 'retrieveBatch', tags: ['Batch'] })
  t.notOk('requestBody' in retrieve.operation)
  const cancelOnly = Object.keys(cancel.operation.responses).filter(key => !(key in retrieve.operation.responses))
  t.strictSame(cancelOnly, ['409', '413', '415'])
  t.match(retrieve.operation.responses[200], {
    headers: {
      'x-batch-source': { required: true, schema: { enum: ['retrieved'] }, example: 'retrieved' },
      'x-portkey-provider': { required: true },
      'x-request-id': { required: true }
    },
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Batch' } } }
  })
  t.match(JSON.stringify(retrieve.operation), /batches\.retrieve\('batch_abc123'\)/, 'code samples of its own')
  t.notMatch(JSON.stringify(retrieve.operation), /batches\.cancel|-X POST|whether the batch was cancelled/)
})

const NAMES = ['id', 'x-portkey-provider', 'authorization', 'prefer', 'x-portkey-config']
const Text = Type.String()

t.test('what every call needs comes first, what only some providers read last', async t => {
  const headersByProvider = new Map([
    ['openai', { authorization: Text, 'x-custom-host': Text, 'x-organization': Text }],
    ['bedrock', { authorization: Text, 'x-custom-host': Text, 'x-region': Text }],
    ['vertex-ai', { authorization: Text, 'x-custom-host': Text, 'x-region': Text }]
  ])
  const { cancel, retrieve } = await renderBothSchemas({ secured: false, waits: true, headersByProvider })
  for (const { parameters } of [cancel.operation, retrieve.operation]) {
    const names = parameters.map(({ name }) => name)
    t.strictSame(names.slice(0, NAMES.length), NAMES)
    t.strictSame(names.slice(-3), ['x-custom-host', 'x-organization', 'x-region'])
    const readers = parameters.map(({ name, 'x-providers': providers }) => [name, providers])
    t.strictSame(readers.filter(([, providers]) => providers !== undefined), [['x-organization', ['openai']], ['x-region', ['bedrock', 'vertex-ai']]])
    t.notMatch(JSON.stringify(parameters.map(({ schema }) => schema)), 'x-providers', 'not within a schema')
  }
})

t.test('routes of other plugins are not annotated', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, documentOptions({ url: '/', description: 'A test' }))
  app.get('/a', { schema: { hide: true } }, async () => {})
  app.get('/b', { schema: { hide: true, headers: Type.Object({ 'x-own': Text }) } }, async () => {})
  await app.ready()
  t.match(app.swagger(), { paths: {} })
  t.equal(headerReaders(Type.Object({ 'x-own': Text })).size, 0)
})

t.test('a default provider makes the header optional', async t => {
  const parameterOf = async (options: BatchSchemaOptions) => {
    const { cancel, retrieve } = await renderBothSchemas(options)
    const [first, second] = [cancel, retrieve].map(({ operation }) => operation.parameters[1])
    t.strictSame(first, second, 'in both operations')
    return first
  }
  t.match(await parameterOf({}), { name: 'x-portkey-provider', required: true, example: 'openai' })
  t.match(await parameterOf({ providers: ['groq', 'openai'] }), {
    required: true,
    example: 'groq',
    schema: { enum: ['groq', 'openai'] }
  })
  t.match(await parameterOf({ providers: ['groq', 'openai'], defaultProvider: 'openai' }), {
    required: false,
    example: 'openai',
    description: /Default: `openai`\.$/
  })
})
