import { EXHAUSTIVE } from './exhaustive.js'

/*
 * Pairwise testing: a covering array in place of all combinations of many dimensions. Most mistakes need one value, or two
 * together; what needs more is found by `npm run test:exhaustive`, which tests every combination.
 */

/** The values that a row has in each dimension, compared by identity. */
type ValuesOf<Row> = (row: Row) => readonly unknown[]

export interface Selection<Row> {
  readonly valuesOf: ValuesOf<Row>
  /** How many values have to meet: 1 for each value in some row, 2 for each two of different dimensions in some row. */
  readonly strength: 1 | 2
  /** Rows that have too little in common to stand for each other have different kinds. */
  readonly kindOf: (row: Row) => string
}

/** All rows if the run is exhaustive; otherwise some of each kind in which all values of that kind meet. */
export function selectRows<Row> (rows: readonly Row[], { valuesOf, strength, kindOf }: Selection<Row>): Row[] {
  if (EXHAUSTIVE) return [...rows]
  const kinds = new Map<string, Row[]>()
  for (const row of rows) {
    const kind = kindOf(row)
    kinds.set(kind, kinds.get(kind) ?? [])
    kinds.get(kind)?.push(row)
  }
  return [...kinds.values()].flatMap(kind => coveringRows(kind, valuesOf, strength))
}

/** A covering array, by a greedy search: few rows that contain each value, or pair of values, that any row contains. */
export function coveringRows<Row> (rows: readonly Row[], valuesOf: ValuesOf<Row>, strength: 1 | 2): Row[] {
  const numberOf = numberValues()
  const candidates = rows.map(row => ({ row, keys: keysOf(valuesOf(row).map(numberOf), strength) }))
  const covered = new Set<string>()
  const kept: Row[] = []
  const most = Math.max(0, ...candidates.map(({ keys }) => keys.length))
  // Rows that add the most come first.
  for (let least = most; least > 0; least--) {
    for (const { row, keys } of candidates) {
      if (keys.filter(key => !covered.has(key)).length < least) continue
      for (const key of keys) covered.add(key)
      kept.push(row)
    }
  }
  return kept
}

function numberValues (): (value: unknown) => number {
  const numbers = new Map<unknown, number>()
  return value => {
    const number = numbers.get(value) ?? numbers.size
    numbers.set(value, number)
    return number
  }
}

/** A key for each value of a row in its dimension, or for each two of them. */
function keysOf (values: readonly number[], strength: 1 | 2): string[] {
  const single = values.map((value, dimension) => `${dimension}:${value}`)
  return strength === 1 ? single : single.flatMap((one, at) => single.slice(at).map(other => `${one} ${other}`))
}
