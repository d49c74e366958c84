import { readdir, readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { SpanKind } from '@opentelemetry/api'
import type { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import {
  ConsoleSpanExporter, InMemorySpanExporter, type NodeTracerProvider, type ReadableSpan
} from '@opentelemetry/sdk-trace-node'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import batchSandbox from '../../lib/sandbox/index.js'
import { batch } from '../support/app.js'
import { runJavaScript, runTypeScript } from '../support/code-blocks.js'
import { ROOT } from '../support/root.js'
import { startUpstream } from '../support/upstream.js'

/* Every example runs as it is, over sockets, with the sandbox in the place of the provider. */

const read = async (name: string) => await readFile(new URL(`examples/${name}`, ROOT), 'utf8')

let runs = 0
/** A fresh copy for every run, since a module is evaluated once. */
const nextName = (file: string) => `examples-${runs++}-${file}`

interface Sandbox {
  readonly url: string
  /** The credentials that arrived, in order. */
  readonly credentials: string[]
}

async function startSandbox (t: Test): Promise<Sandbox> {
  const sandbox = Fastify({ forceCloseConnections: true })
  const credentials: string[] = []
  sandbox.addHook('onRequest', async ({ headers }) => { credentials.push(String(headers.authorization)) })
  sandbox.register(batchSandbox, { prefix: '/v1', latency: 1 })
  t.teardown(() => sandbox.close())
  return { url: `${await sandbox.listen({ port: 0 })}/v1`, credentials }
}

type Environment = Readonly<Record<string, string>>

const setEnvironment = (env: Environment) => Object.assign(process.env, { PORT: '0', LOG_LEVEL: 'silent', ...env })

interface Response {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}

/** Runs an example. Returns what it exports. */
async function runExample (file: string, env: Environment) {
  setEnvironment(env)
  const run = file.endsWith('.ts') ? runTypeScript : runJavaScript
  return await run(nextName(file), await read(file))
}

/** Runs an example that listens. Returns what sends requests to it. */
async function startExample (t: Test, file: string, env: Environment) {
  const { app } = await runExample(file, env) as { app: FastifyInstance }
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo

  return async function send (method: string, path: string, headers: Record<string, string> = {}): Promise<Response> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
  }
}

t.test('minimal.js: a client names the provider and brings the credential', async t => {
  const send = await startExample(t, 'minimal.js', {})
  const unnamed = await send('POST', '/v1/batches/batch_1/cancel')
  t.match(unnamed, { status: 400, body: { error: { code: 'missing_provider' } } })
  const withoutKey = await send('GET', '/v1/batches/batch_1', { 'x-portkey-provider': 'openai' })
  t.match(withoutKey, { status: 401, body: { error: { code: 'missing_credentials' } } })
})

t.test('existing-app.js: only the server\'s key reaches the provider', async t => {
  const { url, credentials } = await startSandbox(t)
  const send = await startExample(t, 'existing-app.js', { OPENAI_BASE_URL: url, OPENAI_API_KEY: 'sk-server' })
  const cancel = '/llm/v1/batches/batch_abc123/cancel'

  const anonymous = await send('POST', cancel)
  t.match(anonymous, { status: 401, body: { error: { message: 'Log in first.', code: 'unauthenticated' } } })
  t.equal(anonymous.headers.get('www-authenticate'), 'Bearer')
  t.match(await send('POST', cancel, { authorization: 'Bearer token-of-bob' }), {
    status: 403,
    body: { error: { code: 'call_not_allowed' } }
  })
  const ann = { authorization: 'Bearer token-of-ann' }
  t.match(await send('POST', cancel, { ...ann, 'x-portkey-config': '{"provider":"groq"}' }), {
    status: 400,
    body: { error: { param: 'x-portkey-config' } }
  })
  t.strictSame(credentials, [], 'nothing was sent')

  const cancelled = await send('POST', cancel, ann)
  t.match(cancelled, { status: 200, body: { id: 'batch_abc123', status: 'cancelling' } })
  t.equal(cancelled.headers.get('x-ratelimit-limit'), '10', 'the rate limit of the route')
  t.strictSame(credentials, ['Bearer sk-server'])

  const { body: document } = await send('GET', '/docs/json')
  const post = { security: [{ bearer: [] }], tags: ['Batches'] }
  t.match(document, { paths: { '/llm/v1/batches/{id}/cancel': { post } } })
})

t.test('many-tenants.js: each tenant has a key, and sees only its own batches', async t => {
  const { url, credentials } = await startSandbox(t)
  const send = await startExample(t, 'many-tenants.js', { OPENAI_BASE_URL: url })
  const cancel = (id: string, tenant: string) => send('POST', `/v1/batches/${id}/cancel`, { 'x-tenant': tenant })

  t.match(await cancel('batch_abc123', 'eve'), { status: 401 })
  t.match(await cancel('batch_abc123', 'bob'), { status: 404, body: { error: { code: 'batch_not_found' } } })
  t.strictSame(credentials, [], 'nothing was sent')
  t.match(await cancel('batch_abc123', 'ann'), { status: 200, body: { status: 'cancelling' } })
  t.match(await cancel('batch_in_progress', 'bob'), { status: 200, body: { status: 'cancelling' } })
  t.strictSame(credentials, ['Bearer sk-ann', 'Bearer sk-bob'])
})

t.test('provider-by-tenant.js: the server chooses the provider', async t => {
  const openai = await startSandbox(t)
  const groq = await startSandbox(t)
  const send = await startExample(t, 'provider-by-tenant.js', {
    OPENAI_BASE_URL: openai.url,
    OPENAI_API_KEY: 'sk-openai',
    GROQ_BASE_URL: groq.url,
    GROQ_API_KEY: 'gsk-groq'
  })
  const cancel = (headers: Record<string, string>) => send('POST', '/v1/batches/batch_abc123/cancel', headers)

  t.match(await cancel({ 'x-portkey-provider': 'openai' }), { status: 401 }, 'without a tenant')
  const chosen = await cancel({ 'x-tenant': 'bob', 'x-portkey-provider': 'openai' })
  t.match(chosen, { status: 200, body: { status: 'cancelling' } })
  t.equal(chosen.headers.get('x-portkey-provider'), 'groq')
  t.strictSame([openai.credentials, groq.credentials], [[], ['Bearer gsk-groq']])
  t.match(await cancel({ 'x-tenant': 'ann', 'x-portkey-config': '{"provider":"groq"}' }), { status: 400 })
  t.match(await cancel({ 'x-tenant': 'ann' }), { status: 200 })
  t.strictSame(openai.credentials, ['Bearer sk-openai'])
})

t.test('openai-compatible-servers.js: each server has a name, and gets no credential of the client', async t => {
  const [eu, us] = [await startSandbox(t), await startSandbox(t)]
  const send = await startExample(t, 'openai-compatible-servers.js', { LLM_EU_URL: eu.url, LLM_US_URL: us.url })
  const headers = (provider: string) => ({ 'x-portkey-provider': provider, authorization: 'Bearer of-the-client' })

  t.match(await send('POST', '/v1/batches/batch_abc123/cancel', headers('llm-us')), { status: 200 })
  t.match(await send('GET', '/v1/batches/batch_completed', headers('llm-eu')), { body: { status: 'completed' } })
  t.strictSame([eu.credentials, us.credentials], [['Bearer none'], ['Bearer none']])
  t.match(await send('POST', '/v1/batches/batch_abc123/cancel', headers('openai')), {
    status: 400,
    body: { error: { code: 'unknown_provider' } }
  })
})

t.test('custom-provider.js: a shape of its own, and OpenAI\'s with differences', async t => {
  const created = '2024-04-23T17:53:20Z'
  const job = (status: string, fields = {}) => ({ id: 'job-00c0ffee', status, created, ...fields })
  const acme = await startUpstream(t, ({ method }) =>
    method === 'GET' ? { body: job('STOPPING', { tasks: { all: 100, done: 45, broken: 0 } }) } : { status: 202 })
  const inHouse = await startUpstream(t, ({ method }) =>
    ({ body: { ...batch({}), ...method === 'GET' && { status: 'paused' } } }))
  const send = await startExample(t, 'custom-provider.js', {
    ACME_URL: acme.url,
    ACME_KEY: 'acme-key',
    IN_HOUSE_URL: `${inHouse.url}/v1`
  })

  const stopped = await send('POST', '/v1/batches/job-00c0ffee/cancel', { 'x-portkey-provider': 'acme' })
  t.match(stopped, {
    status: 200,
    body: {
      object: 'batch',
      status: 'cancelling',
      created_at: 1713894800,
      request_counts: { total: 100, completed: 45, failed: 0 },
      provider_batch: { status: 'STOPPING' }
    }
  })
  t.match(acme.requests, [
    { method: 'POST', path: '/jobs/job-00c0ffee:cancel', headers: { 'x-acme-key': 'acme-key' } },
    { method: 'GET', path: '/jobs/job-00c0ffee', headers: { 'x-acme-key': 'acme-key' } }
  ])
  t.match(await send('POST', '/v1/batches/batch_1/cancel', { 'x-portkey-provider': 'acme' }), {
    status: 400,
    body: { error: { code: 'invalid_batch_id', message: /an id such as job-00c0ffee/ } }
  })
  acme.answer = ({ method }) =>
    method === 'GET' ? { body: job('DONE', { ended: '2024-04-23T18:00:00Z', results: 'file-2' }) } : { status: 409 }
  t.match(await send('POST', '/v1/batches/job-00c0ffee/cancel', { 'x-portkey-provider': 'acme' }), {
    status: 409,
    body: { batch: { status: 'completed', completed_at: 1713895200, output_file_id: 'file-2' } }
  })

  const headers = { 'x-portkey-provider': 'in-house' }
  t.match(await send('GET', '/v1/batches/batch_1', headers), { status: 200, body: { status: 'in_progress' } })
  t.match(await send('POST', '/v1/batches/batch_1/cancel', headers), { status: 200, body: { status: 'cancelling' } })
  t.match(inHouse.requests, [{ method: 'GET' }, { method: 'DELETE', path: '/v1/batches/batch_1' }])
})

t.test('openai-sdk.ts: the SDK cancels and reads, and the headers of its responses reach the client', async t => {
  const { url, credentials } = await startSandbox(t)
  const send = await startExample(t, 'openai-sdk.ts', { OPENAI_BASE_URL: url, OPENAI_API_KEY: 'sk-sdk' })

  const waited = await send('POST', '/v1/batches/batch_in_progress/cancel', { prefer: 'wait=30' })
  t.match(waited, { status: 200, body: { status: 'cancelled', output_file_id: String } })
  t.equal(waited.headers.get('preference-applied'), 'wait=30')
  t.equal(new Set(credentials).size, 1)
  t.match(await send('POST', '/v1/batches/batch_completed/cancel'), {
    status: 409,
    body: { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed' } }
  })
  const limited = await send('POST', '/v1/batches/batch_rate_limited/cancel', { 'x-stainless-retry-count': '0' })
  t.equal(limited.status, 429)
  t.equal(limited.headers.get('retry-after'), '1')
})

t.test('cron.js: cancels what is overdue and live, and nothing else', async t => {
  const { url } = await startSandbox(t)
  const write = t.capture(console, 'error', () => {})
  setEnvironment({ OPENAI_BASE_URL: url, OPENAI_API_KEY: 'sk-cron' })
  const { report } = await runJavaScript(nextName('cron.js'), await read('cron.js'))
  t.match(report, [{ batchId: 'batch_abc123', status: 'cancelled', output: String }])
  t.equal((report as unknown[]).length, 1)
  t.strictSame(write().at(-1)?.args, [report])
})

t.test('prometheus.js: outcomes are counted by provider', async t => {
  const openai = await startUpstream(t, ({ path }) => {
    if (path.includes('batch_limited')) return { status: 403, body: { error: { message: 'no', code: 'billing_limit' } } }
    return { body: batch({ id: 'batch_1', cancelling_at: 1_713_894_800 }) }
  })
  const send = await startExample(t, 'prometheus.js', { OPENAI_BASE_URL: `${openai.url}/v1` })
  const headers = { 'x-portkey-provider': 'openai', authorization: 'Bearer sk-client' }
  await send('POST', '/v1/batches/batch_1/cancel', headers)
  await send('GET', '/v1/batches/batch_1', headers)
  await send('POST', '/v1/batches/batch_limited/cancel', headers)
  await send('POST', '/v1/batches/a%00/cancel', headers)
  await send('POST', '/v1/batches/batch_1/cancel')
  const { body, headers: metricsHeaders } = await send('GET', '/metrics')
  t.match(metricsHeaders.get('content-type'), /^text\/plain/)
  for (const line of [
    'batch_calls_total{operation="cancel",provider="openai",outcome="cancelling"} 1',
    'batch_calls_total{operation="retrieve",provider="openai",outcome="cancelling"} 1',
    'batch_calls_total{operation="cancel",provider="openai",outcome="other_error"} 1',
    'batch_calls_total{operation="cancel",provider="openai",outcome="invalid_batch_id"} 1',
    'batch_calls_total{operation="cancel",provider="none",outcome="missing_provider"} 1',
    'batch_call_duration_seconds_count{operation="cancel",provider="openai",status="200"} 1',
    'batch_cancel_attempts_total{operation="cancel",provider="openai",status="200"} 1',
    'batch_cancel_attempts_total{operation="cancel",provider="openai",status="400"} 0',
    'batch_overdue_total{provider="openai"} 2'
  ]) t.match(body, line)
})

interface SpanSummary {
  readonly name: string
  readonly kind: SpanKind
  /** The name of the span above it, or its id if that span is the client's. */
  readonly parent: string | undefined
}

/** The spans by their names: their times are of two clocks, so that one may begin before the span above it. */
function summarize (spans: readonly ReadableSpan[]): SpanSummary[] {
  const nameOf = (id: string | undefined) => spans.find(span => span.spanContext().spanId === id)?.name ?? id
  return spans.toSorted((a, b) => a.name < b.name ? -1 : 1).map(({ name, kind, parentSpanContext }) =>
    ({ name, kind, parent: nameOf(parentSpanContext?.spanId) }))
}

t.test('opentelemetry.js: one trace from the incoming request to the provider\'s call', async t => {
  const upstream = await startUpstream(t, ({ method }) =>
    method === 'GET' ? { body: batch({ id: 'batch_1' }) } : { status: 503, body: {} })
  const memory = new InMemorySpanExporter()
  t.intercept(ConsoleSpanExporter.prototype, 'export', { value: memory.export.bind(memory) })
  const { app, tracing, undici } = await runExample('opentelemetry.js', { OPENAI_BASE_URL: `${upstream.url}/v1` }) as {
    readonly app: FastifyInstance
    readonly tracing: NodeTracerProvider
    readonly undici: UndiciInstrumentation
  }
  t.teardown(async () => {
    await app.close()
    undici.disable()
    await tracing.shutdown()
  })

  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  const clientSpan = '00f067aa0ba902b7'
  const response = await app.inject({
    method: 'POST',
    url: '/v1/batches/batch_1/cancel',
    headers: {
      'x-portkey-provider': 'openai',
      authorization: 'Bearer sk-client',
      traceparent: `00-${traceId}-${clientSpan}-01`,
      tracestate: 'client=1'
    }
  })
  t.match(response, { statusCode: 200, headers: { 'x-batch-source': 'retrieved' } })

  const spans = memory.getFinishedSpans()
  t.strictSame([...new Set(spans.map(span => span.spanContext().traceId))], [traceId], 'one trace')
  const handler = 'handler - cancelBatch'
  t.strictSame(summarize(spans), [
    { name: 'GET', kind: SpanKind.CLIENT, parent: handler },
    { name: 'POST', kind: SpanKind.CLIENT, parent: handler },
    { name: handler, kind: SpanKind.INTERNAL, parent: 'request' },
    { name: 'onRequest - checkCall', kind: SpanKind.INTERNAL, parent: 'request' },
    { name: 'request', kind: SpanKind.SERVER, parent: clientSpan }
  ])
  t.match(spans.find(({ name }) => name === handler)?.attributes, {
    'batch.operation': 'cancel',
    'batch.provider': 'openai',
    'batch.outcome': 'cancelling',
    'batch.attempts': 1,
    'batch.reads': 1,
    'batch.overdue': false
  })
  const calls = ['POST', 'GET'].map(method => spans.find(({ name }) => name === method)?.spanContext().spanId)
  t.strictSame(
    upstream.requests.map(({ headers }) => [headers['traceparent'], headers['tracestate']]),
    calls.map(spanId => [`00-${traceId}-${spanId}-01`, 'client=1']),
    'each request to the provider has the id of its span'
  )
})

t.test('every example is listed and tested', async t => {
  const files = (await readdir(new URL('examples/', ROOT))).filter(name => !name.endsWith('.md'))
  const readme = await read('README.md')
  const folder = new URL('test/', ROOT)
  const namesIn = async (name: string) => (await readdir(new URL(name, folder))).map(file => name + file)
  // Some need services, and some packages that only that folder has.
  const paths = [...await namesIn('examples/'), ...await namesIn('programs/'), 'sdk/examples.test.ts']
  const tests = (await Promise.all(paths.map(path => readFile(new URL(path, folder), 'utf8')))).join()
  t.strictSame(files.filter(name => !readme.includes(`examples/${name}`)), [], 'listed')
  t.strictSame(files.filter(name => !tests.includes(`'${name}'`) && !tests.includes(`'${name}: `)), [], 'tested')
})
