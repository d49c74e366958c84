import { paragraphs, spread, table } from './markdown.js'
import { warnings } from './warnings.js'

export function importsSection (results) {
  const { rows, settings, machine } = results
  return paragraphs(
    '## Imports',
    `What an import takes in a fresh process. Medians of ${settings.rounds} rounds that go over all of them in turn, and in parentheses the lowest and the highest. ${machine.pinned ? 'The process has a core for itself.' : 'The processes were not pinned to cores.'}`,
    table(['', 'CPU ms', 'wall ms'], rows.map(({ title, rounds, failed, cpu, wall }) => [
      failed === 0 ? title : `${title}; failed in ${failed} of ${rounds} rounds`, spread(cpu), spread(wall)
    ])),
    warnings(results)
  )
}
