import { loadKind } from './lib/load.js'
import { leaveSubjectCore, untilIdle } from './lib/machine.js'
import { busyBefore, inWords, measure, pinWarnings, warningsOf } from './lib/measure.js'
import { readCommandLine } from './lib/options.js'
import { keepResults } from './lib/results.js'
import { goRound } from './lib/rounds.js'
import { spreadOf, summaryOf } from './lib/statistics.js'
import { startSubject } from './lib/subject.js'
import { startUpstream, upstreamKind } from './lib/upstream.js'
import { toolVersions, versionsWith } from './lib/versions.js'
import { writeReport } from './render.js'
import { subjectCalled, subjectNames } from './subjects/index.js'

const { only, keep, ...settings } = readCommandLine({
  defaults: { rounds: 6, seconds: 5, warmUp: 2, starts: 10, patience: 30, connections: 50 },
  quick: { rounds: 2, seconds: 2, warmUp: 1, starts: 3, patience: 5 },
  names: subjectNames
})

leaveSubjectCore()
const upstream = await startUpstream()
const measured = only.map(name => ({ name, subject: subjectCalled(name), samples: [], starts: [] }))

await goRound(measured, settings.starts, measureStart)
await goRound(measured, settings.rounds, measureLoad)

const warnings = [...pinWarnings(), ...warningsOf('start', measured.map(({ name, starts }) => ({ name, samples: starts }))), ...warningsOf('round', measured)]
for (const warning of warnings) console.warn(warning)
if (keep) {
  keepResults('run', {
    settings,
    upstream: upstreamKind,
    load: loadKind,
    bodyBytes: upstream.body.length,
    versions: { ...versionsWith('@portkey-ai/gateway', 'fastify', 'undici', '@fastify/reply-from'), ...toolVersions() },
    warnings,
    rows: measured.map(({ name, subject, samples, starts }) => ({ name, title: subject.title, operation: subject.operation, ...summaryOf(samples), start: spreadOf(starts.map(({ startTime }) => startTime)) }))
  })
  writeReport()
}
await upstream.stop()
if (measured.some(({ samples, starts }) => [...samples, ...starts].some(({ failed }) => failed !== undefined))) process.exitCode = 1

async function measureStart ({ name, subject, starts }) {
  const busy = busyBefore(await untilIdle(settings.patience * 1000))
  try {
    const { startTime, stop } = await startSubject(subject, upstream)
    await stop()
    starts.push({ startTime, busy })
    console.log(`${name.padEnd(14)} started in ${Math.round(startTime)} ms${busy === undefined ? '' : `  (${busy})`}`)
  } catch (error) {
    starts.push({ failed: error.message })
    console.error(`${name.padEnd(14)} did not start: ${error.message}`)
  }
}

async function measureLoad ({ name, subject, samples }, round) {
  const sample = await measure(subject, upstream, settings)
  samples.push(sample)
  console.log(`round ${round + 1}  ${name.padEnd(14)} ${inWords(sample)}`)
}
