import t from 'tap'
import {
  azureOpenAI, BatchCancelError, bedrock, forwardToProviders, openai, vertex, type BatchCall, type Provider
} from '../../lib/index.js'
import { createProviderForwarder } from '../../lib/providers/forward.js'
import { BATCH, batch, build, buildWithoutPauses, cancel } from '../support/app.js'
import { startUpstream } from '../support/upstream.js'

/* Functions of the server that find a credential or a base URL. */

const SECRET = 'secret kv/data/openai not found in vault.corp.internal'

t.test('what they throw stays in the log', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const baseUrl = upstream.url
  const fail = () => { throw Object.assign(new Error(SECRET), { status: 404, code: 'NotFound' }) }
  const rejecting = async () => fail()
  const providers: Readonly<Record<string, Provider>> = {
    apiKey: openai({ baseUrl, apiKey: fail }) as Provider,
    'apiKey, later': openai({ baseUrl, apiKey: rejecting }) as Provider,
    baseUrl: openai({ baseUrl: fail, apiKey: 'k' }) as Provider,
    'baseUrl, later': openai({ baseUrl: rejecting }) as Provider,
    credentials: bedrock({ baseUrl, region: 'us-east-1', credentials: rejecting }) as Provider,
    serviceAccount: vertex({ baseUrl, project: 'p', region: 'eu', serviceAccount: rejecting }) as Provider,
    entraToken: azureOpenAI({ baseUrl, entraToken: rejecting }) as Provider
  }
  for (const [what, provider] of Object.entries(providers)) {
    const logged: string[] = []
    const id = provider.name === 'bedrock' ? 'abcdefghij12' : provider.name === 'vertex-ai' ? '12' : 'batch_1'
    const app = await build(
      t,
      { defaultProvider: 'p', forward: forwardToProviders({ providers: { p: provider } }) },
      { logger: { stream: { write: line => { logged.push(line) } } } }
    )
    const response = await cancel(app, { id, headers: { authorization: 'Bearer client' } })
    t.equal(response.statusCode, 500, what)
    const internal = { code: 'internal_error', message: 'Internal error', type: 'server_error' }
    t.match(response.json(), { error: internal }, what)
    t.notMatch(response.body, /vault|NotFound|could not be found/, what)
    t.equal(response.headers['x-portkey-retry-attempt-count'], undefined, `${what}: no attempt was made`)
    t.match(logged.join(''), SECRET, `${what}: the log has the cause`)
    t.match(logged.join(''), /could not be found/, what)
  }
  t.strictSame(upstream.requests, [], 'nothing was sent')
})

t.test('a refusal that they mean for the client reaches it', async t => {
  const message = 'The tenant has no key for this provider.'
  const refusal = () => { throw new BatchCancelError('missing_credentials', message) }
  const forward = forwardToProviders({ providers: { openai: openai({ apiKey: refusal }) } })
  const response = await cancel(await buildWithoutPauses(t, { defaultProvider: 'openai', forward }))
  t.equal(response.statusCode, 401)
  t.match(response.json(), { error: { message } })
})

t.test('they are called after everything else was checked, once per call', async t => {
  const calls: string[] = []
  const upstream = await startUpstream(t, ({ method }) =>
    method === 'POST' ? { status: 409, body: { error: 'No.' } } : { body: batch({ status: 'cancelling' }) })
  const provider = openai({
    baseUrl: async () => { calls.push('baseUrl'); return upstream.url },
    apiKey: async ({ batchId }) => { calls.push(`apiKey of ${batchId}`); return 'server-key' }
  })
  const forward = forwardToProviders({ providers: { openai: provider } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'openai', forward })
  const headers = [{ 'x-portkey-custom-host': 'https://x' }, { 'openai-beta': 'ü' }]
  for (const bad of [{ id: 'a b' }, ...headers.map(headers => ({ headers }))]) {
    t.equal((await cancel(app, bad)).statusCode, 400)
  }
  t.strictSame(calls, [])
  t.equal((await cancel(app)).statusCode, 200)
  t.equal(upstream.requests.length, 2)
  t.strictSame(calls, ['baseUrl', 'apiKey of batch_1'], 'the cancel and the read use what was found once')
})

t.test('what they return is checked', async t => {
  for (const [what, options] of Object.entries({
    'no URL': { baseUrl: () => undefined },
    'no base URL': { baseUrl: () => 'https://user@x' },
    'another type': { baseUrl: () => 5 as never }
  })) {
    const forward = forwardToProviders({ providers: { openai: openai(options) } })
    const app = await buildWithoutPauses(t, { defaultProvider: 'openai', forward })
    const response = await cancel(app, { headers: { authorization: 'Bearer k' } })
    t.match(response.json(), { error: { code: 'internal_error' } }, what)
  }
  const credential = async (apiKey: unknown) => {
    const forward = forwardToProviders({ providers: { openai: openai({ apiKey: () => apiKey as string }) } })
    const call: BatchCall = {
      batchId: 'b',
      provider: 'openai',
      headers: { authorization: 'Bearer client' },
      request: undefined,
      signal: new AbortController().signal
    }
    return forward.cancel(call).then(() => undefined, (error: Error) => error)
  }
  const missing = { code: 'missing_credentials', message: 'The server has no usable credential for \'openai\'.' }
  t.match(await credential(undefined), { ...missing, cause: undefined })
  for (const wrong of ['', 'a b', 'Bearer sk-1', 5, null]) {
    const error = await credential(wrong)
    t.match(error, { ...missing, cause: { message: /without spaces, line breaks or 'Bearer ' before them/ } }, String(wrong))
    t.notMatch(String((error as Error).cause), /sk-1/, 'the log has no value')
  }
})

t.test('a credential is looked up again for reads, at most once a minute', async t => {
  const upstream = await startUpstream(t, ({ method }) => method === 'GET' ? { body: BATCH } : { body: BATCH })
  let now = 0
  let lookups = 0
  const provider = openai({ baseUrl: upstream.url, apiKey: async () => `server-key-${++lookups}` })
  const forward = createProviderForwarder({ providers: { openai: provider } }, () => now)
  const call: BatchCall = {
    batchId: 'batch_1',
    provider: 'openai',
    headers: {},
    request: undefined,
    signal: new AbortController().signal
  }
  await forward.prepare(call)
  const keyAt = async (time: number) => {
    now = time
    await forward.retrieve(call)
    return upstream.requests.at(-1)?.headers.authorization
  }
  t.equal(await keyAt(0), 'Bearer server-key-1')
  t.equal(await keyAt(59_999), 'Bearer server-key-1')
  t.equal(await keyAt(60_000), 'Bearer server-key-2')
  t.equal(await keyAt(119_999), 'Bearer server-key-2')
  t.equal(await keyAt(120_000), 'Bearer server-key-3')
  t.equal(lookups, 3)
})

t.test('a lookup that fails during a wait fails that read only', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  let now = 0
  const found: Array<string | Error> = ['server-key-1', new Error('vault is sealed'), 'server-key-2']
  const apiKey = async () => {
    const next = found.shift()
    if (next instanceof Error) throw next
    return next
  }
  const provider = openai({ baseUrl: upstream.url, apiKey })
  const forward = createProviderForwarder({ providers: { openai: provider } }, () => now)
  const call: BatchCall = {
    batchId: 'batch_1',
    provider: 'openai',
    headers: {},
    request: undefined,
    signal: new AbortController().signal
  }
  await forward.retrieve(call)
  now = 60_000
  await t.rejects(forward.retrieve(call), { code: 'internal_error' })
  await forward.retrieve(call)
  const sent = upstream.requests.map(({ headers }) => headers.authorization)
  t.strictSame(sent, ['Bearer server-key-1', 'Bearer server-key-2'])
})

t.test('a credential that no function found is never looked up', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  let now = 0
  const provider = openai({ baseUrl: upstream.url, apiKey: 'server-key' })
  const forward = createProviderForwarder({ providers: { openai: provider } }, () => now)
  const call: BatchCall = {
    batchId: 'batch_1',
    provider: 'openai',
    headers: {},
    request: undefined,
    signal: new AbortController().signal
  }
  t.equal(forward.prepare(call), undefined, 'without a promise: nothing has to be waited for')
  const key = forward.shareKey(call)
  now = 600_000
  await forward.retrieve(call)
  t.equal(forward.shareKey(call), key)
})
