import { EventEmitter, once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import fc from 'fast-check'
import { errorCodes, type FastifyInstance } from 'fastify'
import t from 'tap'
import { forwardToProviders, openai, type BatchCall } from '../../lib/index.js'
import { BATCH, build, buildWithoutPauses, cancel, withClock } from '../support/app.js'
import { violations } from '../support/document.js'
import { runs } from '../support/exhaustive.js'
import { manualClock } from '../support/manual-clock.js'
import { startUpstream } from '../support/upstream.js'

const key = { authorization: 'Bearer sk-client' }
const named = { 'x-portkey-provider': 'openai', ...key }

/** Sends bytes and reads the whole answer: some paths no HTTP client sends as they are. */
async function raw (app: FastifyInstance, head: string): Promise<{
  statusCode: number
  headers: Record<string, string>
  body: string
}> {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.end(`${head}\r\nhost: a\r\nconnection: close\r\n\r\n`)
  let text = ''
  socket.on('data', chunk => { text += String(chunk) })
  await once(socket, 'close')
  const [top = '', body = ''] = text.split('\r\n\r\n')
  const [status = '', ...lines] = top.split('\r\n')
  return {
    statusCode: Number(status.split(' ')[1]),
    headers: Object.fromEntries(lines.map(line => line.toLowerCase().split(': ') as [string, string])),
    body
  }
}

t.test('what is wrong with a call is reported before anything is sent', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const app = await buildWithoutPauses(t, {
    forward: forwardToProviders({
      providers: {
        openai: openai({ baseUrl: upstream.url }),
        server: openai({ baseUrl: upstream.url, apiKey: 'sk-server-key' }),
        broken: openai({ baseUrl: () => undefined }),
        'fireworks-ai': { unsupported: 'it deletes.' }
      },
      trustedHosts: ['llm.example.com']
    })
  }, { routerOptions: { maxParamLength: 1000 } })
  const cases: Array<{ what: string, request: Parameters<typeof cancel>[1], status: number, error: object }> = [
    {
      what: 'no provider',
      request: { headers: key },
      status: 400,
      error: {
        code: 'missing_provider',
        param: 'x-portkey-provider',
        message: 'Name the provider that holds the batch in the x-portkey-provider header. Available providers: ' +
          'openai, server, broken.'
      }
    },
    {
      what: 'an empty provider',
      request: { headers: { ...key, 'x-portkey-provider': '' } },
      status: 400,
      error: { code: 'missing_provider' }
    },
    {
      what: 'a virtual key in its place',
      request: { headers: { ...key, 'x-portkey-virtual-key': 'v' } },
      status: 400,
      error: { code: 'missing_provider', message: /Portkey's cloud/ }
    },
    {
      what: 'an unknown provider',
      request: { headers: { 'x-portkey-provider': 'opnai' } },
      status: 400,
      error: {
        code: 'unknown_provider',
        message: 'Unknown provider \'opnai\'. Available providers: openai, server, broken.'
      }
    },
    {
      what: 'capitals',
      request: { headers: { 'x-portkey-provider': 'OpenAI' } },
      status: 400,
      error: { code: 'unknown_provider' }
    },
    {
      what: 'a name of Object\'s',
      request: { headers: { 'x-portkey-provider': '__proto__' } },
      status: 400,
      error: { code: 'unknown_provider' }
    },
    {
      what: 'two providers',
      request: { headers: { 'x-portkey-provider': 'openai, openai' } },
      status: 400,
      error: { code: 'unknown_provider' }
    },
    {
      what: 'a slug of the cloud',
      request: { headers: { 'x-portkey-provider': '@openai-prod' } },
      status: 400,
      error: { code: 'unknown_provider', message: /^Providers that begin with @ exist only in Portkey's cloud/ }
    },
    {
      what: 'a refused provider',
      request: { headers: { 'x-portkey-provider': 'fireworks-ai' } },
      status: 400,
      error: { code: 'unsupported_provider', message: 'Cannot cancel batches of \'fireworks-ai\': it deletes.' }
    },
    {
      what: 'an empty id',
      request: { id: '', headers: named },
      status: 400,
      error: { code: 'invalid_batch_id', param: 'id' }
    },
    {
      what: 'a control character',
      request: { id: 'a\nb', headers: named },
      status: 400,
      error: { code: 'invalid_batch_id' }
    },
    {
      what: 'a control character of the second set',
      request: { id: 'a\u0085', headers: named },
      status: 400,
      error: { code: 'invalid_batch_id' }
    },
    {
      what: 'a separator of lines',
      request: { id: 'a\u2028', headers: named },
      status: 400,
      error: { code: 'invalid_batch_id' }
    },
    {
      what: 'a character beyond U+FFFF, which counts once in a document and twice in JavaScript',
      request: { id: '🙂', headers: named },
      status: 400,
      error: { code: 'invalid_batch_id' }
    },
    {
      what: 'an id of 513',
      request: { id: 'x'.repeat(513), headers: named },
      status: 400,
      error: { code: 'invalid_batch_id' }
    },
    {
      what: 'a time-out that is not a number',
      request: { headers: { ...named, 'x-portkey-request-timeout': 'abc' } },
      status: 400,
      error: { code: 'invalid_header', param: 'x-portkey-request-timeout' }
    },
    {
      what: 'a negative time-out',
      request: { headers: { ...named, 'x-portkey-request-timeout': '-5' } },
      status: 400,
      error: { code: 'invalid_header' }
    },
    {
      what: 'a virtual key',
      request: { headers: { ...named, 'x-portkey-virtual-key': 'v' } },
      status: 400,
      error: { code: 'invalid_header', param: 'x-portkey-virtual-key' }
    },
    {
      what: 'names of headers that are none',
      request: { headers: { ...named, 'x-portkey-forward-headers': 'a b' } },
      status: 400,
      error: { code: 'invalid_header', param: 'x-portkey-forward-headers' }
    },
    {
      what: 'an organization with a space',
      request: { headers: { ...named, 'x-portkey-openai-organization': 'a b' } },
      status: 400,
      error: { code: 'invalid_header', param: 'x-portkey-openai-organization' }
    },
    {
      what: 'a host that is not trusted',
      request: { headers: { ...named, 'x-portkey-custom-host': upstream.url } },
      status: 400,
      error: { code: 'invalid_header', param: 'x-portkey-custom-host' }
    },
    {
      what: 'a trusted host by http',
      request: { headers: { ...named, 'x-portkey-custom-host': 'http://llm.example.com' } },
      status: 400,
      error: { code: 'invalid_header' }
    },
    {
      what: 'userinfo',
      request: { headers: { ...named, 'x-portkey-custom-host': 'https://llm.example.com@127.0.0.1' } },
      status: 400,
      error: { code: 'invalid_header' }
    },
    {
      what: 'a query',
      request: { headers: { ...named, 'x-portkey-custom-host': 'https://llm.example.com?' } },
      status: 400,
      error: { code: 'invalid_header' }
    },
    {
      what: 'a fragment',
      request: { headers: { ...named, 'x-portkey-custom-host': 'https://llm.example.com#' } },
      status: 400,
      error: { code: 'invalid_header' }
    },
    {
      what: 'no URL',
      request: { headers: { ...named, 'x-portkey-custom-host': 'llm.example.com' } },
      status: 400,
      error: { code: 'invalid_header' }
    },
    {
      what: 'another scheme',
      request: { headers: { ...named, 'x-portkey-custom-host': 'file:///etc/passwd' } },
      status: 400,
      error: { code: 'invalid_header' }
    },
    {
      what: 'a host for the server\'s key',
      request: { headers: { 'x-portkey-provider': 'server', 'x-portkey-custom-host': 'https://llm.example.com' } },
      status: 400,
      error: { code: 'invalid_header', param: 'x-portkey-custom-host' }
    },
    {
      what: 'an account for the server\'s key',
      request: { headers: { 'x-portkey-provider': 'server', 'x-portkey-openai-project': 'p' } },
      status: 400,
      error: { code: 'invalid_header', param: 'x-portkey-openai-project' }
    },
    {
      what: 'no credential',
      request: { headers: { 'x-portkey-provider': 'openai' } },
      status: 401,
      error: { code: 'missing_credentials', param: 'authorization' }
    },
    {
      what: 'an empty credential',
      request: { headers: { ...named, authorization: 'Bearer ' } },
      status: 401,
      error: { code: 'missing_credentials' }
    },
    {
      what: 'another scheme of credentials',
      request: { headers: { ...named, authorization: 'Basic dXNlcg==' } },
      status: 401,
      error: { code: 'missing_credentials' }
    },
    {
      what: 'a base that the server does not find',
      request: { headers: { ...named, 'x-portkey-provider': 'broken' } },
      status: 500,
      error: { code: 'internal_error', message: 'Internal error' }
    },
    {
      what: 'a body over the limit',
      request: { headers: named, payload: 'x'.repeat(16 * 1024 + 1) },
      status: 413,
      error: { code: errorCodes.FST_ERR_CTP_BODY_TOO_LARGE().code }
    },
    {
      what: 'an invalid content type',
      request: { headers: { ...named, 'content-type': 'garbage' }, payload: '{}' },
      status: 415,
      error: { code: errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE().code }
    }
  ]
  for (const { what, request, status, error } of cases) {
    const response = await cancel(app, request)
    t.equal(response.statusCode, status, `${what} ${response.body}`)
    t.match(response.json(), { error }, what)
    t.strictSame(violations(response), [], what)
  }
  t.strictSame(upstream.requests, [], 'nothing left')
})

t.test('x-portkey-config', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const app = await buildWithoutPauses(t, {
    forward: forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url }) } })
  })
  const withConfig = (config: unknown, headers = {}) => cancel(app, {
    headers: { ...headers, 'x-portkey-config': typeof config === 'string' ? config : JSON.stringify(config) }
  })

  for (const [what, config] of Object.entries({
    'no JSON': '{',
    'no object': [],
    null: 'null',
    'a value that no header can have': { provider: 'openai', x: [{ toString: 1 }] },
    'a value without end': `${'['.repeat(7000)}${']'.repeat(7000)}`.replace(/^/, '{"provider":"openai","x":') + '}',
    'a config of the cloud': 'pc-abc',
    targets: { provider: 'openai', targets: [] },
    'another strategy': { provider: 'openai', strategy: { mode: 'fallback' } },
    'a strategy that is not an object': { provider: 'openai', strategy: 'single' }
  })) {
    for (const headers of [{}, named]) {
      const response = await withConfig(config, headers)
      t.match(response.json(), { error: { code: 'invalid_header', param: 'x-portkey-config' } }, what)
      t.strictSame(violations(response), [], what)
    }
  }
  t.match((await withConfig({ api_key: 'k' })).json(), { error: { code: 'missing_provider' } })
  t.match(
    (await withConfig({ provider: 'openai', request_timeout: 1.5 }, key)).json(),
    { error: { param: 'x-portkey-request-timeout' } }
  )
  t.match(
    (await withConfig({ provider: 'openai', virtual_key: 'v' }, key)).json(),
    { error: { param: 'x-portkey-virtual-key' } }
  )
  t.strictSame(upstream.requests, [], 'nothing left')

  const response = await withConfig({
    provider: 'openai',
    api_key: 'sk-config',
    openaiOrganization: 'org-2',
    forward_headers: ['x-a', 'x-b'],
    trace_id: 't-9',
    strategy: { mode: 'single' },
    retry: { attempts: 1_000_000 },
    cache: null
  },
  { 'x-portkey-provider': 'nobody', authorization: 'Bearer sk-header', 'x-a': '1', 'x-b': '2' })
  t.match(response, {
    statusCode: 200,
    headers: { 'x-portkey-trace-id': 't-9', 'x-portkey-provider': 'openai' }
  }, response.body)
  t.match(upstream.requests, [
    { headers: { authorization: 'Bearer sk-config', 'openai-organization': 'org-2', 'x-a': '1', 'x-b': '2' } }
  ])
  t.equal(upstream.requests.length, 1)
  t.equal((await withConfig({ provider: 'openai', strategy: {} }, key)).statusCode, 200, 'a strategy without a mode')
})

t.test('the first fault answers: provider, config, id, other headers, credentials', async t => {
  const app = await buildWithoutPauses(t, {})
  const faults: Array<[string, Record<string, string>, string]> = [
    ['unknown_provider', { 'x-portkey-provider': 'nobody' }, 'batch_1'],
    ['invalid_header', { 'x-portkey-config': '[]' }, 'batch_1'],
    ['invalid_batch_id', {}, 'a\u0001'],
    ['invalid_header', { 'x-portkey-request-timeout': 'soon' }, 'batch_1'],
    ['missing_credentials', {}, 'batch_1']
  ]
  for (const [i, [code]] of faults.entries()) {
    const later = faults.slice(i)
    const headers = Object.assign({ 'x-portkey-provider': 'openai' }, ...later.map(([, headers]) => headers))
    const id = later.find(([code]) => code === 'invalid_batch_id')?.[2] ?? 'batch_1'
    const response = await cancel(app, { id, headers })
    t.match(response.json(), { error: { code } }, `${code} before ${later.slice(1).map(([code]) => code).join()}`)
    t.strictSame(violations(response), [])
  }
})

t.test('what goes upstream', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const app = await buildWithoutPauses(t, {
    forward: forwardToProviders({
      providers: {
        openai: openai({ baseUrl: `${upstream.url}/own` }),
        server: openai({ baseUrl: upstream.url, apiKey: 'sk-server-key' })
      },
      trustedHosts: [upstream.url]
    })
  })
  const sent = async (headers: Record<string, string>) => {
    t.equal((await cancel(app, { headers: { ...named, ...headers }, payload: { any: 'body' } })).statusCode, 200)
    return upstream.requests.at(-1)
  }
  for (const authorization of [
    'Bearer sk-1',
    'bearer sk-1',
    'BEARER   sk-1',
    'sk-1',
    ' sk-1 '
  ]) t.match(await sent({ authorization }), { headers: { authorization: 'Bearer sk-1' } }, authorization)
  t.match(
    await sent({ 'x-portkey-custom-host': `${upstream.url}/custom/v1/` }),
    { path: '/custom/v1/batches/batch_1/cancel', headers: { authorization: 'Bearer sk-client' } }
  )
  t.match(
    await sent({ 'x-portkey-provider': 'server' }),
    { path: '/batches/batch_1/cancel', headers: { authorization: 'Bearer sk-server-key' } },
    'the server\'s key wins'
  )
  t.match(await sent({ 'x-portkey-openai-beta': 'a', 'openai-beta': 'b' }), { headers: { 'openai-beta': 'a' } })

  const forwarded = await sent({
    'x-portkey-forward-headers': 'X-Tenant, x-missing,authorization,cookie,host,content-type,content-length,connection,transfer-encoding,te,proxy-authorization,x-portkey-provider,user-agent,accept,openai-organization,accept-encoding',
    'x-tenant': 't',
    cookie: 'secret',
    'proxy-authorization': 'secret',
    'user-agent': 'mine/1',
    te: 'trailers',
    'openai-organization': 'org-other'
  })
  t.match(forwarded, {
    body: '',
    headers: {
      'x-tenant': 't',
      authorization: 'Bearer sk-client',
      'user-agent': 'fastify-batch-cancel',
      'accept-encoding': 'identity',
      cookie: undefined,
      'proxy-authorization': undefined,
      te: undefined,
      'x-portkey-provider': undefined,
      'content-type': undefined,
      'content-length': '0',
      'openai-organization': undefined
    }
  })
})

t.test('every body and content type is let in and ignored', async t => {
  const app = await buildWithoutPauses(t, { defaultProvider: 'x', forward: async () => BATCH })
  for (const { type, payload } of [
    { type: 'application/json', payload: '' }, { type: 'application/json', payload: '{}' }, {
      type: 'application/json',
      payload: '{"broken'
    }, {
      type: 'application/json',
      payload: '{"__proto__":1}'
    },
    {
      type: 'application/x-www-form-urlencoded',
      payload: 'a=b'
    }, { type: 'text/plain', payload: 'hello' }, {
      type: 'multipart/form-data; boundary=x',
      payload: '--x--'
    }, { type: 'application/octet-stream', payload: '\0' }
  ]) {
    t.equal(
      (await cancel(app, { headers: { 'content-type': type as string }, payload: payload as string })).statusCode,
      200,
    `${type} ${payload}`
    )
  }
  t.equal((await cancel(app)).statusCode, 200)
})

t.test('the client\'s own time limit ends its response, not the cancel', async t => {
  const clock = manualClock()
  const calls = new EventEmitter<{ call: [BatchCall, () => void] }>()
  const app = await build(t, withClock(clock, {
    defaultProvider: 'x',
    timeout: 60,
    forward: call => new Promise(resolve => { calls.emit('call', call, () => resolve(BATCH)) })
  }))
  /** Starts a cancel, and resolves once the forwarder has it. */
  async function startCancel (headers: Record<string, string>) {
    const [[call, finish], response] = await Promise.all([once(calls, 'call'), { promise: cancel(app, { headers }) }])
    return { call: call as BatchCall, finish: finish as () => void, response: response.promise }
  }

  const { call, response } = await startCancel({ 'x-portkey-request-timeout': '10' })
  const { signal } = call
  await clock.advance(10)
  const late = await response
  t.match(late.json(), { error: { code: 'upstream_timeout' } })
  t.strictSame(violations(late), [])
  t.equal(signal.aborted, false, 'the work goes on')
  await clock.advance(50)
  t.equal(signal.aborted, true)
  t.match(signal.reason, { name: 'AbortError' }, 'and ends with the operation\'s own time')

  const withoutLimit = await startCancel({})
  await clock.advance(60)
  t.equal((await withoutLimit.response).statusCode, 504)
  t.equal(withoutLimit.call.signal.aborted, true, 'a signal that is asked for late has ended already')

  const patient = await startCancel({ 'x-portkey-request-timeout': '0' })
  await clock.advance(20)
  patient.finish()
  t.equal((await patient.response).statusCode, 200, '0 is no limit')
})

t.test('a client that repeats calls by itself gets one cancel each', async t => {
  const upstream = await startUpstream(t, () => ({ status: 503 }))
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'openai',
    forward: forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url }) } })
  })
  for (const { headers, cancels } of [
    { headers: {}, cancels: 3 },
    { headers: { 'x-stainless-retry-count': '0' }, cancels: 1 },
    { headers: { 'x-stainless-retry-count': '2' }, cancels: 1 },
    { headers: { 'x-stainless-retry-count': 'many' }, cancels: 3 },
    { headers: { 'x-stainless-retry-count': '0', 'x-portkey-package-version': 'portkey-3.1.0' }, cancels: 3 }
  ] as Array<{ headers: Record<string, string>, cancels: number }>) {
    upstream.requests.length = 0
    const response = await cancel(app, { headers: { ...key, ...headers } })
    t.match(response, { statusCode: 503, headers: { 'x-portkey-retry-attempt-count': String(cancels - 1) } })
    t.equal(upstream.requests.filter(({ method }) => method === 'POST').length, cancels, JSON.stringify(headers))
  }
})

t.test('a trace id is echoed when it is one', async t => {
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'x',
    forward: async () => BATCH
  }, { genReqId: () => 'req-7' })
  for (const { sent, echoed } of [
    { sent: 't-1', echoed: 't-1' },
    { sent: 'x'.repeat(128), echoed: 'x'.repeat(128) },
    { sent: 'x'.repeat(129), echoed: 'req-7' },
    { sent: 'a b', echoed: 'req-7' },
    { sent: 'ü', echoed: 'req-7' },
    { sent: '', echoed: 'req-7' },
    { sent: undefined, echoed: 'req-7' }
  ]) {
    t.match(
      await cancel(app, { headers: { ...sent !== undefined && { 'x-portkey-trace-id': sent } } }),
      { headers: { 'x-portkey-trace-id': echoed, 'x-request-id': 'req-7' } },
      String(sent)
    )
  }
})

t.test('paths that no HTTP client sends as they are', async t => {
  let asked = 0
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'x',
    forward: async ({ batchId }) => { asked++; return { ...BATCH, id: batchId } }
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  for (const path of [
    '/v1/batches/../cancel',
    '/v1/batches/./cancel',
    '/v1/batches/%2e%2E/cancel',
    '/v1/batches/%2e/cancel',
    '/v1/batches//cancel',
    '/v1/batches/a%00b/cancel',
    '/v1/batches/%0d%0a/cancel'
  ]) {
    const response = await raw(app, `POST ${path} HTTP/1.1`)
    t.match(JSON.parse(response.body), { error: { code: 'invalid_batch_id' } }, path)
    t.strictSame(violations(response), [], path)
  }
  t.equal(asked, 0)
  t.match(
    JSON.parse((await raw(app, 'POST /v1/batches/v1%2Fa%3Fb/cancel?x=/v1/foo HTTP/1.1')).body),
    { id: 'v1/a?b' },
    'a query changes nothing'
  )
})

t.test('no request gets an answer outside the document', async t => {
  const upstream = await startUpstream(t, ({ path }) => ({
    body: { ...BATCH, id: decodeURIComponent(path.split('/')[2] as string) }
  }))
  const trap = await startUpstream(t)
  const app = await buildWithoutPauses(t, {
    forward: forwardToProviders({
      providers: {
        openai: openai({ baseUrl: upstream.url }),
        server: openai({ baseUrl: upstream.url, apiKey: 'sk-server' })
      },
      trustedHosts: ['127.0.0.1:9']
    }),
    timeout: 2000
  }, { routerOptions: { maxParamLength: 5000 } })
  const value = fc.oneof(
    fc.string({ unit: 'grapheme-ascii' }),
    fc.constantFrom(
      '',
      '0',
      '-1',
      'null',
      '{}',
      '[]',
      trap.url,
      `${trap.url}@x`,
      'Bearer a',
      'Bearer',
      '../..',
      '\u00ff'
    ),
    fc.json()
  )
    .map(text => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, ''))
  const names = [
    'authorization',
    'x-portkey-provider',
    'x-portkey-config',
    'x-portkey-custom-host',
    'x-portkey-request-timeout',
    'x-portkey-trace-id',
    'x-portkey-forward-headers',
    'x-portkey-openai-organization',
    'x-portkey-openai-beta',
    'openai-beta',
    'x-stainless-retry-count',
    'content-type',
    'x-portkey-virtual-key',
    'x-other'
  ]
  const request = fc.record({
    id: fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.constantFrom('batch_1', '..', '.', '', 'a/b')),
    headers: fc.tuple(
      fc.constantFrom<Record<string, string>>(
        {},
        named,
        { 'x-portkey-provider': 'openai' },
        { 'x-portkey-provider': 'server' }
      ),
      fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 5 })
    ).map(([first, second]) => ({ ...first, ...second })),
    payload: fc.option(fc.string(), { nil: undefined })
  })
  const examples = [{ 'x-portkey-provider': 'server' }, { 'x-portkey-provider': 'openai' }, {}]
    .map(headers => [{ id: 'batch_1', headers, payload: undefined }] satisfies [unknown])
  const seen = new Set<number>()
  await fc.assert(fc.asyncProperty(request, async ({ id, headers, payload }) => {
    // light-my-request normalises these paths away, as every HTTP client does.
    fc.pre(id !== '.' && id !== '..')
    const response = await cancel(app, { id, headers, ...payload !== undefined && { payload } })
    seen.add(response.statusCode)
    const found = violations(response)
    if (found.length > 0 || response.statusCode === 500) throw new Error(`${response.statusCode} ${found.join()}`)
  }), { ...runs({ usual: 300, exhaustive: 3000 }), examples })
  t.ok([200, 400, 401].every(status => seen.has(status)), `statuses seen: ${[...seen].join()}`)
  t.strictSame(trap.requests, [], 'nobody was contacted but the provider')
})
