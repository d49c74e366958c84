import type { IncomingHttpHeaders } from 'node:http'
import t from 'tap'
import {
  azureAI, azureOpenAI, forwardToProviders, type AzureCredential, type AzureOptions, type Provider
} from '../../lib/index.js'
import { BEARER } from '../fixtures/fixture.js'
import { BATCH, buildWithoutPauses, cancel } from '../support/app.js'
import { batchIn, requestOf } from '../support/provider.js'
import { refuseCalls, type RefusedCall } from '../support/refused.js'
import { startUpstream } from '../support/upstream.js'

const NAME = 'x-portkey-azure-resource-name'
const FOUNDRY = 'x-portkey-azure-foundry-url'
const VERSION = 'x-portkey-azure-api-version'
const AD_TOKEN = 'x-portkey-azure-ad-token'

/** The URL of the cancel of a call with these headers. */
async function urlOf (provider: Provider<AzureCredential>, headers: IncomingHttpHeaders): Promise<string> {
  const { origin, path } = await requestOf(provider, 'cancel', 'batch_1', { headers })
  return origin + path
}

t.test('where a batch is', async t => {
  const key = { 'api-key': 'k' }
  const named = (name: string, headers: IncomingHttpHeaders = {}) =>
    urlOf(azureOpenAI(), { ...key, [NAME]: name, ...headers })
  const at = (url: string, headers: IncomingHttpHeaders = {}) =>
    urlOf(azureAI(), { ...key, [FOUNDRY]: url, ...headers })
  const dated = (host: string) => `https://${host}/openai/batches/batch_1/cancel?api-version=2024-10-21`
  const byV1 = (host: string, query = '') => `https://${host}/openai/v1/batches/batch_1/cancel${query}`

  t.equal(await named('my-res'), dated('my-res.openai.azure.com'))
  t.equal(await named('MyRes1'), dated('myres1.openai.azure.com'))
  t.equal(await named('a'.repeat(63)), dated(`${'a'.repeat(63)}.openai.azure.com`))
  t.equal(
    await named('res', { [VERSION]: '2025-04-01-preview' }),
    'https://res.openai.azure.com/openai/batches/batch_1/cancel?api-version=2025-04-01-preview'
  )
  t.equal(await named('res', { [VERSION]: 'v1' }), byV1('res.openai.azure.com'))
  t.equal(await named('res', { [VERSION]: 'preview' }), byV1('res.openai.azure.com', '?api-version=preview'))

  for (const host of ['r-1.services.ai.azure.com', 'r-1.openai.azure.com', 'r-1.cognitiveservices.azure.com']) {
    t.equal(await at(`https://${host}`), dated(host))
    t.equal(await at(`https://${host}/`), dated(host))
    t.equal(await at(`https://${host}/models/chat/completions?api-version=2024-05-01-preview`), dated(host))
    t.equal(await at(`https://${host}/@evil.com/\\..`), dated(host))
  }
  const project = 'https://r1.services.ai.azure.com/api/projects/p'
  t.equal(await at(project, { [VERSION]: 'v1' }), byV1('r1.services.ai.azure.com'))

  const headers = {
    ...key,
    [NAME]: 'clients',
    [FOUNDRY]: 'https://clients.openai.azure.com',
    [VERSION]: '2024-07-01-preview'
  }
  const byOptions = azureOpenAI({ resourceName: 'Servers', apiVersion: 'v1' })
  t.equal(await urlOf(byOptions, headers), byV1('servers.openai.azure.com'))
  t.equal(
    await urlOf(azureAI({ resourceName: 'servers' }), headers),
    'https://servers.services.ai.azure.com/openai/batches/batch_1/cancel?api-version=2024-07-01-preview'
  )

  t.strictSame(await requestOf(azureOpenAI({ resourceName: 'res' }), 'retrieve', 'a/b?c#d%', { headers: key }), {
    origin: 'https://res.openai.azure.com',
    method: 'GET',
    path: '/openai/batches/a%2Fb%3Fc%23d%25?api-version=2024-10-21',
    headers: { 'api-key': 'k' }
  })
})

t.test('a batch is OpenAI\'s, and stays as it is', async t => {
  const body = { ...BATCH, endpoint: '/chat/completions', input_blob: 'https://x.blob.core.windows.net/i' }
  for (const provider of [azureOpenAI(), azureAI()]) {
    t.equal(batchIn(provider, body, 'asked', 'cancel'), body)
    for (const other of [undefined, null, {}, { ...body, status: 'Succeeded' }]) {
      t.equal(batchIn(provider, other, 'asked', 'cancel'), undefined)
    }
  }
})

t.test('beside a base URL no resource is needed', async t => {
  for (const provider of [azureOpenAI(), azureAI()]) {
    t.doesNotThrow(() => provider.locate({ batchId: 'b', headers: {}, hasBase: true }))
  }
})

t.test('the credential of the client', async t => {
  const jwt = 'eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJ4In0.c2ln'
  const rows: Array<[headers: IncomingHttpHeaders, credential: AzureCredential | undefined]> = [
    [{}, undefined],
    [{ authorization: 'Bearer' }, undefined],
    [{ authorization: 'Bearer ' }, undefined],
    [{ authorization: 'Basic dTpw' }, undefined],
    [{ authorization: 'Bearer k' }, 'k'],
    [{ authorization: 'k' }, 'k'],
    [{ authorization: `Bearer ${jwt}` }, { token: jwt }],
    [{ 'api-key': 'k', authorization: `Bearer ${jwt}` }, 'k'],
    [{ 'api-key': '', authorization: 'Bearer k' }, 'k'],
    [{ [AD_TOKEN]: 't' }, { token: 't' }],
    [{ [AD_TOKEN]: 'Bearer t', 'api-key': 'k', authorization: 'Bearer k2' }, { token: 't' }]
  ]
  for (const [headers, credential] of rows) {
    t.strictSame(azureOpenAI().clientCredential(headers), credential, JSON.stringify(headers))
    t.strictSame(azureAI().clientCredential(headers), credential, JSON.stringify(headers))
  }
  const headers = { authorization: `Bearer ${jwt}` }
  t.strictSame((await requestOf(azureOpenAI({ resourceName: 'res' }), 'cancel', 'b', { headers })).headers, headers)
})

const BAD_NAMES = [
  'a', '127.0.0.1:9911/ok/?', 'evil.com/', 'evil.com#', 'a.b', '-ab', 'ab-', 'a_b', 'u@h', 'xn--a', 'a b', 'ä',
  'a'.repeat(64), 'a%2f'
]

const BAD_URLS = [
  'http://res.openai.azure.com', 'https://127.0.0.1', 'https://evil.com', 'https://openai.azure.com',
  'https://.openai.azure.com', 'https://a.b.openai.azure.com', 'https://res.openai.azure.com.evil.com',
  'https://res.openai.azure.com@evil.com', 'https://evil.com/.openai.azure.com', 'https://evil.com#.openai.azure.com',
  'https://evil.com\\.openai.azure.com', 'https://evil.com?.openai.azure.com', 'https://res.openai.azure.com:8443',
  'https://u:p@res.openai.azure.com', 'https://resXopenai.azure.com', 'https://res.servicesXai.azure.com',
  'https://res.openaiXazure.com', 'https://res.openai.azureXcom', 'https://res.openai.azure.com?x',
  'https://xn--a.openai.azure.com', 'res.openai.azure.com', 'https://models.inference.ai.azure.com'
]

const BAD_VERSIONS = [
  'v2', 'V1', 'v1&x=y', '2024-10-21/..', '2024-10-21#', '24-10-21', '2024-10-21-beta', 'x'.repeat(300)
]

const MODES = [
  'auth-mode', 'managed-client-id', 'workload-client-id', 'entra-client-id', 'entra-client-secret', 'entra-tenant-id',
  'entra-scope'
]

t.test('refused before anything is sent', async t => {
  const call = (headers: Record<string, string>, param: string): RefusedCall => ({
    what: JSON.stringify(headers),
    id: 'batch_1',
    headers: { ...BEARER, ...headers },
    code: 'invalid_header',
    param
  })
  await refuseCalls(t, 'azure-openai', () => azureOpenAI(), [
    call({}, NAME),
    ...BAD_NAMES.map(name => call({ [NAME]: name }, NAME)),
    ...BAD_VERSIONS.map(version => call({ [NAME]: 'res', [VERSION]: version }, VERSION)),
    ...['Bearer', 'Bearer ', 'a b', 'ü'].map(token => call({ [NAME]: 'res', [AD_TOKEN]: token }, AD_TOKEN)),
    call({ [NAME]: 'res', 'api-key': 'a b' }, 'api-key'),
    ...MODES.map(mode => call({ [NAME]: 'res', [`x-portkey-azure-${mode}`]: 'managed' }, `x-portkey-azure-${mode}`)),
    {
      what: 'no credential',
      id: 'batch_1',
      headers: { [NAME]: 'res', authorization: 'Bearer' },
      status: 401,
      code: 'missing_credentials',
      param: 'authorization'
    }
  ])
  await refuseCalls(t, 'azure-ai', () => azureAI(), [
    call({}, FOUNDRY),
    call({ [NAME]: 'res' }, FOUNDRY),
    ...BAD_URLS.map(url => call({ [FOUNDRY]: url }, FOUNDRY)),
    { ...call({ 'x-portkey-azure-auth-mode': 'workload' }, 'x-portkey-azure-auth-mode'), says: /apiKey/ }
  ])
  for (const name of BAD_NAMES) {
    const locate = () => azureOpenAI().locate({ batchId: 'b', headers: { [NAME]: name }, hasBase: false })
    t.throws(locate, { code: 'invalid_header', param: NAME })
  }
  for (const url of BAD_URLS) {
    const locate = () => azureAI().locate({ batchId: 'b', headers: { [FOUNDRY]: url }, hasBase: false })
    t.throws(locate, { code: 'invalid_header', param: FOUNDRY })
  }
})

t.test('with a credential of the server', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const serve = (options: AzureOptions) => azureOpenAI({ baseUrl: `${upstream.url}/openai`, ...options }) as Provider
  const clients = { 'x-portkey-provider': 'azure', 'api-key': 'clients', authorization: 'Bearer clients' }
  const call = async (provider: Provider, headers = {}) => {
    const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers: { azure: provider } }) })
    return cancel(app, { headers: { ...clients, ...headers } })
  }
  const rows: Array<[options: AzureOptions, headers: object]> = [
    [{ apiKey: 'servers' }, { 'api-key': 'servers', authorization: undefined }],
    [{ apiKey: () => 'servers' }, { 'api-key': 'servers', authorization: undefined }],
    [{ entraToken: 'servers' }, { 'api-key': undefined, authorization: 'Bearer servers' }],
    [{ entraToken: async () => 'servers' }, { 'api-key': undefined, authorization: 'Bearer servers' }]
  ]
  const forwarded = {
    'x-portkey-forward-headers': 'api-key, ocp-apim-subscription-key',
    'ocp-apim-subscription-key': 'clients'
  }
  for (const [options, headers] of rows) {
    upstream.requests.length = 0
    t.equal((await call(serve(options), forwarded)).statusCode, 200)
    t.match(upstream.requests, [{ headers: { ...headers, 'ocp-apim-subscription-key': undefined } }])
  }
  upstream.requests.length = 0
  for (const token of [undefined, '', 'a b', 'a\r\nb']) {
    const response = await call(serve({ entraToken: () => token }))
    t.match(response.json(), { error: { code: 'missing_credentials' } })
  }
  for (const header of [AD_TOKEN, NAME, 'x-portkey-custom-host']) {
    const response = await call(serve({ apiKey: 'servers' }), { [header]: 'clients' })
    t.match(response.json(), { error: { code: 'invalid_header', param: header } })
  }
  const foundry = azureAI({ baseUrl: upstream.url, apiKey: 'servers' }) as Provider
  const response = await call(foundry, { [FOUNDRY]: 'https://clients.openai.azure.com' })
  t.match(response.json(), { error: { code: 'invalid_header', param: FOUNDRY } })
  t.strictSame(upstream.requests, [])
})

t.test('options that cannot work', async t => {
  const rows: Array<[options: object, message: RegExp]> = [
    [{ baseUrl: 'ftp://x' }, /^azureOpenAI\(\{ baseUrl \}\) must/],
    [{ apiKey: 'a b', resourceName: 'res' }, /^azureOpenAI\(\{ apiKey \}\) must/],
    [{ entraToken: '', resourceName: 'res' }, /^azureOpenAI\(\{ entraToken \}\) must/],
    [{ entraToken: 1, resourceName: 'res' }, /^azureOpenAI\(\{ entraToken \}\) must/],
    [{ apiKey: 'a', entraToken: 'b', resourceName: 'res' }, /^azureOpenAI\(\{ apiKey, entraToken \}\) exclude/],
    [{ resourceName: 'evil.com/' }, /^azureOpenAI\(\{ resourceName \}\) must/],
    [{ resourceName: 1 }, /^azureOpenAI\(\{ resourceName \}\) must/],
    [{ apiVersion: 'x' }, /^azureOpenAI\(\{ apiVersion \}\) must/],
    [{ apiKey: 'a' }, /^azureOpenAI\(\{ apiKey \}\) needs resourceName or baseUrl/],
    [{ entraToken: () => 'a' }, /^azureOpenAI\(\{ entraToken \}\) needs resourceName or baseUrl/]
  ]
  for (const [options, message] of rows) {
    t.throws(() => azureOpenAI(options), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message })
  }
  t.throws(() => azureAI({ apiKey: 'a' }), { message: /^azureAI\(/ })
})

t.test('headers that no client adds', async t => {
  for (const provider of [azureOpenAI(), azureAI()]) {
    t.strictSame(
      provider.reservedHeaders,
      ['authorization', 'api-key', 'ocp-apim-subscription-key', 'x-api-key']
    )
  }
})
