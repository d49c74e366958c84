import t from 'tap'
import {
  bearer, cohere, completeBatch, defineProvider, forwardToProviders, get, post, SEGMENT_ID, vertex, type Batch,
  type BatchCall, type BatchResult
} from '../../lib/index.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { BEARER } from '../fixtures/fixture.js'
import { startUpstream } from '../support/upstream.js'

t.test('the provider\'s own object goes out byte for byte', async t => {
  const job = (state: string) => `{ "state" : "JOB_STATE_${state}", "createTime":"2026-08-01T10:00:00Z", ` +
    '"huge":1e400, "precise":12345678901234567890, "float":1.0 }\n'
  let text = ''
  const upstream = await startUpstream(t, ({ method }) => ({ body: method === 'POST' ? '{}' : text }))
  const provider = vertex({ baseUrl: upstream.url, project: 'p', region: 'eu', apiKey: 'token' })
  const forward = forwardToProviders({ providers: { 'vertex-ai': provider } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'vertex-ai', forward })
  for (const [state, source] of [['CANCELLING', 'retrieved'], ['RUNNING', 'assumed'], ['SUCCEEDED']] as const) {
    text = job(state)
    const { body, headers } = await cancel(app, { id: '12' })
    t.ok(body.endsWith(`,"provider_batch":${text}}${source === undefined ? '}' : ''}`), body)
    t.equal(headers['x-batch-source'], source)
    const cancelled = {
      id: '12',
      status: 'cancelling',
      created_at: 1785578400,
      provider_batch: { state: `JOB_STATE_${state}` }
    }
    t.match(JSON.parse(body), source === undefined ? { batch: { id: '12', status: 'completed' } } : cancelled)
  }

  text = job('CANCELLING')
  const changes = [
    [{ metadata: { mine: 'yes' } }, `"metadata":{"mine":"yes"},"status":"cancelling","provider_batch":${text}}`],
    [{ provider_batch: { mine: 1 } }, '"status":"cancelling","provider_batch":{"mine":1}}'],
    [{ provider_batch: 'mine' }, '"status":"cancelling","provider_batch":"mine"}']
  ] as const
  for (const [change, end] of changes) {
    const retrieve = async (call: BatchCall) => {
      const { batch, raw } = await forward.retrieve(call) as BatchResult<Batch>
      return { batch: { ...batch, ...change }, raw }
    }
    const changing = await buildWithoutPauses(t, {
      defaultProvider: 'vertex-ai',
      forward: { ...forward, retrieve }
    })
    const { body } = await cancel(changing, { id: '12' })
    t.ok(body.endsWith(end), body)
  }
})

t.test('so does one within another object', async t => {
  const inner = '{"id":"b-1","status":"BATCH_STATUS_CANCELING","note":"{\\"batch\\":1}","batch":{"batch":2},' +
    '"input_tokens":12345678901234567890, "f":1.0}'
  const upstream = await startUpstream(t, ({ method }) =>
    ({ body: method === 'POST' ? {} : `{ "other":{"batch":3},"\\u0062atch" : ${inner} , "more":[{"batch":4}]}` }))
  const forward = forwardToProviders({ providers: { cohere: cohere({ baseUrl: upstream.url }) } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'cohere', forward })
  const { body } = await cancel(app, { id: 'b-1', headers: BEARER })
  t.ok(body.endsWith(`"status":"cancelling","provider_batch":${inner}}`), body)
})

t.test('a batch is frozen in depth', async t => {
  const body = { batch: { id: 'b-1', status: 'BATCH_STATUS_FAILED', x: { y: [{}] } } }
  const upstream = await startUpstream(t, () => ({ body }))
  const forward = forwardToProviders({ providers: { cohere: cohere({ baseUrl: upstream.url }) } })
  const call: BatchCall = {
    batchId: 'b-1',
    provider: 'cohere',
    headers: BEARER,
    request: undefined,
    signal: new AbortController().signal
  }
  const { batch } = await forward.retrieve(call) as BatchResult<Batch>
  const { x } = batch.provider_batch as { x: { y: object[] } }
  for (const part of [batch, x, x.y, x.y[0]]) t.ok(Object.isFrozen(part))
  t.throws(() => { x.y.push({}) }, TypeError)
})

t.test('a custom read that makes a batch of something else than an object has no raw JSON', async t => {
  for (const { what, body, member } of [
    { what: 'no body', body: '', member: undefined },
    { what: 'a list', body: '[1]', member: 'job' },
    { what: 'an object without the member', body: '{"other":1}', member: 'job' },
    { what: 'a member that is not an object', body: '{"job":"batch_1"}', member: 'job' }
  ]) {
    const upstream = await startUpstream(t, () => ({ body }))
    const acme = defineProvider({
      name: 'acme',
      baseUrl: 'https://api.acme.example/v1',
      auth: bearer(),
      id: SEGMENT_ID,
      cancel: post('/jobs/{id}:cancel'),
      retrieve: get('/jobs/{id}'),
      read: (_body, { batchId }) =>
        ({ kind: 'batch', batch: completeBatch({ id: batchId, status: 'cancelling' }), shownId: batchId, member })
    })
    const forward = forwardToProviders({ providers: { acme: acme({ baseUrl: upstream.url }) } })
    const app = await buildWithoutPauses(t, { defaultProvider: 'acme', forward })
    const response = await cancel(app, { headers: BEARER })
    t.strictSame(response.json(), completeBatch({ id: 'batch_1', status: 'cancelling' }), what)
  }
})
