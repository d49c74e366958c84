import { setTimeout as sleep } from 'node:timers/promises'
import { leaveSubjectCore, onSubjectCore, untilIdle } from './lib/machine.js'
import { busyBefore, busyDuring, lookAtMachine, pinWarnings } from './lib/measure.js'
import { readCommandLine } from './lib/options.js'
import { keepResults } from './lib/results.js'
import { ask, startServer } from './lib/server.js'
import { versionsWith } from './lib/versions.js'
import { writeReport } from './render.js'
import { startLoad } from './soak/client.js'
import { comparisonOf } from './soak/flat.js'

/** `timeout`: the plugin's, in milliseconds; `interval`: between samples, and `rest`: after the load, in seconds. */
const { keep, ...settings } = readCommandLine({
  defaults: { seconds: 600, rate: 300, interval: 10, timeout: 2000, rest: 30, patience: 30 },
  quick: { seconds: 60, interval: 5, patience: 5 }
})

if (settings.seconds < 3 * settings.interval) throw new Error('--seconds should be at least three times --interval.')
leaveSubjectCore()
const idleShare = await untilIdle(settings.patience * 1000)
const upstream = await startServer(new URL('./soak/upstream.js', import.meta.url))
const app = await startServer(
  new URL('./soak/app.js', import.meta.url),
  { UPSTREAM: upstream.origin, TIMEOUT: String(settings.timeout) },
  { flags: ['--expose-gc'], pin: onSubjectCore }
)

const idle = await ask(app)
const before = lookAtMachine()
const load = startLoad(app.origin, settings.rate)
const samples = await takeSamples()
const busy = busyBefore(idleShare) ?? busyDuring(before, lookAtMachine())
await load.stop()
// Idle connections to the upstream are kept for 20 seconds.
await sleep(settings.rest * 1000)
const rest = await ask(app)
const { counts, cancelled } = await ask(upstream)

const { sent, responses, confirmed, wrong } = load
const known = new Set(cancelled)
const falselyConfirmed = confirmed.filter(id => !known.has(id))
const comparison = comparisonOf(samples)
const report = {
  settings,
  versions: versionsWith('fastify'),
  warnings: [...pinWarnings(), ...busy === undefined ? [] : [`The machine was busy: ${busy}.`]],
  sent,
  responses,
  wrong: { responses: wrong.length, example: wrong[0], falselyConfirmed: falselyConfirmed.length },
  faults: counts,
  idle,
  samples,
  rest,
  comparison
}
for (const line of verdict()) console.log(line)
if (keep) {
  keepResults('soak', report)
  writeReport()
}
await Promise.all([app.running.stop(), upstream.running.stop()])
if (wrong.length + falselyConfirmed.length > 0 || !comparison.every(({ isFlat }) => isFlat)) process.exitCode = 1

/** A sample after each interval, timed from the start, so that the intervals do not drift. */
async function takeSamples () {
  const samples = []
  const begun = performance.now()
  for (let seconds = settings.interval; seconds <= settings.seconds; seconds += settings.interval) {
    await sleep(begun + seconds * 1000 - performance.now())
    const sample = { seconds, inFlight: load.inFlight(), ...await ask(app) }
    console.log(inWords(sample))
    samples.push(sample)
  }
  return samples
}

function inWords ({ seconds, inFlight, heapUsed, rss, fromClients, toUpstream, timers, delay }) {
  const memory = `heap ${(heapUsed / 1e6).toFixed(1)} MB  resident ${(rss / 1e6).toFixed(0)} MB`
  const sockets = `${fromClients} sockets from clients, ${toUpstream} to the upstream  ${timers} timers`
  return `${String(seconds).padStart(4)} s  ${inFlight} in flight  ${memory}  ${sockets}  ` +
    `delay p50 ${delay.p50.toFixed(1)} ms, p99 ${delay.p99.toFixed(1)} ms`
}

function verdict () {
  return [
    `${sent} calls: ${Object.entries(responses).map(([kind, count]) => `${count} × ${kind}`).join(', ')}`,
    `${wrong.length} wrong responses${wrong.length > 0 ? `, such as ${JSON.stringify(wrong[0])}` : ''}; ` +
      `${falselyConfirmed.length} confirmed cancels that the upstream does not know`,
    ...comparison.map(({ name, unit, middle, last, isFlat }) =>
      `${name}: ${middle.toFixed(1)} ${unit} in the middle third, ${last.toFixed(1)} ${unit} in the last: ` +
        `${isFlat ? 'flat' : 'GROWS'}`),
    `At rest: ${inWords({ ...rest, seconds: settings.seconds + settings.rest, inFlight: 0 }).trim()}`
  ]
}
