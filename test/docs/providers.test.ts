import t from 'tap'
import { builtIn, ERROR_STATUS } from '../../lib/index.js'
import { operation } from '../support/document.js'
import { readDocuments } from '../support/code-blocks.js'

const textOf = async (path: string) => (await readDocuments(path)).map(({ text }) => text).join()
const rowsOf = (text: string) => text.split('\n').filter(line => line.startsWith('|'))
const missing = (names: readonly string[], text: string) => names.filter(name => !text.includes(`\`${name}\``))

t.test('docs/providers.md has every provider, with what it takes and how well it is known', async t => {
  const [takes, evidence] = (await textOf('docs/providers.md')).split('## Evidence')
  const served = Object.keys(builtIn).filter(name => builtIn[name]?.unsupported === undefined)
  const refused = Object.keys(builtIn).filter(name => builtIn[name]?.unsupported !== undefined)
  const firstCells = (text = '') => rowsOf(text).map(row => row.split('|')[1]).join()
  t.strictSame(missing(served, firstCells(takes)), [], 'what it takes')
  t.strictSame(missing(served, firstCells(evidence)), [], 'evidence')
  t.strictSame(missing(refused, firstCells(evidence)), [], 'refused')
})

t.test('docs/http.md has every code and every request header', async t => {
  const http = await textOf('docs/http.md')
  t.strictSame(missing(Object.keys(ERROR_STATUS), http), [], 'codes')
  const providers = await textOf('docs/providers.md')
  const headers = operation.parameters.filter(({ in: place }) => place === 'header').map(({ name }) => name)
  const named = (name: string) => [http, providers].some(text => text.includes(`\`${name}`))
  t.strictSame(headers.filter(name => !named(name)), [], 'headers')
})

t.test('every status in docs/http.md is the status of its codes', async t => {
  const rows = rowsOf(await textOf('docs/http.md')).map(row => row.split('|').map(cell => cell.trim()))
  for (const [code, status] of Object.entries(ERROR_STATUS)) {
    const row = rows.find(([, , codes]) => codes?.includes(`\`${code}\``))
    t.match(row?.[1], String(status), code)
  }
})

t.test('every column of every table has a heading', async t => {
  for (const { path, text } of await readDocuments('README.md', 'CONTRIBUTING.md', 'docs', 'examples')) {
    const lines = text.split('\n')
    const headings = lines.filter((_, index) => /^\|[-|: ]+\|$/.test(lines[index + 1] ?? ''))
    t.strictSame(headings.filter(heading => heading.split('|').slice(1, -1).some(cell => cell.trim() === '')), [], path)
  }
})
