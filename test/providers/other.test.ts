import type { IncomingHttpHeaders } from 'node:http'
import t from 'tap'
import { forwardToProviders, type Provider } from '../../lib/index.js'
import type { Action } from '../../lib/providers/provider.js'
import { cohere } from '../../lib/providers/cohere.js'
import { digitalocean, novita } from '../../lib/providers/compatible.js'
import { watsonx } from '../../lib/providers/watsonx.js'
import { defineXai, xai } from '../../lib/providers/xai.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { conform, type Case } from '../support/conformance.js'
import { batchIn, requestOf } from '../support/provider.js'

const key = { authorization: 'Bearer client-key-1' }

/** Every field of a batch that a provider does not tell. */
const UNREPORTED = {
  object: 'batch',
  endpoint: '',
  model: null,
  errors: null,
  input_file_id: '',
  completion_window: '',
  output_file_id: null,
  error_file_id: null,
  created_at: 0,
  in_progress_at: null,
  expires_at: null,
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

/** What each of them does alike; `error` makes a body of its errors, which has `code`; `live` is a batch that runs. */
const common = (error: (message: string) => unknown, live: unknown, code = 'batch_not_found'): Case[] => [
  { what: 'no such batch', cancel: { status: 404, body: error('not there') }, status: 404, answer: { error: { message: 'not there', code } } },
  { what: 'a bad key', cancel: { status: 401, body: error('invalid api token') }, status: 401, answer: { error: { message: 'invalid api token' } } },
  { what: 'not allowed', cancel: { status: 403, body: error('not yours') }, status: 403, answer: { error: { message: 'not yours' } } },
  { what: 'a limit', cancel: { status: 429, headers: { 'retry-after': '3600' }, body: error('slow down') }, status: 429, answer: { error: { message: 'slow down' } }, responseHeaders: { 'retry-after': '3600' } },
  { what: 'an error of the server', cancel: { status: 500, body: error('oh') }, status: 500, answer: { error: { message: 'oh' } } },
  { what: 'not JSON', cancel: { body: '<html>' }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'nothing', cancel: { body: '' }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'a list', cancel: { body: [] }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'another object', cancel: { body: { ok: true } }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'refused, and it still runs', cancel: { status: 409, body: error('not yet') }, reads: [{ body: live }], status: 409, answer: { error: { message: 'not yet' } } },
  { what: 'refused, and the batch cannot be read', cancel: { status: 400, body: error('no') }, reads: [{ status: 404, body: error('gone') }], status: 400, answer: { error: { message: 'no' } } }
]

/** Refused, and what the batch then turns out to be. */
const settled = (status: number, body: unknown, reads: ReadonlyArray<readonly [status: string, told: unknown]>): Case[] =>
  reads.map(([shown, told]) => shown === 'cancelling'
    ? { what: 'cancelling already', cancel: { status, body }, reads: [{ body: told }], status: 200, answer: { status: shown }, source: 'retrieved', requests: 2 }
    : { what: `it is ${shown}`, cancel: { status, body }, reads: [{ body: told }], status: 409, answer: { error: { message: `Cannot cancel a batch with status '${shown}'.`, code: 'batch_not_cancellable' }, batch: { status: shown } }, responseHeaders: { 'x-should-retry': 'false' }, requests: 2 })

const read = (provider: Provider, body: unknown, action?: Action) => batchIn(provider, body, 'b-1', action)

// Cohere

const COHERE = {
  id: 'b-1',
  name: 'nightly',
  creator_id: 'u',
  org_id: 'o',
  status: 'BATCH_STATUS_CANCELING',
  created_at: '2026-03-01T10:00:00.600Z',
  updated_at: '2026-03-01T11:00:00Z',
  input_dataset_id: 'ds-in',
  output_dataset_id: 'ds-out',
  input_tokens: '120',
  output_tokens: '40',
  model: 'command-a',
  num_records: 10,
  num_successful_records: 4,
  num_failed_records: 1,
  status_reason: 'asked for'
}
const cohereIs = (status: string) => ({ batch: { ...COHERE, status: `BATCH_STATUS_${status}` } })
const cohereError = (message: string) => ({ message })

t.test('cohere', t => conform(t, {
  name: 'cohere',
  provider: baseUrl => cohere({ baseUrl }),
  base: '',
  id: 'b-1',
  headers: key,
  cancel: { method: 'POST', path: '/v2/batches/b-1:cancel', headers: { authorization: 'Bearer client-key-1', 'content-length': '0' }, body: '' },
  retrieve: { method: 'GET', path: '/v2/batches/b-1', headers: { authorization: 'Bearer client-key-1' }, body: '' },
  cases: [
    {
      what: 'cancelling',
      cancel: { body: {} },
      reads: [{ body: cohereIs('CANCELING') }],
      status: 200,
      answer: { id: 'b-1', status: 'cancelling', created_at: 1772359201, provider_batch: COHERE },
      source: 'retrieved',
      requests: 2
    },
    { what: 'cancelled at once', cancel: { body: {} }, reads: [{ body: cohereIs('CANCELED') }], status: 200, answer: { status: 'cancelled', errors: null }, source: 'retrieved' },
    { what: 'accepted, but the old status is shown', cancel: { body: {} }, reads: [{ body: cohereIs('IN_PROGRESS') }], status: 200, answer: { status: 'cancelling', provider_batch: { status: 'BATCH_STATUS_IN_PROGRESS' } }, source: 'assumed' },
    { what: 'accepted, but it had just completed', cancel: { body: {} }, reads: [{ body: cohereIs('COMPLETED') }], status: 409, answer: { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed', output_file_id: 'ds-out' } } },
    { what: 'accepted, and the read fails', cancel: { body: {} }, reads: [{ status: 500 }], status: 200, answer: { ...UNREPORTED, id: 'b-1', status: 'cancelling' }, source: 'assumed' },
    { what: 'accepted, and the read shows nothing', cancel: { body: {} }, reads: [{ body: {} }], status: 200, answer: { status: 'cancelling' }, source: 'assumed' },
    { what: 'accepted, with the batch', cancel: { body: cohereIs('CANCELING') }, status: 200, answer: { status: 'cancelling' }, source: 'provider', requests: 1 },
    ...settled(400, cohereError('the batch cannot be canceled'), [
      ['cancelling', cohereIs('CANCELING')], ['completed', cohereIs('COMPLETED')], ['failed', cohereIs('FAILED')], ['cancelled', cohereIs('CANCELED')]
    ]),
    ...common(cohereError, cohereIs('IN_PROGRESS'))
  ]
}))

t.test('every status of Cohere, and what it leaves out', async t => {
  const statuses = { UNSPECIFIED: 'validating', QUEUED: 'validating', IN_PROGRESS: 'in_progress', CANCELING: 'cancelling', COMPLETED: 'completed', FAILED: 'failed', CANCELED: 'cancelled' }
  for (const [told, status] of Object.entries(statuses)) t.match(read(cohere(), cohereIs(told)), { status }, told)
  t.strictSame(read(cohere(), { batch: COHERE }), {
    ...UNREPORTED,
    id: 'b-1',
    model: 'command-a',
    status: 'cancelling',
    input_file_id: 'ds-in',
    output_file_id: 'ds-out',
    created_at: 1772359201,
    request_counts: { total: 10, completed: 4, failed: 1 },
    provider_batch: COHERE
  })
  t.match(read(cohere(), cohereIs('FAILED')), { errors: { object: 'list', data: [{ code: null, message: 'asked for', param: null, line: null }] } })
  t.strictSame(read(cohere(), { batch: { status: 'BATCH_STATUS_QUEUED', num_records: 3 } }), { ...UNREPORTED, id: 'b-1', status: 'validating', provider_batch: { status: 'BATCH_STATUS_QUEUED', num_records: 3 } })
  for (const body of [cohereIs('PAUSED'), { batch: { status: 'toString' } }, { batch: {} }, { batch: null }, { batch: [] }, { batch: 'x' }, COHERE, null, undefined, 'x']) t.equal(read(cohere(), body), undefined, JSON.stringify(body))
  t.equal(read(cohere(), {}), undefined, 'a read shows a batch or nothing')
  t.equal(read(cohere(), {}, 'cancel'), null)
  t.equal(read(cohere(), { message: 'hm' }, 'cancel'), undefined)
})

// xAI

const NOW = Date.parse('2026-03-01T12:00:00Z')
const counts = (requests: number, pending: number, success: number, error: number, cancelled: number) =>
  ({ num_requests: requests, num_pending: pending, num_success: success, num_error: error, num_cancelled: cancelled })
const XAI = {
  batch_id: 'batch_7e0f6b3e',
  name: 'nightly',
  create_time: '2026-02-28',
  expire_time: '2026-03-30',
  create_api_key_id: 'k',
  cancel_time: null as string | null,
  cancel_by_xai_message: null as string | null,
  state: counts(8, 8, 0, 0, 0),
  input_file_id: 'file_1'
}
const CANCEL = { cancel_time: '2026-03-01' }
const xaiIs = (told: Partial<typeof XAI>) => ({ ...XAI, ...told })
/** Bad keys get the status 400 there. */
const xaiError = (message: string) => ({ code: 'Client specified an invalid argument', error: message })
const xaiAt = (now: number) => defineXai(() => now)()

t.test('x-ai', t => conform(t, {
  name: 'x-ai',
  provider: baseUrl => defineXai(() => NOW)({ baseUrl }),
  base: '/v1',
  id: 'batch_7e0f6b3e',
  headers: key,
  cancel: { method: 'POST', path: '/v1/batches/batch_7e0f6b3e:cancel', headers: { authorization: 'Bearer client-key-1', 'content-length': '0' }, body: '' },
  retrieve: { method: 'GET', path: '/v1/batches/batch_7e0f6b3e', headers: { authorization: 'Bearer client-key-1' }, body: '' },
  cases: [
    {
      what: 'cancelling',
      cancel: { body: xaiIs({ ...CANCEL, state: counts(5, 0, 2, 0, 3) }) },
      status: 200,
      answer: { id: 'batch_7e0f6b3e', status: 'cancelling', created_at: 1772236800, provider_batch: xaiIs({ ...CANCEL, state: counts(5, 0, 2, 0, 3) }) },
      source: 'provider',
      requests: 1
    },
    { what: 'cancelled before any request was in it', cancel: { body: xaiIs({ ...CANCEL, state: counts(0, 0, 0, 0, 0) }) }, status: 200, answer: { status: 'cancelled', cancelled_at: 1772323200 }, source: 'provider' },
    { what: 'accepted, but the old counters are shown', cancel: { body: XAI }, status: 200, answer: { status: 'cancelling', cancelling_at: null }, source: 'assumed', requests: 1 },
    { what: 'accepted, but all had completed', cancel: { body: xaiIs({ ...CANCEL, state: counts(5, 0, 5, 0, 0) }) }, status: 409, answer: { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed', request_counts: { total: 5, completed: 5, failed: 0 } } } },
    ...settled(412, xaiError('wrong state'), [
      ['cancelling', xaiIs({ ...CANCEL, state: counts(5, 0, 2, 0, 3) })],
      ['completed', xaiIs({ state: counts(5, 0, 3, 2, 0) })],
      ['failed', xaiIs({ ...CANCEL, cancel_by_xai_message: 'JSONL file validation failed: line 2', state: counts(0, 0, 0, 0, 0) })],
      ['expired', xaiIs({ expire_time: '2026-02-28' })],
      ['cancelled', xaiIs({ cancel_time: '2026-02-27', state: counts(5, 0, 2, 0, 3) })]
    ]),
    { what: 'a bad key, told as 400', cancel: { status: 400, body: xaiError('Incorrect API key provided.') }, reads: [{ status: 400, body: xaiError('Incorrect API key provided.') }], status: 400, answer: { error: { message: 'Incorrect API key provided.', code: 'Client specified an invalid argument' } } },
    ...common(xaiError, XAI, 'Client specified an invalid argument')
  ]
}))

t.test('the status of an xAI batch, from its counters and its times', async t => {
  const cases: Array<[Partial<typeof XAI>, string | undefined, Action?]> = [
    [{ state: counts(0, 0, 0, 0, 0) }, 'validating'],
    [{ state: counts(8, 8, 0, 0, 0) }, 'in_progress'],
    [{ state: counts(8, 3, 4, 1, 0) }, 'in_progress'],
    [{ state: counts(8, 0, 8, 0, 0) }, 'completed'],
    [{ state: counts(8, 0, 0, 8, 0) }, 'completed'],
    [{ state: counts(8, 0, 7, 0, 1) }, 'completed'],
    // Counters go back: what was cancelled has completed after all.
    [{ ...CANCEL, state: counts(5, 0, 5, 0, 0) }, 'completed'],
    [{ cancel_by_xai_message: 'bad file', state: counts(5, 0, 5, 0, 0) }, 'failed'],
    [{ ...CANCEL, state: counts(5, 2, 0, 0, 3) }, 'cancelling'],
    [{ ...CANCEL, state: counts(5, 5, 0, 0, 0) }, 'cancelling'],
    [{ ...CANCEL, state: counts(5, 0, 0, 0, 5) }, 'cancelling', 'cancel'],
    [{ ...CANCEL, state: counts(0, 0, 0, 0, 0) }, 'cancelled'],
    // A date without an hour may mean the end of its day; what was told exactly is settled after a minute.
    [{ ...CANCEL, state: counts(5, 0, 0, 0, 5) }, 'cancelling'],
    [{ cancel_time: '2026-02-28', state: counts(5, 0, 0, 0, 5) }, 'cancelled'],
    [{ cancel_time: '2026-02-28', state: counts(5, 0, 0, 0, 5) }, 'cancelling', 'cancel'],
    [{ cancel_time: '2026-03-01T11:59:30Z', state: counts(5, 0, 0, 0, 5) }, 'cancelling'],
    [{ cancel_time: '2026-03-01T11:59:00Z', state: counts(5, 0, 0, 0, 5) }, 'cancelled'],
    [{ cancel_time: 'soon', state: counts(5, 0, 0, 0, 5) }, 'cancelling'],
    [{ expire_time: '2026-03-01', state: counts(8, 3, 5, 0, 0) }, 'in_progress'],
    [{ expire_time: '2026-02-28', state: counts(8, 3, 5, 0, 0) }, 'expired'],
    [{ expire_time: '2026-02-28', state: counts(0, 0, 0, 0, 0) }, 'expired'],
    [{ expire_time: '2026-03-01T12:00:00Z', state: counts(8, 3, 5, 0, 0) }, 'expired'],
    [{ expire_time: '2026-03-01T12:00:01Z', state: counts(8, 3, 5, 0, 0) }, 'in_progress'],
    [{ expire_time: '2026-02-28', state: counts(8, 0, 8, 0, 0) }, 'completed']
  ]
  for (const [told, status, action] of cases) t.match(read(xaiAt(NOW), xaiIs(told), action), { status }, JSON.stringify([told, action]))

  const partly = xaiIs({ ...CANCEL, state: counts(5, 0, 2, 0, 3) })
  t.strictSame(read(xaiAt(NOW), partly), {
    ...UNREPORTED,
    id: 'b-1',
    status: 'cancelling',
    input_file_id: 'file_1',
    created_at: 1772236800,
    expires_at: 1774828800,
    cancelling_at: 1772323200,
    request_counts: { total: 5, completed: 2, failed: 0 },
    provider_batch: partly
  })
  t.match(read(xaiAt(NOW), xaiIs({ ...CANCEL, cancel_by_xai_message: 'bad file' })), { failed_at: 1772323200, cancelling_at: null, cancelled_at: null, errors: { data: [{ message: 'bad file' }] } })
  t.match(read(xaiAt(NOW), xaiIs({ cancel_time: '2026-02-27T00:00:00.4Z', state: counts(5, 0, 0, 0, 5) })), { cancelling_at: 1772150400, cancelled_at: 1772150400, request_counts: { total: 5, completed: 0, failed: 0 } })
  const { state, ...bare } = XAI
  t.match(read(xaiAt(NOW), { ...bare, ...CANCEL }), { status: 'cancelling', request_counts: null })
  t.match(read(xaiAt(NOW), { ...bare, state: { ...state, num_pending: '8' }, ...CANCEL }), { status: 'cancelling', request_counts: null })
  t.match(read(xaiAt(NOW), { batch_id: 'b', cancel_by_xai_message: 'bad file' }), { status: 'failed', created_at: 0, expires_at: null, input_file_id: '' })
  for (const body of [bare, { state }, { ...XAI, batch_id: 5 }, [], null, undefined]) t.equal(read(xaiAt(NOW), body), undefined)
  t.match(read(xai(), xaiIs({ expire_time: '2000-01-01' })), { status: 'expired' }, 'without a clock of its own it takes the system\'s')
})

// Novita

const NOVITA = {
  id: 'batch_d1',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  input_file_id: 'file_in',
  output_file_id: '',
  error_file_id: '',
  completion_window: '48h',
  in_progress_at: '2026-03-01T10:00:00Z',
  expires_at: '1772532000',
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: '2026-03-01T11:00:00.500Z',
  cancelled_at: null,
  status: 'CANCELLING',
  errors: '',
  version: 1,
  created_at: '2026-03-01T09:00:00Z',
  updated_at: null,
  created_by: 'u',
  created_by_key_id: 'k',
  remark: '',
  total: 4,
  completed: 1,
  failed: 0,
  metadata: { team: 'a' },
  request_counts: { total: 4, completed: 1, failed: 0 }
}
const novitaIs = (status: string) => ({ ...NOVITA, status })
const novitaError = (message: string) => ({ code: 400, reason: 'INVALID', message })

t.test('novita-ai', t => conform(t, {
  name: 'novita-ai',
  provider: baseUrl => novita({ baseUrl }),
  base: '/openai/v1',
  id: 'batch_d1',
  headers: key,
  cancel: { method: 'POST', path: '/openai/v1/batches/batch_d1/cancel', headers: { authorization: 'Bearer client-key-1', 'content-type': 'application/json', 'content-length': '0' }, body: '' },
  retrieve: { method: 'GET', path: '/openai/v1/batches/batch_d1', headers: { authorization: 'Bearer client-key-1', 'content-type': 'application/json' }, body: '' },
  cases: [
    {
      what: 'cancelling',
      cancel: { body: NOVITA },
      status: 200,
      answer: { id: 'batch_d1', status: 'cancelling', created_at: 1772355600, provider_batch: NOVITA },
      source: 'provider',
      requests: 1
    },
    { what: 'cancelled at once', cancel: { body: novitaIs('CANCELLED') }, status: 200, answer: { status: 'cancelled' }, source: 'provider' },
    { what: 'accepted, but the old status is shown', cancel: { body: novitaIs('PROGRESS') }, status: 200, answer: { status: 'cancelling', provider_batch: { status: 'PROGRESS' } }, source: 'assumed' },
    ...settled(400, novitaError('cannot cancel'), [
      ['cancelling', NOVITA], ['completed', novitaIs('COMPLETED')], ['failed', novitaIs('FAILED')], ['expired', novitaIs('EXPIRED')], ['cancelled', novitaIs('CANCELLED')]
    ]),
    ...common(novitaError, novitaIs('PROGRESS'), '400')
  ]
}))

t.test('every status of Novita', async t => {
  t.strictSame(read(novita(), NOVITA), {
    ...UNREPORTED,
    id: 'b-1',
    endpoint: '/v1/chat/completions',
    input_file_id: 'file_in',
    completion_window: '48h',
    status: 'cancelling',
    created_at: 1772355600,
    in_progress_at: 1772359200,
    expires_at: 1772532000,
    cancelling_at: 1772362801,
    request_counts: { total: 4, completed: 1, failed: 0 },
    metadata: { team: 'a' },
    provider_batch: NOVITA
  })
  const statuses = { VALIDATING: 'validating', PROGRESS: 'in_progress', COMPLETED: 'completed', FAILED: 'failed', EXPIRED: 'expired', CANCELLING: 'cancelling', CANCELLED: 'cancelled' }
  for (const [told, status] of Object.entries(statuses)) t.match(read(novita(), { ...NOVITA, cancelling_at: null, status: told }), { status }, told)
  t.match(read(novita(), { ...NOVITA, status: 'FAILED', errors: 'line 3 is no JSON' }), { errors: { object: 'list', data: [{ message: 'line 3 is no JSON' }] } })
  for (const body of [{ ...NOVITA, cancelling_at: null, status: 'PAUSED' }, { status: 5 }, {}, null, undefined]) t.equal(read(novita(), body), undefined)
  const plain = { id: 'b', object: 'batch', endpoint: '/v1/x', input_file_id: 'f', completion_window: '48h', status: 'cancelling', created_at: 1 }
  t.equal(read(novita(), plain), plain, 'what is OpenAI\'s batch stays as it is')
})

// DigitalOcean

const DO_ID = '0e9d1d35-3d1e-4d66-9a2f-8c7e0f6b3e21'
const DO = {
  batch_id: DO_ID,
  status: 'cancelling',
  provider: 'openai',
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
  input_file_id: 'a1b2c3d4-e5f6-4789-90ab-cdef12345678',
  output_file_id: null,
  error_file_id: null,
  request_id: 'r-1',
  request_counts: { total: 10, completed: 3, failed: 1 },
  errors: [{ code: 'bad_line', message: 'no JSON', line: 3 }],
  metadata: { team: 'a' },
  created_at: '2026-03-01T09:00:00Z',
  in_progress_at: '2026-03-01T10:00:00Z',
  expires_at: '2026-03-02T09:00:00Z',
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  cancelled_at: null
}
const doIs = (status: string) => ({ ...DO, status })
const doError = (message: string) => ({ id: 'conflict', message, request_id: 'r-2' })

t.test('digitalocean', t => conform(t, {
  name: 'digitalocean',
  provider: baseUrl => digitalocean({ baseUrl }),
  base: '/v1',
  id: DO_ID,
  headers: key,
  cancel: { method: 'POST', path: `/v1/batches/${DO_ID}/cancel`, headers: { authorization: 'Bearer client-key-1', 'content-type': 'application/json', 'content-length': '0' }, body: '' },
  retrieve: { method: 'GET', path: `/v1/batches/${DO_ID}`, headers: { authorization: 'Bearer client-key-1', 'content-type': 'application/json' }, body: '' },
  cases: [
    { what: 'cancelling', cancel: { body: DO }, status: 200, answer: { id: DO_ID, status: 'cancelling', created_at: 1772355600, provider_batch: DO }, source: 'provider', requests: 1 },
    { what: 'as its documentation shows it: the old status', cancel: { body: doIs('in_progress') }, status: 200, answer: { status: 'cancelling', provider_batch: { status: 'in_progress' } }, source: 'assumed', requests: 1 },
    { what: 'cancelled at once', cancel: { body: { ...doIs('cancelled'), cancelled_at: '2026-03-01T12:00:00Z' } }, status: 200, answer: { status: 'cancelled', cancelled_at: 1772366400 }, source: 'provider' },
    ...settled(409, doError('the job is in a terminal state'), [
      ['cancelling', DO], ['completed', doIs('completed')], ['failed', doIs('failed')], ['expired', doIs('expired')], ['cancelled', doIs('cancelled')]
    ]),
    { what: 'not submitted yet, which is worth another try', cancel: { status: 409, body: doError('not yet submitted') }, reads: [{ body: doIs('validating') }], status: 409, answer: { error: { message: 'not yet submitted' } }, responseHeaders: { 'x-should-retry': undefined } },
    ...common(doError, doIs('in_progress'))
  ]
}))

t.test('every status of DigitalOcean', async t => {
  t.strictSame(read(digitalocean(), DO), {
    ...UNREPORTED,
    id: 'b-1',
    endpoint: '/v1/chat/completions',
    errors: { object: 'list', data: [{ code: 'bad_line', message: 'no JSON', param: null, line: 3 }] },
    input_file_id: 'a1b2c3d4-e5f6-4789-90ab-cdef12345678',
    completion_window: '24h',
    status: 'cancelling',
    created_at: 1772355600,
    in_progress_at: 1772359200,
    expires_at: 1772442000,
    request_counts: { total: 10, completed: 3, failed: 1 },
    metadata: { team: 'a' },
    provider_batch: DO
  })
  for (const status of ['validating', 'in_progress', 'finalizing', 'completed', 'failed', 'expired', 'cancelling', 'cancelled']) t.match(read(digitalocean(), doIs(status)), { status }, status)
  t.match(read(digitalocean(), { batch_id: DO_ID, status: 'failed', provider: 'anthropic', endpoint: null, errors: [] }), { endpoint: '', errors: null, created_at: 0 })
  const { batch_id: id, ...bare } = DO
  for (const body of [doIs('paused'), bare, { ...bare, batch_id: 5, id }, {}, [], null, undefined]) t.equal(read(digitalocean(), body), undefined)
})

// watsonx

const WATSONX = {
  id: 'batch-AQIDkP4L79L9Wyuo--GR5E26LgOtk0emSyJDzrBhZgrBeCdG',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  input_file_id: 'file-AQIDkP4L79L9Wyuo',
  completion_window: '24h',
  status: 'cancelling',
  created_at: 1772183793,
  in_progress_at: 1772183793,
  expires_at: 1772270193,
  request_counts: { total: 3, completed: 1, failed: 0 }
}
const watsonxIs = (status: string) => ({ ...WATSONX, status })
const watsonxError = (message: string) => ({ errors: [{ code: 'invalid_request', message }], trace: 't', status_code: 400 })
const watsonxHeaders = { 'x-portkey-watsonx-region': 'us-south', 'x-portkey-watsonx-project-id': 'b6ca1d58-ac72-4bfb-a02c-23c42b3b0d5c' }

t.test('watsonx', t => conform(t, {
  name: 'watsonx',
  provider: baseUrl => watsonx({ baseUrl }),
  base: '',
  id: WATSONX.id,
  headers: { ...key, 'x-portkey-watsonx-space-id': 'space-1' },
  cancel: { method: 'POST', path: `/ml/v1/batches/${WATSONX.id}/cancel?version=2026-08-05`, headers: { authorization: 'Bearer client-key-1', 'content-type': 'application/json', 'x-ibm-space-id': 'space-1', 'x-ibm-project-id': undefined }, body: '{}' },
  retrieve: { method: 'GET', path: `/ml/v1/batches/${WATSONX.id}?version=2026-08-05`, headers: { authorization: 'Bearer client-key-1', 'x-ibm-space-id': 'space-1' }, body: '' },
  cases: [
    { what: 'cancelling', cancel: { body: WATSONX }, status: 200, answer: WATSONX, source: 'provider', requests: 1 },
    { what: 'accepted, but the old status is shown', cancel: { body: watsonxIs('in_progress') }, status: 200, answer: { ...WATSONX, status: 'cancelling' }, source: 'assumed', requests: 1 },
    { what: 'cancelled at once', cancel: { body: watsonxIs('cancelled') }, status: 200, answer: { status: 'cancelled' }, source: 'provider' },
    { what: 'errors as strings', cancel: { body: { ...WATSONX, errors: ['line 3 is no JSON'], request_counts: { total: 3 } } }, status: 200, answer: { ...UNREPORTED, ...WATSONX, errors: { object: 'list', data: [{ code: null, message: 'line 3 is no JSON', param: null, line: null }] }, request_counts: null, provider_batch: { errors: ['line 3 is no JSON'] } }, source: 'provider' },
    {
      what: 'times in milliseconds',
      cancel: { body: { ...WATSONX, created_at: 1772183793309, expires_at: 0, cancelling_at: 1772183799600 } },
      status: 200,
      answer: { id: WATSONX.id, created_at: 1772183793, in_progress_at: 1772183793, expires_at: null, cancelling_at: 1772183800, provider_batch: { created_at: 1772183793309, expires_at: 0 } },
      source: 'provider'
    },
    ...settled(400, watsonxError('wrong state'), [
      ['cancelling', WATSONX], ['completed', watsonxIs('completed')], ['failed', watsonxIs('failed')], ['expired', watsonxIs('expired')], ['cancelled', watsonxIs('cancelled')]
    ]),
    ...common(watsonxError, watsonxIs('in_progress'), 'invalid_request')
  ]
}))

t.test('every status of watsonx', async t => {
  const late = { ...WATSONX, created_at: 1772183793309, expires_at: 0, cancelling_at: 1772183799600 }
  t.strictSame(read(watsonx(), late), { ...UNREPORTED, ...WATSONX, id: 'b-1', created_at: 1772183793, expires_at: null, cancelling_at: 1772183800, provider_batch: late })
  for (const status of ['validating', 'in_progress', 'finalizing', 'completed', 'failed', 'expired', 'cancelling', 'cancelled']) t.strictSame(read(watsonx(), watsonxIs(status)), watsonxIs(status))
  for (const body of [watsonxIs('paused'), { ...watsonxIs('paused'), created_at: 1772183793309 }, {}, [], null, undefined]) t.equal(read(watsonx(), body), undefined)
})

t.test('where a batch of watsonx is held', async t => {
  const locate = (provider: Provider, headers: IncomingHttpHeaders, hasBase = false) => provider.locate({ batchId: 'b', headers, hasBase })
  const region = 'x-portkey-watsonx-region'
  const project = 'x-portkey-watsonx-project-id'
  const space = 'x-portkey-watsonx-space-id'
  const good: Array<[Parameters<typeof watsonx>[0], IncomingHttpHeaders, string, object]> = [
    [{}, { [region]: 'eu-de', [project]: 'p-1' }, 'https://eu-de.ml.cloud.ibm.com', { 'x-ibm-project-id': 'p-1' }],
    [{}, { [region]: 'ap-south-1', [space]: 's-1' }, 'https://ap-south-1.aws.wxai.ibm.com', { 'x-ibm-space-id': 's-1' }],
    [{ region: 'jp-tok' }, { [project]: 'p-1' }, 'https://jp-tok.ml.cloud.ibm.com', { 'x-ibm-project-id': 'p-1' }],
    [{ projectId: 'p-2' }, { [region]: 'eu-de' }, 'https://eu-de.ml.cloud.ibm.com', { 'x-ibm-project-id': 'p-2' }],
    [{ spaceId: 's-2' }, { [region]: 'eu-de' }, 'https://eu-de.ml.cloud.ibm.com', { 'x-ibm-space-id': 's-2' }]
  ]
  for (const [options, headers, origin, owner] of good) t.match(locate(watsonx(options), headers), { base: { origin, path: '' }, place: { owner } })
  t.match(locate(watsonx(), { [project]: 'p-1' }, true), { base: undefined, place: { owner: { 'x-ibm-project-id': 'p-1' } } }, 'another base needs no region')

  const bad: Array<[IncomingHttpHeaders, string]> = [
    [{ [project]: 'p-1' }, region],
    [{ [region]: '', [project]: 'p-1' }, region],
    [{ [region]: 'eu-de' }, project],
    [{ [region]: 'eu-de', [project]: '', [space]: '' }, project],
    [{ [region]: 'eu-de', [project]: 'p-1', [space]: 's-1' }, space]
  ]
  for (const [headers, param] of bad) t.throws(() => locate(watsonx(), headers), { code: 'invalid_header', param })
})

t.test('a malformed part never reaches an address', async t => {
  const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers: { watsonx: watsonx(), cohere: cohere(), 'x-ai': xai(), 'novita-ai': novita(), digitalocean: digitalocean() } }) }, { routerOptions: { maxParamLength: 512 } })
  const headers = { ...key, 'x-portkey-provider': 'watsonx', ...watsonxHeaders }
  for (const region of ['evil.example/', 'us-south.evil.example', 'us-south:443', 'us-south@evil', 'US-SOUTH', '127.0.0.1', 'us-south\\', 'us-south?', 'us-south#', '-us', 'us-', 'a', 'us-south-12']) {
    t.match((await cancel(app, { headers: { ...headers, 'x-portkey-watsonx-region': region } })).json(), { error: { code: 'invalid_header', param: 'x-portkey-watsonx-region' } }, region)
  }
  for (const name of ['project', 'space']) {
    for (const value of ['a b', 'a/b', 'é', 'x'.repeat(65), 'a\tb']) {
      t.match((await cancel(app, { headers: { ...headers, [`x-portkey-watsonx-${name}-id`]: value } })).json(), { error: { code: 'invalid_header', param: `x-portkey-watsonx-${name}-id` } }, value)
    }
  }
  for (const provider of ['watsonx', 'cohere', 'x-ai', 'novita-ai', 'digitalocean']) {
    for (const id of ['a/b', 'a:cancel', '../files', '.b', 'a?b', 'a#b', 'a%2fb', 'a b', 'é', '-', 'x'.repeat(256), `${DO_ID}\n`, ...provider === 'digitalocean' ? [`x${DO_ID}`, `${DO_ID}0`, 'batch_1'] : []]) {
      t.match((await cancel(app, { id, headers: { ...headers, 'x-portkey-provider': provider } })).json(), { error: { code: 'invalid_batch_id', param: 'id' } }, `${provider} ${id}`)
    }
  }
})

t.test('what leaves for the provider\'s own address', async t => {
  const cases: Array<[Provider, string, string, [string, string], [string, string]]> = [
    [cohere(), 'b-1', 'https://api.cohere.com', ['POST', '/v2/batches/b-1:cancel'], ['GET', '/v2/batches/b-1']],
    [xai(), 'b-1', 'https://api.x.ai', ['POST', '/v1/batches/b-1:cancel'], ['GET', '/v1/batches/b-1']],
    [novita(), 'b-1', 'https://api.novita.ai', ['POST', '/openai/v1/batches/b-1/cancel'], ['GET', '/openai/v1/batches/b-1']],
    [digitalocean(), DO_ID, 'https://inference.do-ai.run', ['POST', `/v1/batches/${DO_ID}/cancel`], ['GET', `/v1/batches/${DO_ID}`]],
    [watsonx(), 'b-1', 'https://us-south.ml.cloud.ibm.com', ['POST', '/ml/v1/batches/b-1/cancel?version=2026-08-05'], ['GET', '/ml/v1/batches/b-1?version=2026-08-05']]
  ]
  for (const [provider, batchId, origin, ...requests] of cases) {
    t.match(batchId, provider.id as RegExp)
    for (const [index, [method, path]] of requests.entries()) {
      const request = await requestOf(provider, index === 0 ? 'cancel' : 'retrieve', batchId, { headers: watsonxHeaders, credential: 'k' })
      t.match(request, { origin, method, path, headers: { authorization: 'Bearer k' } })
      t.strictSame(Object.keys(request.headers).filter(name => !provider.reservedHeaders.includes(name)), [], 'none of these may be added by a client')
    }
  }
})

t.test('the credential of a client is its Authorization', async t => {
  const cases: Array<[string | undefined, string | undefined]> = [[undefined, undefined], ['', undefined], ['Bearer', undefined], ['Basic YTpi', undefined], ['Bearer k', 'k'], ['bearer k', 'k'], ['k', 'k']]
  for (const factory of [cohere, xai, novita, digitalocean, watsonx]) {
    for (const [authorization, credential] of cases) t.equal(factory().clientCredential(authorization === undefined ? {} : { authorization }), credential, String(authorization))
  }
})

t.test('options that cannot work', async t => {
  for (const [name, factory] of Object.entries({ cohere, xai, novita, digitalocean, watsonx })) {
    t.throws(() => factory({ baseUrl: 'ftp://x' }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: `${name}({ baseUrl }) must be a function or an http or https URL without userinfo, query and fragment.` })
    t.throws(() => factory({ apiKey: 'a b' }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: `${name}({ apiKey }) must be a function or the credential itself, in visible ASCII characters and without 'Bearer ' before it.` })
  }
  const cases: Array<[object, string]> = [
    [{ region: 'evil.example/' }, 'watsonx({ region }) must be a region such as \'us-south\'.'],
    [{ region: 5 }, 'watsonx({ region }) must be a region such as \'us-south\'.'],
    [{ projectId: 'a b' }, 'watsonx({ projectId }) must be the id of a project.'],
    [{ spaceId: '' }, 'watsonx({ spaceId }) must be the id of a space.'],
    [{ projectId: 'p', spaceId: 's' }, 'watsonx({ projectId, spaceId }) exclude each other.'],
    [{ apiKey: 'k', projectId: 'p' }, 'watsonx({ apiKey }) needs region or baseUrl.'],
    [{ apiKey: 'k', region: 'us-south' }, 'watsonx({ apiKey }) needs projectId or spaceId.']
  ]
  for (const [options, message] of cases) t.throws(() => watsonx(options), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message })
  t.doesNotThrow(() => watsonx({ apiKey: 'k', baseUrl: 'https://x.example', spaceId: 's' }))
})
