import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect, Socket, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import OpenAI, { toFile } from 'openai'
import t, { type Test } from 'tap'
import { listenFault, readEnvironment } from '../../gateway/environment.js'
import { createGateway, originOf, type GatewayOptions } from '../../gateway/gateway.js'
import { breaches } from '../support/document.js'
import { startUpstream } from '../support/upstream.js'

const DOCUMENTED = JSON.parse('{"id":"batch_abc123","object":"batch","endpoint":"/v1/chat/completions","errors":null,"input_file_id":"file-abc123","completion_window":"24h","status":"cancelling","output_file_id":null,"error_file_id":null,"created_at":1713894800,"in_progress_at":1713894900,"cancelled_at":1713895200,"completed_at":null,"request_counts":{"total":100,"completed":45,"failed":0},"metadata":{"description":"Daily batch job"}}')

async function listen (t: Test, options: GatewayOptions = {}, host = '127.0.0.1'): Promise<FastifyInstance> {
  const app = await createGateway({ logLevel: 'silent', ...options })
  t.teardown(() => app.close())
  await app.listen({ host, port: 0 })
  return app
}

const clientOf = (app: FastifyInstance, path: string) =>
  new OpenAI({ apiKey: 'any', baseURL: originOf(app) + path, defaultHeaders: { 'x-portkey-provider': 'sandbox' } })

const rowsOf = async (sdk: OpenAI, file: string | null | undefined): Promise<Array<{ custom_id: string, error: { code: string } | null }>> =>
  (await (await sdk.files.content(file as string)).text()).trim().split('\n').map(line => JSON.parse(line))

t.test('a batch from upload to partial results, with the official SDK', async t => {
  const app = await listen(t)
  const sandbox = clientOf(app, '/sandbox/v1')
  const gateway = clientOf(app, '/v1')
  const ids = Array.from({ length: 60 }, (_, i) => `request-${i}`)
  const lines = ids.map(id => JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body: { model: 'gpt-5', messages: [{ role: 'user', content: `Hello ${id}` }] } }))
  const file = await sandbox.files.create({ purpose: 'batch', file: await toFile(Buffer.from(lines.join('\n')), 'requests.jsonl') })
  const { id } = await sandbox.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' })

  const until = async (done: (batch: OpenAI.Batch) => boolean): Promise<OpenAI.Batch> => {
    for (;;) {
      const batch = await sandbox.batches.retrieve(id)
      const { total, completed, failed } = batch.request_counts as OpenAI.BatchRequestCounts
      if (completed + failed > total || (batch.usage?.total_tokens === 0) !== (completed === 0)) t.fail(`counts and usage do not add up: ${JSON.stringify(batch)}`)
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
  t.strictSame([...output, ...errors].map(row => row.custom_id).sort(), [...ids].sort(), 'every request is in one of the files')
  await t.rejects(gateway.batches.cancel(id), { status: 409, code: 'batch_not_cancellable' })
})

t.test('the documented batch, and each seeded one, through the gateway', async t => {
  const app = await listen(t)
  const cancel = async (id: string, headers = {}) => {
    const response = await fetch(`${originOf(app)}/v1/batches/${id}/cancel`, { method: 'POST', headers: { 'x-portkey-provider': 'sandbox', ...headers } })
    const body = await response.text()
    // The gateway serves one provider more than the document of the package knows.
    t.strictSame(breaches({ statusCode: response.status, headers: Object.fromEntries(response.headers), body }), [])
    return { status: response.status, headers: response.headers, body: JSON.parse(body) }
  }
  t.strictSame((await cancel('batch_abc123', { authorization: 'Bearer anything', 'content-type': 'application/json' })).body, DOCUMENTED)
  for (const [id, status, body] of [
    ['batch_validating', 200, { status: 'cancelling' }],
    ['batch_in_progress', 200, { status: 'cancelling' }],
    ['batch_finalizing', 200, { status: 'cancelling' }],
    ['batch_cancelling', 200, { status: 'cancelling' }],
    ['batch_completed', 409, { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed', output_file_id: /^file-/ } }],
    ['batch_failed', 409, { batch: { status: 'failed' } }],
    ['batch_expired', 409, { batch: { status: 'expired' } }],
    ['batch_cancelled', 409, { batch: { status: 'cancelled' } }],
    ['batch_rate_limited', 429, { error: { code: 'rate_limit_exceeded' }, provider: 'sandbox' }],
    ['batch_unavailable', 503, { provider: 'sandbox' }],
    ['batch_unauthorized', 401, { error: { code: 'invalid_api_key' } }],
    ['batch_nope', 404, { error: { code: 'batch_not_found' } }]
  ] as Array<[string, number, object]>) {
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
  t.strictSame(Object.keys(document.paths), ['/v1/batches/{id}/cancel'], 'the sandbox\'s own routes are hidden')
  t.match(document, { servers: [{ url: '/' }], paths: { '/v1/batches/{id}/cancel': { post: { parameters: [{ name: 'id', example: 'batch_abc123' }, { name: 'x-portkey-provider', example: 'sandbox', schema: { enum: ['sandbox', 'openai'] } }] } } } })
})

t.test('what is answered before any route has the same envelope', async t => {
  const app = await listen(t)
  for (const [method, url, status, error] of [
    ['POST', `/v1/batches/${'x'.repeat(513)}/cancel`, 400, { code: 'invalid_batch_id', type: 'invalid_request_error', param: null }],
    ['POST', '/v1/batches/%E0%A4%A/cancel', 400, { code: 'invalid_batch_id' }],
    ['GET', '/docs/%zz', 400, { code: null }],
    ['GET', '/v1/batches/batch_1/cancel', 404, { message: 'Unknown URL: GET /v1/batches/batch_1/cancel', code: null }],
    ['POST', '/v1/chat/completions', 404, { code: null }]
  ] as const) {
    const response = await app.inject({ method, url, headers: { 'x-portkey-trace-id': 'trace-1' } })
    t.equal(response.statusCode, status, url)
    t.match(response.headers, { 'x-request-id': /^req-/, 'x-portkey-trace-id': 'trace-1' }, url)
    t.match(response.json(), { error }, url)
    t.match(response.headers['content-type'], /^application\/json/)
  }
  const ok = await app.inject({ method: 'POST', url: `/v1/batches/${encodeURIComponent('ü'.repeat(512))}/cancel`, headers: { 'x-portkey-provider': 'sandbox' } })
  t.equal(ok.statusCode, 404, 'an id of 512 characters reaches the provider')

  for (const [bytes, status] of [['GARBAGE\r\n\r\n', 400], [`GET / HTTP/1.1\r\nhost: a\r\nbig: ${'x'.repeat(20_000)}\r\n\r\n`, 431]] as const) {
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

t.test('while it closes, running cancels finish and nothing new begins', async t => {
  const held: Array<() => void> = []
  const upstream = await startUpstream(t, (_request, response) => { held.push(() => response.end(JSON.stringify({ ...DOCUMENTED, id: 'batch_1' }))) })
  const app = await listen(t, { trustedHosts: [upstream.url.slice('http://'.length)] })
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  let text = ''
  socket.on('data', chunk => { text += String(chunk) })
  socket.write(`POST /v1/batches/batch_1/cancel HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nx-portkey-provider: openai\r\nauthorization: Bearer k\r\nx-portkey-custom-host: ${upstream.url}\r\n\r\n`)
  while (held.length === 0) await new Promise(resolve => { setImmediate(resolve) })
  const closed = app.close()
  socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n')
  await once(app.server, 'request')
  held[0]?.()
  await Promise.all([closed, once(socket, 'close')])
  t.match(text, /^HTTP\/1\.1 200 OK\r\n[^]+"status":"cancelling"[^]+HTTP\/1\.1 503 Service Unavailable\r\n[^]+"message":"The gateway is closing\."/)
})

t.test('trusted hosts, and every address to listen on', async t => {
  const upstream = await listen(t)
  const { port } = upstream.server.address() as AddressInfo
  const app = await listen(t, { trustedHosts: [`127.0.0.1:${port}`, 'llm.example.com'] }, '0.0.0.0')
  const cancel = (host: string) => app.inject({ method: 'POST', url: '/v1/batches/batch_in_progress/cancel', headers: { 'x-portkey-provider': 'openai', authorization: 'Bearer k', 'x-portkey-custom-host': host } })
  t.equal((await cancel(`http://127.0.0.1:${port}/sandbox/v1`)).statusCode, 200, 'a bare entry on loopback means http, too')
  t.equal((await cancel('http://llm.example.com')).statusCode, 400, 'elsewhere it does not')
  t.equal(originOf(app), `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.match(originOf(await listen(t, {}, '::1')), /^http:\/\/\[::1\]:\d+$/)
  await t.rejects(createGateway({ trustedHosts: ['a b'] }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION' })
})

const START = fileURLToPath(new URL('../../gateway/start.ts', import.meta.url))

/** Runs the program as `npm start` does, but from its source. */
function start (t: Test, env: Record<string, string>): { child: ChildProcess, output: () => string, ended: Promise<number> } {
  const child = spawn(process.execPath, [...process.execArgv, START], { env: { ...process.env, PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', chunk => { text += String(chunk) })
  child.stderr.on('data', chunk => { text += String(chunk) })
  return { child, output: () => text, ended: once(child, 'close').then(([code]) => code as number) }
}

t.test('npm start prints where it is, works as printed, and ends cleanly', async t => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const { child, output, ended } = start(t, {})
    while (!output().includes('look')) await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data')
    t.match(output(), /^fastify-batch-cancel listens on http:\/\/127\.0\.0\.1:\d+\n/)
    const [, url = '', header = ''] = /curl -X POST (\S+) -H '([^']+)'/.exec(output()) ?? []
    const response = await fetch(url, { method: 'POST', headers: [header.split(': ') as [string, string]] })
    t.strictSame(await response.json(), DOCUMENTED)
    t.equal((await fetch(/page +(\S+)/.exec(output())?.[1] as string)).status, 200)
    child.kill(signal)
    t.equal(await ended, 0, signal)
  }
})

t.test('what cannot work is said in one sentence, and the program ends with 1', async t => {
  const { port } = (await listen(t)).server.address() as AddressInfo
  const { output, ended } = start(t, { PORT: String(port) })
  t.equal(await ended, 1)
  t.equal(output(), `127.0.0.1:${port} is in use already; set PORT to another one.\n`)
})

t.test('the environment', async t => {
  t.strictSame(readEnvironment({}), { host: '127.0.0.1', port: 8787, logLevel: 'warn', trustedHosts: [] })
  t.strictSame(readEnvironment({ HOST: '::', PORT: '0', LOG_LEVEL: 'info', TRUSTED_CUSTOM_HOSTS: ' a:1, https://b ,' }), { host: '::', port: 0, logLevel: 'info', trustedHosts: ['a:1', 'https://b'] })
  for (const PORT of ['70000', 'http', '-1', '', '80 ']) t.throws(() => readEnvironment({ PORT }), { message: `PORT should be a number from 0 to 65535, not '${PORT}'.` })
  t.throws(() => readEnvironment({ LOG_LEVEL: 'loud' }), { message: /^LOG_LEVEL should be one of fatal, error, / })
  const fault = (code: string) => listenFault('a', 1, Object.assign(new Error('listen failed'), { code }))
  t.equal(fault('EADDRNOTAVAIL'), 'a:1 is no address of this machine; set HOST to one.')
  t.equal(fault('EACCES'), 'a:1 may not be used by this user; set PORT to 1024 or more.')
  t.equal(fault('EINVAL'), 'a:1 listen failed.')
})
