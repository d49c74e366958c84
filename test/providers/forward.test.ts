import { Type } from '@sinclair/typebox'
import t from 'tap'
import {
  ACCEPTED, builtIn, cerebras, dashscope, deepinfra, defineProvider, forwardToProviders, groq, moonshot, morph, openai, openaiCompatible,
  parasail, post, siliconflow, zhipu, type Batch
} from '../../lib/index.js'
import { BATCH, batch, buildWithoutPauses, cancel } from '../support/app.js'
import { conform, type Case } from '../support/conformance.js'
import { startUpstream } from '../support/upstream.js'

const key = { authorization: 'Bearer sk-client-key' }
const error = (message: string, code: string | null = null) => ({ error: { message, type: 'invalid_request_error', param: null, code } })
const ended = (status: string): Case => ({
  what: `it is ${status}`,
  cancel: { status: 409, body: error(`Cannot cancel a batch with status '${status}'.`) },
  reads: [{ body: { ...BATCH, status, output_file_id: 'file-2' } }],
  status: 409,
  answer: { error: { message: `Cannot cancel a batch with status '${status}'.`, code: 'batch_not_cancellable' }, batch: { status, output_file_id: 'file-2' } },
  responseHeaders: { 'x-should-retry': 'false' },
  requests: 2
})

/** What every provider of OpenAI's shape does, by the names that OpenAI gives it. */
const CASES: readonly Case[] = [
  { what: 'cancelling', cancel: { body: BATCH }, status: 200, answer: BATCH, source: 'provider', requests: 1 },
  { what: 'cancelled at once', cancel: { body: batch({ status: 'cancelled', cancelled_at: 5 }) }, status: 200, answer: { status: 'cancelled', cancelled_at: 5 }, source: 'provider', requests: 1 },
  { what: 'accepted, but the old status is shown', cancel: { body: batch({ status: 'in_progress', cancelling_at: 7 }) }, status: 200, answer: { ...BATCH, status: 'cancelling', cancelling_at: 7 }, source: 'assumed', requests: 1 },
  { what: 'accepted, but it had just completed', cancel: { body: batch({ status: 'completed' }) }, status: 409, answer: { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed' } }, requests: 1 },
  { what: 'cancelling already', cancel: { status: 409, body: error('Already cancelling.') }, reads: [{ body: BATCH }], status: 200, answer: BATCH, source: 'retrieved', requests: 2 },
  ended('completed'), ended('failed'), ended('expired'), ended('cancelled'),
  { what: 'cancelled by the first try of a client that repeats', headers: { 'x-stainless-retry-count': '1' }, cancel: { status: 409, body: error('no') }, reads: [{ body: batch({ status: 'cancelled' }) }], status: 200, answer: { status: 'cancelled' }, source: 'retrieved' },
  { what: 'the first try of a client that repeats', headers: { 'x-stainless-retry-count': '0' }, cancel: { status: 400, body: error('no') }, reads: [{ body: batch({ status: 'cancelled' }) }], status: 409, answer: { batch: { status: 'cancelled' } } },
  { what: 'refused, and the batch cannot be read', cancel: { status: 409, body: error('Cannot now.', 'busy') }, reads: [{ status: 503 }], status: 409, answer: { error: { message: 'Cannot now.', code: 'busy' } }, requests: 4 },
  { what: 'no such batch', cancel: { status: 404, body: error('No batch found with id \'batch_1\'.') }, status: 404, answer: { error: { message: 'No batch found with id \'batch_1\'.', code: 'batch_not_found' } }, requests: 1 },
  { what: 'a bad key, which it repeats', cancel: { status: 401, body: error('Incorrect API key provided: sk-client-key.', 'invalid_api_key') }, status: 401, answer: { error: { message: 'Incorrect API key provided: ***.', code: 'invalid_api_key' } }, requests: 1 },
  { what: 'a limit', cancel: { status: 429, headers: { 'retry-after': '2', 'x-ratelimit-reset-requests': '1s' }, body: error('Slow down.', 'rate_limit_exceeded') }, status: 429, answer: { error: { code: 'rate_limit_exceeded' } }, responseHeaders: { 'retry-after': '2', 'x-ratelimit-reset-requests': '1s' } },
  { what: 'an error of the server', cancel: { status: 500, body: error('Oh.') }, status: 500, answer: { error: { message: 'Oh.', code: 'upstream_error' } } },
  { what: 'a page for an error', cancel: { status: 502, headers: { 'content-type': 'text/html' }, body: '<html>' }, status: 502, answer: { error: { message: 'The provider responded with status 502.', code: 'upstream_error' } } },
  { what: 'plain words for an error', cancel: { status: 401, body: 'Unauthorized. Invalid token format.' }, status: 401, answer: { error: { message: 'Unauthorized. Invalid token format.' } } },
  { what: 'nothing for an error', cancel: { status: 403 }, status: 403, answer: { error: { message: 'The provider responded with status 403.' } } },
  { what: 'an error of nothing', cancel: { status: 403, body: { error: '' } }, status: 403, answer: { error: { message: 'The provider responded with status 403.' } } },
  { what: 'an error told as `detail`', cancel: { status: 403, body: { detail: { error: 'not yours' } } }, status: 403, answer: { error: { message: 'not yours' } } },
  { what: 'an error told as a list', cancel: { status: 403, body: { detail: [{ loc: ['path', 'id'], msg: 'Input should be a valid UUID', type: 'uuid_parsing' }] } }, status: 403, answer: { error: { message: 'Input should be a valid UUID', type: 'uuid_parsing' } } },
  { what: 'an error with a number for a code', cancel: { status: 403, body: { error: { code: 1210, message: 'No.' } } }, status: 403, answer: { error: { code: '1210' } } },
  { what: 'an error with the code outside', cancel: { status: 403, body: { code: 'denied', error: 'No.' } }, status: 403, answer: { error: { message: 'No.', code: 'denied' } } },
  { what: 'an error without words', cancel: { status: 403, body: { error: { message: '', error: { error: { error: { error: { message: 'too deep' } } } } } } }, status: 403, answer: { error: { message: 'The provider responded with status 403.' } } },
  { what: 'not JSON', cancel: { body: '<html>' }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'nothing', cancel: { body: '' }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'an empty object', cancel: { body: {} }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'a list', cancel: { body: [] }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'another object', cancel: { body: { object: 'file', id: 'file-1' } }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'another object with a status', cancel: { body: { object: 'response', id: 'resp_1', status: 'completed' } }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'a status of nothing', cancel: { body: { status: 'cancelled' } }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'an error that repeats the key everywhere', cancel: { status: 403, headers: { 'x-ratelimit-key': 'sk-client-key' }, body: error('x'.repeat(3990) + 'sk-client-key', 'sk-client-key') }, status: 403, answer: { error: { message: /^x{3990}\*\*\*$/, code: '***' } }, responseHeaders: { 'x-ratelimit-key': '***' } },
  { what: 'an unknown status', cancel: { body: { ...BATCH, status: 'success' } }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'more than 1 MiB', cancel: { body: { ...BATCH, more: 'x'.repeat(1024 * 1024) } }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'an encoding that nobody asked for', cancel: { headers: { 'content-encoding': 'gzip' }, body: 'x' }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'a redirect', cancel: { status: 307, headers: { location: 'http://127.0.0.1:9/' } }, status: 502, answer: { error: { code: 'upstream_invalid_response' } }, requests: 4 },
  { what: 'a redirect of the read, too, which is read once', cancel: { status: 307 }, reads: [{ status: 302, headers: { location: '/' } }], status: 502, answer: { error: { code: 'upstream_invalid_response' } }, requests: 2 },
  { what: 'a redirect that would read', cancel: { status: 302, headers: { location: '/v1/batches/batch_1' } }, status: 502, answer: { error: { code: 'upstream_invalid_response' } }, requests: 4 },
  { what: 'a status that is none', cancel: { status: 999 }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'a closed connection', status: 502, answer: { error: { code: 'upstream_unreachable', message: /^The provider could not be reached, so it is not known/ } } },
  {
    what: 'a batch that is OpenAI\'s in all but some fields',
    cancel: { body: { id: 'batch_1', object: 'batch', status: 'CANCELLING', created_at: '2026-01-02T03:04:05.6Z', cancelling_at: '1767323045', in_progress_at: '2026-01-02T03:04:05', expires_at: 0, completed_at: 'soon', errors: ['a', { message: 'b', code: 'c', line: 3 }, {}, null], metadata: { a: 1 }, request_counts: { total: 3, completed: 1, failed: 0 }, usage: {}, input_file_id: null, model: 'm', output_file_id: '' } },
    status: 200,
    answer: {
      id: 'batch_1',
      object: 'batch',
      endpoint: '',
      model: 'm',
      input_file_id: '',
      completion_window: '',
      status: 'cancelling',
      output_file_id: null,
      created_at: 1767323046,
      cancelling_at: 1767323045,
      in_progress_at: 1767323045,
      expires_at: null,
      completed_at: null,
      metadata: null,
      usage: null,
      errors: { object: 'list', data: [{ code: null, message: 'a', param: null, line: null }, { code: 'c', message: 'b', param: null, line: 3 }] },
      request_counts: { total: 3, completed: 1, failed: 0 },
      provider_batch: { status: 'CANCELLING', metadata: { a: 1 } }
    }
  },
  { what: 'errors as OpenAI\'s list, in another shape\'s company', cancel: { body: { ...BATCH, status: 'Cancelling', errors: { data: [{ message: 'b' }] } } }, status: 200, answer: { errors: { data: [{ message: 'b' }] } } },
  { what: 'an unknown status of a batch that is being cancelled', cancel: { body: { id: 'batch_1', object: 'batch', status: 'calling', cancelling_at: 1767323045 } }, status: 200, answer: { id: 'batch_1', status: 'cancelling', created_at: 0, cancelling_at: 1767323045, provider_batch: { status: 'calling' } } }
]

t.test('openai', t => conform(t, {
  name: 'openai',
  provider: baseUrl => openai({ baseUrl }),
  base: '/v1',
  id: 'batch_1',
  headers: { ...key, 'x-portkey-openai-organization': 'org-1', 'x-portkey-openai-project': 'proj_1', 'openai-beta': 'b=1' },
  cancel: { method: 'POST', path: '/v1/batches/batch_1/cancel', headers: { authorization: 'Bearer sk-client-key', accept: 'application/json', 'content-length': '0', 'openai-organization': 'org-1', 'openai-project': 'proj_1', 'openai-beta': 'b=1', 'user-agent': 'fastify-batch-cancel' }, body: '' },
  retrieve: { method: 'GET', path: '/v1/batches/batch_1', headers: { authorization: 'Bearer sk-client-key', 'openai-organization': 'org-1' }, body: '' },
  cases: CASES
}))

t.test('every other that speaks OpenAI\'s shape', async t => {
  const own: Partial<Record<string, { method?: string, path?: string, cases?: Case[] }>> = {
    cerebras: { method: 'DELETE', path: '/v1/batches/batch_1' },
    siliconflow: { cases: [{ what: 'in_queue', cancel: { body: { ...BATCH, status: 'in_queue' } }, status: 200, answer: { status: 'cancelling', provider_batch: { status: 'in_queue' } }, source: 'assumed' }] },
    deepinfra: { cases: [{ what: 'a state error as `detail`', cancel: { status: 400, body: { detail: { error: 'batch is already cancelled' } } }, reads: [{ body: { ...BATCH, status: 'cancelled', request_counts: null, model: null, usage: null } }], status: 409, answer: { error: { code: 'batch_not_cancellable' }, batch: { request_counts: null } } }] }
  }
  for (const [name, factory] of Object.entries({ openai, groq, deepinfra, parasail, cerebras, moonshot, dashscope, zhipu, siliconflow, morph })) {
    const { method = 'POST', path = '/v1/batches/batch_1/cancel', cases = [] } = own[name] ?? {}
    await conform(t, {
      name,
      provider: baseUrl => factory({ baseUrl }),
      base: '/v1',
      id: 'batch_1',
      headers: key,
      cancel: { method, path, headers: { authorization: 'Bearer sk-client-key' }, body: '' },
      retrieve: { method: 'GET', path: '/v1/batches/batch_1', headers: { authorization: 'Bearer sk-client-key' }, body: '' },
      cases: [...CASES.slice(0, 6), ...cases]
    })
  }
})

t.test('an id is one segment of the path, encoded once', t => conform(t, {
  name: 'openai',
  provider: baseUrl => openaiCompatible({ name: 'openai', baseUrl: `${baseUrl}//`, id: { pattern: /./, description: 'anything' } }, {}),
  base: '/deep/v1',
  id: 'a/b ü?c%2e#d',
  headers: key,
  cancel: { method: 'POST', path: '/deep/v1/batches/a%2Fb%20%C3%BC%3Fc%252e%23d/cancel', headers: {}, body: '' },
  retrieve: { method: 'GET', path: '/deep/v1/batches/a%2Fb%20%C3%BC%3Fc%252e%23d', headers: {}, body: '' },
  cases: [{ what: 'cancelling', cancel: { body: batch({ id: 'a/b ü?c%2e#d' }) }, status: 200, answer: batch({ id: 'a/b ü?c%2e#d' }) }]
}))

t.test('an answer that is a batch goes out byte for byte', async t => {
  const text = '{"id":"batch_1", "object":"batch","endpoint":"/v1/x","input_file_id":"f","completion_window":"24h","status":"cancelling","created_at":1e3,"big":17114715331711471533,"one":1.0}'
  const upstream = await startUpstream(t, () => ({ body: text }))
  const app = await buildWithoutPauses(t, { defaultProvider: 'openai', forward: forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url }) } }) })
  t.equal((await cancel(app, { headers: key })).body, text)
})

t.test('a provider of one\'s own', async t => {
  const mine = defineProvider({
    name: 'mine',
    id: { pattern: /^job-\d+$/, description: 'an id such as job-1' },
    headers: { 'x-mine-region': Type.String({ pattern: '^[a-z]+$' }) },
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
  await conform(t, {
    name: 'mine',
    provider: baseUrl => mine({ baseUrl }),
    base: '/api',
    id: 'job-1',
    headers: { 'x-mine-region': 'eu' },
    cancel: { method: 'POST', path: '/api/cancel', headers: { 'x-key': 'long-secret' }, body: '{"batchId":"job-1"}' },
    retrieve: { method: 'POST', path: '/api/retrieve', headers: { 'x-key': 'long-secret' }, body: '{"batchId":"job-1"}' },
    cases: [
      { what: 'accepted without a batch', cancel: { body: { job: null } }, reads: [{ body: { job: BATCH } }], status: 200, answer: BATCH, source: 'retrieved', requests: 2 },
      { what: 'a read without a batch', cancel: { body: { job: null } }, reads: [{ body: { job: null } }], status: 200, answer: { id: 'job-1', status: 'cancelling' }, source: 'assumed' },
      { what: 'an error with the secret', cancel: { status: 403, body: { error: 'no long-secret' } }, status: 403, answer: { error: { message: 'no ***' } } },
      { what: 'another id', id: 'batch_1', status: 400, answer: { error: { code: 'invalid_batch_id', message: 'The batch id is not valid for \'mine\': expected an id such as job-1.' } }, requests: 0 },
      { what: 'a header that is none', headers: { 'x-mine-region': 'EU' }, status: 400, answer: { error: { code: 'invalid_header', param: 'x-mine-region' } }, requests: 0 }
    ]
  })
  const carrier = forwardToProviders({ providers: { mine: mine() } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'mine', forward: { ...carrier, cancel: call => carrier.cancel({ ...call, provider: 'other' }) } })
  t.match((await cancel(app, { id: 'job-1' })).json(), { error: { code: 'unknown_provider', param: 'x-portkey-provider' } }, 'a forwarder that changes the name')
})

t.test('what is built in', async t => {
  t.match(builtIn.groq.locate({ batchId: 'b', headers: {}, hasBase: false }).base, { origin: 'https://api.groq.com', path: '/openai/v1' })
  t.match(builtIn['fireworks-ai'], { unsupported: /delete the job/ })
})
