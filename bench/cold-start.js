import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { build } from 'esbuild'
import { options as exampleOptions } from '../examples/aws-lambda/build.js'
import { leaveSubjectCore, onSubjectCore, untilIdle } from './lib/machine.js'
import { busyBefore, pinWarnings, warningsOf } from './lib/measure.js'
import { readCommandLine } from './lib/options.js'
import { start, temporaryFolder } from './lib/processes.js'
import { keepResults } from './lib/results.js'
import { goRound } from './lib/rounds.js'
import { spreadOf } from './lib/statistics.js'
import { startUpstream, upstreamKind } from './lib/upstream.js'
import { versionsWithRoot } from './lib/versions.js'
import { writeReport } from './render.js'

const pathOf = (path) => fileURLToPath(new URL(path, import.meta.url))

const INVOKE = pathOf('cold-start/invoke.js')
/** What the others are compared with. */
const YARDSTICK = 'route'

const SUBJECTS = [
  { name: 'plugin', title: '**fastify-batch-cancel**, as in the example', file: pathOf('../examples/aws-lambda/handler.js') },
  { name: YARDSTICK, title: 'Fastify, undici, the text passed through: the bare route', file: pathOf('cold-start/route.js') },
  { name: 'fastify', title: 'Fastify alone, which calls nothing', file: pathOf('cold-start/fastify.js') }
]

const { only, keep, ...settings } = readCommandLine({
  defaults: { rounds: 30, patience: 30 },
  quick: { rounds: 5, patience: 5 },
  names: SUBJECTS.map(({ name }) => name)
})

leaveSubjectCore()
const upstream = await startUpstream()
const folder = temporaryFolder()
const functions = []
for (const subject of SUBJECTS.filter(({ name }) => only.includes(name))) functions.push(await bundle(subject))

// The first start of each reads its files from the disk.
for (const { file } of functions) await coldStart(file)
await goRound(functions, settings.rounds, measure)

const warnings = [...pinWarnings(), ...warningsOf('start', functions)]
for (const warning of warnings) console.warn(warning)
if (keep) {
  keepResults('cold-start', {
    settings,
    upstream: upstreamKind,
    versions: versionsWithRoot('fastify', 'undici', '@fastify/aws-lambda', 'esbuild'),
    warnings,
    rows: functions.map(rowOf)
  })
  writeReport()
}
await upstream.stop()
if (functions.some(({ samples }) => samples.some(({ failed }) => failed !== undefined))) process.exitCode = 1

/** One file, made as the example is, with the packages of the root for all. */
async function bundle ({ name, title, file }) {
  const { entryPoints: _entry, outfile: _out, ...options } = exampleOptions
  const outfile = join(folder, `${name}.mjs`)
  const stdin = { contents: readFileSync(file, 'utf8'), sourcefile: file, resolveDir: pathOf('..') }
  await build({ ...options, stdin, outfile })
  return { name, title, file: outfile, bytes: statSync(outfile).size, samples: [] }
}

async function measure ({ name, file, samples }, round) {
  const busy = busyBefore(await untilIdle(settings.patience * 1000))
  const sample = await coldStart(file).catch(({ message }) => ({ failed: message }))
  samples.push({ ...sample, busy })
  console.log(`round ${round + 1}  ${name.padEnd(8)} ${inWords(sample)}${busy === undefined ? '' : `  (${busy})`}`)
}

/** Starts a process that loads a function and invokes it once. Resolves to its times, in milliseconds. */
async function coldStart (file) {
  const env = { OPENAI_BASE_URL: `${upstream.origin}/v1`, OPENAI_API_KEY: 'sk-bench', BATCH: upstream.body }
  const running = start(...onSubjectCore(process.execPath, [INVOKE, file]), { env, ipc: true })
  const ended = running.ended.then(() => { throw new Error(`it ended: ${running.complaint()}`) })
  const [{ boot, init, first, statusCode, body }] = await Promise.race([once(running.child, 'message'), ended])
  ended.catch(() => {})
  await running.ended
  if (statusCode !== 200) throw new Error(`it answered ${statusCode}`)
  if (!isDeepStrictEqual(JSON.parse(body), JSON.parse(upstream.body))) throw new Error('it answered another batch than the upstream')
  return { ...first, boot: boot.cpu, init: init.wall - boot.wall, call: first.wall - init.wall }
}

function rowOf ({ name, title, bytes, samples }) {
  const yardstick = functions.find(({ name }) => name === YARDSTICK)
  const spreads = (metrics, valuesOf) => Object.fromEntries(metrics.map(metric => [metric, spreadOf(valuesOf(metric))]))
  return {
    name,
    title,
    bytes,
    rounds: samples.length,
    failed: samples.filter(({ failed }) => failed !== undefined).length,
    ...spreads(['cpu', 'wall', 'boot', 'init', 'call'], metric => samples.map(sample => sample[metric])),
    // Within a round, so that what the machine does meanwhile falls on both.
    ...yardstick !== undefined && {
      ratio: spreads(['cpu', 'wall'], metric => samples.map((sample, round) => sample[metric] / yardstick.samples[round][metric]))
    }
  }
}

function inWords ({ failed, cpu, wall, init, call }) {
  if (failed !== undefined) return `failed: ${failed}`
  return `${cpu.toFixed(0)} ms CPU  ${wall.toFixed(0)} ms  (loading ${init.toFixed(0)}, call ${call.toFixed(1)})`
}
