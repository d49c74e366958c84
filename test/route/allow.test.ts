import t from 'tap'
import { BatchCancelError, forwardToProviders, openai, type BatchCall } from '../../lib/index.js'
import { BATCH, build, cancel } from '../support/app.js'
import { violations } from '../support/document.js'
import { startUpstream } from '../support/upstream.js'

t.test('allow sees the resolved call, before anything is sent', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const order: string[] = []
  let seen: BatchCall | undefined
  const app = await build(t, {
    forward: forwardToProviders({
      providers: {
        openai: openai({ baseUrl: upstream.url, apiKey: async () => { order.push('credential'); return 'sk-server' } }),
        groq: openai({ baseUrl: upstream.url })
      }
    }),
    allow (call) {
      order.push('allow')
      seen = call
      return call.provider === 'openai'
    }
  })
  const config = { 'x-portkey-provider': 'groq', 'x-portkey-config': '{"provider":"openai","trace_id":"t-1"}' }
  t.match(await cancel(app, { headers: config }), { statusCode: 200 })
  t.strictSame(order, ['credential', 'allow'])
  t.match(seen, {
    provider: 'openai',
    batchId: 'batch_1',
    headers: { 'x-portkey-trace-id': 't-1' },
    request: { method: 'POST' }
  })
  t.equal(upstream.requests.length, 1)

  const refused = await cancel(app, {
    headers: { 'x-portkey-provider': 'openai', 'x-portkey-config': '{"provider":"groq","api_key":"k"}' }
  })
  t.match(refused, { statusCode: 403 }, 'a header that the config overrides does not count')
  t.match(refused.json(), {
    error: { code: 'call_not_allowed', message: 'The server does not allow this call.' },
    provider: 'groq'
  })
  t.strictSame(violations(refused), [])
  t.equal(upstream.requests.length, 1, 'nothing was sent')
})

t.test('what allow returns or throws', async t => {
  const error = (properties: object) => Object.assign(new Error('Not your batch'), properties)
  for (const { what, allow, status, expected } of [
    { what: 'nothing', allow: () => undefined, status: 200, expected: {} },
    { what: 'a promise of true', allow: async () => true, status: 200, expected: {} },
    { what: 'a promise of false', allow: async () => false, status: 403, expected: { code: 'call_not_allowed' } },
    { what: 'an error', allow: () => { throw error({}) }, status: 403, expected: { code: 'call_not_allowed' } },
    {
      what: 'a rejection',
      allow: async () => { throw error({}) },
      status: 403,
      expected: { code: 'call_not_allowed' }
    },
    {
      what: 'a value that is not an error',
      allow: () => Promise.reject(new Map()),
      status: 403,
      expected: { code: 'call_not_allowed' }
    },
    {
      what: 'a 404',
      allow: () => { throw error({ statusCode: 404, code: 'NOT_FOUND' }) },
      status: 404,
      expected: { code: 'NOT_FOUND', message: 'Not your batch' }
    },
    {
      what: 'a failing database',
      allow: () => { throw error({ statusCode: 503 }) },
      status: 403,
      expected: { code: 'call_not_allowed' }
    },
    {
      what: 'an error of this package',
      allow: () => { throw new BatchCancelError('missing_credentials', 'No key.') },
      status: 401,
      expected: { code: 'missing_credentials', message: 'No key.' }
    }
  ]) {
    let calls = 0
    const app = await build(t, { defaultProvider: 'x', forward: async () => { calls++; return BATCH }, allow })
    const response = await cancel(app)
    t.equal(response.statusCode, status, what)
    if (status !== 200) t.match(response.json(), { error: expected }, what)
    t.equal(calls, status === 200 ? 1 : 0, what)
    t.strictSame(violations(response), [], what)
  }
})

t.test('a call that cannot be prepared in time sends nothing', async t => {
  let calls = 0
  const app = await build(t, {
    defaultProvider: 'x',
    timeout: 20,
    forward: { cancel: async () => { calls++; return BATCH }, prepare: () => new Promise(() => {}) }
  })
  const response = await cancel(app)
  t.match(response.json(), { error: { code: 'upstream_timeout', message: /Nothing was sent/ } })
  t.equal(calls, 0)
  t.strictSame(violations(response), [])
})

t.test('portkeyConfig: false refuses x-portkey-config', async t => {
  const app = await build(t, { defaultProvider: 'x', forward: async () => BATCH, portkeyConfig: false })
  t.match(await cancel(app), { statusCode: 200 })
  const response = await cancel(app, { headers: { 'x-portkey-config': '{"provider":"y"}' } })
  t.match(response.json(), { error: { code: 'invalid_header', param: 'x-portkey-config' }, provider: 'x' })
  t.strictSame(violations(response), [])
})
