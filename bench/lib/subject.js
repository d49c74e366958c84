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

/**
 * For every subject on Node. If the first major garbage collection happens during the start, V8 may discard the type
 * feedback of `process.nextTick`, which then takes 400 ns in place of 65 for the rest of the process: 6 µs of each
 * request. It depends on the size of the heap at that moment. With 32 MB there is no such collection.
 */
const NODE_FLAGS = ['--initial-old-space-size=32']

/** Starts a process of a subject on its core; resolves with its first 200. */
export async function startSubject (subject, upstream) {
  const port = await freePort()
  const { command, args, env, headers } = subject.launch({ port, upstream: upstream.origin })
  const commandLine = command === undefined ? [process.execPath, [...NODE_FLAGS, ...args]] : [command, args]
  const begin = performance.now()
  const running = start(...onSubjectCore(...commandLine), { env })
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
