import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import batchCancel, { type BatchForwarder, type FastifyBatchCancelOptions } from '../../lib/index.js'
import { batch, BATCH, build, cancel, withClock } from '../support/app.js'
import { violations } from '../support/document.js'
import { manualClock } from '../support/manual-clock.js'

/** A forwarder that responds when the test says so. */
function held () {
  let release = () => {}
  const released = new Promise<void>(resolve => { release = resolve })
  const respond = async () => {
    await released
    return batch({ status: 'cancelling' })
  }
  const forward: BatchForwarder = { cancel: respond, retrieve: respond }
  return { forward, release: () => { release() } }
}

t.test('the response ends before Fastify ends it', async t => {
  for (const { what, options, server } of [
    { what: 'of the route', options: { routeOptions: { handlerTimeout: 150 } }, server: {} },
    { what: 'of the app', options: {}, server: { handlerTimeout: 150 } }
  ]) {
    const { forward, release } = held()
    const app = await build(t, { defaultProvider: 'x', forward, ...options }, server)
    const response = await cancel(app)
    t.equal(response.statusCode, 504, what)
    t.match(response.json(), { error: { code: 'upstream_timeout', message: /not known whether the batch/ } }, what)
    t.strictSame(violations(response), [], what)
    release()
  }
})

t.test('a wait ends with the batch as it is', async t => {
  const app = await build(t, {
    defaultProvider: 'x',
    forward: { cancel: async () => BATCH, retrieve: async () => BATCH },
    routeOptions: { handlerTimeout: 2000 }
  })
  const response = await cancel(app, { headers: { prefer: 'wait=60' } })
  t.match(response, { statusCode: 200, headers: { 'preference-applied': 'wait=1', 'retry-after': String } })
})

t.test('a response that Fastify ends all the same says that the outcome is not known', async t => {
  for (const { method, url, message } of [
    { method: 'POST', url: '/v1/batches/batch_1/cancel', message: /not known whether the batch was cancelled/ },
    { method: 'GET', url: '/v1/batches/batch_1', message: /^The provider did not respond in time\.$/ }
  ] as const) {
    const { forward, release } = held()
    const lines: string[] = []
    const logger = { level: 'info', stream: { write: (line: string) => { lines.push(line) } } }
    // The timers of the plugin never end, those of Fastify do.
    const options = withClock(manualClock(), { defaultProvider: 'x', forward, retrieve: true })
    const app = await build(t, { ...options, routeOptions: { handlerTimeout: 20 } }, { logger })
    const response = await app.inject({ method, url })
    t.equal(response.statusCode, 504, url)
    t.match(response.json(), { error: { code: 'upstream_timeout', message } }, url)
    release()
    await app.close()
    t.notMatch(lines.join(''), /refused before anything was sent|already sent/, url)
  }
})

t.test('before the call is made it is an error of the host', async t => {
  const app = await build(t, {
    defaultProvider: 'x',
    forward: async () => BATCH,
    routeOptions: { handlerTimeout: 20, preHandler: () => new Promise(() => {}) }
  })
  t.match(await cancel(app), { statusCode: 503, body: /FST_ERR_HANDLER_TIMEOUT/ })
})

t.test('a version of Fastify that does not know it', async t => {
  const { handlerTimeout: _handlerTimeout, ...initialConfig } = Fastify().initialConfig as Record<string, unknown>
  const app = Object.create(Fastify(), { initialConfig: { value: initialConfig }, version: { value: '5.0.0' } })
  const register = async (options: FastifyBatchCancelOptions) => { await batchCancel(app, options) }
  await t.rejects(register({ routeOptions: { handlerTimeout: 1000 } }), {
    code: 'FST_BATCH_CANCEL_INVALID_OPTION',
    message: 'options.routeOptions.handlerTimeout is unknown to Fastify 5.0.0: use a later version, or leave it out.'
  })
})

/** An app that listens, and a promise of the call of one of its hooks. */
async function listening (t: Test, hook: 'onTimeout' | 'onRequestAbort', server: object) {
  const { forward, release } = held()
  let called = () => {}
  const calling = new Promise<void>(resolve => { called = resolve })
  const routeOptions = { [hook]: async () => { called() } }
  const app = await build(t, { defaultProvider: 'x', forward, routeOptions }, server)
  t.teardown(release)
  await app.listen({ port: 0 })
  const { port } = app.server.address() as AddressInfo
  return { app, calling, url: `http://127.0.0.1:${port}/v1/batches/batch_1/cancel` }
}

t.test('onTimeout is called when the socket times out', async t => {
  const { calling, url } = await listening(t, 'onTimeout', { connectionTimeout: 50 })
  await t.rejects(fetch(url, { method: 'POST' }))
  await t.resolves(calling)
})

t.test('onRequestAbort is called when the client leaves', async t => {
  const { app, calling, url } = await listening(t, 'onRequestAbort', {})
  const aborter = new AbortController()
  const arrived = once(app.server, 'request')
  const response = fetch(url, { method: 'POST', signal: aborter.signal })
  await arrived
  aborter.abort()
  await t.rejects(response)
  await t.resolves(calling)
})
