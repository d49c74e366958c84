import { once } from 'node:events'
import { connect, Socket, type AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import OpenAI, { toFile } from 'openai'
import t from 'tap'
import { createGateway, originOf } from '../../gateway/gateway.js'
import { violations } from '../support/document.js'
import { startUpstream } from '../support/upstream.js'
import { DOCUMENTED, listen, rawCancel } from './program.js'

const clientOf = (app: FastifyInstance, path: string) =>
  new OpenAI({ apiKey: 'any', baseURL: originOf(app) + path, defaultHeaders: { 'x-portkey-provider': 'sandbox' } })

interface Row {
  readonly custom_id: string
  readonly error: { readonly code: string } | null
}

const rowsOf = async (sdk: OpenAI, file: string | null | undefined): Promise<Row[]> =>
  (await (await sdk.files.content(file as string)).text()).trim().split('\n').map(line => JSON.parse(line))

const requestLine = (id: string) => JSON.stringify({
  custom_id: id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'gpt-5', messages: [{ role: 'user', content: `Hello ${id}` }] }
})

t.test('a batch from upload to partial results, with the official SDK', async t => {
  const app = await listen(t)
  const sandbox = clientOf(app, '/sandbox/v1')
  const gateway = clientOf(app, '/v1')
  const ids = Array.from({ length: 60 }, (_, i) => `request-${i}`)
  const file = await sandbox.files.create({
    purpose: 'batch',
    file: await toFile(Buffer.from(ids.map(requestLine).join('\n')), 'requests.jsonl')
  })
  const { id } = await sandbox.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h'
  })

  const until = async (done: (batch: OpenAI.Batch) => boolean): Promise<OpenAI.Batch> => {
    for (;;) {
      const batch = await sandbox.batches.retrieve(id)
      const { total, completed, failed } = batch.request_counts as OpenAI.BatchRequestCounts
      if (completed + failed > total || (batch.usage?.total_tokens === 0) !== (completed === 0)) {
        t.fail(`counts and usage do not add up: ${JSON.stringify(batch)}`)
      }
      if (done(batch)) return batch
    }
  }
  await until(({ request_counts: counts }) => (counts?.completed ?? 0) > 0)
  t.match(await gateway.batches.cancel(id), { id, status: 'cancelling' }, 'the cancel goes through the gateway')
  t.match(await gateway.batches.cancel(id), { id, status: 'cancelling' }, 'and once more')
  const batch = await until(({ status }) => status === 'cancelled')

  const output = await rowsOf(sandbox, batch.output_file_id)
  const errors = await rowsOf(sandbox, batch.error_file_id)
  t.equal(output.length, batch.request_counts?.completed)
  t.ok(output.length > 0 && output.length < ids.length, `${output.length} of ${ids.length} completed`)
  t.ok(errors.every(({ error }) => error?.code === 'batch_cancelled'))
  t.strictSame([...output, ...errors].map(row => row.custom_id).sort(), [...ids].sort(), 'every request is in one file')
  await t.rejects(gateway.batches.cancel(id), { status: 409, code: 'batch_not_cancellable' })
})

interface Seeded {
  readonly id: string
  readonly status: number
  readonly body: object
}

const SEEDED: readonly Seeded[] = [
  { id: 'batch_validating', status: 200, body: { status: 'cancelling' } },
  { id: 'batch_in_progress', status: 200, body: { status: 'cancelling' } },
  { id: 'batch_finalizing', status: 200, body: { status: 'cancelling' } },
  { id: 'batch_cancelling', status: 200, body: { status: 'cancelling' } },
  {
    id: 'batch_completed',
    status: 409,
    body: { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed', output_file_id: /^file-/ } }
  },
  { id: 'batch_failed', status: 409, body: { batch: { status: 'failed' } } },
  { id: 'batch_expired', status: 409, body: { batch: { status: 'expired' } } },
  { id: 'batch_cancelled', status: 409, body: { batch: { status: 'cancelled' } } },
  { id: 'batch_rate_limited', status: 429, body: { error: { code: 'rate_limit_exceeded' }, provider: 'sandbox' } },
  { id: 'batch_unavailable', status: 503, body: { provider: 'sandbox' } },
  { id: 'batch_unauthorized', status: 401, body: { error: { code: 'invalid_api_key' } } },
  { id: 'batch_nope', status: 404, body: { error: { code: 'batch_not_found' } } }
]

t.test('the documented batch, and each seeded one, through the gateway', async t => {
  const app = await listen(t)
  const cancel = async (id: string, headers = {}) => {
    const response = await fetch(`${originOf(app)}/v1/batches/${id}/cancel`, {
      method: 'POST',
      headers: { 'x-portkey-provider': 'sandbox', ...headers }
    })
    const body = await response.text()
    // The gateway serves one provider more than the document of the package knows.
    t.strictSame(violations({ statusCode: response.status, headers: Object.fromEntries(response.headers), body }), [])
    return { status: response.status, headers: response.headers, body: JSON.parse(body) }
  }
  const extra = { authorization: 'Bearer anything', 'content-type': 'application/json' }
  t.strictSame((await cancel('batch_abc123', extra)).body, DOCUMENTED)
  for (const { id, status, body } of SEEDED) {
    const answer = await cancel(id)
    t.equal(answer.status, status, id)
    t.match(answer.body, body, id)
    if (status === 429) t.equal(answer.headers.get('retry-after'), '1')
  }
})

t.test('the page, the document and the health', async t => {
  const app = await listen(t)
  t.match(await app.inject('/docs/'), { statusCode: 200, headers: { 'content-type': /html/ }, body: /swagger-ui/ })
  t.match(await app.inject('/healthz'), { statusCode: 200, body: '{"status":"ok"}' })
  const document = (await app.inject('/openapi.json')).json()
  t.strictSame(Object.keys(document.paths), ['/v1/batches/{id}/cancel', '/v1/batches/{id}'], 'the sandbox\'s own routes are hidden')
  const { parameters } = document.paths['/v1/batches/{id}/cancel'].post
  t.match(document, { servers: [{ url: '/' }] })
  t.match(parameters, [
    { name: 'id', example: 'batch_abc123' },
    { name: 'x-portkey-provider', example: 'sandbox', schema: { enum: ['sandbox', 'openai'] } }
  ])
})

t.test('without the sandbox neither its API nor its provider is served', async t => {
  const app = await listen(t, { sandbox: false })
  t.match(await app.inject('/sandbox/v1/batches/batch_abc123'), { statusCode: 404, body: /Unknown URL/ })
  const headers = { 'x-portkey-provider': 'sandbox' }
  const answer = await app.inject({ method: 'POST', url: '/v1/batches/batch_abc123/cancel', headers })
  t.match(answer.json(), { error: { code: 'unknown_provider' } })
})

interface Refused {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly status: number
  readonly error: object
}

const TOO_LONG = `/v1/batches/${'x'.repeat(513)}/cancel`
const UNDECODABLE = '/v1/batches/%E0%A4%A/cancel'

const REFUSED: readonly Refused[] = [
  {
    method: 'POST',
    url: TOO_LONG,
    status: 400,
    error: {
      message: /^Invalid batch id: expected 1 to 512 characters/,
      type: 'invalid_request_error',
      param: 'id',
      code: 'invalid_batch_id'
    }
  },
  { method: 'POST', url: UNDECODABLE, status: 400, error: { code: 'invalid_batch_id', param: 'id' } },
  { method: 'GET', url: '/docs/%zz', status: 400, error: { code: null, param: null } },
  {
    method: 'GET',
    url: '/v1/batches/batch_1/cancel',
    status: 404,
    error: { message: 'Unknown URL: GET /v1/batches/batch_1/cancel', code: null }
  },
  { method: 'POST', url: '/v1/chat/completions', status: 404, error: { code: null } }
]

t.test('what is refused before any route has the same envelope', async t => {
  const app = await listen(t)
  for (const { method, url, status, error } of REFUSED) {
    const response = await app.inject({ method, url, headers: { 'x-portkey-trace-id': 'trace-1' } })
    t.equal(response.statusCode, status, url)
    t.match(response.headers, { 'x-request-id': /^req-/, 'x-portkey-trace-id': 'trace-1' }, url)
    t.match(response.json(), { error }, url)
    t.match(response.headers['content-type'], /^application\/json/)
  }
  const ok = await app.inject({
    method: 'POST',
    url: `/v1/batches/${'x'.repeat(512)}/cancel`,
    headers: { 'x-portkey-provider': 'sandbox' }
  })
  t.equal(ok.statusCode, 404, 'an id of 512 characters reaches the provider')

  for (const [bytes, status] of [
    ['GARBAGE\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nhost: a\r\nbig: ${'x'.repeat(20_000)}\r\n\r\n`, 431]
  ] as const) {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    socket.end(bytes)
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    t.match(text, new RegExp(`^HTTP/1.1 ${status} `))
    t.match(JSON.parse(text.split('\r\n\r\n')[1] as string), { error: { type: 'invalid_request_error', code: null } })
  }
  const gone = new Socket().destroy()
  app.server.emit('clientError', new Error('reset'), gone)
  t.pass('bytes of a client that left are no trouble')
})

t.test('an id that the router refuses names the provider as the route does', async t => {
  const app = await listen(t)
  const refused = (url: string, provider: string) =>
    app.inject({ method: 'POST', url, headers: { 'x-portkey-provider': provider } })
  for (const url of [TOO_LONG, UNDECODABLE]) {
    for (const provider of ['sandbox', 'openai', 'anthropic']) {
      const answer = await refused(url, provider)
      const { statusCode, body } = answer
      t.equal(statusCode, 400)
      t.match(answer.json(), { error: { code: 'invalid_batch_id', param: 'id' }, provider })
      t.equal(answer.headers['x-portkey-provider'], provider)
      t.strictSame(violations({ statusCode, headers: answer.headers, body }), [])
    }
    for (const provider of ['no-such-provider', 'fireworks-ai', 'toString', '']) {
      const answer = await refused(url, provider)
      t.match(answer.json(), { error: { code: 'invalid_batch_id', param: 'id' } })
      t.notOk('provider' in answer.json(), `'${provider}' is not served`)
      t.notOk('x-portkey-provider' in answer.headers)
    }
  }
  const route = await refused('/v1/batches/%00/cancel', 'openai')
  t.match(route.json(), { error: { code: 'invalid_batch_id', param: 'id' }, provider: 'openai' }, 'the route itself')
})

t.test('while it closes, running cancels finish and nothing new begins', async t => {
  const held: Array<() => void> = []
  const upstream = await startUpstream(t, (_request, response) => {
    held.push(() => response.end(JSON.stringify({ ...DOCUMENTED, id: 'batch_1' })))
  })
  const app = await listen(t, { trustedHosts: [upstream.url.slice('http://'.length)] })
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  let text = ''
  socket.on('data', chunk => { text += String(chunk) })
  socket.write(rawCancel('batch_1', upstream))
  while (held.length === 0) await new Promise(resolve => { setImmediate(resolve) })
  const closed = app.close()
  socket.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await once(app.server, 'request')
  held[0]?.()
  await Promise.all([closed, once(socket, 'close')])
  const first = '^HTTP/1\\.1 200 OK\\r\\n[^]+"status":"cancelling"[^]+'
  const second = 'HTTP/1\\.1 503 Service Unavailable\\r\\n[^]+"message":"The gateway is closing\\."'
  t.match(text, new RegExp(first + second))
})

t.test('trusted hosts, and every address to listen on', async t => {
  const upstream = await listen(t)
  const { port } = upstream.server.address() as AddressInfo
  const app = await listen(t, { trustedHosts: [`127.0.0.1:${port}`, 'llm.example.com'] }, '0.0.0.0')
  const cancel = (host: string) => app.inject({
    method: 'POST',
    url: '/v1/batches/batch_in_progress/cancel',
    headers: { 'x-portkey-provider': 'openai', authorization: 'Bearer k', 'x-portkey-custom-host': host }
  })
  const onLoopback = await cancel(`http://127.0.0.1:${port}/sandbox/v1`)
  t.equal(onLoopback.statusCode, 200, 'a bare entry on loopback means http, too')
  t.equal((await cancel('http://llm.example.com')).statusCode, 400, 'elsewhere it does not')
  t.equal(originOf(app), `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.match(originOf(await listen(t, {}, '::1')), /^http:\/\/\[::1\]:\d+$/)
  await t.rejects(createGateway({ trustedHosts: ['a b'] }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION' })
})
