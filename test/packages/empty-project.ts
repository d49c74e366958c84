import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { ROOT } from '../support/root.js'

const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as { version: string }

const inThisFolder = (path: string) => fileURLToPath(new URL(`test/packages/${path}`, ROOT))

/** The tarballs, as `npm run test:packages` packs them. */
export const PLUGIN = inThisFolder(`build/fastify-batch-cancel-${version}.tgz`)
export const GATEWAY = inThisFolder(`build/fastify-batch-cancel-gateway-${version}.tgz`)

/** A program of a package that is installed for these tests. */
export const toolOf = (path: string) => inThisFolder(`node_modules/${path}`)

export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A folder outside the repository, with nothing but what is installed into it. */
export interface Project {
  readonly folder: string
  readonly write: (name: string, text: string) => Promise<void>
  /** Runs a program of Node.js to its end. */
  readonly node: (...args: readonly string[]) => Promise<Finished>
  readonly run: (file: string, ...args: readonly string[]) => Promise<Finished>
  /** Starts a program in a process group of its own, which ends with the test. */
  readonly start: (file: string, ...args: readonly string[]) => ChildProcess
}

/** As from a shell, without what npm and the test runner add. A registry that stalls is asked again after 20 s. */
const { PATH, HOME } = process.env
const ENV = {
  PATH,
  HOME,
  PORT: '0',
  npm_config_update_notifier: 'false',
  npm_config_fund: 'false',
  npm_config_prefer_offline: 'true',
  npm_config_fetch_timeout: '20000'
}

export async function emptyProject (t: Test, ...packages: readonly string[]): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'batch-cancel-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))

  const run = (file: string, ...args: readonly string[]) => new Promise<Finished>(resolve => {
    execFile(file, args, { cwd: folder, env: ENV, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }))
  })
  const write = (name: string, text: string) => writeFile(join(folder, name), text)

  function start (file: string, ...args: readonly string[]): ChildProcess {
    const child = spawn(file, args, { cwd: folder, env: ENV, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    t.teardown(() => endGroup(child.pid as number))
    return child
  }

  await write('package.json', JSON.stringify({ name: 'app', version: '1.0.0', private: true, type: 'module' }))
  const { code, stderr } = await run('npm', 'install', '--no-audit', '--ignore-scripts', '--loglevel=error', ...packages)
  t.strictSame({ code, stderr }, { code: 0, stderr: '' }, `installs ${packages.join(' ')}`)
  return { folder, write, run, start, node: (...args) => run(process.execPath, ...args) }
}

function endGroup (leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // All of it has ended.
  }
}
