import { megabytes, number, paragraphs, table } from './markdown.js'
import { warnings } from './warnings.js'

const whole = (value) => value.toLocaleString('en-US')

export function waitSection (results) {
  const { settings, answers, pollers, fillSeconds, memory, delays, reads, lastAnswers, machine } = results
  const { waits, batches, credentials, hold } = settings
  return paragraphs(
    '## Waits',
    `${whole(waits)} calls with \`Prefer: wait=600\` at one process, for ${whole(batches)} batches with ${credentials} credentials: ${whole(pollers)} pollers. They came within ${number(fillSeconds)} s and were held for ${hold} s; then the upstream ended all batches at once. ${machine.pinned ? 'The process has a core for itself.' : 'The process was not pinned to a core.'}`,
    answers.wrong === 0 && answers.early === 0
      ? `All ${whole(answers.right)} answers were a 200 with the batch that was asked for, \`cancelled\`.`
      : `**${whole(answers.wrong)} of ${whole(waits)} answers were wrong, ${whole(answers.early)} came before their batch had ended.**`,
    table(['memory, MB', 'idle', 'holding', 'above idle', 'above idle, kB a wait'], [memoryCells('resident', 'rss', memory, waits), memoryCells('JavaScript heap', 'heapUsed', memory, waits)]),
    `After a garbage collection each; the highest resident memory was ${megabytes(memory.highest)} MB.`,
    table(['upstream reads', ''], [
      ['in all', whole(reads.total)],
      ['a second', number(reads.perSecond)],
      ['in the busiest second', whole(reads.busiestSecond)],
      ['intervals of all pollers that were over (after 1, 2, 4, 8, then every 15 s)', whole(reads.intervals)],
      ['reads in an interval', number(reads.perInterval)],
      ['pollers that read before an interval was over', whole(reads.early)]
    ]),
    table(['delay of the event loop, ms', 'p50', 'p99', 'max'], [
      ['while the calls came', ...delayCells(delays.filling)],
      ['while they were held', ...delayCells(delays.holding)],
      ['while they were answered', ...delayCells(delays.ending)]
    ]),
    table(['from the end of the batches to the answer, s', 'p50', 'p99', 'max'], [['', ...delayCells(lastAnswers)]]),
    'A poller learns of the end at its next read, so at most 15 s later.',
    warnings(results)
  )
}

function memoryCells (name, field, { idle, holding }, waits) {
  const above = holding[field] - idle[field]
  return [name, megabytes(idle[field]), megabytes(holding[field]), megabytes(above), number(above / waits / 1000)]
}

const delayCells = ({ p50, p99, max }) => [p50, p99, max].map(number)
