import { setImmediate } from 'node:timers/promises'
import Fastify from 'fastify'
import OpenAI from 'openai'
import type { Test } from 'tap'
import sandbox, { type BatchSandboxOptions, type SandboxClock } from '../../lib/sandbox/index.js'
import type { Batch } from '../../schemas/batch.js'

/** When the time of these tests begins: after the documented example, in Unix seconds. */
export const START = 1_750_000_000

export const PREFIX = '/sandbox/v1'

/** A clock that stands still until a test moves it. */
export interface TestClock extends SandboxClock {
  /** Moves the time on by `ms` milliseconds, and wakes every sleeper at its own moment, in order. */
  advance (ms: number): Promise<void>
  /** Resolves once the sleepers of the moment `ms` milliseconds after the start are awake, while their work goes on. */
  reached (ms: number): Promise<void>
}

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** Waits until the sandbox has done what it does at this moment, which may take several turns of the event loop. */
async function untilIdle () {
  do await setImmediate()
  while (process.getActiveResourcesInfo().includes('Immediate'))
}

/** @param start Unix time in milliseconds. */
export function createClock (start = START * 1000): TestClock {
  let now = start
  let sleepers: Sleeper[] = []
  const watchers: Sleeper[] = []

  async function nextSleeper (end: number): Promise<Sleeper | undefined> {
    await untilIdle()
    const [first] = sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
    return first
  }

  return {
    now: () => now,
    sleep: (ms) => new Promise(resolve => { sleepers.push({ at: now + Math.max(0, ms), wake: resolve }) }),
    async advance (ms) {
      const end = now + ms
      for (let next = await nextSleeper(end); next !== undefined; next = await nextSleeper(end)) {
        now = next.at
        // Everything due at this moment wakes in the order in which it went to sleep.
        const due = sleepers.filter(({ at }) => at === now)
        sleepers = sleepers.filter(({ at }) => at !== now)
        for (const { wake } of [...due, ...watchers.filter(({ at }) => at <= now)]) wake()
      }
      now = end
    },
    reached: (ms) => new Promise(resolve => { watchers.push({ at: start + ms, wake: resolve }) })
  }
}

/** Returns one line of an input file; the given fields replace those of a valid one. */
export const line = (customId: string, fields: object = {}) => JSON.stringify({
  custom_id: customId,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'gpt-4o-mini', messages: [{ role: 'user', content: `Say ${customId}` }] },
  ...fields
})

export const lines = (count: number) => Array.from({ length: count }, (_, index) => line(`r${index}`))

export const jsonl = (rows: string[]) => rows.join('\n') + '\n'

/** Returns the sorted `custom_id`s of the rows of a file. */
export const customIdsOf = (rows: Array<{ custom_id: string }>) => rows.map(row => row.custom_id).sort()

/** Encodes a form as a client sends it. */
export async function form (fields: Record<string, string | File>) {
  const data = new FormData()
  for (const [name, value] of Object.entries(fields)) data.append(name, value)
  const response = new Response(data)
  const payload = Buffer.from(await response.arrayBuffer())
  return { headers: { 'content-type': String(response.headers.get('content-type')) }, payload }
}

interface Call {
  readonly payload?: string | Buffer
  readonly headers?: Record<string, string>
}

/** Opens a host with a sandbox whose time stands still until the test moves it. */
export async function openApp (t: Test, options: BatchSandboxOptions = {}) {
  const clock = createClock()
  const app = Fastify({ forceCloseConnections: true })
  app.register(sandbox, { clock, ...options, prefix: PREFIX })
  t.teardown(() => app.close())
  await app.ready()

  async function call (method: 'GET' | 'POST', path: string, more: Call = {}) {
    const { statusCode: status, headers, payload } = await app.inject({ method, url: PREFIX + path, ...more })
    return { status, headers, text: payload, json: () => JSON.parse(payload) }
  }
  const batch = async (method: 'GET' | 'POST', path: string): Promise<Batch> => (await call(method, path)).json()

  return {
    app,
    clock,
    call,
    retrieve: (id: string) => batch('GET', `/batches/${id}`),
    cancel: (id: string) => batch('POST', `/batches/${id}/cancel`),
    /** Returns the id of the new file. */
    async upload (content: string): Promise<string> {
      const upload = await form({ purpose: 'batch', file: new File([content], 'input.jsonl') })
      return (await call('POST', '/files', upload)).json().id
    },
    /** Returns the whole response: a test may expect an error. */
    async create (fileId: string, endpoint = '/v1/chat/completions') {
      const fields = { input_file_id: fileId, endpoint, completion_window: '24h' }
      return call('POST', '/batches', { payload: JSON.stringify(fields) })
    },
    /** Returns the rows of a file; none if there is no file. */
    async rows (fileId: string | null | undefined) {
      if (typeof fileId !== 'string') return []
      const { text } = await call('GET', `/files/${fileId}/content`)
      return text.trimEnd().split('\n').map(row => JSON.parse(row))
    },
    /** Returns the official client, which uses a real socket. */
    async client () {
      return new OpenAI({ apiKey: 'any', maxRetries: 0, baseURL: await app.listen({ port: 0 }) + PREFIX })
    }
  }
}
