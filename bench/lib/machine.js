import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { isInstalled, readProc, ticksToMs } from './processes.js'

/** The cores that this process may use: what is measured has the first for itself, all else shares the others. */
const allowed = coresOf('self')
const [subjectCore, ...otherCores] = allowed

export const isPinned = allowed.length >= 2 && isInstalled('taskset', '--version')

/** Moves this process, and so all that it starts, off the core of the subject. */
export function leaveSubjectCore () {
  if (isPinned) spawnSync('taskset', ['-acp', otherCores.join(','), String(process.pid)])
}

/** A command, made to run on the core of the subject. */
export const onSubjectCore = (command, args) => isPinned ? ['taskset', ['-c', String(subjectCore), command, ...args]] : [command, args]

/** Less idle than this, and the machine counts as busy. */
export const LEAST_IDLE = 0.9

/** Waits until the machine is idle, so many milliseconds at most; resolves to the share of all cores that was idle last, 0 to 1. */
export async function untilIdle (patience) {
  const end = Date.now() + patience
  let share
  do share = await idleShare()
  while (share < LEAST_IDLE && Date.now() < end)
  return share
}

/** A look at the machine takes so long, in milliseconds. */
const LOOK = 300

async function idleShare () {
  const before = systemTimes()
  await sleep(LOOK)
  const after = systemTimes()
  return after && (after.idle - before.idle) / (after.total - before.total)
}

/** CPU time of the whole machine in milliseconds since it was started; `undefined` where there is no /proc. */
export function systemTimes () {
  const line = readProc('stat')?.split('\n', 1)[0]
  if (line === undefined) return undefined
  const [user, nice, system, idle, ioWait, irq, softIrq, steal] = line.split(/\s+/).slice(1).map(ticks => ticksToMs(Number(ticks)))
  return { busy: user + nice + system, idle: idle + ioWait, steal, total: user + nice + system + idle + ioWait + irq + softIrq + steal }
}

/** The machine, for a reader of the results. */
export function describeMachine () {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: allowed.length > 0 ? allowed.length : cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${distribution()}${type()} ${release()}`,
    pinned: isPinned
  }
}

function distribution () {
  try {
    const name = /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
    return name === undefined ? '' : `${name}, `
  } catch {
    return ''
  }
}

function coresOf (pid) {
  const list = /^Cpus_allowed_list:\s+(.+)$/m.exec(readProc(`${pid}/status`) ?? '')?.[1]
  return list?.split(',').flatMap(range) ?? []
}

function range (text) {
  const [first, last = first] = text.split('-').map(Number)
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
