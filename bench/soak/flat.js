import { spreadOf } from '../lib/statistics.js'

/** The values of two thirds differ by less, as samples come at random moments. */
const MAX_GROWTH = 0.1

/**
 * What must not grow. `statistic`: of memory the lowest value, since it is what is kept, while the others depend on how
 * many responses of 1 MiB are just being read. `noise`: a growth by so much says nothing, however small the value is.
 */
const METRICS = [
  { name: 'JavaScript heap, at the lowest', unit: 'MB', of: ({ heapUsed }) => heapUsed / 1e6, statistic: 'min', noise: 2 },
  { name: 'resident memory, at the lowest', unit: 'MB', of: ({ rss }) => rss / 1e6, statistic: 'min', noise: 10 },
  {
    name: 'sockets, the median',
    unit: '',
    of: ({ fromClients, toUpstream }) => fromClients + toUpstream,
    statistic: 'median',
    noise: 50
  },
  { name: 'timers, the median', unit: '', of: ({ timers }) => timers, statistic: 'median', noise: 10 }
]

/** Each metric in the middle and in the last third of the samples, and whether the latter is no higher. */
export function comparisonOf (samples) {
  const third = Math.floor(samples.length / 3)
  const thirds = { middle: samples.slice(third, -third), last: samples.slice(-third) }
  return METRICS.map(({ name, unit, of, statistic, noise }) => {
    const [middle, last] = [thirds.middle, thirds.last].map(samples => spreadOf(samples.map(of))[statistic])
    return { name, unit, middle, last, isFlat: last - middle <= Math.max(MAX_GROWTH * middle, noise) }
  })
}
