import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { leaveSubjectCore, onSubjectCore, untilIdle } from './lib/machine.js'
import { busyBefore, pinWarnings, warningsOf } from './lib/measure.js'
import { readCommandLine } from './lib/options.js'
import { start } from './lib/processes.js'
import { keepResults } from './lib/results.js'
import { goRound } from './lib/rounds.js'
import { spreadOf } from './lib/statistics.js'
import { versionsWithRoot } from './lib/versions.js'
import { writeReport } from './render.js'

const IMPORT = fileURLToPath(new URL('imports/import.js', import.meta.url))
/** That of the plugin, not the one of the benchmarks. */
const FASTIFY = new URL('../node_modules/fastify/fastify.js', import.meta.url).href
const besideFastify = (name) => ({ name, title: `\`${name}\`, beside a loaded Fastify`, modules: [FASTIFY, name] })

const ENTRY_POINTS = [
  besideFastify('fastify-batch-cancel'),
  besideFastify('fastify-batch-cancel/schemas'),
  besideFastify('fastify-batch-cancel/sandbox'),
  besideFastify('fastify-batch-cancel/testing'),
  { name: 'fastify', title: '`fastify` itself', modules: [FASTIFY] }
]

const { only, keep, ...settings } = readCommandLine({
  defaults: { rounds: 20, patience: 30 },
  quick: { rounds: 5, patience: 5 },
  names: ENTRY_POINTS.map(({ name }) => name)
})

leaveSubjectCore()
const measured = ENTRY_POINTS.filter(({ name }) => only.includes(name)).map(entryPoint => ({ ...entryPoint, samples: [] }))

// The first import of each reads its files from the disk.
for (const { modules } of measured) await importOnce(modules)
await goRound(measured, settings.rounds, measure)

const warnings = [...pinWarnings(), ...warningsOf('import', measured)]
for (const warning of warnings) console.warn(warning)
if (keep) {
  const versions = versionsWithRoot('fastify', '@sinclair/typebox')
  keepResults('imports', { settings, versions, warnings, rows: measured.map(rowOf) })
  writeReport()
}
if (measured.some(({ samples }) => samples.some(({ failed }) => failed !== undefined))) process.exitCode = 1

async function measure ({ name, modules, samples }, round) {
  const busy = busyBefore(await untilIdle(settings.patience * 1000))
  const sample = await importOnce(modules).catch(({ message }) => ({ failed: message }))
  samples.push({ ...sample, busy })
  console.log(`round ${round + 1}  ${name.padEnd(28)} ${inWords(sample)}${busy === undefined ? '' : `  (${busy})`}`)
}

/** What the import of the last module takes in a fresh process. */
async function importOnce (modules) {
  const running = start(...onSubjectCore(process.execPath, [IMPORT, ...modules]), { ipc: true })
  const ended = running.ended.then(() => { throw new Error(`it ended: ${running.complaint()}`) })
  const [sample] = await Promise.race([once(running.child, 'message'), ended])
  ended.catch(() => {})
  await running.ended
  return sample
}

function rowOf ({ name, title, samples }) {
  return {
    name,
    title,
    rounds: samples.length,
    failed: samples.filter(({ failed }) => failed !== undefined).length,
    cpu: spreadOf(samples.map(({ cpu }) => cpu)),
    wall: spreadOf(samples.map(({ wall }) => wall))
  }
}

function inWords ({ failed, cpu, wall }) {
  return failed === undefined ? `${cpu.toFixed(0)} ms CPU  ${wall.toFixed(0)} ms` : `failed: ${failed}`
}
