import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import Fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import type OpenAI from 'openai'
import t, { type Test } from 'tap'
import {
  BATCH_STATUSES, cancelBatchSchema, isBatch, NAMED_SCHEMAS, retrieveBatchSchema,
  type Batch, type BatchSchemaOptions
} from '../schemas/index.js'
import { valuesOf, type JsonSchema } from './support/arbitrary.js'
import {
  bodyValidator, cancelOperation, checkOf, document, retrieveOperation, type Documented
} from './support/document.js'
import { runs } from './support/exhaustive.js'
import { renderBothSchemas } from './support/render-schemas.js'
import { ROOT } from './support/root.js'

const official = JSON.parse(readFileSync(new URL('test/data/openai-cancel-batch.json', ROOT), 'utf8')) as {
  components: { schemas: Record<string, JsonSchema & { 'x-oaiMeta'?: { example: string } }> }
  paths: Record<string, { post: { 'x-oaiMeta': { examples: { response: string } } } }>
}
const { schemas } = official.components
const officialBatch = schemas['Batch'] as JsonSchema & { 'x-oaiMeta': { example: string } }

/** Parses an example of OpenAI's document, in which objects end with a comma. */
const parseExample = (text: string) => JSON.parse(text.replace(/,(\s*\})/g, '$1')) as Record<string, unknown>

const BATCH = {
  id: 'b',
  object: 'batch',
  endpoint: '/v1/x',
  input_file_id: 'f',
  completion_window: '24h',
  status: 'cancelling',
  created_at: 1
} as const satisfies Batch

t.test('every batch that OpenAI\'s schema accepts is a valid batch', async t => {
  const documented = checkOf('components', 'schemas', 'Batch')
  const property = fc.property(
    valuesOf(officialBatch, schemas),
    value => isBatch(value) && documented(value) === true
  )
  fc.assert(property, runs({ usual: 200, exhaustive: 2000 }))
  t.pass('2,000 values generated from OpenAI\'s schema')
  t.ok(isBatch(parseExample(officialBatch['x-oaiMeta'].example)), 'the example of the batch object')
  const response = official.paths['/batches/{batch_id}/cancel']?.post['x-oaiMeta'].examples.response as string
  t.ok(isBatch(parseExample(response)), 'the example of the cancel')
})

t.test('every property of OpenAI\'s schemas exists', async t => {
  const ours = document.components.schemas as Record<string, JsonSchema>
  for (const name of ['Batch', 'BatchError', 'BatchRequestCounts']) {
    const properties = Object.keys(schemas[name]?.properties ?? {})
    t.strictSame(properties.filter(key => ours[name]?.properties?.[key] === undefined), [], name)
    const required = name === 'BatchError' ? [] : schemas[name]?.required ?? []
    t.strictSame(ours[name]?.required ?? [], required, `required properties of ${name}`)
  }
})

t.test('the types agree with those of OpenAI\'s SDK', async t => {
  const ours: Batch = {} as OpenAI.Batches.Batch
  const status: OpenAI.Batches.Batch['status'] = {} as Batch['status']
  t.notOk(isBatch(ours) || isBatch(status), 'an empty object is not a batch')
})

t.test('values that are not a batch', async t => {
  t.ok(isBatch(BATCH))
  const invalid: Record<string, unknown> = {
    'an unknown status': { ...BATCH, status: 'success' },
    'a status in upper case': { ...BATCH, status: 'CANCELLED' },
    'another object': { ...BATCH, object: 'list' },
    'a fraction of a second': { ...BATCH, created_at: 1.5 },
    'a date string': { ...BATCH, cancelled_at: '2026-01-01' },
    'string counts': { ...BATCH, request_counts: { total: '1', completed: 0, failed: 0 } },
    'an array of errors': { ...BATCH, errors: ['no'] },
    'no status': { ...BATCH, status: undefined },
    null: null,
    'an array': [BATCH]
  }
  for (const [name, value] of Object.entries(invalid)) t.notOk(isBatch(value), name)
})

/** Checks every example of an operation against the schema of its response. */
function testExamples (t: Test, documented: Documented) {
  const { operationId, responses } = documented.operation
  for (const [status, { content }] of Object.entries(responses)) {
    const validate = bodyValidator(documented, status)
    const examples = Object.entries(content['application/json'].examples ?? {})
    t.ok(examples.length > 0, `${operationId} ${status} has an example`)
    for (const [name, { value }] of examples) {
      t.ok(validate(value), `${operationId} ${status} ${name} ${JSON.stringify(validate.errors)}`)
    }
  }
}

t.test('every example conforms to its schema', async t => {
  testExamples(t, cancelOperation)
  testExamples(t, retrieveOperation ?? (await renderBothSchemas()).retrieve)
})

t.test('the statuses that a 200 of each operation can have', async t => {
  const { cancel, retrieve } = await renderBothSchemas()
  const accepted = (documented: Documented) =>
    BATCH_STATUSES.filter(status => bodyValidator(documented, '200')({ ...BATCH, status }))
  t.strictSame(accepted(cancel), ['cancelling', 'cancelled'], 'cancel')
  t.strictSame(accepted(retrieve), BATCH_STATUSES, 'retrieve')
})

const OPTIONS: BatchSchemaOptions = {
  providers: ['openai', 'bedrock'],
  waits: true,
  headersByProvider: new Map([['openai', {}], ['bedrock', { 'x-region': { type: 'string' } as never }]])
}

t.test('the schemas use only keywords that Ajv\'s strict mode allows', async t => {
  for (const schema of [cancelBatchSchema(OPTIONS), retrieveBatchSchema(OPTIONS)]) {
    const ajv = new Ajv({ strict: true })
    ajv.addSchema([...NAMED_SCHEMAS])
    const bodies = Object.values(schema.response).map(({ content }) => content['application/json'].schema)
    for (const part of [schema.params, schema.headers, ...bodies]) t.ok(ajv.compile(part), schema.operationId)
  }
})

const get = (app: FastifyInstance, provider: string) =>
  app.inject({ url: '/v1/batches/batch_1', headers: { 'x-portkey-provider': provider } })

t.test('the schemas work in a Fastify app with the default compilers', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.setErrorHandler(({ message, code }: FastifyError, _request, reply) =>
    reply.code(400).send({ error: { message, type: 'invalid_request_error', param: null, code } }))
  for (const schema of NAMED_SCHEMAS) app.addSchema(schema)
  app.post('/v1/batches/:id/cancel', { schema: cancelBatchSchema(OPTIONS) }, async () => BATCH)
  app.get('/v1/batches/:id', { schema: retrieveBatchSchema(OPTIONS) }, async () => ({ ...BATCH, extra: 1 }))

  const found = await get(app, 'bedrock')
  t.match(found, { statusCode: 200 })
  t.strictSame(found.json(), { ...BATCH, extra: 1 }, 'unknown fields are serialized')
  t.match((await get(app, 'opnai')).json(), { error: { code: 'FST_ERR_VALIDATION', message: /allowed values/ } })
  const cancelled = await app.inject({
    method: 'POST',
    url: '/v1/batches/batch_1/cancel',
    headers: { 'x-portkey-provider': 'openai' }
  })
  t.strictSame(cancelled.json(), BATCH)
})
