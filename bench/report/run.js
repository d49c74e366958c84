import { barChart, number, paragraphs, spread, table } from './markdown.js'
import { warnings } from './warnings.js'

/** So fast or so frugal that the others could not be distinguished beside it. */
const OFF_THE_CHART = 'nginx'

export function runSection (run) {
  const { settings } = run
  const [rows, retrievals] = [false, true].map(isRetrieval => run.rows.filter(row => (row.operation === 'retrieve') === isRetrieval))
  return paragraphs(
    '## Side by side',
    `A cancel with a batch of ${number(run.bodyBytes)} bytes over ${settings.connections} connections, every program on one core. Medians of ${settings.rounds} rounds, and in parentheses the lowest and the highest.`,
    table(['', 'requests/s', 'p50 ms', 'p99 ms', 'CPU ms per 1,000 requests', 'memory MB', 'start to first 200, ms'], rows.map(cellsOf)),
    'Against them:',
    table(['', 'requests/s of the gateway', 'of the plugin', 'CPU per request of the gateway', 'of the plugin'], ratios(rows)),
    chart(rows, 'requestsPerSecond', 'Requests per second, more is better', 'requests/s'),
    chart(rows, 'cpu', 'CPU per 1,000 requests, less is better', 'ms'),
    rows.some(({ name }) => name === OFF_THE_CHART) ? 'nginx is left out of the charts, so that the others can be distinguished.' : '',
    ...retrievals.length === 0 ? [] : retrievalParagraphs(retrievals),
    warnings(run),
    '### How',
    how(run)
  )
}

const retrievalParagraphs = (rows) => [
  'The same programs, asked for the batch by `GET /v1/batches/:id`:',
  table(['', 'requests/s', 'p50 ms', 'p99 ms', 'CPU ms per 1,000 requests', 'memory MB', 'start to first 200, ms'], rows.map(cellsOf))
]

const cellsOf = ({ title, rounds, failed, requestsPerSecond, p50, p99, cpu, memory, start }) => [
  failed === 0 ? title : `${title}; failed in ${failed} of ${rounds} rounds`,
  spread(requestsPerSecond), spread(p50), spread(p99), spread(cpu), spread(memory, 1e-6), spread(start)
]

function ratios (rows) {
  const ours = ['gateway', 'plugin'].map(name => rows.find(row => row.name === name))
  return rows.filter(row => !ours.includes(row)).map(row => [
    row.title,
    ...['requestsPerSecond', 'cpu'].flatMap(metric => ours.map(our => times(our?.[metric], row[metric])))
  ])
}

const times = (one, other) => one === undefined || other === undefined ? '–' : `${number(one.median / other.median)} times`

function chart (rows, metric, title, unit) {
  const bars = rows.filter(row => row[metric] !== undefined && row.name !== OFF_THE_CHART).map(row => ({ name: row.name, value: row[metric].median }))
  return bars.length === 0 ? '' : barChart(title, unit, bars)
}

const how = ({ settings, upstream, load, machine }) => `Every program is started for each measurement, asked before and after whether it answers the whole batch of the upstream with a 200, warmed up for ${settings.warmUp} s, and then loaded for ${settings.seconds} s by ${load}. The rounds go over all of them in turn, each round from another one on, so that what the machine does meanwhile affects all of them. Programs on Node.js have \`--initial-old-space-size=32\`: a garbage collection during the start would make \`process.nextTick\` slower for the rest of the process, of some programs and not of others. A measurement in which any request failed counts as failed, not as a number.

${pinning(machine)} The upstream is ${upstream}, which answers every request with the same batch. CPU is the user and system time of the program and all its children while it is loaded, memory their resident set right after it. The time to the first 200 is from the start of the process to an answer that came through the upstream, asked for every millisecond, and is measured ${settings.starts} times by itself. nginx, and what comes near it, is held back by the load more than by itself.

Both gateways are asked in the same words (\`x-portkey-provider: openai\`, \`x-portkey-custom-host\`, \`Authorization\`), and run as their packages start them. The programs without a gateway do nothing but forward the path and \`Authorization\`, and answer status, content type and body; nobody checks, waits, retries or settles anything there.`

const pinning = ({ pinned }) => pinned
  ? 'The program has a core for itself; upstream, load and the script share the others.'
  : 'The programs were not pinned to cores.'
