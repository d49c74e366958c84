import t from 'tap'
import { builtIn, ERROR_STATUS } from '../../lib/index.js'
import * as limits from '../../lib/limits.js'
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
  t.match(await textOf('README.md'), `[${served.length} providers]`)
  t.match(await textOf('docs/portkey.md'), `| providers with a cancel | 6 | ${served.length} |`)
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

/** The ways in which a limit may be written. */
const spellings = (value: number) => [
  value.toLocaleString('en-US'),
  `${(value / 1024).toLocaleString('en-US')} KiB`,
  `${value / 1024 ** 2} MiB`,
  `${value / 1000} seconds`,
  `${value / 60_000} minutes`
]

t.test('docs/security.md has every limit with its value', async t => {
  const rows = rowsOf(await textOf('docs/security.md')).map(row => row.split('|').map(cell => cell.trim()))
  for (const [name, value] of Object.entries(limits)) {
    const [,, limit = ''] = rows.find(([,,, constant]) => constant === `\`${name}\``) ?? []
    t.ok(spellings(value).some(text => limit === text || limit.startsWith(`${text} `)), `${name}: ${value}`)
  }
})

t.test('every column of every table has a heading', async t => {
  for (const { path, text } of await readDocuments('README.md', 'CONTRIBUTING.md', 'docs', 'examples')) {
    const lines = text.split('\n')
    const headings = lines.filter((_, index) => /^\|[-|: ]+\|$/.test(lines[index + 1] ?? ''))
    t.strictSame(headings.filter(heading => heading.split('|').slice(1, -1).some(cell => cell.trim() === '')), [], path)
  }
})
