/** Whether every combination is played and every property has all its runs: `npm run test:exhaustive`. */
export const EXHAUSTIVE = process.env['EXHAUSTIVE'] === '1'

interface Runs {
  /** What a property needs to find a mistake that somebody makes. */
  readonly usual: number
  /** What it needs to find one in a corner. */
  readonly exhaustive: number
}

/** How many runs a property of fast-check gets. */
export const runs = ({ usual, exhaustive }: Runs) => ({ numRuns: EXHAUSTIVE ? exhaustive : usual })
