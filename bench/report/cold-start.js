import { median, number, paragraphs, spread, table } from './markdown.js'
import { warnings } from './warnings.js'

export function coldStartSection (results) {
  const { rows, settings, machine } = results
  return paragraphs(
    '## Cold start',
    `A function for AWS Lambda, bundled into one file as [examples/aws-lambda](../examples/aws-lambda/) does: what a fresh process takes until its first response, which comes from the upstream unless the row says otherwise. Medians of ${settings.rounds} rounds that go over all of them in turn; relative to the bare route within each round. Without a compile cache. ${machine.pinned ? 'The process has a core for itself.' : 'The processes were not pinned to cores.'}`,
    table(
      ['', 'CPU ms', 'relative to the bare route', 'wall ms', 'relative to the bare route', 'loading it, ms', 'first call, ms', 'file, kB'],
      rows.map(cellsOf)
    ),
    `Of the CPU, ${median(rows[0].boot)} ms are those of Node.js before it loads the function.`,
    warnings(results)
  )
}

const cellsOf = ({ title, rounds, failed, cpu, wall, init, call, ratio, bytes }) => [
  failed === 0 ? title : `${title}; failed in ${failed} of ${rounds} rounds`,
  spread(cpu), times(ratio?.cpu), spread(wall), times(ratio?.wall), spread(init), spread(call), number(bytes / 1000)
]

const times = (ratio) => ratio === undefined ? '–' : `${number(ratio.median)} times`
