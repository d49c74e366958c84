import { loadKind } from './lib/load.js'
import { leaveSubjectCore } from './lib/machine.js'
import { inWords, measure, pinWarnings, warningsOf } from './lib/measure.js'
import { readCommandLine } from './lib/options.js'
import { keepResults } from './lib/results.js'
import { goRound } from './lib/rounds.js'
import { summaryOf } from './lib/statistics.js'
import { startUpstream, upstreamKind } from './lib/upstream.js'
import { toolVersions, versionsWith } from './lib/versions.js'
import { writeReport } from './render.js'
import { subjectCalled } from './subjects/index.js'

/** What grows, and how far; all else stays as in the other measurements. */
const AXES = [
  {
    name: 'connections',
    title: 'Connections',
    note: 'One connection waits for each answer in turn; a thousand share one core, and wait for each other, at the bare route as well.',
    values: [1, 10, 50, 100, 1000],
    settings: (connections) => ({ connections })
  },
  {
    name: 'batch',
    title: 'Bytes of the upstream\'s batch',
    note: 'The plugin parses every answer and checks it as a batch; the bare route passes it on unread.',
    values: [900, 10_000, 100_000, 900_000],
    upstreamBytes: (bytes) => bytes
  },
  {
    name: 'request',
    title: 'Bytes of the request\'s body',
    note: 'The plugin reads the body and drops it, and refuses more than 16 KiB with a 413; the bare route parses it as JSON.',
    values: [0, 1000, 10_000, 16_000],
    settings: (requestBytes) => ({ requestBytes })
  },
  {
    name: 'providers',
    title: 'Configured providers, asked in turn',
    note: 'All of them forward to the same upstream.',
    values: [1, 10, 20, 40],
    settings: (providers) => ({ providers }),
    subjects: [withProviders]
  }
]

const { only, keep, ...settings } = readCommandLine({
  defaults: { rounds: 3, seconds: 4, warmUp: 2, patience: 30, connections: 50 },
  quick: { rounds: 1, seconds: 2, warmUp: 1, patience: 5 },
  names: AXES.map(({ name }) => name)
})

leaveSubjectCore()
const axes = []
for (const axis of AXES.filter(({ name }) => only.includes(name))) axes.push(await measureAxis(axis))
const points = axes.flatMap(({ points }) => points)

const warnings = [...pinWarnings(), ...warningsOf('round', points)]
for (const warning of warnings) console.warn(warning)
if (keep) {
  keepResults('growth', {
    settings,
    upstream: upstreamKind,
    load: loadKind,
    versions: { ...versionsWith('fastify', 'undici'), ...toolVersions() },
    warnings,
    axes: axes.map(({ title, note, points }) => ({ title, note, points: points.map(({ samples, subject, value }) => ({ value, subject, ...summaryOf(samples) })) }))
  })
  writeReport()
}
if (points.some(({ samples }) => samples.some(({ failed }) => failed !== undefined))) process.exitCode = 1

async function measureAxis ({ name, title, note, values, settings: own = () => ({}), upstreamBytes = () => 0, subjects = [plugin, bareRoute] }) {
  const points = values.flatMap(value => subjects.map(subjectFor => {
    const subject = subjectFor(value)
    return { name: `${subject.name}, ${name} ${value}`, subject: subject.name, launched: subject, value, samples: [] }
  }))
  await goRound(points, settings.rounds, async ({ name, launched, value, samples }, round) => {
    const upstream = await startUpstream(upstreamBytes(value))
    const sample = await measure(launched, upstream, { ...settings, ...own(value) })
    await upstream.stop()
    samples.push(sample)
    console.log(`round ${round + 1}  ${name.padEnd(32)} ${inWords(sample)}`)
  })
  return { title, note, points }
}

function plugin () {
  return subjectCalled('plugin')
}

/** What grows with it grows with Fastify, undici and the machine. */
function bareRoute () {
  return subjectCalled('undici-text')
}

/** The plugin with so many providers, p0, p1, … */
function withProviders (count) {
  const names = Array.from({ length: count }, (_, index) => `p${index}`)
  return {
    ...plugin(),
    launch (place) {
      const { env, ...launched } = plugin().launch(place)
      return { ...launched, env: { ...env, PROVIDERS: names.join(',') }, headers: { 'x-portkey-provider': names.at(-1) } }
    }
  }
}
