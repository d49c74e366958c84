import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * A process that this one started, with all that it started itself: one process group.
 * @typedef {{ pid: number, child: import('node:child_process').ChildProcess, ended: Promise<void>, complaint: () => string, stop: (signal?: NodeJS.Signals) => Promise<void> }} Started
 */

/** @type {Set<Started>} */
const started = new Set()
const folders = new Set()

const LONGEST_COMPLAINT = 2000

/** Starts a process in a group of its own, in a clean environment: nothing of the caller's shell changes what is measured. */
export function start (command, args, { env = {}, stdout = 'ignore', ipc = false } = {}) {
  const child = spawn(command, args, {
    detached: true,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', stdout, 'pipe', ...ipc ? ['ipc'] : []]
  })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', text => { complaint = (complaint + text).slice(-LONGEST_COMPLAINT) })
  const ended = once(child, 'close').then(() => { started.delete(running) }, error => { complaint += error.message; started.delete(running) })
  const running = { pid: child.pid, child, ended, complaint: () => complaint.trim(), stop }
  started.add(running)

  async function stop (signal = 'SIGKILL') {
    if (child.pid !== undefined) signalGroup(child.pid, signal)
    await ended
  }

  return running
}

/** What a short-lived process wrote to its standard output; throws when it failed. */
export async function outputOf (command, args, options) {
  const running = start(command, args, { ...options, stdout: 'pipe' })
  let output = ''
  running.child.stdout.setEncoding('utf8').on('data', text => { output += text })
  await running.ended
  if (running.child.exitCode !== 0) throw new Error(`${command} failed: ${running.complaint()}`)
  return output
}

/** A folder that is gone when this process ends. */
export function temporaryFolder () {
  const folder = mkdtempSync(join(tmpdir(), 'fastify-batch-cancel-bench-'))
  folders.add(folder)
  return folder
}

export const isInstalled = (command, versionFlag) => spawnSync(command, [versionFlag]).error === undefined

export async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** The CPU time in milliseconds and the resident memory in bytes of a group; `undefined` where there is no /proc. */
export function usageOf (pid) {
  const members = statsOfAll()?.filter(({ group }) => group === pid)
  if (members === undefined) return undefined
  return { cpu: sum(members.map(({ cpu }) => cpu)), memory: sum(members.map(({ pid }) => memoryOf(pid, 'VmRSS'))) }
}

/** The CPU time of this process, of what it started, and of those of them that ended. */
export function ownCpu () {
  const groups = new Set([...started].map(({ pid }) => pid))
  const stats = statsOfAll() ?? []
  const self = stats.find(({ pid }) => pid === process.pid)
  return sum(stats.filter(({ group }) => groups.has(group)).map(({ cpu }) => cpu)) + (self?.cpu ?? 0) + (self?.cpuOfEnded ?? 0)
}

/** A field of /proc/<pid>/status, in bytes: `VmRSS` is what is resident, `VmHWM` the most that ever was. */
export function memoryOf (pid, field) {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readProc(`${pid}/status`) ?? '')?.[1]
  return Number(kilobytes ?? 0) * 1024
}

export function readProc (name) {
  try {
    return readFileSync(`/proc/${name}`, 'latin1')
  } catch {
    return undefined
  }
}

const TICKS_PER_SECOND = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout ?? 100)
export const ticksToMs = (ticks) => ticks * 1000 / TICKS_PER_SECOND

function statsOfAll () {
  if (readProc('self/stat') === undefined) return undefined
  return readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(statOf).filter(stat => stat !== undefined)
}

function statOf (pid) {
  const text = readProc(`${pid}/stat`)
  // The name of the program stands in parentheses and may hold anything.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  if (fields === undefined) return undefined
  const [user, system, userOfEnded, systemOfEnded] = fields.slice(11, 15).map(Number)
  return { pid: Number(pid), group: Number(fields[2]), cpu: ticksToMs(user + system), cpuOfEnded: ticksToMs(userOfEnded + systemOfEnded) }
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0)

function signalGroup (pid, signal) {
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

process.on('exit', () => {
  for (const { pid } of started) if (pid !== undefined) signalGroup(pid, 'SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(128 + constants.signals[signal]))
