import t from 'tap'
import { operation } from './support/document.js'
import { codeBlocks, readDocuments, type MarkdownDocument } from './support/code-blocks.js'

const MAX_LINES = 200

const [readme] = await readDocuments('README.md') as [MarkdownDocument]

t.test('its response is the documented one', async t => {
  const [block] = codeBlocks(readme, 'json')
  const examples = operation.responses['200']?.content['application/json'].examples
  t.strictSame(JSON.parse(block?.text as string), examples?.['cancelling']?.value)
})

t.test('it has the two commands and the call', async t => {
  const shell = codeBlocks(readme, 'sh').map(({ text }) => text.trim())
  for (const command of [
    'npm ci && npm start',
    'npm ci && npm test',
    "curl -X POST http://127.0.0.1:8787/v1/batches/batch_abc123/cancel -H 'x-portkey-provider: sandbox'"
  ]) t.ok(shell.includes(command), command)
})

t.test('it is short, and its pictures and pages are found from npm as well', async t => {
  t.ok(readme.text.split('\n').length <= MAX_LINES)
  t.notMatch(readme.text, /!\[[^\]]*\]\((?!https:)/, 'no relative picture')
})
