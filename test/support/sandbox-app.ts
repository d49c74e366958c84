import Fastify from 'fastify'
import OpenAI from 'openai'
import type { Test } from 'tap'
import sandbox, { type BatchSandboxOptions } from '../../lib/sandbox/index.js'
import type { Batch } from '../../schemas/batch.js'
import { manualClock } from './manual-clock.js'

/** When the time of these tests begins: after the documented example, in Unix seconds. */
export const START = 1_750_000_000

export const PREFIX = '/sandbox/v1'

/** One line of an input file; what is given replaces what a good one has. */
export const line = (customId: string, other: object = {}) => JSON.stringify({
  custom_id: customId,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'gpt-4o-mini', messages: [{ role: 'user', content: `Say ${customId}` }] },
  ...other
})

export const jsonl = (lines: string[]) => lines.join('\n') + '\n'

/** A form as a client sends it. */
export async function form (fields: Record<string, string | File>) {
  const data = new FormData()
  for (const [name, value] of Object.entries(fields)) data.append(name, value)
  const response = new Response(data)
  return { headers: { 'content-type': String(response.headers.get('content-type')) }, payload: Buffer.from(await response.arrayBuffer()) }
}

/** A host with a sandbox whose time stands still until the test moves it. */
export async function openApp (t: Test, options: BatchSandboxOptions = {}) {
  const clock = manualClock(START * 1000)
  const app = Fastify({ forceCloseConnections: true })
  app.register(sandbox, { clock, ...options, prefix: PREFIX })
  t.teardown(() => app.close())
  await app.ready()

  async function call (method: 'GET' | 'POST', path: string, more: { payload?: string | Buffer, headers?: Record<string, string> } = {}) {
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
    async upload (text: string): Promise<string> {
      return (await call('POST', '/files', await form({ purpose: 'batch', file: new File([text], 'input.jsonl') }))).json().id
    },
    async create (fileId: string, endpoint = '/v1/chat/completions') {
      return call('POST', '/batches', { payload: JSON.stringify({ input_file_id: fileId, endpoint, completion_window: '24h' }) })
    },
    /** The rows of a file; none where there is no file. */
    async rows (fileId: string | null | undefined) {
      if (typeof fileId !== 'string') return []
      const { text } = await call('GET', `/files/${fileId}/content`)
      return text.trimEnd().split('\n').map(row => JSON.parse(row))
    },
    /** The official client, over a real socket. */
    async client () {
      return new OpenAI({ apiKey: 'any', maxRetries: 0, baseURL: await app.listen({ port: 0 }) + PREFIX })
    }
  }
}
