import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { fastifyBatchCancel, forwardToProviders, type BatchForwarder } from '../lib/index.js'
import { createUpstream } from '../lib/providers/http-client.js'
import { BATCH, cancel } from './support/app.js'

/* What the first call would have to wait for is loaded when the app listens, and not before. */

const PROVIDER = { 'x-portkey-provider': 'any' }

async function register (t: Test, forward: BatchForwarder) {
  const log = new PassThrough()
  const app = Fastify({ logger: { level: 'error', stream: log } })
  t.teardown(() => app.close())
  await app.register(fastifyBatchCancel, { forward })
  await app.ready()
  return { app, log }
}

t.test('warm is called once, when the app listens', async t => {
  let calls = 0
  const { app } = await register(t, { cancel: async () => BATCH, warm: () => { calls++ } })
  t.equal((await cancel(app, { headers: PROVIDER })).statusCode, 200, 'a call needs no warm')
  t.equal(calls, 0)
  await app.listen({ port: 0 })
  t.equal(calls, 1)
})

t.test('a warm that fails is logged, and calls go on', async t => {
  for (const warm of [() => { throw new Error('cold') }, async () => { throw new Error('cold') }]) {
    const { app, log } = await register(t, { cancel: async () => BATCH, warm })
    const logged = once(log, 'data')
    await app.listen({ port: 0 })
    t.match(String(await logged), 'cold')
    t.equal((await cancel(app, { headers: PROVIDER })).statusCode, 200)
  }
})

t.test('the HTTP client loads undici once, at warm or with the first request', async t => {
  let loads = 0
  const upstream = createUpstream({ load: () => { loads++; return import('undici') } })
  t.teardown(() => upstream.close())
  t.equal(loads, 0)
  await upstream.warm()
  await upstream.warm()
  t.equal(loads, 1)
  t.type(forwardToProviders().warm, 'function')
})
