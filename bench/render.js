import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { readResults } from './lib/results.js'
import { budgets, budgetTable } from './report/budgets.js'
import { coldStartSection } from './report/cold-start.js'
import { growthSection } from './report/growth.js'
import { importsSection } from './report/imports.js'
import { paragraphs } from './report/markdown.js'
import { runSection } from './report/run.js'
import { soakSection } from './report/soak.js'
import { waitSection } from './report/wait.js'

const SECTIONS = { run: runSection, wait: waitSection, growth: growthSection, imports: importsSection, 'cold-start': coldStartSection, soak: soakSection }

/** Writes RESULTS.md from the stored results of the scripts. */
export function writeReport () {
  const results = Object.fromEntries(Object.keys(SECTIONS).map(name => [name, readResults(name)]).filter(([, result]) => result !== undefined))
  const held = budgets(results)
  const text = paragraphs(
    '# Results',
    'Written by `node bench/render.js` from `bench/results/*.json`; `npm run bench`, `npm run bench:wait`, `npm run bench:growth`, `npm run bench:imports`, `npm run bench:cold-start` and `npm run soak` each measure their own part again.',
    held.length === 0 ? '' : ['## Budgets', `What this project allows itself to cost.${doubt(results)}`, budgetTable(held), ...notes()],
    ...Object.entries(results).map(([name, result]) => paragraphs(SECTIONS[name](result), origin(result)))
  )
  writeFileSync(new URL('./RESULTS.md', import.meta.url), `${text}\n`)
}

/** What profiles showed of the budgets that are missed; written by hand after looking at them. */
function notes () {
  const kept = readResults('notes')
  return kept === undefined ? [] : [`What stands in the way of those that are missed, as profiles showed on ${kept.date}:`, kept.notes.map(note => `- ${note}`).join('\n')]
}

/** When, on what and with what a part was measured. */
const origin = ({ date, machine, versions }) =>
  `Measured on ${date} on ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, with ${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', ')}.`

const doubt = (results) => Object.values(results).some(({ warnings = [] }) => warnings.length > 0)
  ? ' The machine was not quiet while it was measured: see the warnings below.'
  : ''

if (import.meta.url === pathToFileURL(process.argv[1]).href) writeReport()
