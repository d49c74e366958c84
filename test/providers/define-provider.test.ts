import { Type } from '@sinclair/typebox'
import t, { type Test } from 'tap'
import {
  ACCEPTED, bearer, builtIn, defineProvider, del, forwardToProviders, get, headerKey, openaiCompatible, post,
  SEGMENT_ID, stringOrNull, unixSeconds, withHeaders, type Batch, type ProviderDefinition, type ProviderOptions,
  type Target
} from '../../lib/index.js'
import { compilePath } from '../../lib/providers/requests.js'
import { BEARER, UNREPORTED } from '../fixtures/fixture.js'
import { batch, buildWithoutPauses, cancel } from '../support/app.js'
import { batchIn, requestOf } from '../support/provider.js'
import { startUpstream, type UpstreamResponse } from '../support/upstream.js'

const INVALID = { code: 'FST_BATCH_CANCEL_INVALID_OPTION' }

/** A provider with a shape of its own. */
const ACME: ProviderDefinition = {
  name: 'acme-cloud',
  baseUrl: 'https://api.acme.example/v1',
  auth: bearer(),
  id: { pattern: /^job-\d+$/, description: 'an id such as job-123' },
  cancel: post('/jobs/{id}:cancel'),
  retrieve: get('/jobs/{id}'),
  statuses: { RUNNING: 'in_progress', STOPPING: 'cancelling', STOPPED: 'cancelled', DONE: 'completed' },
  fields: job => ({ model: stringOrNull(job['model']), created_at: unixSeconds(job['created']) ?? 0 })
}

t.test('a definition makes a factory', async t => {
  const acme = defineProvider(ACME)
  const provider = acme({ apiKey: 'key' })
  t.match(provider, {
    name: 'acme-cloud',
    id: /^job-\d+$/,
    idDescription: 'an id such as job-123',
    serverCredential: 'key',
    reservedHeaders: ['authorization']
  })
  t.strictSame(await requestOf(acme(), 'cancel', 'job-1', { headers: BEARER }), {
    origin: 'https://api.acme.example',
    method: 'POST',
    path: '/v1/jobs/job-1:cancel',
    headers: BEARER
  })
  const job = { id: 'job-1', status: 'STOPPING', model: 'm', created: '2026-03-01T10:00:00Z' }
  t.strictSame(batchIn(acme(), job, 'job-1'), {
    ...UNREPORTED,
    id: 'job-1',
    model: 'm',
    created_at: 1772359200,
    status: 'cancelling',
    provider_batch: job
  })
  for (const status of ['constructor', 'stopping', '', null, undefined, 1]) {
    t.equal(batchIn(acme(), { ...job, status }, 'job-1'), undefined, String(status))
  }
  t.throws(() => acme({ apiKey: 'a b' }), { ...INVALID, message: /^acmeCloud\(\{ apiKey \}\) must be/ })
  const unknown = () => acme({ region: 'x' } as ProviderOptions)
  t.throws(unknown, { ...INVALID, message: /^Unknown option 'region' in acmeCloud\(\)/ })
})

t.test('where the batch is in a body', async t => {
  const { statuses: _statuses, ...rest } = ACME as ProviderDefinition & { statuses: object }
  const provider = defineProvider({
    ...rest,
    member: 'job',
    batchId: job => job['name'],
    accepts: body => body === null,
    status: ({ done }, { action }) => done === true ? 'completed' : action === 'cancel' ? 'cancelling' : undefined,
    fields: (_job, { status, action, batchId }) => ({ model: `${status} ${action} ${batchId}` })
  } as ProviderDefinition)()
  const inner = { name: 'job-1', done: true }
  t.match(provider.read({ job: inner }, { action: 'retrieve', batchId: 'job-1' }), {
    kind: 'batch',
    shownId: 'job-1',
    member: 'job',
    batch: { id: 'job-1', status: 'completed', model: 'completed retrieve job-1', provider_batch: inner }
  })
  t.equal(batchIn(provider, null, 'job-1', 'cancel'), null)
  t.equal(batchIn(provider, null, 'job-1'), undefined, 'only a cancel is accepted')
  for (const body of [inner, { job: null }, { job: [] }, undefined, 'x', {}]) {
    t.equal(batchIn(provider, body, 'job-1'), undefined, JSON.stringify(body))
  }
})

t.test('headers of the client and of the definition', async t => {
  const provider = defineProvider({
    ...ACME,
    auth: headerKey('x-acme-key'),
    headers: { 'x-portkey-acme-team': Type.String({ maxLength: 8 }), 'x-team': Type.String({ maxLength: 8 }) },
    accountHeaders: ['x-portkey-acme-team'],
    sends: { 'x-acme-team': ['x-portkey-acme-team', 'x-team'] },
    requestHeaders: { 'x-acme-version': '2' },
    reservedHeaders: ['x-acme-debug'],
    retrieve: withHeaders(get('/jobs/{id}'), { 'x-acme-view': 'full' })
  })()
  const sent = async (headers: Record<string, string>) =>
    (await requestOf(provider, 'retrieve', 'job-1', { headers })).headers
  const own = { 'x-acme-key': 'k', 'x-acme-version': '2', 'x-acme-view': 'full' }
  t.strictSame(await sent({ 'x-acme-key': 'k' }), own)
  t.strictSame(await sent({ authorization: 'Bearer k', 'x-acme-key': '' }), own)
  t.strictSame(await sent({ 'x-acme-key': 'k', 'x-team': 'b' }), { ...own, 'x-acme-team': 'b' })
  const both = { 'x-acme-key': 'k', 'x-team': 'b', 'x-portkey-acme-team': 'a' }
  t.strictSame(await sent(both), { ...own, 'x-acme-team': 'a' }, 'the first one counts')
  t.strictSame(
    provider.reservedHeaders,
    ['x-acme-key', 'authorization', 'x-acme-team', 'x-acme-version', 'x-acme-debug']
  )
  t.strictSame(provider.accountHeaders, ['x-portkey-acme-team'])
})

/** A call through the route to a provider with a server that stands for its own address. */
async function callThrough (t: Test, definition: ProviderDefinition<ProviderOptions, string, never>, baseUrl = true) {
  const upstreamBody = { body: { id: 'job-1', status: 'STOPPED' } }
  const upstream = await startUpstream(t, () => upstreamBody)
  const factory = defineProvider(definition)
  const provider = factory(baseUrl ? { baseUrl: `${upstream.url}/v1` } : {})
  const forward = forwardToProviders({ providers: { acme: provider } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'acme', forward })
  const response = await cancel(app, { id: 'job-1', headers: BEARER })
  return { response, requests: upstream.requests }
}

t.test('a client adds no header that the definition reserves', async t => {
  const upstream = await startUpstream(t, () => ({ body: { id: 'job-1', status: 'STOPPED' } }))
  const acme = defineProvider({ ...ACME, reservedHeaders: ['x-acme-debug'] })
  const forward = forwardToProviders({ providers: { acme: acme({ baseUrl: upstream.url }) } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'acme', forward })
  const added = { 'x-acme-debug': '1', 'x-team': 'red', 'x-portkey-forward-headers': 'x-acme-debug, x-team' }
  t.equal((await cancel(app, { id: 'job-1', headers: { ...BEARER, ...added } })).statusCode, 200)
  t.match(upstream.requests, [{ headers: { 'x-acme-debug': undefined, 'x-team': 'red' } }])
})

t.test('how long a cancel takes at most is one of the traits, for providers that document it', async t => {
  const acme = { name: 'acme', baseUrl: 'https://api.acme.example', cancellingTime: 1000 }
  const forward = forwardToProviders({
    providers: { ...builtIn, job: defineProvider({ ...ACME, cancellingTime: 500 })(), compatible: openaiCompatible(acme, {}) }
  })
  const times = [...forward.providers].flatMap(([name, { cancellingTime }]) =>
    cancellingTime === undefined ? [] : [[name, cancellingTime]])
  t.strictSame(times, [['openai', 600_000], ['voyage', 600_000], ['job', 500], ['compatible', 1000]])
})

t.test('a path is filled with the id and the place, each as one segment', async t => {
  t.equal(compilePath('/a/{id}/b/{region}?x={id}')({ id: 'a/b', region: 'ü.' }), '/a/a%2Fb/b/%C3%BC.?x=a%2Fb')
  t.throws(() => compilePath('/a/{id}')({}), { code: 'internal_error' })
  t.throws(() => compilePath('/a/{id}')({ id: 5 }), { code: 'internal_error' })
  const { response, requests } = await callThrough(t, {
    ...ACME,
    place: () => ({ region: 'eu/1' }),
    cancel: ({ place }: Target<{ region: string }>) => post(`/{region}/jobs/${place.region.length}/{id}`)
  } as never)
  t.equal(response.statusCode, 200)
  t.match(requests, [{ path: '/v1/eu%2F1/jobs/4/job-1' }])
})

t.test('a request that would lead elsewhere is not sent', async t => {
  const paths = ['/../admin/{id}', '/{place}/{id}', '/jobs/./{id}', '/jobs/{id}#x', '/jobs\\{id}', '/jobs/{id}?a b']
  for (const path of paths) {
    const definition = { ...ACME, place: () => ({ place: '..' }), cancel: post(path), retrieve: get(path) }
    const { response, requests } = await callThrough(t, definition as never)
    t.match(response.json(), { error: { code: 'internal_error' } }, path)
    t.strictSame(requests, [], path)
  }
  // Only functions can make these: a path that is data must start with a slash.
  for (const path of ['evil.example/{id}', ':99999/{id}', '@evil.example/{id}', '.evil.example/{id}']) {
    const definition = { ...ACME, baseUrl: 'https://a.example', cancel: () => post(path) }
    const { response, requests } = await callThrough(t, definition as never, false)
    t.match(response.json(), { error: { code: 'internal_error' } }, path)
    t.strictSame(requests, [], path)
  }
  const hosts = [
    'https://evil.example/v1', 'http://eu.acme.example/v1', 'https://eu.acme.example:8443', 'https://eu.x.acme.example',
    'https://eu@evil.example', 'not a URL'
  ]
  for (const url of hosts) {
    const definition = { ...ACME, baseUrl: () => url, domains: ['*.acme.example'] }
    const { response, requests } = await callThrough(t, definition as never, false)
    t.match(response.json(), { error: { code: 'internal_error' } }, url)
    t.strictSame(requests, [], url)
  }
})

t.test('a definition that cannot work', async t => {
  const refuse = (change: object, message: string | RegExp) => {
    const definition = { ...ACME, ...change }
    t.throws(() => defineProvider(definition as never), { ...INVALID, message: message as string }, String(message))
  }
  refuse({ urls: [] }, /^Unknown option 'urls' in defineProvider\(\)\. Valid options: name, /)
  refuse({ name: '' }, 'defineProvider({ name }) must be 1 to 128 visible ASCII characters.')
  refuse({ name: undefined }, 'defineProvider({ name }) must be 1 to 128 visible ASCII characters.')
  refuse({ baseUrl: 'acme.example' }, /^defineProvider\(\{ baseUrl \}\) must be a function or an http or https URL/)
  refuse({ baseUrl: () => 'https://a' }, /^defineProvider\(\{ domains \}\) must list the provider's hosts/)
  refuse({ id: /x/ }, /^defineProvider\(\{ id \}\) must be an object with a pattern \(a regular expression\) and/)
  refuse({ cancellingTime: '10 min' }, /^defineProvider\(\{ cancellingTime \}\) must be whole milliseconds from 1 to/)
  refuse({ id: undefined }, /^defineProvider\(\{ id \}\) must be an object with a pattern/)
  refuse({ auth: 'bearer' }, /^defineProvider\(\{ auth \}\) must be made by bearer\(\) or headerKey\(\), or/)
  refuse({ cancel: get('jobs/{id}') }, /^defineProvider\(\{ cancel \}\) must be a request such as post/)
  refuse({ retrieve: '/jobs/{id}' }, /^defineProvider\(\{ retrieve \}\) must be a request such as post/)
  const unread = 'defineProvider({ statuses, fields }) must say how a batch is read. Or use status, or read.'
  refuse({ statuses: undefined }, unread)
  refuse({ fields: undefined }, unread)
  t.throws(() => defineProvider('acme' as never), { ...INVALID, message: /^defineProvider\(\) expects an object/ })
})

t.test('a server that speaks OpenAI\'s API', async t => {
  const definition = { name: 'my-vllm', baseUrl: 'http://vllm:8000/v1', cancelMethod: 'DELETE' } as const
  const vllm = openaiCompatible(definition)
  const { headers, ...request } = await requestOf(vllm(), 'cancel', 'batch_1', { headers: BEARER })
  t.strictSame(request, { origin: 'http://vllm:8000', method: 'DELETE', path: '/v1/batches/batch_1' })
  t.strictSame(headers, BEARER)
  t.ok(vllm().ownsOrigin('http://vllm:8000'))
  t.equal(openaiCompatible(definition, { apiKey: 'key' }).serverCredential, 'key', 'with options it is a provider')
  t.equal(openaiCompatible(definition, {}).name, 'my-vllm')
  t.throws(() => vllm({ apiKey: 'Bearer x' }), { ...INVALID, message: /^myVllm\(\{ apiKey \}\) must be/ })

  const odd = openaiCompatible({
    name: 'odd',
    baseUrl: 'https://odd.example/v1',
    statuses: { resting: 'in_progress' },
    batchIdField: 'job',
    id: SEGMENT_ID,
    requestHeaders: { 'x-odd': '1' }
  }, {})
  t.match((await requestOf(odd, 'cancel', 'b', { headers: BEARER })).headers, { 'x-odd': '1' })
  t.match(batchIn(odd, { job: 'b', status: 'Resting' }, 'b'), { id: 'b', status: 'in_progress' })
  t.equal(batchIn(odd, { id: 'b', status: 'Resting' }, 'b'), undefined)

  const refuse = (change: object, message: string | RegExp) => t.throws(
    () => openaiCompatible({ ...definition, ...change } as never),
    { ...INVALID, message: message as string }
  )
  refuse({ cancelMethod: 'PATCH' }, 'openaiCompatible({ cancelMethod }) must be \'POST\' or \'DELETE\'.')
  refuse({ baseURL: 'x' }, /^Unknown option 'baseURL' in openaiCompatible\(\)\. Did you mean 'baseUrl'\?/)
  refuse({ baseUrl: 'ftp://x' }, /^defineProvider\(\{ baseUrl \}\) must be a function or an http or https URL/)
  refuse({ cancellingTime: 0 }, /^openaiCompatible\(\{ cancellingTime \}\) must be whole milliseconds from 1 to/)
  refuse({ id: 'batch_.*' }, 'openaiCompatible({ id }) must be an object.')
  t.strictSame(del('/x'), { method: 'DELETE', path: '/x' })
})

t.test('an id is one segment of the path, encoded once', async t => {
  const id = 'a/b ü?c%2e#d'
  const upstream = await startUpstream(t, ({ method }) =>
    method === 'POST' ? { status: 409, body: { error: 'No.' } } : { body: batch({ id }) })
  const anyId = { pattern: /./, description: 'anything' }
  const provider = openaiCompatible({ name: 'any', baseUrl: `${upstream.url}/deep/v1//`, id: anyId }, {})
  const forward = forwardToProviders({ providers: { any: provider } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'any', forward })
  const response = await cancel(app, { id, headers: BEARER })
  t.match(response.json(), batch({ id }))
  t.match(upstream.requests, [
    { method: 'POST', path: '/deep/v1/batches/a%2Fb%20%C3%BC%3Fc%252e%23d/cancel' },
    { method: 'GET', path: '/deep/v1/batches/a%2Fb%20%C3%BC%3Fc%252e%23d' }
  ])
})

/** A provider that differs in everything: a body with the id, a credential that is an object, a read of its own. */
const MINE = defineProvider({
  name: 'mine',
  id: { pattern: /^job-\d+$/, description: 'an id such as job-1' },
  headers: { 'x-mine-region': Type.String({ maxLength: 8, pattern: '^[a-z]+$' }) },
  baseUrl: 'https://mine.example.com',
  auth: {
    sets: ['x-key'],
    fromClient: () => undefined,
    fromServer: () => () => ({ key: 'long-secret', version: 1 }),
    toHeaders: ({ key }) => ({ 'x-key': key })
  },
  cancel: ({ batchId }) => post('/cancel', { json: { batchId } }),
  retrieve: ({ batchId }) => post('/retrieve', { json: { batchId } }),
  read (body) {
    const { job } = body as { job: Batch | null }
    return job === null ? ACCEPTED : { kind: 'batch', batch: job, shownId: undefined, member: 'job' }
  }
})

t.test('a provider that differs in everything', async t => {
  let [cancelled, read]: [UpstreamResponse, UpstreamResponse] = [{}, {}]
  const upstream = await startUpstream(t, ({ path }) => path.endsWith('/cancel') ? cancelled : read)
  const forward = forwardToProviders({ providers: { mine: MINE({ baseUrl: `${upstream.url}/api` }) } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'mine', forward })
  const call = (id = 'job-1', region = 'eu') => cancel(app, { id, headers: { 'x-mine-region': region } })

  cancelled = { body: { job: null } }
  read = { body: { job: batch({ id: 'job-1' }) } }
  const accepted = await call()
  t.match(accepted.json(), batch({ id: 'job-1' }))
  t.match(accepted.headers, { 'x-batch-source': 'retrieved' })
  const sent = { method: 'POST', headers: { 'x-key': 'long-secret' }, body: '{"batchId":"job-1"}' }
  t.match(upstream.requests, [{ path: '/api/cancel', ...sent }, { path: '/api/retrieve', ...sent }])

  read = { body: { job: null } }
  const assumed = await call()
  t.match(assumed.json(), { id: 'job-1', status: 'cancelling' })
  t.match(assumed.headers, { 'x-batch-source': 'assumed' }, 'a read without a batch')

  cancelled = { status: 403, body: { error: 'no long-secret' } }
  t.match((await call()).json(), { error: { message: 'no ***' } }, 'an error with the secret')

  const before = upstream.requests.length
  t.match((await call('batch_1')).json(), {
    error: {
      code: 'invalid_batch_id',
      message: 'The batch id is not valid for \'mine\': expected an id such as job-1.'
    }
  })
  t.match((await call('job-1', 'EU')).json(), { error: { code: 'invalid_header', param: 'x-mine-region' } })
  t.equal(upstream.requests.length, before)
})

t.test('a forwarder that changes the provider of a call', async t => {
  const upstream = forwardToProviders({ providers: { mine: MINE(), ...builtIn } })
  const cancelAt = (provider: string) => buildWithoutPauses(t, {
    defaultProvider: 'mine',
    forward: { ...upstream, cancel: call => upstream.cancel({ ...call, provider }) }
  }).then(app => cancel(app, { id: 'job-1' }))
  t.match((await cancelAt('other')).json(), { error: { code: 'unknown_provider', param: 'x-portkey-provider' } })
  t.match((await cancelAt('fireworks-ai')).json(), { error: { code: 'unsupported_provider' } })
})
