import t from 'tap'
import { google } from '../../lib/index.js'
import { isBatch } from '../../schemas/index.js'
import { UNREPORTED } from '../fixtures/fixture.js'
import { operation } from '../fixtures/google.js'
import { batchIn, requestOf } from '../support/provider.js'
import { refuseCalls } from '../support/refused.js'

const KEY = 'x-goog-api-key'

t.test('what is sent, and with which key', async t => {
  const origin = 'https://generativelanguage.googleapis.com'
  const path = '/v1beta/batches/abc-1_2'
  for (const id of ['abc-1_2', 'batches/abc-1_2', 'batches%2Fabc-1_2', 'batches%2fabc-1_2']) {
    t.ok(google().id?.test(id), id)
    t.strictSame(await requestOf(google(), 'cancel', id, { credential: 'key' }), {
      origin,
      method: 'POST',
      path: `${path}:cancel`,
      headers: { [KEY]: 'key', 'content-type': 'application/json' },
      body: '{}'
    })
    const read = await requestOf(google(), 'retrieve', id, { credential: 'key' })
    t.strictSame(read, { origin, method: 'GET', path, headers: { [KEY]: 'key' } })
  }
  const { clientCredential } = google()
  t.equal(clientCredential({}), undefined)
  t.equal(clientCredential({ authorization: 'Bearer a' }), 'a')
  t.equal(clientCredential({ authorization: 'Bearer a', [KEY]: 'b' }), 'b')
  t.equal(clientCredential({ authorization: 'Bearer a', [KEY]: '' }), 'a')
  t.equal(google({ apiKey: 'key' }).serverCredential, 'key')
  t.throws(() => google({ apiKey: 'a b' }), {
    code: 'FST_BATCH_CANCEL_INVALID_OPTION',
    message: /^google\(\{ apiKey \}\)/
  })
  await refuseCalls(t, 'google', baseUrl => google({ baseUrl }), [
    { what: 'a key that cannot be sent', id: 'a', headers: { [KEY]: 'a b' }, code: 'invalid_header', param: KEY },
    {
      what: 'a key that is too long',
      id: 'a',
      headers: { [KEY]: 'a'.repeat(513) },
      code: 'invalid_header',
      param: KEY
    },
    { what: 'no key', id: 'a', status: 401, code: 'missing_credentials', param: 'authorization' }
  ])
  await refuseCalls(t, 'google', baseUrl => google({ baseUrl, apiKey: 'server-key' }), [{
    what: 'a key beside the server\'s',
    id: 'a',
    headers: { [KEY]: 'mine' },
    code: 'invalid_header',
    param: KEY,
    says: /the server configured/
  }])
})

t.test('every state of a batch', async t => {
  const states = {
    UNSPECIFIED: { status: 'validating' },
    PENDING: { status: 'validating' },
    RUNNING: { status: 'in_progress' },
    SUCCEEDED: { status: 'completed', completed_at: 1785587400 },
    FAILED: { status: 'failed', failed_at: 1785587400 },
    CANCELLED: { status: 'cancelled', cancelled_at: 1785587400 },
    EXPIRED: { status: 'expired', expired_at: 1785587400 }
  }
  for (const [state, fields] of Object.entries(states)) {
    for (const kind of ['BATCH', 'JOB']) {
      const body = operation(`${kind}_STATE_${state}`, { endTime: '2026-08-01T12:30:00Z' })
      const batch = batchIn(google(), body, 'abc')
      t.ok(isBatch(batch), state)
      t.strictSame(batch, {
        ...UNREPORTED,
        id: 'abc',
        model: 'models/gemini-2.5-flash',
        input_file_id: 'files/in',
        created_at: 1785578400,
        request_counts: { total: 10, completed: 4, failed: 1 },
        ...fields,
        provider_batch: body
      }, state)
    }
  }
  const notBatches = [
    undefined, null, [], 'x', {}, { name: 'batches/a' }, { metadata: null }, { metadata: {} },
    { metadata: { state: 'BATCH_STATE_RESTING' } }, { metadata: { state: 'RUNNING' } }, { state: 'BATCH_STATE_RUNNING' }
  ]
  for (const body of notBatches) t.equal(batchIn(google(), body, 'abc'), undefined, JSON.stringify(body))
  const little = { metadata: { state: 'BATCH_STATE_PENDING' } }
  t.strictSame(
    batchIn(google(), little, 'abc'),
    { ...UNREPORTED, id: 'abc', status: 'validating', provider_batch: little },
    'little is reported'
  )
  const failed = operation(
    'BATCH_STATE_FAILED',
    { batchStats: { requestCount: '3' } },
    { error: { code: 3, message: 'Bad input.' } }
  )
  t.match(batchIn(google(), failed, 'abc'), {
    request_counts: { total: 3, completed: 0, failed: 0 },
    errors: { object: 'list', data: [{ code: '3', message: 'Bad input.' }] }
  })
  const uncounted = operation('BATCH_STATE_RUNNING', { batchStats: { pendingRequestCount: '3' } })
  t.match(batchIn(google(), uncounted, 'abc'), { request_counts: null })
  t.match(batchIn(google(), operation('BATCH_STATE_RUNNING', { batchStats: null }), 'abc'), { request_counts: null })
  for (const body of [null, {}]) t.equal(batchIn(google(), body, 'abc', 'cancel'), null)
  for (const body of [undefined, [], { status: 'success' }]) {
    t.equal(batchIn(google(), body, 'abc', 'cancel'), undefined)
  }
})
