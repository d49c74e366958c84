import { median, paragraphs, spread, table } from './markdown.js'
import { warnings } from './warnings.js'

/** What the plugin is seen against, where it was measured as well. */
const YARDSTICK = 'undici-text'

export function growthSection (growth) {
  const { settings, axes } = growth
  return paragraphs(
    '## Growth',
    `The plugin, and beside it the bare route with undici; ${settings.connections} connections, a batch of some 900 bytes and no request body where nothing else is said. Medians of ${settings.rounds} rounds of ${settings.seconds} s.`,
    ...axes.flatMap(axis => [axisTable(axis), axis.note]),
    warnings(growth)
  )
}

function axisTable ({ title, points }) {
  const values = [...new Set(points.map(({ value }) => value))]
  const yardstick = points.some(({ subject }) => subject === YARDSTICK)
  const heads = [title, 'requests/s', 'p99 ms', 'CPU ms per 1,000', 'memory MB', ...yardstick ? ['requests/s of the bare route', 'its CPU', 'its memory'] : []]
  return table(heads, values.map(value => {
    const at = (isYardstick) => points.find(point => point.value === value && (point.subject === YARDSTICK) === isYardstick)
    const { requestsPerSecond, p99, cpu, memory, failed, rounds } = at(false)
    const bare = at(true)
    return [
      `${value.toLocaleString('en-US')}${failed === 0 ? '' : `; failed in ${failed} of ${rounds} rounds`}`,
      spread(requestsPerSecond), median(p99), median(cpu), median(memory, 1e-6),
      ...bare === undefined ? [] : [median(bare.requestsPerSecond), median(bare.cpu), median(bare.memory, 1e-6)]
    ]
  }))
}
