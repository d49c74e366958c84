import { mkdir, readFile, writeFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { builtIn, ERROR_STATUS } from '../lib/index.js'
import { operation } from './support/document.js'

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
const blocks = (language: string) => [...readme.matchAll(new RegExp('```' + language + '\\n([^]+?)```', 'g'))].map(([, text]) => text as string)

/** Where blocks run: in the project, so that they find its packages, and out of git's sight. */
const folder = new URL('../.tap/readme/', import.meta.url)

t.test('every block of JavaScript runs, and registers the route', async t => {
  await mkdir(folder, { recursive: true })
  for (const [i, block] of blocks('js').entries()) {
    const file = new URL(`block-${i}.mjs`, folder)
    await writeFile(file, block
      .replaceAll('\'fastify-batch-cancel/sandbox\'', '\'../../lib/sandbox/index.js\'')
      .replaceAll('\'fastify-batch-cancel\'', '\'../../lib/index.js\'')
      .replace('await app.listen({ port: 3000 })', 'export { app }'))
    const { app } = await import(file.href) as { app: FastifyInstance }
    t.teardown(() => app.close())
    await app.ready()
    t.ok(['', '/llm'].some(prefix => app.hasRoute({ method: 'POST', url: `${prefix}/v1/batches/:id/cancel` })), block)
    const answer = await app.inject({ method: 'POST', url: `${block.includes('/llm') ? '/llm' : ''}/v1/batches/a%00/cancel`, headers: { 'x-portkey-provider': block.includes('sandbox') ? 'sandbox' : 'openai' } })
    t.match(answer.json(), { error: { message: block.includes('Who are you?') ? 'Who are you?' : /^The id of a batch should/ } })
  }
  t.equal(blocks('js').length, 6)
})

t.test('the tables name every provider, header and code', async t => {
  const named = (name: string) => readme.includes(`\`${name}\``)
  t.strictSame(Object.keys(builtIn).filter(name => !named(name)), [], 'providers')
  t.strictSame(Object.keys(ERROR_STATUS).filter(name => !named(name)), [], 'codes')
  const headers = operation.parameters.filter(({ in: place }) => place === 'header').map(({ name }) => name)
  t.strictSame(headers.filter(name => !named(name) && !readme.includes(`\`${name}: `)), [], 'request headers')
})

t.test('its answer is the documented one', async t => {
  t.strictSame(JSON.parse(blocks('json')[0] as string), (operation.responses['200']?.content['application/json'].examples?.['cancelling'] as { value: object }).value)
})
