import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import createError from '@fastify/error'
import OpenAI from 'openai'
import t from 'tap'
import {
  BatchCancelError,
  forwardToProviders,
  openai,
  ProviderError,
  type Batch,
  type BatchCall,
  type BatchForwarder
} from '../../lib/index.js'
import { createCall, endCall, onCallEnd } from '../../lib/forwarder/lifetime.js'
import { BATCH, batch, buildWithoutPauses, cancel } from '../support/app.js'
import { violations } from '../support/document.js'
import { startUpstream, type Upstream } from '../support/upstream.js'

t.test('the official SDK as the forwarder', async t => {
  const upstream = await startUpstream(t)
  const sdk = new OpenAI({ apiKey: 'sk-server', baseURL: `${upstream.url}/v1`, maxRetries: 0 })
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'openai',
    forward: {
      cancel: ({ batchId, signal }) => sdk.batches.cancel(batchId, { signal }),
      retrieve: ({ batchId, signal }) => sdk.batches.retrieve(batchId, { signal })
    }
  })
  const failure = (status: number, error: object, headers = {}): Upstream['answer'] =>
    () => ({ status, headers, body: { error } })
  const words = { message: 'Slow down.', type: 'requests', param: null, code: 'rate_limit_exceeded' }
  const cases: Array<[string, Upstream['answer'], object, object]> = [
    ['a cancel', () => ({ body: BATCH }), { statusCode: 200, headers: { 'x-batch-source': 'provider' } }, BATCH],
    ['a limit', failure(429, words, {
      'retry-after': '3',
      'retry-after-ms': '2900',
      'x-should-retry': 'true',
      'x-ratelimit-remaining-requests': '0',
      'x-request-id': 'req_7',
      'set-cookie': 'a=b'
    }),
    {
      statusCode: 429,
      headers: {
        'retry-after': '3',
        'retry-after-ms': '2900',
        'x-should-retry': 'true',
        'x-ratelimit-remaining-requests': '0',
        'x-request-id': 'req_7',
        'set-cookie': undefined
      }
    }, { error: words, provider: 'openai' }],
    [
      'a wrong key',
      failure(401, {
        message: 'Incorrect API key provided.',
        type: 'invalid_request_error',
        param: null,
        code: 'invalid_api_key'
      }),
      { statusCode: 401 },
      { error: { code: 'invalid_api_key', type: 'invalid_request_error' } }
    ],
    [
      'no such batch',
      failure(404, {
        message: 'No batch found with id \'batch_1\'.',
        type: 'invalid_request_error',
        param: null,
        code: null
      }),
      { statusCode: 404 },
      { error: { message: 'No batch found with id \'batch_1\'.', code: 'batch_not_found' } }
    ],
    ['a state that the batch settles', ({ method }) => method === 'GET'
      ? { body: batch({ status: 'completed', output_file_id: 'file-2' }) }
      : { status: 409, body: { error: { message: 'Cannot' } } },
    { statusCode: 409, headers: { 'x-should-retry': 'false' } }, {
      error: { message: 'Cannot cancel a batch with status \'completed\'.', code: 'batch_not_cancellable' },
      batch: { output_file_id: 'file-2' }
    }],
    ['a page', () => ({ status: 502, body: '<html>' }), { statusCode: 502 }, { error: { code: 'upstream_error' } }],
    [
      'a closed connection',
      (_request, response) => { response.destroy() },
      { statusCode: 502 },
      { error: { code: 'upstream_unreachable', type: 'server_error' } }
    ]
  ]
  for (const [what, answer, head, body] of cases) {
    upstream.answer = answer
    const response = await cancel(app)
    t.match(response, head, what)
    t.match(response.json(), body, what)
    t.strictSame(violations(response), [], what)
  }
  t.match(upstream.requests[0], {
    method: 'POST',
    path: '/v1/batches/batch_1/cancel',
    headers: { authorization: 'Bearer sk-server' }
  })
})

t.test('the SDK\'s call ends with the operation\'s time', async t => {
  const upstream = await startUpstream(t, () => {})
  const sdk = new OpenAI({ apiKey: 'sk', baseURL: upstream.url, maxRetries: 0 })
  let signal: AbortSignal | undefined
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'openai',
    timeout: 30,
    forward: async call => { signal = call.signal; return await sdk.batches.cancel(call.batchId, { signal }) }
  })
  const response = await cancel(app)
  t.match(response, { statusCode: 504 })
  t.match(response.json(), { error: { code: 'upstream_timeout' } })
  t.strictSame(violations(response), [])
  t.equal(signal?.aborted, true)
})

t.test('many tenants: the server\'s keys, and an ownership check', async t => {
  const upstream = await startUpstream(t, ({ path }) => ({ body: batch({ id: path.split('/')[3] as string }) }))
  const tenants: Record<string, { key: string, batches: string[] }> = {
    ann: { key: 'sk-ann', batches: ['batch_a'] },
    bob: { key: 'sk-bob', batches: ['batch_b'] }
  }
  const tenantOf = ({ request }: BatchCall) => tenants[String(request?.headers['x-tenant'])]
  const NotYours = createError('NOT_YOURS', 'Batch %s is not yours', 403)
  const carrier = forwardToProviders({
    providers: { openai: openai({ baseUrl: `${upstream.url}/v1`, apiKey: async call => tenantOf(call)?.key }) }
  })
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'openai',
    forward: {
      ...carrier,
      async cancel (call) {
        if (tenantOf(call)?.batches.includes(call.batchId) === false) throw new NotYours(call.batchId)
        return await carrier.cancel(call)
      }
    }
  })
  const own = await cancel(app, { id: 'batch_a', headers: { 'x-tenant': 'ann', authorization: 'Bearer of-the-app' } })
  t.match(own.json(), { id: 'batch_a' })
  const other = await cancel(app, { id: 'batch_b', headers: { 'x-tenant': 'ann' } })
  t.match(other, { statusCode: 403 })
  t.match(other.json(), { error: { message: 'Batch batch_b is not yours', code: 'NOT_YOURS' } })
  const nobody = await cancel(app, {
    id: 'batch_b',
    headers: { 'x-tenant': 'eve', authorization: 'Bearer of-the-app' }
  })
  t.match(nobody.json(), { error: { code: 'missing_credentials' } })
  t.strictSame(
    upstream.requests.map(({ headers }) => headers.authorization),
    ['Bearer sk-ann'],
    'nothing but the owner\'s cancel left'
  )
  t.strictSame([own, other, nobody].flatMap(violations), [])
})

t.test('a database that accepts and returns no batch', async t => {
  const rows = new Map([['batch_1', batch({ status: 'in_progress' })]])
  const forwarder: BatchForwarder = {
    async cancel ({ batchId }) { rows.set(batchId, batch({ status: 'cancelling', cancelling_at: 5 })); return null },
    async retrieve ({ batchId }) { return rows.get(batchId) as Batch }
  }
  const shown = await cancel(await buildWithoutPauses(t, { defaultProvider: 'db', forward: forwarder }))
  t.match(shown, { statusCode: 200, headers: { 'x-batch-source': 'retrieved' } })
  t.strictSame(shown.json(), batch({ status: 'cancelling', cancelling_at: 5 }))

  const blind = await cancel(await buildWithoutPauses(t, { defaultProvider: 'db', forward: async () => null }))
  t.match(blind, { statusCode: 200, headers: { 'x-batch-source': 'assumed' } })
  t.match(blind.json(), {
    id: 'batch_1',
    status: 'cancelling',
    endpoint: '',
    created_at: 0,
    output_file_id: null,
    cancelling_at: null
  })
  t.strictSame([shown, blind].flatMap(violations), [])
})

t.test('whatever a forwarder returns, the response satisfies the document', async t => {
  const headers = {
    'x-request-id': 'req_9',
    'x-ratelimit-limit': '5',
    'retry-after': 'a\nb',
    'x-amzn-requestid': 'other'
  }
  const good: Array<{ what: string, value: unknown, expected: object }> = [
    {
      what: 'a batch with headers',
      value: { batch: BATCH, headers },
      expected: { 'x-request-id': 'req_9', 'x-ratelimit-limit': '5', 'retry-after': undefined }
    },
    {
      what: 'Headers',
      value: { batch: BATCH, headers: new Headers({ 'Request-Id': 'req_8', connection: 'close' }) },
      expected: { 'x-request-id': 'req_8' }
    },
    { what: 'no headers', value: { batch: BATCH, headers: null }, expected: {} },
    {
      what: 'accepted with headers',
      value: { batch: null, headers },
      expected: { 'x-batch-source': 'assumed', 'x-request-id': 'req_9' }
    },
    {
      what: 'a batch with a field named batch',
      value: { ...BATCH, batch: 1 },
      expected: { 'x-batch-source': 'provider' }
    }
  ]
  for (const { what, value, expected } of good) {
    const response = await cancel(await buildWithoutPauses(t, {
      defaultProvider: 'x',
      forward: async () => value as Batch
    }))
    t.match(response, { statusCode: 200, headers: expected }, what)
    t.strictSame(violations(response), [], what)
  }
  for (const value of [
    undefined,
    5,
    'cancelling',
    [],
    {},
    { status: 'success', object: 'batch', id: 'b' },
    { batch: {} },
    { batch: undefined },
    batch({ created_at: '1' as never }),
    batch({ id: '' }),
    batch({ id: 'batch_2' }),
    { batch: batch({ id: 'batch_2' }), headers },
    { ...BATCH, big: 1n }
  ]) {
    const response = await cancel(await buildWithoutPauses(t, {
      defaultProvider: 'x',
      forward: async () => value as Batch
    }))
    t.match(response.json(), {
      error: {
        message: 'Internal error, so it is not known whether the batch was cancelled. It is safe to repeat the call.',
        type: 'server_error',
        code: 'internal_error'
      },
      provider: 'x'
    }, inspect(value))
    t.equal(response.statusCode, 500)
    t.strictSame(violations(response), [])
  }
})

t.test('whatever a forwarder throws, the response satisfies the document', async t => {
  const error = (properties: object, message = 'Words') => Object.assign(new Error(message), properties)
  class APIConnectionError extends Error {}
  const cases: Array<[string, unknown, number, object]> = [
    ['status', error({ status: 403 }), 403, { message: 'Words', code: null, type: 'invalid_request_error' }],
    ['statusCode', error({ statusCode: 418, code: 'TEAPOT' }), 418, { message: 'Words', code: 'TEAPOT' }],
    ['$metadata', error({ $metadata: { httpStatusCode: 404 } }), 404, { code: 'batch_not_found' }],
    [
      'the words of an error object',
      error({ status: 403, error: { message: 'No.', type: 'permission', param: 'id', code: 'denied' } }),
      403,
      { message: 'No.', type: 'permission', param: 'id', code: 'denied' }
    ],
    [
      'the words of an error in an error',
      error({ status: 403, error: { type: 'error', error: { type: 'permission_error', message: 'No.' } } }),
      403,
      { message: 'No.', type: 'permission_error' }
    ],
    ['a string for an error', error({ status: 403, error: { error: 'No.' } }), 403, { message: 'No.' }],
    ['an object that is no Error', { status: 403 }, 403, { message: 'The forwarder gave no reason.' }],
    ['a 5xx', error({ status: 500 }), 500, { message: 'Words', code: 'upstream_error', type: 'server_error' }],
    ['a status of a success', error({ status: 200 }), 500, { message: 'Internal error', code: 'internal_error' }],
    ['a status out of range', error({ status: 999, statusCode: 403 }), 403, {}],
    ['headers that are none', error({ status: 403, headers: 'x' }), 403, {}],
    ['a reset', error({ code: 'ECONNRESET' }), 502, { code: 'upstream_unreachable' }],
    [
      'a cause',
      new TypeError('fetch failed', { cause: error({ code: 'UND_ERR_SOCKET' }) }),
      502,
      { code: 'upstream_unreachable' }
    ],
    ['an abort', new DOMException('gone', 'AbortError'), 502, { code: 'upstream_unreachable' }],
    ['a class of an SDK', new APIConnectionError('Connection error.'), 502, { code: 'upstream_unreachable' }],
    ['a time-out', new DOMException('late', 'TimeoutError'), 504, { code: 'upstream_timeout' }],
    ['a time-out of undici', error({ code: 'UND_ERR_HEADERS_TIMEOUT' }), 504, { code: 'upstream_timeout' }],
    ['a time-out of axios', error({ code: 'ETIMEDOUT' }), 502, { code: 'upstream_unreachable' }],
    ['an abort of axios', error({ code: 'ERR_CANCELED' }), 502, { code: 'upstream_unreachable' }],
    ['no response of got', error({ code: 'ERR_READING_RESPONSE_STREAM' }), 502, { code: 'upstream_unreachable' }],
    ['too many redirects', error({ code: 'ERR_FR_TOO_MANY_REDIRECTS' }), 502, { code: 'upstream_unreachable' }],
    ['a page in place of JSON', new SyntaxError('Unexpected token <'), 502, { code: 'upstream_invalid_response' }],
    ['a mistake in an argument', error({ code: 'UND_ERR_INVALID_ARG' }), 500, { code: 'internal_error' }],
    ['a bug', new TypeError('x is not a function'), 500, { message: 'Internal error', code: 'internal_error' }],
    ['nothing', undefined, 500, { code: 'internal_error' }],
    ['a string', 'no', 500, { code: 'internal_error' }],
    ['a list', [1], 500, { code: 'internal_error' }],
    [
      'our own',
      new BatchCancelError('missing_credentials', 'No key.'),
      401,
      { message: 'No key.', code: 'missing_credentials' }
    ],
    [
      'a provider\'s',
      new ProviderError(429, { message: 'Slow.' }, { 'retry-after': '2' }),
      429,
      { message: 'Slow.', code: null }
    ]
  ]
  for (const [what, thrown, status, expected] of cases) {
    const app = await buildWithoutPauses(t, { defaultProvider: 'x', forward: async () => { throw thrown } })
    const response = await cancel(app)
    t.equal(response.statusCode, status, what)
    t.match(response.json(), { error: expected, provider: 'x' }, what)
    t.strictSame(violations(response), [], what)
  }
  let endless = new Error('deep')
  for (let i = 0; i < 10; i++) endless = new Error('deep', { cause: endless })
  t.equal(
    (await cancel(await buildWithoutPauses(t, {
      defaultProvider: 'x',
      forward: async () => { throw endless }
    }))).statusCode,
    500,
    'a cause without end'
  )
})

t.test('a server credential that is not a credential is never sent', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  for (const found of [null, undefined, false, 123, '', 'a b'] as never[]) {
    const app = await buildWithoutPauses(t, {
      defaultProvider: 'openai',
      forward: forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url, apiKey: () => found }) } })
    })
    t.match((await cancel(app)).json(), { error: { code: 'missing_credentials' } }, String(found))
  }
  t.strictSame(upstream.requests, [])
})

t.test('a name that no header can have is not a provider', async t => {
  let asked = 0
  const app = await buildWithoutPauses(t, { forward: async () => { asked++; return BATCH } })
  for (const provider of ['a\nb', '\u4e2d', 'a b', 'x'.repeat(129)]) {
    const response = await cancel(app, {
      headers: {
        'x-portkey-config': JSON.stringify({ provider }).replace(/[^ -~]/g, c => `\\u${c.charCodeAt(0).toString(16)}`)
      }
    })
    t.match(response.json(), { error: { code: 'unknown_provider' } }, provider)
    t.strictSame(violations(response), [])
  }
  t.equal(asked, 0)
})

t.test('a call that was made by hand ends with its signal', async t => {
  let held = (_response: ServerResponse) => {}
  const stalled = new Promise<ServerResponse>(resolve => { held = resolve })
  const upstream = await startUpstream(t, (_request, response) => held(response))
  const carrier = forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url, apiKey: 'sk-server' }) } })
  const aborter = new AbortController()
  const cancelling = carrier.cancel({
    batchId: 'batch_1',
    provider: 'openai',
    headers: {},
    request: undefined,
    signal: aborter.signal
  })
  const response = await stalled
  aborter.abort()
  await t.rejects(cancelling, { name: 'AbortError' })
  if (!response.destroyed) await once(response, 'close')
  t.pass('the connection is closed')
})

t.test('a call that is over is over for every listener', async t => {
  const call = createCall({ batchId: 'batch_1', provider: 'x', headers: {}, request: undefined })
  const copy = { ...call }
  const heard: string[] = []
  onCallEnd(call, () => { heard.push('early') })
  const unregister = onCallEnd(call, () => { heard.push('unregistered') })
  unregister()
  const { signal } = call
  t.equal(signal.aborted, false)
  t.equal(copy.signal, signal, 'a copy has the same signal')
  endCall(call)
  endCall(call)
  onCallEnd(call, () => { heard.push('late') })()
  onCallEnd({ ...call }, () => { heard.push('late, of a copy') })()
  t.strictSame(heard, ['early', 'late', 'late, of a copy'])
  t.equal(signal.aborted, true)
  t.equal(call.signal, signal)

  const never = createCall(call)
  endCall(never)
  t.equal(never.signal.aborted, true, 'a signal that is first asked for after the end')
})

t.test('a retrieve that returns null is a bug, and resolves nothing', async t => {
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'x',
    forward: { cancel: async () => null, retrieve: async () => null as never }
  })
  t.match(await cancel(app), { statusCode: 200, headers: { 'x-batch-source': 'assumed' } })
})

t.test('a part of a batch of forwardToProviders is not taken for a batch', async t => {
  const upstream = await startUpstream(t, () => ({ body: { id: 'batch_1', object: 'batch', status: 'cancelling' } }))
  const providers = forwardToProviders({
    providers: { openai: openai({ baseUrl: upstream.url, apiKey: 'sk-server' }) }
  })
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'openai',
    forward: async call => {
      const result = await providers.cancel(call) as { batch: Batch }
      return result.batch.provider_batch as Batch
    }
  })
  const response = await cancel(app)
  t.match(response.json(), { error: { code: 'internal_error' } })
  t.strictSame(violations(response), [])
})

t.test('a change to a batch of forwardToProviders is sent if it is a copy, and throws if it is not', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const providers = forwardToProviders({
    providers: { openai: openai({ baseUrl: upstream.url, apiKey: 'sk-server' }) }
  })
  const through = (change: (batch: Batch) => Batch) => buildWithoutPauses(t, {
    defaultProvider: 'openai',
    forward: async call => {
      const result = await providers.cancel(call) as { batch: Batch }
      return { ...result, batch: change(result.batch) }
    }
  })
  t.match((await cancel(await through(same => same))).body, JSON.stringify(BATCH), 'unchanged: byte for byte')
  const copied = await cancel(await through(batch => ({ ...batch, metadata: { team: 'a' } })))
  t.match(copied.json(), { metadata: { team: 'a' } })
  const mutated = await cancel(await through(batch => Object.assign(batch, { metadata: { team: 'a' } })))
  t.match(mutated.json(), { error: { code: 'internal_error' } })
})

t.test('the response that HTTP clients keep on their errors counts as the provider\'s', async t => {
  const NO_BATCH = { error: { message: 'No such batch', code: 'gone' } }
  const error = (properties: object) =>
    Object.assign(new Error('Request failed: POST http://internal.example/v1/batches'), properties)
  for (const { what, thrown, expected, details } of [
    {
      what: 'axios',
      thrown: error({ status: 404, code: 'ERR_BAD_REQUEST', response: { status: 404, data: NO_BATCH, headers: { 'x-request-id': 'r' } } }),
      expected: { statusCode: 404, headers: { 'x-request-id': 'r' } },
      details: { message: 'No such batch', code: 'gone' }
    },
    {
      what: 'got',
      thrown: error({ code: 'ERR_NON_2XX_3XX_RESPONSE', response: { statusCode: 404, body: JSON.stringify(NO_BATCH) } }),
      expected: { statusCode: 404 },
      details: { message: 'No such batch', code: 'gone' }
    },
    {
      what: 'ky 1',
      thrown: error({ response: new Response(JSON.stringify(NO_BATCH), { status: 404, headers: { 'x-request-id': 'r' } }) }),
      expected: { statusCode: 404, headers: { 'x-request-id': 'r' } },
      details: { message: 'The provider responded with status 404.', code: 'batch_not_found' }
    },
    {
      what: 'ky 2',
      thrown: error({ data: NO_BATCH, response: new Response('', { status: 404 }) }),
      expected: { statusCode: 404 },
      details: { message: 'No such batch', code: 'gone' }
    },
    {
      what: 'a text',
      thrown: error({ response: { status: 403, data: 'Forbidden' } }),
      expected: { statusCode: 403 },
      details: { message: 'Forbidden', code: null }
    },
    {
      what: 'a page',
      thrown: error({ code: 'ERR_BAD_REQUEST', response: { status: 403, data: '<html>' } }),
      expected: { statusCode: 403 },
      details: { message: 'The provider responded with status 403.', code: null }
    },
    {
      what: 'a response without a status',
      thrown: error({ response: {} }),
      expected: { statusCode: 500 },
      details: { message: 'Internal error' }
    }
  ]) {
    const app = await buildWithoutPauses(t, { defaultProvider: 'x', forward: async () => { throw thrown } })
    const response = await cancel(app)
    t.match(response, expected, what)
    t.strictSame(violations(response), [], what)
    t.match(response.json(), { error: details }, what)
    t.notMatch(response.body, 'internal.example', what)
  }
})

t.test('an error of the configuration never reaches the client, the log has it', async t => {
  const lines: string[] = []
  const logger = { level: 'info', stream: { write: (line: string) => { lines.push(line) } } }
  const misconfigured = () => openai({ apiKey: 'Bearer sk-server' }) as never
  for (const { what, forward } of [
    { what: 'cancel', forward: async () => misconfigured() },
    { what: 'prepare', forward: { cancel: async () => BATCH, prepare: misconfigured } }
  ]) {
    const app = await buildWithoutPauses(t, { defaultProvider: 'x', forward }, { logger })
    const response = await cancel(app)
    t.equal(response.statusCode, 500, what)
    t.strictSame(response.json(), {
      error: { message: 'Internal error', type: 'server_error', param: null, code: 'internal_error' },
      provider: 'x'
    }, what)
    t.ok(lines.splice(0).some(line => line.includes('must be a function or the credential itself')), what)
  }
})

t.test('the log says what to do about the method of a client that was taken off it', async t => {
  const lines: string[] = []
  const logger = { level: 'error', stream: { write: (line: string) => { lines.push(line) } } }
  const sdk = new OpenAI({ apiKey: 'sk' })
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'openai',
    forward: { cancel: sdk.batches.cancel as never }
  }, { logger })
  t.match((await cancel(app)).json(), { error: { message: 'Internal error', code: 'internal_error' } })
  t.match(lines.map(line => JSON.parse(line)), [{
    err: { message: / called without `this`: wrap methods, as in \(\{ batchId \}\) => client\.batches\.cancel\(batchId\)\./ }
  }])
})

t.test('what prepare throws is never the provider\'s response', async t => {
  const error = Object.assign(new Error('secret kv/openai not found in the vault'), { status: 403 })
  const ours = new BatchCancelError('missing_credentials', 'No key.')
  for (const { what, prepare, status, code } of [
    { what: 'an error', prepare: () => { throw error }, status: 500, code: 'internal_error' },
    { what: 'a rejection', prepare: async () => { throw error }, status: 500, code: 'internal_error' },
    { what: 'an error of this package', prepare: () => { throw ours }, status: 401, code: 'missing_credentials' }
  ]) {
    let calls = 0
    const app = await buildWithoutPauses(t, {
      defaultProvider: 'x',
      forward: { cancel: async () => { calls++; return BATCH }, prepare }
    })
    const response = await cancel(app)
    t.equal(response.statusCode, status, what)
    t.match(response.json(), { error: { code } }, what)
    t.notMatch(response.body, 'vault', what)
    t.equal(calls, 0, what)
  }
})
