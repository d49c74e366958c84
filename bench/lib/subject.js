import { performance } from 'node:perf_hooks'
import { isDeepStrictEqual } from 'node:util'
import { OPERATIONS } from './batch.js'
import { ask, untilAnswered } from './first-answer.js'
import { onSubjectCore } from './machine.js'
import { freePort, start } from './processes.js'

/**
 * What is measured: how it is started, and how it is asked.
 * @typedef {object} Subject
 * @property {string} name
 * @property {string} title
 * @property {'cancel' | 'retrieve'} [operation] what it is asked for; a cancel by default
 * @property {(place: { port: number, upstream: string }) => { command?: string, args: string[], env?: Record<string, string>, headers?: Record<string, string> }} launch
 * `headers`: of each request, besides `authorization`.
 */

const AUTHORIZATION = 'Bearer sk-bench-0123456789abcdef0123456789abcdef'

/** Starts a subject on its core, afresh; resolves with its first 200. */
export async function startSubject (subject, upstream, nodeFlags = []) {
  const port = await freePort()
  const { command = process.execPath, args, env, headers } = subject.launch({ port, upstream: upstream.origin })
  const begin = performance.now()
  const running = start(...onSubjectCore(command, [...nodeFlags, ...args]), { env })
  const { method, path } = OPERATIONS[subject.operation ?? 'cancel']
  const target = { method, url: `http://127.0.0.1:${port}${path}`, headers: { authorization: AUTHORIZATION, ...headers } }
  try {
    await untilAnswered({ ...target, running })
  } catch (error) {
    await running.stop()
    throw error
  }
  return { ...target, running, pid: running.pid, startTime: performance.now() - begin, stop: running.stop }
}

/** Throws unless the answer is a 200 with the whole batch of the upstream. */
export async function checkAnswer (target, upstream) {
  const { status, text } = await ask(target)
  if (status !== 200) throw new Error(`it answered ${status}`)
  if (!isDeepStrictEqual(JSON.parse(text), JSON.parse(upstream.body))) throw new Error('it answered another batch than the upstream')
}
