import t from 'tap'
import { originOf } from '../../gateway/gateway.js'
import { cancelsInFlight, COMPLETE, holdingUpstream } from './held-upstream.js'
import { ask, DOCUMENTED, listen } from './program.js'

/** Blocks the event loop without using the processor. */
const block = (ms: number) => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms) }

const turn = () => new Promise(resolve => { setImmediate(resolve) })

const OVERLOADED = {
  status: 503,
  headers: { 'retry-after': '1', 'x-request-id': /./, 'x-portkey-trace-id': /./ },
  error: { message: /^The gateway is overloaded\. /, type: 'server_error', param: null, code: 'gateway_overloaded' }
}

t.test('a saturated event loop refuses new requests, and aborts none', { timeout: 60_000 }, async t => {
  const held = await holdingUpstream(t)
  const app = await listen(t, { trustedHosts: [new URL(held.upstream.url).host] })
  const [running] = await cancelsInFlight(t, originOf(app), held, 1)
  const statusOf = async (path: string) => (await ask(originOf(app) + path)).status

  while (!app.isUnderPressure()) {
    block(1200)
    await turn()
  }
  t.match(await ask(`${originOf(app)}/v1/batches/batch_1/cancel`, { method: 'POST' }), OVERLOADED)
  for (const path of ['/docs/', '/sandbox/v1/batches', '/unknown', '/openapi.json']) {
    t.match(await ask(originOf(app) + path), OVERLOADED, path)
  }
  t.equal(await statusOf('/healthz'), 200, 'a busy process is alive')
  held.release()
  await running?.received(COMPLETE)
  t.match(running?.text(), /^HTTP\/1\.1 200 /)

  while (app.isUnderPressure()) await turn()
  t.equal(await statusOf('/docs/'), 200, 'and it recovers')
})

t.test('the sandbox serves a cancel that was accepted before the load', async t => {
  const app = await listen(t)
  let isAccepted = false
  app.isUnderPressure = () => isAccepted
  app.server.once('request', () => { isAccepted = true })
  const url = `${originOf(app)}/v1/batches/batch_abc123/cancel`
  const answer = await ask(url, { method: 'POST', headers: { 'x-portkey-provider': 'sandbox' } })
  t.equal(answer.status, 200)
  t.strictSame(JSON.parse(answer.body), DOCUMENTED)
  t.match(await ask(`${originOf(app)}/sandbox/v1/batches/batch_abc123`), OVERLOADED, 'and nobody else')
})
