import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import type OpenAI from 'openai'
import t from 'tap'
import { isBatch, type Batch } from '../schemas/index.js'
import { valuesOf, type JsonSchema } from './support/arbitrary.js'
import { checkOf, document, operation, PATH } from './support/document.js'

const official = JSON.parse(readFileSync(new URL('data/openai-cancel-batch.json', import.meta.url), 'utf8')) as {
  components: { schemas: Record<string, JsonSchema & { 'x-oaiMeta'?: { example: string } }> }
  paths: Record<string, { post: { 'x-oaiMeta': { examples: { response: string } } } }>
}
const { schemas } = official.components
const officialBatch = schemas['Batch'] as JsonSchema & { 'x-oaiMeta': { example: string } }

/** OpenAI's examples end an object with a comma. */
const parseExample = (text: string) => JSON.parse(text.replace(/,(\s*\})/g, '$1')) as Record<string, unknown>

t.test('every batch that OpenAI documents is a batch here', async t => {
  const documented = checkOf('components', 'schemas', 'Batch')
  fc.assert(fc.property(valuesOf(officialBatch, schemas), value => isBatch(value) && documented(value) === true), { numRuns: 2000 })
  t.pass('2,000 values made from OpenAI\'s schema')
  t.ok(isBatch(parseExample(officialBatch['x-oaiMeta'].example)), 'the example of the object')
  t.ok(isBatch(parseExample(official.paths['/batches/{batch_id}/cancel']?.post['x-oaiMeta'].examples.response as string)), 'the example of the cancel')
})

t.test('no property of OpenAI is missing', async t => {
  const ours = document.components.schemas as Record<string, JsonSchema>
  for (const name of ['Batch', 'BatchError', 'BatchRequestCounts']) {
    t.strictSame(Object.keys(schemas[name]?.properties ?? {}).filter(key => ours[name]?.properties?.[key] === undefined), [], name)
    t.strictSame(ours[name]?.required ?? [], name === 'BatchError' ? [] : schemas[name]?.required ?? [], `what ${name} requires`)
  }
})

t.test('the types agree with the SDK\'s', async t => {
  const ours: Batch = {} as OpenAI.Batches.Batch
  const status: OpenAI.Batches.Batch['status'] = {} as Batch['status']
  t.notOk(isBatch(ours) || isBatch(status), 'an empty object is no batch')
})

t.test('values that are no batch', async t => {
  const batch = { id: 'b', object: 'batch', endpoint: '/v1/x', input_file_id: 'f', completion_window: '24h', status: 'cancelling', created_at: 1 }
  t.ok(isBatch(batch))
  for (const [what, value] of Object.entries({
    'an unknown status': { ...batch, status: 'success' },
    'a status in capitals': { ...batch, status: 'CANCELLED' },
    'another object': { ...batch, object: 'list' },
    'a fraction of a second': { ...batch, created_at: 1.5 },
    'a date': { ...batch, cancelled_at: '2026-01-01' },
    'counts of strings': { ...batch, request_counts: { total: '1', completed: 0, failed: 0 } },
    'an error that is a string': { ...batch, errors: ['no'] },
    'no status': { ...batch, status: undefined },
    null: null,
    'a list': [batch]
  })) t.notOk(isBatch(value), what)
})

t.test('each example of the document is what its schema says', async t => {
  for (const [status, { content }] of Object.entries(operation.responses)) {
    const check = checkOf('paths', PATH, 'post', 'responses', status, 'content', 'application/json', 'schema')
    const examples = Object.entries(content['application/json'].examples ?? {})
    t.ok(examples.length > 0, `${status} has an example`)
    for (const [name, { value }] of examples) t.ok(check(value), `${status} ${name} ${JSON.stringify(check.errors)}`)
  }
  const narrowed = checkOf('paths', PATH, 'post', 'responses', '200', 'content', 'application/json', 'schema')
  t.notOk(narrowed({ id: 'b', object: 'batch', endpoint: '', input_file_id: '', completion_window: '', status: 'completed', created_at: 0 }), 'a 200 shows no other status than cancelling and cancelled')
})
