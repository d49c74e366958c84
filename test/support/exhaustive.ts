/** Whether every combination is tested and every property has all its runs: `npm run test:exhaustive`. */
export const EXHAUSTIVE = process.env['EXHAUSTIVE'] === '1'

interface Runs {
  /** Enough to find a common mistake. */
  readonly usual: number
  /** Enough to find one that needs a rare input. */
  readonly exhaustive: number
}

/** How many runs a property of fast-check gets. */
export const runs = ({ usual, exhaustive }: Runs) => ({ numRuns: EXHAUSTIVE ? exhaustive : usual })
