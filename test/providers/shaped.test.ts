import type { IncomingHttpHeaders } from 'node:http'
import t, { type Test } from 'tap'
import { forwardToProviders, type Provider } from '../../lib/index.js'
import type { Action, ProviderOptions } from '../../lib/providers/provider.js'
import { anthropic } from '../../lib/providers/anthropic.js'
import { azureAI, azureOpenAI, type AzureCredential, type AzureOptions } from '../../lib/providers/azure.js'
import { mistral } from '../../lib/providers/mistral.js'
import { together } from '../../lib/providers/together.js'
import { BATCH, batch, buildWithoutPauses, cancel } from '../support/app.js'
import { conform, type Case, type Table } from '../support/conformance.js'
import { batchIn, requestOf } from '../support/provider.js'
import { startUpstream } from '../support/upstream.js'

const bearer = { authorization: 'Bearer sk-client-key' }

/** What a provider says in its own shape. */
interface Words {
  /** A batch of the provider's with a status of the provider's. */
  readonly shown: (status: string) => object
  /** Statuses of the provider's, by what they are to OpenAI. */
  readonly live: string
  readonly cancelling: string
  readonly ended: Readonly<Record<string, string>>
  /** An error of the provider's. */
  readonly error: (message: string, code: string) => object
  /** The status of a refusal for the wrong state. */
  readonly refusal: number
  /** What becomes of an error's code. */
  readonly details: (code: string) => object
}

const INVALID = { error: { code: 'upstream_invalid_response' } }
const once = { 'x-stainless-retry-count': '0' }

/** What is true of every provider, in the words of each. */
const casesOf = ({ shown, live, cancelling, ended, error, refusal, details }: Words): Case[] => [
  { what: 'cancelling', cancel: { body: shown(cancelling) }, status: 200, answer: { status: 'cancelling' }, source: 'provider', requests: 1 },
  { what: 'the old status is still shown', cancel: { body: shown(live) }, status: 200, answer: { status: 'cancelling' }, source: 'assumed', requests: 1 },
  { what: 'cancelling already', cancel: { status: refusal, body: error('No.', 'state') }, reads: [{ body: shown(cancelling) }], status: 200, answer: { status: 'cancelling' }, source: 'retrieved', requests: 2 },
  { what: 'it had just completed', cancel: { body: shown(ended['completed'] as string) }, status: 409, answer: { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed' } }, requests: 1 },
  ...Object.entries(ended).map(([status, told]): Case => ({
    what: `it is ${status}`,
    cancel: { status: refusal, body: error('No.', 'state') },
    reads: [{ body: shown(told) }],
    status: 409,
    answer: { error: { message: `Cannot cancel a batch with status '${status}'.`, code: 'batch_not_cancellable' }, batch: { status } },
    responseHeaders: { 'x-should-retry': 'false' },
    requests: 2
  })),
  { what: 'refused, and the batch cannot be read', cancel: { status: refusal, body: error('Not now.', 'busy') }, reads: [{ status: 403 }], status: refusal, answer: { error: { message: 'Not now.', ...details('busy') } } },
  { what: 'no such batch', cancel: { status: 404, body: error('Not found.', 'gone') }, status: 404, answer: { error: { message: 'Not found.', code: 'batch_not_found', ...details('gone') } }, requests: 1 },
  { what: 'a bad key, which it repeats', cancel: { status: 401, body: error('Bad key sk-client-key.', 'key') }, status: 401, answer: { error: { message: 'Bad key ***.', ...details('key') } }, requests: 1 },
  { what: 'a limit', cancel: { status: 429, headers: { 'retry-after': '60' }, body: error('Slow down.', 'limit') }, status: 429, answer: { error: { message: 'Slow down.', ...details('limit') } }, responseHeaders: { 'retry-after': '60' }, requests: 1 },
  { what: 'an error of the server', headers: once, cancel: { status: 500, body: error('Oh.', 'oh') }, status: 500, answer: { error: { message: 'Oh.', ...details('oh') } } },
  ...['<html>', '', {}, [], { object: 'batch', type: 'message_batch', id: 'x' }, { ...shown(cancelling), status: 'constructor', processing_status: 'constructor' }]
    .map((body): Case => ({ what: `no batch: ${JSON.stringify(body)}`, headers: once, cancel: { body }, status: 502, answer: INVALID })),
  { what: 'a closed connection', headers: once, status: 502, answer: { error: { code: 'upstream_unreachable' } } }
]

const ALL_ENDED = { completed: 'completed', failed: 'failed', expired: 'expired', cancelled: 'cancelled' }
const path = (base: string, query = '') => ({
  cancel: { method: 'POST', path: `${base}/cancel${query}`, headers: { 'content-length': '0', 'content-type': undefined } as unknown as IncomingHttpHeaders, body: '' },
  retrieve: { method: 'GET', path: base + query, headers: {}, body: '' }
})

/** The sent headers of both requests. */
const sending = ({ cancel, retrieve }: Pick<Table, 'cancel' | 'retrieve'>, headers: Record<string, string | undefined>) => ({
  cancel: { ...cancel, headers: { ...cancel.headers, ...headers } as IncomingHttpHeaders },
  retrieve: { ...retrieve, headers: { ...retrieve.headers, ...headers } as IncomingHttpHeaders }
})

/** The request of a call with these headers to the provider's own address. */
async function sent<C> (provider: Provider<C>, headers: IncomingHttpHeaders, { batchId = 'batch_1', action = 'cancel' }: { batchId?: string, action?: Action } = {}) {
  const { origin, ...request } = await requestOf(provider, action, batchId, { headers })
  return { url: origin + request.path, ...request }
}

/** Holds a batch that a provider's answer was read as against what it should tell, `null` and empty strings to the letter. */
function tells (t: Test, provider: Provider, body: unknown, told: object | undefined) {
  const found = batchIn(provider, body, 'asked')
  if (told === undefined || !found) return t.equal(found, told, JSON.stringify(body))
  const same = Object.fromEntries(Object.keys(told).map(key => [key, found[key as keyof typeof found]]))
  t.strictSame(same, told, JSON.stringify(body))
  t.equal(found.id, 'asked')
  t.equal(found.provider_batch, body)
}

/** Plays a call against the route with nothing behind it that may be reached. */
async function refusedCall (t: Test, name: string, provider: Provider, headers: Record<string, string>, id = 'batch_1') {
  const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers: { [name]: provider } }) })
  const response = await cancel(app, { id, headers: { 'x-portkey-provider': name, ...headers } })
  return { status: response.statusCode, ...response.json().error }
}

// Azure

const AZURE_WORDS: Words = {
  shown: status => batch({ status: status as typeof BATCH.status }),
  live: 'in_progress',
  cancelling: 'cancelling',
  ended: ALL_ENDED,
  error: (message, code) => ({ error: { code, message } }),
  refusal: 400,
  details: code => ({ code, param: null })
}

t.test('azure-openai by the date of its API', t => conform(t, {
  name: 'azure-openai',
  provider: baseUrl => azureOpenAI({ baseUrl }),
  base: '/openai',
  id: 'batch_1',
  headers: { 'api-key': 'sk-client-key', 'x-portkey-azure-deployment-id': 'gpt' },
  ...sending(path('/openai/batches/batch_1', '?api-version=2024-10-21'), { 'api-key': 'sk-client-key', authorization: undefined }),
  cases: [
    ...casesOf(AZURE_WORDS),
    { what: 'fields for blobs', cancel: { body: { ...BATCH, endpoint: '/chat/completions', output_file_id: null, output_blob: 'https://x.blob.core.windows.net/o' } }, status: 200, answer: { endpoint: '/chat/completions', output_blob: 'https://x.blob.core.windows.net/o' } },
    { what: 'nearly OpenAI\'s shape', cancel: { body: { ...BATCH, id: 'BATCH_1', created_at: '1713894800', errors: '', cancelled_at: '' } }, status: 200, answer: { id: 'batch_1', created_at: 1713894800, errors: null, cancelled_at: null, provider_batch: { errors: '' } } },
    { what: 'an error of the gateway before it', cancel: { status: 403, body: { statusCode: 403, message: 'Out of call volume quota.' } }, status: 403, answer: { error: { message: 'Out of call volume quota.' } } }
  ]
}))

t.test('azure-openai by v1, with a token', t => conform(t, {
  name: 'azure-openai',
  provider: baseUrl => azureOpenAI({ baseUrl }),
  base: '/openai',
  id: 'batch_1',
  headers: { 'x-portkey-azure-ad-token': 'Bearer sk-client-key', 'x-portkey-azure-api-version': 'v1', 'api-key': 'another', authorization: 'Bearer a-third' },
  ...sending(path('/openai/v1/batches/batch_1'), { authorization: 'Bearer sk-client-key', 'api-key': undefined }),
  cases: casesOf(AZURE_WORDS)
}))

t.test('azure-ai', t => conform(t, {
  name: 'azure-ai',
  provider: baseUrl => azureAI({ baseUrl }),
  base: '/openai',
  id: 'batch_1',
  headers: bearer,
  ...sending(path('/openai/batches/batch_1', '?api-version=2024-10-21'), { 'api-key': 'sk-client-key', authorization: undefined }),
  cases: casesOf(AZURE_WORDS)
}))

t.test('where Azure is asked', async t => {
  const key = { 'api-key': 'k' }
  const named = (name: string, headers: IncomingHttpHeaders = {}) => sent(azureOpenAI(), { ...key, 'x-portkey-azure-resource-name': name, ...headers })
  const at = (url: string, headers: IncomingHttpHeaders = {}) => sent(azureAI(), { ...key, 'x-portkey-azure-foundry-url': url, ...headers })
  const dated = (host: string) => `https://${host}/openai/batches/batch_1/cancel?api-version=2024-10-21`

  t.equal((await named('my-res')).url, dated('my-res.openai.azure.com'))
  t.equal((await named('MyRes1')).url, dated('myres1.openai.azure.com'))
  t.equal((await named('a'.repeat(63))).url, dated(`${'a'.repeat(63)}.openai.azure.com`))
  t.equal((await named('res', { 'x-portkey-azure-api-version': '2025-04-01-preview' })).url, 'https://res.openai.azure.com/openai/batches/batch_1/cancel?api-version=2025-04-01-preview')
  t.equal((await named('res', { 'x-portkey-azure-api-version': 'v1' })).url, 'https://res.openai.azure.com/openai/v1/batches/batch_1/cancel')
  t.equal((await named('res', { 'x-portkey-azure-api-version': 'preview' })).url, 'https://res.openai.azure.com/openai/v1/batches/batch_1/cancel?api-version=preview')

  for (const host of ['r-1.services.ai.azure.com', 'r-1.openai.azure.com', 'r-1.cognitiveservices.azure.com']) {
    t.equal((await at(`https://${host}`)).url, dated(host))
    t.equal((await at(`https://${host}/`)).url, dated(host))
    t.equal((await at(`https://${host}/models/chat/completions?api-version=2024-05-01-preview`)).url, dated(host))
    t.equal((await at(`https://${host}/@evil.com/\\..`)).url, dated(host))
  }
  t.equal((await at('https://r1.services.ai.azure.com/api/projects/p', { 'x-portkey-azure-api-version': 'v1' })).url, 'https://r1.services.ai.azure.com/openai/v1/batches/batch_1/cancel')

  const headers = { ...key, 'x-portkey-azure-resource-name': 'clients', 'x-portkey-azure-foundry-url': 'https://clients.openai.azure.com', 'x-portkey-azure-api-version': '2024-07-01-preview' }
  t.equal((await sent(azureOpenAI({ resourceName: 'Servers', apiVersion: 'v1' }), headers)).url, 'https://servers.openai.azure.com/openai/v1/batches/batch_1/cancel')
  t.equal((await sent(azureAI({ resourceName: 'servers' }), headers)).url, 'https://servers.services.ai.azure.com/openai/batches/batch_1/cancel?api-version=2024-07-01-preview')

  const odd = await sent(azureOpenAI({ resourceName: 'res' }), key, { batchId: 'a/b?c#d%', action: 'retrieve' })
  t.strictSame(odd, { url: 'https://res.openai.azure.com/openai/batches/a%2Fb%3Fc%23d%25?api-version=2024-10-21', method: 'GET', path: '/openai/batches/a%2Fb%3Fc%23d%25?api-version=2024-10-21', headers: { 'api-key': 'k' } })
})

t.test('a batch of Azure\'s is OpenAI\'s, and goes out as it came', async t => {
  const body = { ...BATCH, endpoint: '/chat/completions', input_blob: 'https://x.blob.core.windows.net/i' }
  for (const provider of [azureOpenAI(), azureAI()]) {
    t.equal(batchIn(provider, body, 'asked', 'cancel'), body)
    for (const other of [undefined, null, {}, { ...body, status: 'Succeeded' }]) t.equal(batchIn(provider, other, 'asked', 'cancel'), undefined)
  }
})

t.test('with a base no name of a resource is needed', async t => {
  for (const provider of [azureOpenAI(), azureAI()]) t.doesNotThrow(() => provider.locate({ batchId: 'b', headers: {}, hasBase: true }))
})

t.test('which credential Azure gets', async t => {
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
    [{ 'x-portkey-azure-ad-token': 't' }, { token: 't' }],
    [{ 'x-portkey-azure-ad-token': 'Bearer t', 'api-key': 'k', authorization: 'Bearer k2' }, { token: 't' }]
  ]
  for (const [headers, credential] of rows) {
    t.strictSame(azureOpenAI().clientCredential(headers), credential, JSON.stringify(headers))
    t.strictSame(azureAI().clientCredential(headers), credential, JSON.stringify(headers))
  }
  const { headers } = await sent(azureOpenAI({ resourceName: 'res' }), { authorization: `Bearer ${jwt}` })
  t.strictSame(headers, { authorization: `Bearer ${jwt}` })
})

t.test('what Azure is not asked', async t => {
  const NAME = 'x-portkey-azure-resource-name'
  const URL = 'x-portkey-azure-foundry-url'
  const VERSION = 'x-portkey-azure-api-version'
  const names = ['a', '127.0.0.1:9911/ok/?', 'evil.com/', 'evil.com#', 'a.b', '-ab', 'ab-', 'a_b', 'u@h', 'xn--a', 'a b', 'ä', 'a'.repeat(64), 'a%2f']
  const urls = [
    'http://res.openai.azure.com', 'https://127.0.0.1', 'https://evil.com', 'https://openai.azure.com', 'https://.openai.azure.com', 'https://a.b.openai.azure.com',
    'https://res.openai.azure.com.evil.com', 'https://res.openai.azure.com@evil.com', 'https://evil.com/.openai.azure.com', 'https://evil.com#.openai.azure.com',
    'https://evil.com\\.openai.azure.com', 'https://evil.com?.openai.azure.com', 'https://res.openai.azure.com:8443', 'https://u:p@res.openai.azure.com', 'https://resXopenai.azure.com',
    'https://res.servicesXai.azure.com', 'https://res.openaiXazure.com', 'https://res.openai.azureXcom', 'https://res.openai.azure.com?x', 'https://xn--a.openai.azure.com', 'res.openai.azure.com', 'https://models.inference.ai.azure.com'
  ]
  const versions = ['v2', 'V1', 'v1&x=y', '2024-10-21/..', '2024-10-21#', '24-10-21', '2024-10-21-beta', 'x'.repeat(300)]
  const rows: Array<[name: string, provider: Provider<AzureCredential>, headers: Record<string, string>, param: string]> = [
    ['azure-openai', azureOpenAI(), {}, NAME],
    ['azure-ai', azureAI(), {}, URL],
    ['azure-ai', azureAI(), { [NAME]: 'res' }, URL],
    ...names.map((name): typeof rows[number] => ['azure-openai', azureOpenAI(), { [NAME]: name }, NAME]),
    ...urls.map((url): typeof rows[number] => ['azure-ai', azureAI(), { [URL]: url }, URL]),
    ...versions.map((version): typeof rows[number] => ['azure-openai', azureOpenAI(), { [NAME]: 'res', [VERSION]: version }, VERSION]),
    ...['Bearer', 'Bearer ', 'a b', 'ü'].map((token): typeof rows[number] => ['azure-openai', azureOpenAI(), { [NAME]: 'res', 'x-portkey-azure-ad-token': token }, 'x-portkey-azure-ad-token']),
    ['azure-openai', azureOpenAI(), { [NAME]: 'res', 'api-key': 'a b' }, 'api-key'],
    ...['auth-mode', 'managed-client-id', 'workload-client-id', 'entra-client-id', 'entra-client-secret', 'entra-tenant-id', 'entra-scope']
      .map((mode): typeof rows[number] => ['azure-openai', azureOpenAI(), { [NAME]: 'res', [`x-portkey-azure-${mode}`]: 'managed' }, `x-portkey-azure-${mode}`])
  ]
  for (const [name, provider, headers, param] of rows) {
    t.match(await refusedCall(t, name, provider, { ...bearer, ...headers }), { status: 400, code: 'invalid_header', param }, JSON.stringify(headers))
  }
  for (const name of names) t.throws(() => azureOpenAI().locate({ batchId: 'b', headers: { [NAME]: name }, hasBase: false }), { code: 'invalid_header', param: NAME })
  for (const url of urls) t.throws(() => azureAI().locate({ batchId: 'b', headers: { [URL]: url }, hasBase: false }), { code: 'invalid_header', param: URL })
  t.match(await refusedCall(t, 'azure-ai', azureAI(), { ...bearer, 'x-portkey-azure-auth-mode': 'workload' }), { message: /apiKey/ })
  t.match(await refusedCall(t, 'azure-openai', azureOpenAI(), { [NAME]: 'res', authorization: 'Bearer' }), { status: 401, code: 'missing_credentials' })
})

t.test('Azure with a credential of the server', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const served = (options: AzureOptions) => azureOpenAI({ baseUrl: `${upstream.url}/openai`, ...options }) as Provider
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
  for (const [options, headers] of rows) {
    upstream.requests.length = 0
    t.equal((await call(served(options), { 'x-portkey-forward-headers': 'api-key, ocp-apim-subscription-key', 'ocp-apim-subscription-key': 'clients' })).statusCode, 200)
    t.match(upstream.requests, [{ headers: { ...headers, 'ocp-apim-subscription-key': undefined } }])
  }
  upstream.requests.length = 0
  for (const token of [undefined, '', 'a b', 'a\r\nb']) {
    t.match((await call(served({ entraToken: () => token }))).json(), { error: { code: 'missing_credentials' } })
  }
  for (const header of ['x-portkey-azure-ad-token', 'x-portkey-azure-resource-name', 'x-portkey-custom-host']) {
    t.match((await call(served({ apiKey: 'servers' }), { [header]: 'clients' })).json(), { error: { code: 'invalid_header', param: header } })
  }
  const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers: { azure: azureAI({ baseUrl: upstream.url, apiKey: 'servers' }) } }) })
  t.match((await cancel(app, { headers: { ...clients, 'x-portkey-azure-foundry-url': 'https://clients.openai.azure.com' } })).json(), { error: { code: 'invalid_header', param: 'x-portkey-azure-foundry-url' } })
  t.strictSame(upstream.requests, [])
})

t.test('options of Azure that cannot work', async t => {
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
  for (const [options, message] of rows) t.throws(() => azureOpenAI(options), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message })
  t.throws(() => azureAI({ apiKey: 'a' }), { message: /^azureAI\(/ })
})

// Anthropic

const COUNTS = { processing: 0, succeeded: 0, errored: 0, canceled: 0, expired: 0 }
const messages = (told: object) => ({
  id: 'msgbatch_1',
  type: 'message_batch',
  processing_status: 'in_progress',
  request_counts: { ...COUNTS, processing: 3 },
  created_at: '2024-08-20T18:37:24.100435Z',
  expires_at: '2024-08-21T18:37:24.100435Z',
  ended_at: null,
  cancel_initiated_at: null,
  archived_at: null,
  results_url: null,
  ...told
})
const CREATED = 1724179044

const endedMessages = (counts: Partial<typeof COUNTS>, told: object = {}) => messages({
  processing_status: 'ended',
  request_counts: { ...COUNTS, ...counts },
  ended_at: '2024-08-20T18:47:24.100435Z',
  results_url: 'https://api.anthropic.com/v1/messages/batches/msgbatch_1/results',
  ...told
})
const STARTED = { cancel_initiated_at: '2024-08-20T18:39:24.100435Z' }
const ENDED = CREATED + 600
const CANCELLING = CREATED + 120

const MESSAGES: Readonly<Record<string, object>> = {
  in_progress: messages({}),
  canceling: messages({ processing_status: 'canceling', ...STARTED }),
  completed: endedMessages({ succeeded: 3 }),
  expired: endedMessages({ expired: 3 }),
  cancelled: endedMessages({ succeeded: 1, canceled: 2 }, STARTED),
  constructor: messages({ processing_status: 'constructor' })
}

const MESSAGES_TOLD = {
  object: 'batch',
  endpoint: '/v1/messages',
  model: null,
  errors: null,
  input_file_id: '',
  completion_window: '24h',
  status: 'cancelling',
  output_file_id: null,
  error_file_id: null,
  created_at: CREATED,
  in_progress_at: CREATED,
  expires_at: CREATED + 86400,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: CANCELLING,
  cancelled_at: null,
  request_counts: { total: 3, completed: 0, failed: 0 },
  usage: null,
  metadata: null
}

const anthropicTable = (headers: Record<string, string>, upstream: Record<string, string | undefined>, cases: Case[]): Table => ({
  name: 'anthropic',
  provider: baseUrl => anthropic({ baseUrl }),
  base: '/v1',
  id: 'msgbatch_1',
  headers,
  ...sending(path('/v1/messages/batches/msgbatch_1'), upstream),
  cases
})

t.test('anthropic', t => conform(t, anthropicTable(
  { 'x-api-key': 'sk-client-key', authorization: 'Bearer another' },
  { 'x-api-key': 'sk-client-key', authorization: undefined, 'anthropic-version': '2023-06-01', 'anthropic-beta': undefined, 'anthropic-workspace-id': undefined },
  [
    ...casesOf({
      shown: status => MESSAGES[status] as object,
      live: 'in_progress',
      cancelling: 'canceling',
      ended: { completed: 'completed', expired: 'expired', cancelled: 'cancelled' },
      error: (message, type) => ({ type: 'error', error: { type, message }, request_id: 'req_1' }),
      refusal: 400,
      details: type => ({ type })
    }),
    {
      what: 'all fields',
      cancel: { headers: { 'request-id': 'req_1', 'retry-after': '10', 'anthropic-ratelimit-requests-remaining': '9' }, body: MESSAGES['canceling'] },
      status: 200,
      answer: { ...MESSAGES_TOLD, id: 'msgbatch_1', provider_batch: MESSAGES['canceling'] as object },
      responseHeaders: { 'x-request-id': 'req_1', 'anthropic-ratelimit-requests-remaining': '9' }
    }
  ]
)))

t.test('anthropic as its newer clients call it', t => conform(t, anthropicTable(
  { ...bearer, 'anthropic-version': '2026-10-21', 'anthropic-beta': 'b-1, b-2', 'anthropic-workspace-id': 'wrkspc_1' },
  { authorization: 'Bearer sk-client-key', 'x-api-key': undefined, 'anthropic-version': '2026-10-21', 'anthropic-beta': 'b-1, b-2', 'anthropic-workspace-id': 'wrkspc_1' },
  [{ what: 'cancelling', cancel: { body: MESSAGES['canceling'] }, status: 200, answer: { status: 'cancelling' } }]
)))

t.test('anthropic by the headers of Portkey, which go first', t => conform(t, anthropicTable(
  { ...bearer, 'x-portkey-anthropic-version': '2023-01-01', 'x-portkey-anthropic-beta': 'b-1', 'anthropic-version': '2026-10-21', 'anthropic-beta': 'b-2', 'x-portkey-forward-headers': 'anthropic-beta,anthropic-version,x-api-key' },
  { 'anthropic-version': '2023-01-01', 'anthropic-beta': 'b-1' },
  [{ what: 'cancelling', cancel: { body: MESSAGES['canceling'] }, status: 200, answer: { status: 'cancelling' } }]
)))

t.test('how a batch of Anthropic ended', async t => {
  const rows: Array<[body: object, told: object | undefined]> = [
    [MESSAGES['canceling'] as object, MESSAGES_TOLD],
    [MESSAGES['in_progress'] as object, { status: 'in_progress', cancelling_at: null, cancelled_at: null, completed_at: null, output_file_id: null }],
    [messages(STARTED), { status: 'in_progress', cancelling_at: CANCELLING }],
    [endedMessages({ succeeded: 3 }), { status: 'completed', completed_at: ENDED, cancelled_at: null, expired_at: null, output_file_id: 'asked', request_counts: { total: 3, completed: 3, failed: 0 } }],
    [endedMessages({ errored: 3 }), { status: 'completed', completed_at: ENDED, request_counts: { total: 3, completed: 0, failed: 3 } }],
    [endedMessages({ succeeded: 1, errored: 1, canceled: 3, expired: 1 }, STARTED), { status: 'cancelled', cancelling_at: CANCELLING, cancelled_at: ENDED, completed_at: null, request_counts: { total: 6, completed: 1, failed: 2 } }],
    // A cancel that came too late for every request.
    [endedMessages({ succeeded: 3 }, STARTED), { status: 'completed', cancelling_at: CANCELLING, completed_at: ENDED, cancelled_at: null }],
    [endedMessages({ canceled: 3 }), { status: 'completed' }],
    [endedMessages({ expired: 3 }), { status: 'expired', expired_at: ENDED, completed_at: null, request_counts: { total: 3, completed: 0, failed: 3 } }],
    [endedMessages({ expired: 2, succeeded: 1 }), { status: 'completed' }],
    [endedMessages({ expired: 2, errored: 1 }), { status: 'completed' }],
    [endedMessages({}), { status: 'completed' }],
    [messages({ created_at: undefined, expires_at: 'soon' }), { created_at: 0, in_progress_at: null, expires_at: null }],
    // Counts that cannot be read are not needed, unless they alone say how a batch ended.
    [messages({ request_counts: null }), { status: 'in_progress', request_counts: null }],
    [messages({ request_counts: { ...COUNTS, expired: '1' } }), { status: 'in_progress', request_counts: null }],
    [messages({ processing_status: 'canceling', request_counts: undefined }), { status: 'cancelling', request_counts: null }],
    [messages({ processing_status: 'ended', request_counts: null }), undefined],
    [messages({ processing_status: 'ended', request_counts: { ...COUNTS, expired: '1' } }), undefined],
    [messages({ type: 'message' }), undefined]
  ]
  for (const [body, told] of rows) tells(t, anthropic(), body, told)
})

t.test('which credential Anthropic gets', async t => {
  const rows: Array<[headers: IncomingHttpHeaders, credential: unknown]> = [
    [{}, undefined],
    [{ authorization: 'Bearer ' }, undefined],
    [{ authorization: 'Bearer t' }, { token: 't' }],
    [{ 'x-api-key': 'k' }, 'k'],
    [{ 'x-api-key': 'k', authorization: 'Bearer t' }, 'k'],
    [{ 'x-api-key': '', authorization: 'Bearer t' }, { token: 't' }]
  ]
  for (const [headers, credential] of rows) t.strictSame(anthropic().clientCredential(headers), credential, JSON.stringify(headers))

  for (const [header, value] of Object.entries({ 'x-api-key': 'a b', 'anthropic-version': 'v1', 'x-portkey-anthropic-version': '2023-06-01\t', 'anthropic-beta': 'ü', 'x-portkey-anthropic-beta': 'x'.repeat(1025), 'anthropic-workspace-id': 'a b' })) {
    const headers = { ...bearer, [header]: value }
    t.match(await refusedCall(t, 'anthropic', anthropic(), header.includes('portkey-anthropic-version') ? { ...headers, [header]: 'today' } : headers), { status: 400, code: 'invalid_header', param: header })
  }

  const upstream = await startUpstream(t, () => ({ body: MESSAGES['canceling'] }))
  const app = await buildWithoutPauses(t, { defaultProvider: 'anthropic', forward: forwardToProviders({ providers: { anthropic: anthropic({ baseUrl: upstream.url, apiKey: 'servers' }) } }) })
  await cancel(app, { id: 'msgbatch_1', headers: { 'x-api-key': 'clients', authorization: 'Bearer clients' } })
  t.match(upstream.requests, [{ path: '/messages/batches/msgbatch_1/cancel', headers: { 'x-api-key': 'servers', authorization: undefined } }])
  t.match((await cancel(app, { headers: { 'anthropic-workspace-id': 'wrkspc_1' } })).json(), { error: { code: 'invalid_header', param: 'anthropic-workspace-id' } })
  t.equal(upstream.requests.length, 1)
})

// Mistral

const JOB_ID = '5f1c2ad0-9d50-4f0b-8b1e-0f3f7e3b2c11'
const job = (status: string, told: object = {}) => ({
  id: JOB_ID,
  object: 'batch',
  input_files: ['8a4c0f9e-6f5a-4c64-9a5e-3f4f4f6a1b22', 'another'],
  metadata: { team: 'a' },
  endpoint: '/v1/chat/completions',
  model: 'mistral-small-latest',
  agent_id: null,
  output_file: null,
  error_file: null,
  errors: [],
  outputs: null,
  status,
  created_at: 1788000000,
  started_at: null,
  completed_at: null,
  total_requests: 8,
  completed_requests: 0,
  succeeded_requests: 0,
  failed_requests: 0,
  ...told
})

const STOPPED = job('CANCELLED', { started_at: 1788000001, completed_at: 1788000060, completed_requests: 5, succeeded_requests: 3, failed_requests: 2, output_file: 'out', error_file: 'err', errors: [{ message: 'one', count: 2 }] })

const JOB_TOLD = {
  object: 'batch',
  endpoint: '/v1/chat/completions',
  model: 'mistral-small-latest',
  errors: null,
  input_file_id: '8a4c0f9e-6f5a-4c64-9a5e-3f4f4f6a1b22',
  completion_window: '',
  status: 'cancelled',
  output_file_id: 'out',
  error_file_id: 'err',
  created_at: 1788000000,
  in_progress_at: 1788000001,
  expires_at: null,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: 1788000060,
  request_counts: { total: 8, completed: 3, failed: 2 },
  usage: null,
  metadata: { team: 'a' }
}

t.test('mistral-ai', t => conform(t, {
  name: 'mistral-ai',
  provider: baseUrl => mistral({ baseUrl }),
  base: '/v1',
  id: JOB_ID,
  headers: bearer,
  ...sending(path(`/v1/batch/jobs/${JOB_ID}`), { authorization: 'Bearer sk-client-key' }),
  cases: [
    ...casesOf({
      shown: status => job(status),
      live: 'RUNNING',
      cancelling: 'CANCELLATION_REQUESTED',
      ended: { completed: 'SUCCESS', failed: 'FAILED', expired: 'TIMEOUT_EXCEEDED', cancelled: 'CANCELLED' },
      error: message => ({ detail: message }),
      refusal: 422,
      details: () => ({})
    }),
    { what: 'refused as pydantic does', cancel: { status: 422, body: { detail: [{ type: 'uuid_parsing', loc: ['path', 'job_id'], msg: 'Input should be a valid UUID' }] } }, reads: [{ status: 404 }], status: 422, answer: { error: { type: 'uuid_parsing', message: 'Input should be a valid UUID' } } },
    {
      what: 'cancelled at once, after which some had succeeded',
      cancel: { body: STOPPED },
      status: 200,
      source: 'provider',
      answer: { ...JOB_TOLD, id: JOB_ID, provider_batch: { status: 'CANCELLED', errors: [{ message: 'one', count: 2 }] } }
    }
  ]
}))

t.test('every status of Mistral\'s', async t => {
  const told = { completed_at: 1788000060, started_at: 1788000001, errors: [{ message: 'one', count: 2 }] }
  const at = { completed_at: null, failed_at: null, expired_at: null, cancelled_at: null, in_progress_at: 1788000001, errors: null as object | null }
  const rows: Array<[body: unknown, told: object | undefined]> = [
    [STOPPED, JOB_TOLD],
    [job('QUEUED', told), { ...at, status: 'validating' }],
    [job('RUNNING', told), { ...at, status: 'in_progress' }],
    [job('SUCCESS', told), { ...at, status: 'completed', completed_at: 1788000060 }],
    [job('FAILED', told), { ...at, status: 'failed', failed_at: 1788000060, errors: { object: 'list', data: [{ message: 'one', code: null, param: null, line: null }] } }],
    [job('TIMEOUT_EXCEEDED', told), { ...at, status: 'expired', expired_at: 1788000060 }],
    [job('CANCELLATION_REQUESTED', told), { ...at, status: 'cancelling' }],
    [job('CANCELLED', told), { ...at, status: 'cancelled', cancelled_at: 1788000060 }],
    [{ status: 'RUNNING' }, { id: 'asked', endpoint: '', model: null, input_file_id: '', created_at: 0, in_progress_at: null, request_counts: null, metadata: null }],
    [{ status: 'RUNNING', input_files: [], metadata: { a: 1 }, total_requests: 1 }, { input_file_id: '', metadata: null, request_counts: null }],
    [job('running'), undefined],
    [job('PAUSED'), undefined],
    [null, undefined],
    ['CANCELLED', undefined]
  ]
  for (const [body, told] of rows) tells(t, mistral(), body, told)
})

t.test('where Mistral is asked', async t => {
  t.strictSame(await sent(mistral(), bearer, { batchId: JOB_ID }), { url: `https://api.mistral.ai/v1/batch/jobs/${JOB_ID}/cancel`, method: 'POST', path: `/v1/batch/jobs/${JOB_ID}/cancel`, headers: { authorization: 'Bearer sk-client-key' } })
  t.match(await sent(mistral(), bearer, { batchId: JOB_ID, action: 'retrieve' }), { url: `https://api.mistral.ai/v1/batch/jobs/${JOB_ID}`, method: 'GET' })
  for (const id of ['batch_1', `${JOB_ID}0`, `x${JOB_ID}`, JOB_ID.slice(1), `${JOB_ID}/../x`, JOB_ID.replaceAll('-', ''), 'g'.repeat(36)]) {
    t.match(await refusedCall(t, 'mistral-ai', mistral(), bearer, encodeURIComponent(id)), { status: 400, code: 'invalid_batch_id', param: 'id' }, id)
  }
  t.match(mistral().id?.test(JOB_ID.toUpperCase()), true)
})

// Together

const TOGETHER_ID = 'c2a1bb43-6a44-4b1e-9a51-7a6f2d0b9c33'
const jobAt = (status: string, told: object = {}) => ({
  id: TOGETHER_ID,
  user_id: 'user-1',
  input_file_id: 'file-1',
  file_size_bytes: 1234,
  status,
  job_deadline: '2026-09-02T10:00:00.499998Z',
  created_at: '2026-09-01T10:00:00.500000Z',
  endpoint: '/v1/chat/completions',
  progress: 40,
  model_id: 'meta-llama/Llama-3.3-70B-Instruct-Turbo',
  ...told
})
const MADE = Date.UTC(2026, 8, 1, 10) / 1000

const TOGETHER_TOLD = {
  object: 'batch',
  endpoint: '/v1/chat/completions',
  model: 'meta-llama/Llama-3.3-70B-Instruct-Turbo',
  errors: null,
  input_file_id: 'file-1',
  completion_window: '',
  status: 'cancelling',
  output_file_id: null,
  error_file_id: null,
  created_at: MADE + 1,
  in_progress_at: null,
  expires_at: MADE + 86400,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: null,
  request_counts: null,
  usage: null,
  metadata: null
}

t.test('together-ai', t => conform(t, {
  name: 'together-ai',
  provider: baseUrl => together({ baseUrl }),
  base: '/v1',
  id: TOGETHER_ID,
  headers: bearer,
  ...sending(path(`/v1/batches/${TOGETHER_ID}`), { authorization: 'Bearer sk-client-key', 'user-agent': 'fastify-batch-cancel' }),
  cases: [
    ...casesOf({
      shown: status => jobAt(status),
      live: 'IN_PROGRESS',
      cancelling: 'CANCELING',
      ended: { completed: 'COMPLETED', failed: 'FAILED', expired: 'EXPIRED', cancelled: 'CANCELLED' },
      error: message => ({ error: message, request_id: 'r' }),
      refusal: 409,
      details: () => ({})
    }),
    { what: 'cancelled before, in its own words', cancel: { status: 409, body: { error: 'Cannot cancel job - already in terminal state: CANCELLED' } }, reads: [{ body: jobAt('CANCELLED') }], status: 409, answer: { error: { message: 'Cannot cancel a batch with status \'cancelled\'.' } } },
    { what: 'an error told as an object', cancel: { status: 401, body: { id: 'x', error: { message: 'Invalid API key', type: 'invalid_request_error', param: null, code: 'invalid_api_key' } } }, status: 401, answer: { error: { message: 'Invalid API key', code: 'invalid_api_key' } } },
    {
      what: 'all fields',
      cancel: { body: jobAt('CANCELING') },
      status: 200,
      answer: { ...TOGETHER_TOLD, id: TOGETHER_ID, provider_batch: jobAt('CANCELING') }
    }
  ]
}))

t.test('every status of Together\'s', async t => {
  const told = { completed_at: '2026-09-01T10:01:00Z', output_file_id: 'out', error_file_id: 'err' }
  const at = { completed_at: null, failed_at: null, expired_at: null, cancelled_at: null, output_file_id: 'out', error_file_id: 'err', errors: null }
  const rows: Array<[body: unknown, told: object | undefined]> = [
    [jobAt('CANCELING'), TOGETHER_TOLD],
    [jobAt('VALIDATING', told), { ...at, status: 'validating' }],
    [jobAt('IN_PROGRESS', told), { ...at, status: 'in_progress' }],
    [jobAt('COMPLETED', told), { ...at, status: 'completed', completed_at: MADE + 60 }],
    [jobAt('FAILED', told), { ...at, status: 'failed', failed_at: MADE + 60 }],
    [jobAt('EXPIRED', told), { ...at, status: 'expired', expired_at: MADE + 60 }],
    [jobAt('CANCELING', told), { ...at, status: 'cancelling' }],
    [jobAt('CANCELLED', told), { ...at, status: 'cancelled', cancelled_at: MADE + 60 }],
    [jobAt('FAILED', { error: 'Bad line.' }), { errors: { object: 'list', data: [{ message: 'Bad line.', code: null, param: null, line: null }] } }],
    [{ status: 'FAILED', error: '', completed_at: '' }, { id: 'asked', endpoint: '', input_file_id: '', created_at: 0, expires_at: null, failed_at: null, errors: null, model: null, request_counts: null }],
    [{ job: jobAt('CANCELING') }, undefined],
    [jobAt('canceling'), undefined],
    [jobAt('PAUSED'), undefined],
    [undefined, undefined]
  ]
  for (const [body, told] of rows) tells(t, together(), body, told)
})

t.test('where Together and Anthropic are asked', async t => {
  t.strictSame(await sent(together(), bearer, { batchId: 'a/b' }), { url: 'https://api.together.ai/v1/batches/a%2Fb/cancel', method: 'POST', path: '/v1/batches/a%2Fb/cancel', headers: { authorization: 'Bearer sk-client-key' } })
  t.match(await sent(together(), bearer, { action: 'retrieve' }), { url: 'https://api.together.ai/v1/batches/batch_1', method: 'GET' })
  t.match(await sent(anthropic(), bearer, { batchId: 'a/b' }), { url: 'https://api.anthropic.com/v1/messages/batches/a%2Fb/cancel', method: 'POST' })
  t.match(await sent(anthropic(), bearer, { action: 'retrieve' }), { url: 'https://api.anthropic.com/v1/messages/batches/batch_1', method: 'GET' })
})

// All

t.test('each factory checks its options once', async t => {
  const factories: Readonly<Record<string, (options: ProviderOptions) => unknown>> = { azureOpenAI, azureAI, anthropic, mistral, together }
  for (const [name, factory] of Object.entries(factories)) {
    t.throws(() => factory({ baseUrl: 'http://u:p@x' }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: new RegExp(`^${name}\\(`) })
    t.throws(() => factory({ baseUrl: 'http://x', apiKey: 'a b' }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: new RegExp(`^${name}\\(`) })
    t.doesNotThrow(() => factory({ baseUrl: 'http://x', apiKey: 'a' }))
  }
})

t.test('what no header of a client adds', async t => {
  for (const provider of [azureOpenAI(), azureAI()]) t.strictSame(provider.reservedHeaders, ['authorization', 'api-key', 'ocp-apim-subscription-key', 'x-api-key'])
  t.strictSame(anthropic().reservedHeaders, ['authorization', 'x-api-key', 'anthropic-version', 'anthropic-version', 'anthropic-beta', 'anthropic-workspace-id'])
  for (const provider of [mistral(), together()]) t.strictSame(provider.reservedHeaders, ['authorization'])
})

t.test('a key of the server goes out alone', async t => {
  const upstream = await startUpstream(t, ({ path }) => ({ body: path.includes('jobs') ? job('CANCELLED') : jobAt('CANCELING', { id: JOB_ID }) }))
  for (const provider of [mistral({ baseUrl: upstream.url, apiKey: 'servers' }), together({ baseUrl: upstream.url, apiKey: () => 'servers' })]) {
    upstream.requests.length = 0
    const app = await buildWithoutPauses(t, { defaultProvider: 'p', forward: forwardToProviders({ providers: { p: provider } }) })
    t.equal((await cancel(app, { id: JOB_ID, headers: { ...bearer, 'x-portkey-forward-headers': 'authorization' } })).statusCode, 200)
    t.match(upstream.requests, [{ headers: { authorization: 'Bearer servers' } }])
  }
})
