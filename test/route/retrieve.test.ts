import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import t from 'tap'
import batchCancel, {
  forwardToProviders, openai, ProviderError, type Batch, type FastifyBatchCancelOptions
} from '../../lib/index.js'
import { BATCH_STATUSES } from '../../schemas/index.js'
import { BATCH, batch, build, buildWithoutPauses, cancel, withClock } from '../support/app.js'
import { RETRIEVE_PATH, retrieveOperation, violationsOf, type Documented } from '../support/document.js'
import { manualClock } from '../support/manual-clock.js'
import { startUpstream } from '../support/upstream.js'

type App = Awaited<ReturnType<typeof build>>

const retrieve = (app: App, { id = 'batch_1', headers = {} }: { id?: string, headers?: Record<string, string> } = {}) =>
  app.inject({ url: `/v1/batches/${encodeURIComponent(id)}`, headers })

const violations = (response: Awaited<ReturnType<typeof retrieve>>) =>
  violationsOf(retrieveOperation as Documented, response)

const reading = (read: () => Promise<Batch>): FastifyBatchCancelOptions =>
  ({ defaultProvider: 'x', retrieve: true, forward: { cancel: async () => BATCH, retrieve: read } })

t.test('any of the eight statuses is a result', async t => {
  for (const status of BATCH_STATUSES) {
    const app = await build(t, reading(async () => batch({ status })))
    const response = await retrieve(app)
    t.match(response, {
      statusCode: 200,
      headers: { 'x-batch-source': 'retrieved', 'x-portkey-provider': 'x' }
    }, status)
    t.equal(response.headers['x-portkey-retry-attempt-count'], undefined, 'no cancel was sent')
    t.strictSame(response.json(), batch({ status }))
    t.strictSame(violations(response), [], status)
  }
})

t.test('the batch is read with the credentials and checks of the cancel, byte for byte', async t => {
  const body = `{"big":12345678901234567890,${JSON.stringify(BATCH).slice(1)}`
  const upstream = await startUpstream(t, () => ({
    body,
    headers: { 'content-type': 'application/json', 'x-request-id': 'req_1' }
  }))
  const app = await build(t, {
    retrieve: true,
    forward: forwardToProviders({ providers: { openai: openai({ baseUrl: `${upstream.url}/v1` }) } })
  })
  const headers = { 'x-portkey-provider': 'openai', authorization: 'Bearer sk-1' }
  const response = await retrieve(app, { headers })
  t.equal(response.body, body)
  t.equal(response.headers['x-request-id'], 'req_1')
  t.match(upstream.requests, [
    { method: 'GET', path: '/v1/batches/batch_1', headers: { authorization: 'Bearer sk-1' } }
  ])
  for (const { request, code } of [
    { request: { headers: { authorization: 'Bearer sk-1' } }, code: 'missing_provider' },
    { request: { headers: { ...headers, 'x-portkey-provider': 'opnai' } }, code: 'unknown_provider' },
    { request: { headers, id: 'a\nb' }, code: 'invalid_batch_id' },
    { request: { headers: { 'x-portkey-provider': 'openai' } }, code: 'missing_credentials' },
    { request: { headers: { ...headers, 'x-portkey-request-timeout': 'x' } }, code: 'invalid_header' }
  ]) {
    const refused = await retrieve(app, request)
    t.match(refused.json(), { error: { code } }, code)
    t.strictSame(violations(refused), [], code)
  }
  t.equal(upstream.requests.length, 1, 'nothing else was sent')
})

t.test('errors of a read do not speak of a cancel', async t => {
  const gone = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  for (const { what, error, status, expected } of [
    {
      what: 'no such batch',
      error: new ProviderError(404, { message: 'No such batch' }),
      status: 404,
      expected: { message: 'No such batch', code: 'batch_not_found' }
    },
    {
      what: 'a limit',
      error: new ProviderError(429, { message: 'Slow' }, { 'retry-after': '60' }),
      status: 429,
      expected: { message: 'Slow' }
    },
    {
      what: 'no connection',
      error: gone,
      status: 502,
      expected: { message: 'The provider could not be reached.', code: 'upstream_unreachable' }
    },
    {
      what: 'a bug',
      error: new TypeError('x'),
      status: 500,
      expected: { message: 'Internal error', code: 'internal_error' }
    }
  ]) {
    const app = await buildWithoutPauses(t, reading(async () => { throw error }))
    const response = await retrieve(app)
    t.equal(response.statusCode, status, what)
    t.match(response.json(), { error: expected, provider: 'x' }, what)
    t.strictSame(violations(response), [], what)
  }
  let reads = 0
  const flaky = await buildWithoutPauses(t, reading(async () => { if (++reads < 3) throw gone; return BATCH }))
  t.match(await retrieve(flaky), { statusCode: 200 }, 'a read is repeated')
  const silent = await build(t, { ...reading(() => new Promise(() => {})), timeout: 20 })
  const late = await retrieve(silent, { headers: { 'x-portkey-request-timeout': '5' } })
  t.match(late.json(), { error: { message: 'The provider did not respond in time.', code: 'upstream_timeout' } })
})

t.test('Prefer: wait=N waits until the batch is terminal, with the poller of a cancel', async t => {
  const clock = manualClock()
  const statuses: Array<Batch['status']> = ['in_progress', 'in_progress', 'completed']
  let reads = 0
  const options = withClock(clock, {
    defaultProvider: 'x',
    retrieve: true,
    forward: {
      cancel: async () => BATCH,
      retrieve: async () => batch({ status: statuses[Math.min(reads++, 2)] as Batch['status'] }),
      shareKey: ({ batchId }) => batchId
    }
  })
  const app = await build(t, options)
  const waiting = retrieve(app, { headers: { prefer: 'wait=30' } })
  const cancelling = cancel(app, { headers: { prefer: 'wait=30' } })
  await app.ready()
  await clock.advance(30_000)
  t.match(await waiting, { statusCode: 200, headers: { 'preference-applied': 'wait=30' } })
  t.match((await waiting).json(), { status: 'completed' })
  t.match(await cancelling, { statusCode: 409 }, 'for the cancel it is too late')
  t.equal(reads, 3, 'one read of the retrieval, two of the shared poller')
  t.strictSame(violations(await waiting), [])

  statuses.fill('in_progress')
  const short = retrieve(app, { headers: { prefer: 'wait=2' } })
  await clock.advance(2000)
  t.match(await short, { statusCode: 200, headers: { 'retry-after': '2', 'preference-applied': 'wait=2' } })
  t.match((await short).json(), { status: 'in_progress' }, 'a live status is shown as it is')
})

t.test('registration', async t => {
  const without = await build(t, { defaultProvider: 'x', forward: async () => BATCH })
  t.equal((await retrieve(without)).statusCode, 404, 'only with retrieve: true')
  await t.rejects(build(t, { retrieve: true, forward: async () => BATCH }), {
    code: 'FST_BATCH_CANCEL_INVALID_OPTION',
    message: 'options.retrieve needs a forwarder with a retrieve function.'
  })
  const order: string[] = []
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'host', version: '1' } } })
  await app.register(batchCancel, {
    ...reading(async () => BATCH),
    routeOptions: {
      onRequest: async () => { order.push('onRequest') },
      schema: {
        operationId: 'stop',
        summary: 'Stop',
        tags: ['Mine'],
        retrieve: { operationId: 'look', summary: 'Look' }
      }
    }
  })
  t.match(await retrieve(app), { statusCode: 200 })
  t.strictSame(order, ['onRequest'])
  const { paths } = JSON.parse(JSON.stringify(app.swagger()))
  t.match(paths[RETRIEVE_PATH].get, { operationId: 'look', summary: 'Look', tags: ['Mine'] })
  t.match(paths[`${RETRIEVE_PATH}/cancel`].post, { operationId: 'stop', summary: 'Stop', tags: ['Mine'] })
})
