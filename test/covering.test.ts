import { readdir, readFile } from 'node:fs/promises'
import fc from 'fast-check'
import t from 'tap'
import { coveringRows } from './support/covering.js'
import { ROOT } from './support/root.js'

type Row = readonly number[]

const product = (sizes: readonly number[]): Row[] => sizes.reduce<Row[]>(
  (rows, size) => rows.flatMap(row => Array.from({ length: size }, (_, value) => [...row, value])),
  [[]]
)

/** Every two values of different dimensions that stand in one row, and every value. */
const pairsIn = (rows: readonly Row[]) => new Set(rows.flatMap(row => row.flatMap((one, at) =>
  row.slice(at).map((other, distance) => `${at}=${one}, ${at + distance}=${other}`))))
const valuesIn = (rows: readonly Row[]) => new Set(rows.flatMap(row => row.map((value, at) => `${at}=${value}`)))

const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 })
/** Products, and what is left of them if some rows cannot be. */
const tables = fc.tuple(sizes, fc.infiniteStream(fc.nat(9)), fc.boolean()).map(([sizes, dice, isWhole]) =>
  product(sizes).filter(() => isWhole || Number(dice.next().value) > 2))

t.test('each two values that meet in any row meet in a row that is kept', async t => {
  fc.assert(fc.property(tables, rows => {
    const kept = coveringRows(rows, row => row, 2)
    t.strictSame([...pairsIn(kept)].sort(), [...pairsIn(rows)].sort())
    t.ok(kept.every(row => rows.includes(row)) && new Set(kept).size === kept.length, 'each is a row, and there once')
    t.strictSame(coveringRows(rows, row => row, 2), kept, 'the same each time')
  }))
})

t.test('each value is in a row that is kept', async t => {
  fc.assert(fc.property(tables, rows => {
    const kept = coveringRows(rows, row => row, 1)
    t.strictSame([...valuesIn(kept)].sort(), [...valuesIn(rows)].sort())
    t.ok(kept.length <= valuesIn(rows).size)
  }))
})

t.test('few rows are kept of a large product', async t => {
  const rows = product([8, 6, 5, 4])
  t.ok(coveringRows(rows, row => row, 2).length < 2 * 8 * 6, 'pairs')
  t.equal(coveringRows(rows, row => row, 1).length, 8, 'values')
})

t.test('npm run test:exhaustive names every file that uses runs or selectRows', async t => {
  const folder = new URL('test/', ROOT)
  const { scripts } = JSON.parse(await readFile(new URL('package.json', ROOT), 'utf8'))
  // Compiled, since the sources have folders with packages of their own.
  const files = (await readdir(new URL('build/test/', ROOT), { recursive: true }))
    .filter(name => name.endsWith('.test.js')).map(name => name.replace(/js$/, 'ts'))
  const named: string[] = []
  for (const file of files) {
    const text = await readFile(new URL(file, folder), 'utf8')
    if (/\b(?:runs|selectRows)\(/.test(text)) named.push(file.replace(/^.*\/|\.test\.ts$/g, ''))
  }
  t.ok(named.length > 10)
  const words: string[] = scripts['test:exhaustive'].split(/[^\w-]+/)
  t.strictSame(named.filter(name => !words.includes(name)), [])
})
