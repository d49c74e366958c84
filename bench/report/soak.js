import { megabytes, number, paragraphs, table } from './markdown.js'
import { warnings } from './warnings.js'

/** So many samples are shown; the others are in the JSON. */
const MAX_SHOWN = 20

const whole = (value) => value.toLocaleString('en-US')

export function soakSection (results) {
  const { settings, sent, responses, wrong, faults, idle, samples, rest, comparison } = results
  const { seconds, rate, interval, timeout } = settings
  return paragraphs(
    '## Soak',
    `One process for ${whole(seconds)} s with ${whole(rate)} calls a second, ${whole(sent)} in all: cancels, waits, reads, and clients that disconnect. The upstream has random faults; \`timeout\` is ${whole(timeout)} ms.`,
    wrong.responses === 0 && wrong.falselyConfirmed === 0
      ? 'Every response was right: the batch, the provider\'s own error, or a 502 or 504 where the outcome was not known; every cancel that was confirmed had been carried out.'
      : `**${whole(wrong.responses)} responses were wrong; ${whole(wrong.falselyConfirmed)} confirmed cancels had not been carried out.**`,
    comparison.every(({ isFlat }) => isFlat) ? 'Nothing grows:' : '**Something grows:**',
    table(['', 'middle third', 'last third', 'flat?'], comparison.map(({ name, unit, middle, last, isFlat }) =>
      [unit === '' ? name : `${name}, ${unit}`, number(middle), number(last), isFlat ? 'yes' : '**no**'])),
    table(
      ['', 'heap MB', 'resident MB', 'sockets from clients', 'to the upstream', 'timers', 'delay p50 ms', 'p99 ms', 'max ms'],
      [
        ['before', ...cellsOf(idle)],
        ...shown(samples).map(sample => [`${whole(sample.seconds)} s`, ...cellsOf(sample)]),
        [`${whole(settings.rest)} s after the load`, ...cellsOf(rest)]
      ]
    ),
    `A sample every ${interval} s, with the heap after a garbage collection, and the delay of the event loop since the sample before.`,
    table(['response', 'count'], byCount(responses)),
    table(['fault of the upstream', 'count'], byCount(faults)),
    'Of the cancels that got no valid response half were carried out.',
    warnings(results)
  )
}

const cellsOf = ({ heapUsed, rss, fromClients, toUpstream, timers, delay }) => [
  megabytes(heapUsed), megabytes(rss), whole(fromClients), whole(toUpstream), whole(timers),
  ...[delay.p50, delay.p99, delay.max].map(number)
]

/** The samples at even distances, the last one included. */
function shown (samples) {
  const step = Math.ceil(samples.length / MAX_SHOWN)
  return samples.filter((_, index) => (samples.length - 1 - index) % step === 0)
}

const byCount = (counts) => Object.entries(counts).sort(([, a], [, b]) => b - a).map(([name, count]) => [name, whole(count)])
