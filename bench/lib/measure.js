import { load } from './load.js'
import { isPinned, LEAST_IDLE, systemTimes, untilIdle } from './machine.js'
import { ownCpu, usageOf } from './processes.js'
import { checkAnswer, startSubject } from './subject.js'

/** More taken by others during a measurement, and the machine counts as busy. */
const MOST_FOREIGN = 0.05
const MOST_STEAL = 0.02

/**
 * One measurement of one subject, started afresh and warmed up. Where anything went wrong it has no numbers: only `failed`, the reason.
 * @typedef {{ failed?: string, requestsPerSecond?: number, p50?: number, p99?: number, cpu?: number, memory?: number, busy?: string }} Sample
 * `cpu`: milliseconds per 1,000 requests; `memory`: bytes; `busy`: why the machine counts as busy.
 * @returns {Promise<Sample>}
 */
export async function measure (subject, upstream, { seconds, warmUp, patience, connections, requestBytes, providers }) {
  const idle = await untilIdle(patience * 1000)
  let server
  try {
    server = await startSubject(subject, upstream)
    await checkAnswer(server, upstream)
    const target = { method: server.method, url: server.url, headers: server.headers, connections, requestBytes, providers }
    await load({ ...target, seconds: warmUp })
    const before = readings(server)
    const result = await load({ ...target, seconds })
    const after = readings(server)
    await checkAnswer(server, upstream)
    return { ...sampleOf(result, before, after), busy: busyBefore(idle) ?? busyDuring(before, after) }
  } catch (error) {
    return { failed: error.message }
  } finally {
    await server?.stop()
  }
}

const readings = ({ pid }) => ({ usage: usageOf(pid), ...lookAtMachine() })

function sampleOf ({ requests, seconds, p50, p99, errors }, before, after) {
  if (errors > 0) return { failed: `${errors} of ${requests} requests failed` }
  return {
    requestsPerSecond: requests / seconds,
    p50,
    p99,
    ...after.usage && { cpu: (after.usage.cpu - before.usage.cpu) / requests * 1000, memory: after.usage.memory }
  }
}

/** Why the machine counts as busy before a measurement. */
export const busyBefore = (idle) => idle < LEAST_IDLE ? `${percent(idle)} idle before it began` : undefined

/** What `busyDuring` compares. */
export const lookAtMachine = () => ({ time: performance.now(), own: ownCpu(), system: systemTimes() })

/** Why it counts as busy between two looks: what others took of it. */
export function busyDuring (before, after) {
  if (after.system === undefined) return undefined
  const spent = after.system.total - before.system.total
  const steal = (after.system.steal - before.system.steal) / spent
  const foreign = ((after.system.busy - before.system.busy) - (after.own - before.own)) / (after.time - before.time)
  if (steal > MOST_STEAL) return `${percent(steal)} stolen by other machines`
  if (foreign > MOST_FOREIGN) return `other processes took ${percent(foreign)} of a core`
  return undefined
}

const percent = (share) => `${Math.round(share * 100)} %`

/** What a reader of the results must know of how they came about; a sample is a round or a start. */
export const warningsOf = (kind, measured) => measured.flatMap(({ name, samples }) => samples.flatMap(({ failed, busy }, index) => [
  ...failed === undefined ? [] : [`${name}, ${kind} ${index + 1}, failed: ${failed}.`],
  ...busy === undefined ? [] : [`The machine was busy in ${kind} ${index + 1} of ${name}: ${busy}.`]
]))

export const pinWarnings = () => isPinned ? [] : ['The processes were not pinned to cores: the subject shared all of them with the upstream and the load.']

/** A sample, for who watches. */
export function inWords ({ failed, requestsPerSecond, p50, p99, cpu, memory, busy }) {
  if (failed !== undefined) return `failed: ${failed}`
  const used = cpu === undefined ? '' : `  ${cpu.toFixed(0)} ms CPU per 1,000  ${(memory / 1e6).toFixed(0)} MB`
  return `${requestsPerSecond.toFixed(0)} requests/s  p50 ${p50.toFixed(1)} ms  p99 ${p99.toFixed(1)} ms${used}${busy === undefined ? '' : `  (${busy})`}`
}
