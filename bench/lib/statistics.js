/** @typedef {{ median: number, min: number, max: number }} Spread */

/** The median of the numbers and how far they lie apart; `undefined` where there are none. */
export function spreadOf (values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  if (sorted.length === 0) return undefined
  return { median: median(sorted), min: sorted[0], max: sorted.at(-1) }
}

/** The value that so large a share of the values does not exceed. */
export function percentileOf (values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}

function median (sorted) {
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const METRICS = ['requestsPerSecond', 'p50', 'p99', 'cpu', 'memory']

/** What the good samples of a subject come to. */
export const summaryOf = (samples) => ({
  rounds: samples.length,
  failed: samples.filter(({ failed }) => failed !== undefined).length,
  ...Object.fromEntries(METRICS.map(metric => [metric, spreadOf(samples.map(sample => sample[metric]))]))
})
