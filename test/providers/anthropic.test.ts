import type { IncomingHttpHeaders } from 'node:http'
import t from 'tap'
import { anthropic, forwardToProviders } from '../../lib/index.js'
import {
  CANCELLING, CANCELLING_AT, COUNTS, endedBatch, ENDED_AT, INITIATED, messageBatch
} from '../fixtures/anthropic.js'
import { BEARER } from '../fixtures/fixture.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { checkFields, requestOf } from '../support/provider.js'
import { refuseCalls } from '../support/refused.js'
import { startUpstream } from '../support/upstream.js'

const CANCELING = messageBatch({ processing_status: 'canceling', ...INITIATED })

t.test('how a batch ended', async t => {
  const rows: Array<[body: object, fields: object | undefined]> = [
    [CANCELING, CANCELLING],
    [messageBatch({}), {
      status: 'in_progress',
      cancelling_at: null,
      cancelled_at: null,
      completed_at: null,
      output_file_id: null
    }],
    [messageBatch(INITIATED), { status: 'in_progress', cancelling_at: CANCELLING_AT }],
    [endedBatch({ succeeded: 3 }), {
      status: 'completed',
      completed_at: ENDED_AT,
      cancelled_at: null,
      expired_at: null,
      output_file_id: 'asked',
      request_counts: { total: 3, completed: 3, failed: 0 }
    }],
    [endedBatch({ errored: 3 }), {
      status: 'completed',
      completed_at: ENDED_AT,
      request_counts: { total: 3, completed: 0, failed: 3 }
    }],
    [endedBatch({ succeeded: 1, errored: 1, canceled: 3, expired: 1 }, INITIATED), {
      status: 'cancelled',
      cancelling_at: CANCELLING_AT,
      cancelled_at: ENDED_AT,
      completed_at: null,
      request_counts: { total: 6, completed: 1, failed: 2 }
    }],
    // A cancel that came too late for every request.
    [endedBatch({ succeeded: 3 }, INITIATED), {
      status: 'completed',
      cancelling_at: CANCELLING_AT,
      completed_at: ENDED_AT,
      cancelled_at: null
    }],
    [endedBatch({ canceled: 3 }), { status: 'completed' }],
    [endedBatch({ expired: 3 }), {
      status: 'expired',
      expired_at: ENDED_AT,
      completed_at: null,
      request_counts: { total: 3, completed: 0, failed: 3 }
    }],
    [endedBatch({ expired: 2, succeeded: 1 }), { status: 'completed' }],
    [endedBatch({ expired: 2, errored: 1 }), { status: 'completed' }],
    [endedBatch({}), { status: 'completed' }],
    [messageBatch({ created_at: undefined, expires_at: 'soon' }), {
      created_at: 0,
      in_progress_at: null,
      expires_at: null
    }],
    // Counts that cannot be read matter only if they alone say how a batch ended.
    [messageBatch({ request_counts: null }), { status: 'in_progress', request_counts: null }],
    [messageBatch({ request_counts: { ...COUNTS, expired: '1' } }), { status: 'in_progress', request_counts: null }],
    [{ ...CANCELING, request_counts: undefined }, { status: 'cancelling', request_counts: null }],
    [endedBatch({}, { request_counts: null }), undefined],
    [endedBatch({}, { request_counts: { ...COUNTS, expired: '1' } }), undefined],
    [messageBatch({ type: 'message' }), undefined],
    [messageBatch({ processing_status: 'constructor' }), undefined]
  ]
  for (const [body, fields] of rows) checkFields(t, anthropic(), body, fields)
})

t.test('the credential of the client', async t => {
  const rows: Array<[headers: IncomingHttpHeaders, credential: unknown]> = [
    [{}, undefined],
    [{ authorization: 'Bearer ' }, undefined],
    [{ authorization: 'Bearer t' }, { token: 't' }],
    [{ 'x-api-key': 'k' }, 'k'],
    [{ 'x-api-key': 'k', authorization: 'Bearer t' }, 'k'],
    [{ 'x-api-key': '', authorization: 'Bearer t' }, { token: 't' }]
  ]
  for (const [headers, credential] of rows) {
    t.strictSame(anthropic().clientCredential(headers), credential, JSON.stringify(headers))
  }
  const bad = {
    'x-api-key': 'a b',
    'anthropic-version': 'v1',
    'x-portkey-anthropic-version': 'today',
    'anthropic-beta': 'ü',
    'x-portkey-anthropic-beta': 'x'.repeat(1025),
    'anthropic-workspace-id': 'a b'
  }
  await refuseCalls(t, 'anthropic', baseUrl => anthropic({ baseUrl }), Object.entries(bad).map(([header, value]) => ({
    what: header,
    id: 'msgbatch_1',
    headers: { ...BEARER, [header]: value },
    code: 'invalid_header',
    param: header
  })))
})

t.test('the version is the one that the SDK sends with such a credential, unless the client names one', async t => {
  const versionOf = async (headers: IncomingHttpHeaders) =>
    (await requestOf(anthropic(), 'cancel', 'msgbatch_1', { headers })).headers['anthropic-version']
  t.equal(await versionOf({ 'x-api-key': 'k' }), '2023-06-01')
  t.equal(await versionOf({ authorization: 'Bearer t' }), '2026-10-21')
  for (const headers of [{ 'x-api-key': 'k' }, { authorization: 'Bearer t' }]) {
    t.equal(await versionOf({ ...headers, 'anthropic-version': '2024-01-01' }), '2024-01-01')
    const both = { 'anthropic-version': '2024-01-01', 'x-portkey-anthropic-version': '2025-01-01' }
    t.equal(await versionOf({ ...headers, ...both }), '2025-01-01', 'Portkey\'s header takes precedence')
  }
})

t.test('with a key of the server', async t => {
  const upstream = await startUpstream(t, () => ({ body: CANCELING }))
  const provider = anthropic({ baseUrl: upstream.url, apiKey: 'servers' })
  const forward = forwardToProviders({ providers: { anthropic: provider } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'anthropic', forward })
  await cancel(app, { id: 'msgbatch_1', headers: { 'x-api-key': 'clients', authorization: 'Bearer clients' } })
  t.match(upstream.requests, [{
    path: '/messages/batches/msgbatch_1/cancel',
    headers: { 'x-api-key': 'servers', authorization: undefined }
  }])
  const response = await cancel(app, { headers: { 'anthropic-workspace-id': 'wrkspc_1' } })
  t.match(response.json(), { error: { code: 'invalid_header', param: 'anthropic-workspace-id' } })
  t.equal(upstream.requests.length, 1)
})

t.test('what is sent to its own address, and which headers no client adds', async t => {
  const headers = BEARER
  const origin = 'https://api.anthropic.com'
  t.match(await requestOf(anthropic(), 'cancel', 'a/b', { headers }), {
    origin,
    method: 'POST',
    path: '/v1/messages/batches/a%2Fb/cancel'
  })
  t.match(await requestOf(anthropic(), 'retrieve', 'batch_1', { headers }), {
    origin,
    method: 'GET',
    path: '/v1/messages/batches/batch_1'
  })
  t.strictSame(
    [...new Set(anthropic().reservedHeaders)],
    ['authorization', 'x-api-key', 'anthropic-version', 'anthropic-beta', 'anthropic-workspace-id']
  )
})
