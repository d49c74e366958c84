import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'

export interface Program {
  readonly child: ChildProcess
  /** Everything it has printed so far. */
  readonly stdout: () => string
  readonly stderr: () => string
  /** Resolves with the exit code, or with the signal that ended it. */
  readonly ended: Promise<number | string>
}

const COVERAGE = '_TAPJS_PROCESSINFO_COVERAGE_'

/**
 * For programs that run no code of the package that another test does not run, too, and for those that a test builds:
 * tap excludes only files that were there when it started.
 */
export const WITHOUT_COVERAGE: NodeJS.ProcessEnv = { [COVERAGE]: '0' }

/** Starts a program as a child process, which ends with the test at the latest. */
export function run (t: Test, file: string, args: readonly string[], env: NodeJS.ProcessEnv): Program {
  const program = startProgram(file, args, env)
  t.teardown(() => endGroup(program.child.pid as number))
  return program
}

/** Starts a program as a child process, which the caller ends. */
export function startProgram (file: string, args: readonly string[], env: NodeJS.ProcessEnv): Program {
  // What tap adds to NODE_OPTIONS of every child takes longer than most of them need to start.
  const [command, ...rest] = env[COVERAGE] === '0' ? ['/usr/bin/env', '-u', 'NODE_OPTIONS', file, ...args] : [file, ...args]
  // A process group of its own gets signals as a terminal sends them.
  const child = spawn(command as string, rest, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', chunk => { stdout += String(chunk) })
  child.stderr.on('data', chunk => { stderr += String(chunk) })
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended: once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  }
}

/** Ends whatever of a process group is still there. */
function endGroup (leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // All of it has ended.
  }
}

/** Waits until a program has printed what matches, and returns the match. */
export async function untilPrinted ({ child, stdout, stderr, ended }: Program, text: RegExp): Promise<RegExpExecArray> {
  const ending = ended.then(code => { throw new Error(`The program ended with ${code}: ${stdout()}${stderr()}`) })
  for (;;) {
    const match = text.exec(stdout() + stderr())
    if (match !== null) {
      ending.catch(() => {})
      return match
    }
    const streams = [child.stdout, child.stderr] as NonNullable<ChildProcess['stdout']>[]
    await Promise.race([...streams.map(stream => once(stream, 'data')), ending])
  }
}
