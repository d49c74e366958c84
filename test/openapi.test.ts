import { readFile } from 'node:fs/promises'
import t from 'tap'
import { renderDocument } from '../openapi/document.js'
import { ERROR_STATUS } from '../lib/index.js'
import { document, operation, PATH } from './support/document.js'

t.test('the committed document is the generated one', async t => {
  t.equal(await readFile(new URL('../openapi/openapi.json', import.meta.url), 'utf8'), await renderDocument(), 'run npm run openapi')
})

t.test('it has the one operation and OpenAI\'s names', async t => {
  t.strictSame(Object.keys(document.paths), [PATH])
  t.strictSame(Object.keys(document.paths[PATH] as object), ['post'])
  t.match(operation, { operationId: 'cancelBatch', requestBody: { required: false, content: { 'application/json': { schema: { type: 'object' } } } } })
  t.strictSame(Object.keys(document.components.schemas).sort(), ['Batch', 'BatchError', 'BatchRequestCounts', 'ErrorResponse'])
})

t.test('each code of our own has an example under its status', async t => {
  for (const [code, status] of Object.entries(ERROR_STATUS)) {
    const shown = JSON.stringify(operation.responses[status]?.content['application/json'].examples)
    t.match(shown, `"code":"${code}"`, `${code} under ${status}`)
  }
})

t.test('only what every call needs is filled in for the reader', async t => {
  t.strictSame(operation.parameters.filter(({ example }) => example !== undefined).map(({ name }) => name), ['id', 'x-portkey-provider'])
})
