import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort } from './ports.js'
import { startProgram, untilPrinted, WITHOUT_COVERAGE, type Program } from './program.js'

const { REDIS_SERVER = '/usr/bin/redis-server' } = process.env

/** Why tests that need Redis cannot run; `false` if they can. */
export const skipWithoutRedis = existsSync(REDIS_SERVER)
  ? false
  : `${REDIS_SERVER} does not exist. Install redis-server, or set REDIS_SERVER to its path.`

export interface Redis {
  readonly url: string
  /** Ends the server as a crash does, with SIGKILL. */
  kill (): Promise<void>
  /** Starts the server again, with what it wrote to the disk. */
  restart (): Promise<void>
  /** All that it has written to the disk. */
  contents (): Promise<string>
}

/** A Redis of its own for a test, with an append-only file that is written before a command is answered. */
export async function startRedis (t: Test): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), 'redis-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const port = await freePort()
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: folder,
    appendonly: 'yes',
    appendfsync: 'always',
    save: '',
    'maxmemory-policy': 'noeviction'
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  let program: Program

  async function restart (): Promise<void> {
    program = startProgram(REDIS_SERVER, args, WITHOUT_COVERAGE)
    await untilPrinted(program, /Ready to accept connections/)
  }

  async function kill (): Promise<void> {
    program.child.kill('SIGKILL')
    await program.ended
  }

  async function contents (): Promise<string> {
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(file => file.isFile())
    return (await Promise.all(files.map(file => readFile(join(file.parentPath, file.name), 'latin1')))).join('\n')
  }

  await restart()
  // After the clients of the test, and before the folder is removed.
  t.teardown(kill)
  return { url: `redis://127.0.0.1:${port}`, kill, restart, contents }
}
