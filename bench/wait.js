import { setTimeout as sleep } from 'node:timers/promises'
import { leaveSubjectCore, onSubjectCore, untilIdle } from './lib/machine.js'
import { busyBefore, busyDuring, lookAtMachine, pinWarnings } from './lib/measure.js'
import { readCommandLine } from './lib/options.js'
import { memoryOf, readProc } from './lib/processes.js'
import { keepResults } from './lib/results.js'
import { ask, startServer } from './lib/server.js'
import { percentileOf } from './lib/statistics.js'
import { versionsWith } from './lib/versions.js'
import { writeReport } from './render.js'
import { beginAll } from './wait/client.js'

/** When a poller of the plugin reads, in milliseconds after it began: after 1, 2, 4, 8, then every 15 seconds. */
const PAUSES = [1000, 2000, 4000, 8000, 15_000]

/** Timers round to whole milliseconds, and a cancel reaches the upstream before its poller begins. */
const EARLIEST = 5

/** Besides its clients a process needs files for the upstream's connections and for itself. */
const SPARE_FILES = 5000

const { keep, ...settings } = readCommandLine({
  defaults: { waits: 10_000, batches: 1000, credentials: 4, hold: 40, patience: 30 },
  quick: { waits: 1000, batches: 100, hold: 8, patience: 5 }
})

checkFileLimit(settings.waits + SPARE_FILES)
leaveSubjectCore()
const idleShare = await untilIdle(settings.patience * 1000)
const upstream = await startServer(new URL('./wait/upstream.js', import.meta.url))
const app = await startServer(
  new URL('./wait/app.js', import.meta.url),
  { UPSTREAM: upstream.origin },
  { flags: ['--expose-gc'], pin: onSubjectCore }
)

const idle = await idleMemory()
const before = lookAtMachine()
const begun = performance.now()
const answers = await beginAll(calls())
const filled = performance.now()
const filling = await ask(app)
await sleep(settings.hold * 1000)
const holding = await ask(app)
const { now, seen } = await ask(upstream, 'look')

const ended = performance.now()
await ask(upstream, 'end')
const results = await Promise.all(answers)
const ending = await ask(app)
const busy = busyBefore(idleShare) ?? busyDuring(before, lookAtMachine())

const report = {
  settings,
  versions: versionsWith('fastify'),
  warnings: [...pinWarnings(), ...busy === undefined ? [] : [`The machine was busy: ${busy}.`]],
  answers: answersOf(results),
  pollers: seen.length,
  fillSeconds: (filled - begun) / 1000,
  memory: { idle, holding: { rss: holding.rss, heapUsed: holding.heapUsed }, highest: memoryOf(app.running.pid, 'VmHWM') },
  delays: { filling: filling.delay, holding: holding.delay, ending: ending.delay },
  reads: readsOf(seen, now),
  lastAnswers: lastAnswersOf(results)
}
console.log(JSON.stringify(report, (_key, value) => typeof value === 'number' ? Math.round(value * 1000) / 1000 : value, 2))
if (keep) {
  keepResults('wait', report)
  writeReport()
}
await Promise.all([app.running.stop(), upstream.running.stop()])
if (report.answers.wrong > 0 || report.answers.early > 0) process.exitCode = 1

/** Node.js raises its own limit to the hard one. */
function checkFileLimit (needed) {
  const limit = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readProc('self/limits') ?? '')?.[1] ?? Infinity)
  if (limit < needed) throw new Error(`A process may open ${limit} files here, and this needs ${needed}: raise the hard limit (ulimit -Hn), or ask for fewer --waits.`)
}

/** The memory of the app once it has answered calls, but before anybody waits. */
async function idleMemory () {
  const url = `${app.origin}/v1/batches/batch_idle/cancel`
  await Promise.all(await beginAll(Array.from({ length: 100 }, () => ({ url, headers: { 'x-portkey-provider': 'openai', authorization: 'Bearer sk-idle' } }))))
  await ask(upstream, 'forget')
  const { rss, heapUsed } = await ask(app)
  return { rss, heapUsed }
}

/** Each batch is waited for with several credentials, each pair of them by several calls. */
function calls () {
  return Array.from({ length: settings.waits }, (_, index) => ({
    url: `${app.origin}/v1/batches/${idOf(index)}/cancel`,
    headers: {
      'x-portkey-provider': 'openai',
      authorization: `Bearer sk-credential-${Math.floor(index / settings.batches) % settings.credentials}`,
      prefer: 'wait=600'
    }
  }))
}

function idOf (index) {
  return `batch_${index % settings.batches}`
}

/** How many of all answers were right: a 200, `cancelled`, and the batch that was asked for. */
function answersOf (results) {
  const wrong = results.filter(({ status, text }, index) => {
    const batch = status === 200 ? JSON.parse(text) : {}
    return batch.status !== 'cancelled' || batch.id !== idOf(index)
  })
  const early = results.filter(({ at }) => at < ended)
  return { right: results.length - wrong.length, wrong: wrong.length, early: early.length, example: wrong[0] }
}

/** The reads of the upstream against what each poller may make: one after each of its pauses. */
function readsOf (all, now) {
  const pollers = all.filter(({ reads }) => reads.length > 0)
  const reads = pollers.reduce((sum, poller) => sum + poller.reads.length, 0)
  const intervals = pollers.reduce((sum, { cancelled }) => sum + intervalsIn(now - cancelled), 0)
  const seconds = (now - Math.min(...pollers.map(({ cancelled }) => cancelled))) / 1000
  return { total: reads, perSecond: reads / seconds, busiestSecond: busiestSecond(pollers), intervals, perInterval: reads / intervals, early: pollers.filter(readsEarly).length }
}

function intervalsIn (milliseconds) {
  let count = 0
  for (let end = pauseAfter(0); end <= milliseconds; end += pauseAfter(++count));
  return count
}

function pauseAfter (reads) {
  return PAUSES[Math.min(reads, PAUSES.length - 1)]
}

/** Whether a poller read again before its pause was over. */
function readsEarly ({ cancelled, reads }) {
  return reads.some((time, index) => time - (reads[index - 1] ?? cancelled) < pauseAfter(index) - EARLIEST)
}

function busiestSecond (pollers) {
  const counts = new Map()
  for (const time of pollers.flatMap(({ reads }) => reads)) counts.set(Math.floor(time / 1000), (counts.get(Math.floor(time / 1000)) ?? 0) + 1)
  return Math.max(...counts.values())
}

/** Seconds from the end of all batches to the answers. */
function lastAnswersOf (results) {
  const seconds = results.map(({ at }) => (at - ended) / 1000)
  return { p50: percentileOf(seconds, 0.5), p99: percentileOf(seconds, 0.99), max: Math.max(...seconds) }
}
