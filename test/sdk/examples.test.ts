import type { AddressInfo } from 'node:net'
import t from 'tap'
import { ENDED_AT, endedBatch, INITIATED, messageBatch } from '../fixtures/anthropic.js'
import { batch } from '../support/app.js'
import { startUpstream } from '../support/upstream.js'

/* The examples whose packages only this folder has, compiled with it. */

interface Listening {
  readonly server: { address (): unknown }
}

async function send ({ server }: Listening, method: string, path: string, headers: Record<string, string> = {}) {
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers })
  return { status: response.status, headers: response.headers, body: await response.json() as unknown }
}

process.env['PORT'] = '0'

t.test('anthropic-sdk.ts: the SDK cancels and reads, and its batches are shown as OpenAI\'s', async t => {
  const CANCELLING = messageBatch({ processing_status: 'canceling', ...INITIATED })
  const ENDED = endedBatch({ succeeded: 1, canceled: 2 }, INITIATED)
  const upstream = await startUpstream(t, ({ method }) => method === 'GET'
    ? { body: ENDED }
    : { headers: { 'request-id': 'req_1', 'anthropic-ratelimit-requests-remaining': '9' }, body: CANCELLING })
  Object.assign(process.env, { ANTHROPIC_BASE_URL: upstream.url, ANTHROPIC_API_KEY: 'sk-ant-1' })
  const { app } = await import('../../examples/anthropic-sdk.js')
  t.teardown(() => app.close())
  const cancel = (headers = {}) => send(app, 'POST', '/v1/batches/msgbatch_1/cancel', headers)

  const cancelled = await cancel()
  t.match(cancelled, {
    status: 200,
    body: { id: 'msgbatch_1', object: 'batch', status: 'cancelling', provider_batch: CANCELLING }
  })
  t.equal(cancelled.headers.get('x-request-id'), 'req_1')
  t.equal(cancelled.headers.get('anthropic-ratelimit-requests-remaining'), '9')
  t.match(upstream.requests, [{
    method: 'POST',
    path: '/v1/messages/batches/msgbatch_1/cancel',
    headers: { authorization: 'Bearer sk-ant-1' }
  }])

  t.match(await cancel({ prefer: 'wait=30' }), {
    status: 200,
    body: {
      status: 'cancelled',
      output_file_id: 'msgbatch_1',
      cancelled_at: ENDED_AT,
      request_counts: { total: 3, completed: 1, failed: 0 }
    }
  })

  for (const [counts, status] of [[{ succeeded: 3 }, 'completed'], [{ expired: 3 }, 'expired']] as const) {
    upstream.answer = () => ({ body: endedBatch(counts) })
    t.match(await send(app, 'GET', '/v1/batches/msgbatch_1'), { status: 200, body: { status } })
    t.match(await cancel(), { status: 409, body: { error: { code: 'batch_not_cancellable' }, batch: { status } } })
  }
  upstream.answer = () => ({ body: messageBatch({}) })
  t.match(await send(app, 'GET', '/v1/batches/msgbatch_1'), { body: { status: 'in_progress', cancelling_at: null } })

  upstream.answer = () => ({
    status: 429,
    headers: { 'retry-after': '60' },
    body: { type: 'error', error: { type: 'rate_limit_error', message: 'Slow down.' }, request_id: 'req_2' }
  })
  const limited = await cancel()
  t.match(limited, { status: 429, body: { error: { type: 'rate_limit_error', message: 'Slow down.' } } })
  t.equal(limited.headers.get('retry-after'), '60')
})

t.test('nestjs: the plugin asks a service, and leaves the controllers alone', async t => {
  const upstream = await startUpstream(t, () => ({ body: batch({}) }))
  Object.assign(process.env, { OPENAI_BASE_URL: `${upstream.url}/v1`, OPENAI_API_KEY: 'sk-nest' })
  const { app } = await import('../../examples/nestjs/main.js')
  t.teardown(() => app.close())
  const server = app.getHttpServer()
  const cancel = (headers = {}) => send({ server }, 'POST', '/llm/v1/batches/batch_1/cancel', headers)

  t.match(await cancel(), { status: 401, body: { error: { message: 'Unauthorized' } } })
  t.strictSame(upstream.requests, [], 'nothing was sent')
  t.match(await cancel({ authorization: 'Bearer token-of-ann' }), { status: 200, body: batch({}) })
  t.match(upstream.requests, [{ path: '/v1/batches/batch_1/cancel', headers: { authorization: 'Bearer sk-nest' } }])
  t.match(await send({ server }, 'GET', '/health'), { status: 200, body: { status: 'ok' } })
})
