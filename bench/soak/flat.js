import { spreadOf } from '../lib/statistics.js'

/** The values of two thirds differ by less, as samples come at random moments. */
const MAX_GROWTH = 0.1

/** What must not grow. `noise`: a growth by so much says nothing, however small the value is. */
const METRICS = [
  { name: 'JavaScript heap', unit: 'MB', of: ({ heapUsed }) => heapUsed / 1e6, noise: 2 },
  { name: 'resident memory', unit: 'MB', of: ({ rss }) => rss / 1e6, noise: 10 },
  { name: 'sockets', unit: '', of: ({ fromClients, toUpstream }) => fromClients + toUpstream, noise: 50 },
  { name: 'timers', unit: '', of: ({ timers }) => timers, noise: 10 }
]

/** The median of each metric in the middle and in the last third of the samples, and whether the latter is no higher. */
export function comparisonOf (samples) {
  const third = Math.floor(samples.length / 3)
  const thirds = { middle: samples.slice(third, -third), last: samples.slice(-third) }
  return METRICS.map(({ name, unit, of, noise }) => {
    const [middle, last] = [thirds.middle, thirds.last].map(samples => spreadOf(samples.map(of)).median)
    return { name, unit, middle, last, isFlat: last - middle <= Math.max(MAX_GROWTH * middle, noise) }
  })
}
