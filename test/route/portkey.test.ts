import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { bedrock, cohere, forwardToProviders, openai, vertex, azureAI, azureOpenAI } from '../../lib/index.js'
import { BATCH, buildWithoutPauses, cancel } from '../support/app.js'
import { violations } from '../support/document.js'
import { startUpstream, type UpstreamResponse, type Upstream } from '../support/upstream.js'

/* The proven faults of Portkey's gateway 1.15.2 on this route, each shown to be absent. */

const ARN = 'arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij12'
const AWS = {
  'x-portkey-provider': 'bedrock',
  'x-portkey-aws-access-key-id': 'AKIDEXAMPLE',
  'x-portkey-aws-secret-access-key': 'secret-key-of-aws',
  'x-portkey-aws-region': 'us-east-1',
  'x-stainless-retry-count': '0'
}
const COHERE = { 'x-portkey-provider': 'cohere', authorization: 'Bearer k', 'x-stainless-retry-count': '0' }
const VERTEX = {
  'x-portkey-provider': 'vertex-ai',
  authorization: 'Bearer k',
  'x-portkey-vertex-project-id': 'my-project',
  'x-portkey-vertex-region': 'us-central1'
}
const OPENAI = { 'x-portkey-provider': 'openai', authorization: 'Bearer k', 'x-stainless-retry-count': '0' }
const JOB = {
  jobArn: ARN,
  modelId: 'm',
  roleArn: 'r',
  status: 'Stopping',
  submitTime: '2026-01-02T03:04:05.678Z',
  lastModifiedTime: '2026-01-02T04:04:05Z'
}

async function start (t: Test, answer: Upstream['answer'], options = {}) {
  const upstream = await startUpstream(t, answer)
  const { url: baseUrl } = upstream
  const app = await buildWithoutPauses(t, {
    forward: forwardToProviders({
      providers: {
        openai: openai({ baseUrl: `${baseUrl}/v1` }),
        bedrock: bedrock({ baseUrl }),
        cohere: cohere({ baseUrl }),
        'vertex-ai': vertex({ baseUrl: `${baseUrl}/v1` })
      }
    }),
    ...options
  }, { routerOptions: { maxParamLength: 512 } })
  return { app, upstream }
}

t.test('1. a failed cancel is no success', async t => {
  const cases: Array<{
    what: string
    headers: Record<string, string>
    id: string
    refusal: UpstreamResponse | undefined
    status: number
  }> = [
    {
      what: 'Bedrock, Message with a capital',
      headers: AWS,
      id: ARN,
      refusal: { status: 403, body: { Message: 'User is not authorized' } },
      status: 403
    },
    { what: 'Cohere, detail', headers: COHERE, id: 'b1', refusal: { status: 403, body: { detail: 'no' } }, status: 403 },
    { what: 'Cohere, a page', headers: COHERE, id: 'b1', refusal: { status: 502, body: '<html>' }, status: 502 },
    { what: 'Cohere, a closed connection', headers: COHERE, id: 'b1', refusal: undefined, status: 502 }
  ]
  for (const { what, headers, id, refusal, status } of cases) {
    const { app } = await start(t, (_request, response) => { if (refusal === undefined) response.destroy(); return refusal })
    const response = await cancel(app, { id, headers })
    t.equal(response.statusCode, status, what)
    t.notMatch(response.body, 'success', what)
    t.match(response.json(), { error: { message: String, type: String } }, what)
    t.strictSame(violations(response), [], what)
  }
})

t.test('2. what is signed for Bedrock is what is sent', async t => {
  for (const { headers, payload } of [
    { headers: { 'content-type': 'application/json' }, payload: '' },
    { headers: { 'content-type': 'application/json' }, payload: '{}' },
    { headers: {}, payload: undefined }
  ] as const) {
    const { app, upstream } = await start(t, ({ method }) => ({ body: method === 'POST' ? '' : JOB }))
    const response = await cancel(app, {
      id: ARN,
      headers: { ...AWS, ...headers },
      ...payload !== undefined && { payload }
    })
    t.equal(response.statusCode, 200)
    for (const { headers, body } of upstream.requests) {
      t.equal(
        headers['x-amz-content-sha256'],
        createHash('sha256').update(body).digest('hex')
      )
    }
    t.match(upstream.requests[0], {
      body: '',
      headers: { 'content-type': undefined, authorization: /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\// }
    })
  }
})

t.test('3. and 13. an empty answer of Bedrock is a batch, in seconds and with OpenAI\'s statuses', async t => {
  for (const { status, expected } of [
    { status: 'Stopping', expected: 'cancelling' },
    { status: 'Stopped', expected: 'cancelled' },
    { status: 'InProgress', expected: 'cancelling' }
  ]) {
    const { app } = await start(t, ({ method }) => ({ body: method === 'POST' ? '' : { ...JOB, status } }))
    const response = await cancel(app, { id: ARN, headers: AWS })
    t.match(response.json(), {
      id: ARN,
      object: 'batch',
      status: expected,
      created_at: 1767323046,
      endpoint: '',
      provider_batch: { status }
    })
    t.strictSame(violations(response), [])
  }
})

t.test('4. a query changes no id', async t => {
  const { app, upstream } = await start(t, () => ({ body: {} }))
  const vertexAnswer = await app.inject({ method: 'POST', url: '/v1/batches/123/cancel?a=b/c', headers: VERTEX })
  const cohereAnswer = await app.inject({ method: 'POST', url: '/v1/batches/c1/cancel?x=1', headers: COHERE })
  t.match([vertexAnswer.json(), cohereAnswer.json()], [{ id: '123' }, { id: 'c1' }])
  t.match(upstream.requests.filter(({ method }) => method === 'POST'), [
    { path: '/v1/projects/my-project/locations/us-central1/batchPredictionJobs/123:cancel' },
    { path: '/v2/batches/c1:cancel' }
  ])
})

t.test('5. a cancel is never spread', async t => {
  const { app, upstream } = await start(t, () => ({ body: BATCH }))
  for (const config of [
    { strategy: { mode: 'loadbalance' }, targets: [{ provider: 'openai' }, { provider: 'cohere' }] },
    { strategy: { mode: 'fallback' } },
    { strategy: 'fallback' },
    { strategy: { mode: 'conditional' }, targets: [{ name: 'a', provider: 'openai', api_key: 'k' }] },
    { targets: [{ provider: 'openai', api_key: 'k' }, { provider: 'openai', api_key: 'l' }] },
    { targets: [] },
    { targets: ['openai'] },
    { targets: { provider: 'openai' } },
    { targets: [{ strategy: { mode: 'fallback' }, targets: [{ provider: 'openai' }, { provider: 'cohere' }] }] }
  ]) {
    t.match(
      (await cancel(app, { headers: { ...OPENAI, 'x-portkey-config': JSON.stringify(config) } })).json(),
      { error: { code: 'invalid_header', param: 'x-portkey-config' } }
    )
  }
  t.strictSame(upstream.requests, [])
})

t.test('a config with a single target is that target', async t => {
  const target = { provider: 'openai', api_key: 'sk-target', openai_project: 'p' }
  const sent = { authorization: 'Bearer sk-target', 'openai-project': 'p' }
  for (const { what, config, headers } of [
    { what: 'without a strategy', config: { targets: [target] }, headers: sent },
    { what: 'single', config: { strategy: { mode: 'single' }, targets: [target] }, headers: sent },
    { what: 'fallback', config: { strategy: { mode: 'fallback' }, targets: [target] }, headers: sent },
    {
      what: 'loadbalance, within another one, beside null',
      config: { targets: [{ strategy: { mode: 'loadbalance' }, targets: [{ ...target, weight: 1, targets: null }] }] },
      headers: sent
    },
    {
      what: 'with what it inherits, and no key of the config around it',
      config: {
        provider: 'cohere',
        api_key: 'sk-outer',
        openai_organization: 'outer',
        forwardHeaders: ['x-team'],
        targets: [{ provider: 'openai' }]
      },
      headers: { authorization: 'Bearer sk', 'x-team': 'blue', 'openai-organization': undefined }
    },
    {
      what: 'its own value comes first',
      config: { forward_headers: ['x-team'], targets: [{ ...target, forwardHeaders: ['x-tenant'] }] },
      headers: { ...sent, 'x-team': undefined, 'x-tenant': 'a' }
    },
    {
      what: 'a key that JSON has and objects have not',
      config: JSON.parse('{"targets":[{"__proto__":{"targets":[]},"provider":"openai","api_key":"sk-target"}]}') as object,
      headers: { authorization: 'Bearer sk-target' }
    }
  ]) {
    const { app, upstream } = await start(t, () => ({ body: BATCH }))
    const response = await cancel(app, {
      headers: {
        authorization: 'Bearer sk',
        'x-team': 'blue',
        'x-tenant': 'a',
        'x-portkey-config': JSON.stringify(config)
      }
    })
    t.match(response, { statusCode: 200, headers: { 'x-portkey-provider': 'openai' } }, what)
    t.strictSame(violations(response), [], what)
    t.match(upstream.requests.map(request => request.headers), [headers], what)
  }
})

t.test('6. time covers the body', async t => {
  const { app } = await start(
    t,
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"id":')
    },
    { timeout: 200 }
  )
  for (const headers of [{}, { 'x-portkey-request-timeout': '50' }]) {
    const response = await cancel(app, { headers: { ...OPENAI, ...headers } })
    t.match(response.json(), { error: { code: 'upstream_timeout' } })
    t.strictSame(violations(response), [])
  }
})

t.test('7. retries and memory are bounded', async t => {
  const { app, upstream } = await start(t, () => ({ status: 503 }))
  const { 'x-stainless-retry-count': _count, ...once } = OPENAI
  t.equal((await cancel(app, {
    headers: { ...once, 'x-portkey-config': '{"retry":{"attempts":1000000}}' }
  })).statusCode, 503)
  t.equal(upstream.requests.filter(({ method }) => method === 'POST').length, 3)

  let written = 0
  const flood = await start(t, (_request, response) => {
    const chunk = Buffer.alloc(64 * 1024, 'x')
    const more = () => {
      while (!response.destroyed && written < 300 * 1024 * 1024) {
        written += chunk.length
        if (!response.write(chunk)) return
      }
    }
    response.on('drain', more)
    more()
  })
  t.match((await cancel(flood.app, { headers: OPENAI })).json(), { error: { code: 'upstream_invalid_response' } })
  t.ok(written < 64 * 1024 * 1024, `${written} bytes were taken of 300 MiB, over four requests`)
})

t.test('8. no header leads to a host that nobody trusts', async t => {
  const trap = await startUpstream(t, () => ({ body: BATCH }))
  const host = trap.url.slice('http://'.length)
  const app = await buildWithoutPauses(t, {
    forward: forwardToProviders({
      providers: {
        openai: openai(),
        'azure-ai': azureAI(),
        'azure-openai': azureOpenAI(),
        'vertex-ai': vertex(),
        bedrock: bedrock()
      }
    })
  })
  const key = { authorization: 'Bearer k' }
  for (const { headers, param } of [
    {
      headers: { 'x-portkey-provider': 'azure-ai', 'x-portkey-azure-foundry-url': trap.url },
      param: 'x-portkey-azure-foundry-url'
    },
    {
      headers: { 'x-portkey-provider': 'azure-openai', 'x-portkey-azure-resource-name': `${host}/ok/?` },
      param: 'x-portkey-azure-resource-name'
    },
    {
      headers: {
        'x-portkey-provider': 'vertex-ai',
        'x-portkey-vertex-project-id': 'my-project',
        'x-portkey-vertex-region': `${host}/ok/?`
      },
      param: 'x-portkey-vertex-region'
    },
    { headers: { ...AWS, 'x-portkey-aws-region': `${host}/ok/?` }, param: 'x-portkey-aws-region' },
    { headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': trap.url }, param: 'x-portkey-custom-host' },
    {
      headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': 'http://localhost/v1' },
      param: 'x-portkey-custom-host'
    },
    {
      headers: {
        'x-portkey-provider': 'azure-openai',
        'x-portkey-azure-resource-name': 'mine',
        'x-portkey-azure-auth-mode': 'managed',
        'x-portkey-azure-entra-scope': 'https://management.azure.com'
      },
      param: 'x-portkey-azure-auth-mode'
    }
  ] as Array<{ headers: Record<string, string>, param: string }>) {
    const response = await cancel(app, {
      id: param.includes('aws') ? 'abcdefghij12' : '123',
      headers: { ...key, ...headers }
    })
    t.match(response.json(), { error: { code: 'invalid_header', param } }, param)
    t.strictSame(violations(response), [], param)
  }
  t.strictSame(trap.requests, [])

  const { app: redirected } = await start(t, () => ({
    status: 307,
    headers: { location: `${trap.url}/v1/batches/batch_1/cancel` }
  }))
  t.equal((await cancel(redirected, { headers: OPENAI })).statusCode, 502)
  t.strictSame(trap.requests, [], 'no redirect is followed')
})

t.test('9. another path calls nobody', async t => {
  const { app, upstream } = await start(t, () => ({ body: { ...BATCH, id: 'v1abc' } }))
  for (const url of [
    '/v1/batches/batch_1/cancel/',
    '/v1/batches/a/b/cancel',
    '/v1//batches/batch_1/cancel',
    '/v1/cancel'
  ]) t.equal((await app.inject({ method: 'POST', url, headers: OPENAI })).statusCode, 404, url)
  t.strictSame(upstream.requests, [])
  t.equal((await cancel(app, { id: 'v1abc', headers: OPENAI })).statusCode, 200)
  t.match(upstream.requests, [{ path: '/v1/batches/v1abc/cancel' }], 'an id that begins with v1')
})

t.test('10. nothing is sent without a credential', async t => {
  const { app, upstream } = await start(t, () => ({ body: BATCH }))
  for (const provider of ['openai', 'cohere', 'vertex-ai', 'bedrock']) {
    const response = await cancel(app, {
      id: provider === 'bedrock' ? 'abcdefghij12' : '123',
      headers: {
        'x-portkey-provider': provider,
        'x-portkey-aws-region': 'us-east-1',
        'x-portkey-vertex-project-id': 'my-project',
        'x-portkey-vertex-region': 'us-central1'
      }
    })
    t.match(response.json(), { error: { code: 'missing_credentials' } }, provider)
  }
  t.strictSame(upstream.requests, [])
})

t.test('11. no forwarded header replaces a credential', async t => {
  const { app, upstream } = await start(t, () => ({ body: BATCH }))
  await cancel(app, {
    headers: {
      ...OPENAI,
      authorization: 'Bearer of-the-client',
      'x-portkey-config': '{"api_key":"of-the-config","forward_headers":["authorization"]}'
    }
  })
  t.match(upstream.requests, [{ headers: { authorization: 'Bearer of-the-config' } }])
})

t.test('12. no text of a socket reaches the client', async t => {
  const { app } = await start(t, (_request, response) => { response.destroy() })
  const nowhere = await buildWithoutPauses(t, {
    forward: forwardToProviders({
      providers: {
        openai: openai({ baseUrl: 'http://127.0.0.1:1' }),
        tls: openai({ baseUrl: 'https://127.0.0.1:1' }),
        name: openai({ baseUrl: 'http://no.such.host.invalid' })
      }
    })
  })
  for (const response of [
    await cancel(app, { headers: OPENAI }),
    await cancel(nowhere, { headers: OPENAI }),
    await cancel(nowhere, { headers: { ...OPENAI, 'x-portkey-provider': 'tls' } }),
    await cancel(nowhere, { headers: { ...OPENAI, 'x-portkey-provider': 'name' } })
  ]) {
    t.match(response.json(), { error: { code: 'upstream_unreachable' } })
    t.notMatch(response.body, /ECONN|EAI|ENOTFOUND|127\.0\.0\.1|invalid|Socket|fetch|TLS|SSL/)
  }
})

t.test('14. the id that is answered works again', async t => {
  const { app } = await start(t, ({ method }) => ({ body: method === 'POST' ? '' : JOB }))
  for (const id of [ARN, 'abcdefghij12', encodeURIComponent(ARN)]) {
    const first = await cancel(app, { id, headers: AWS })
    t.equal(first.json().id, id)
    t.equal((await cancel(app, { id: first.json().id, headers: AWS })).statusCode, 200)
  }
})
