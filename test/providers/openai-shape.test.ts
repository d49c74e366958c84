import t from 'tap'
import { digitalocean, forwardToProviders, novita, openai } from '../../lib/index.js'
import { BATCH_STATUSES, isBatch } from '../../schemas/batch.js'
import { DO } from '../fixtures/digitalocean.js'
import { BEARER, UNREPORTED, UUID } from '../fixtures/fixture.js'
import { NATIVE, NOVITA } from '../fixtures/novita.js'
import { BATCH, batch, buildWithoutPauses, cancel } from '../support/app.js'
import { batchIn, checkFields } from '../support/provider.js'
import { startUpstream } from '../support/upstream.js'

const read = (body: unknown) => batchIn(openai(), body, 'batch_1')

t.test('what OpenAI sends stays as it is', async t => {
  for (const status of BATCH_STATUSES) {
    const body = batch({ status, expires_at: 1_713_981_200, cancelled_at: null })
    t.equal(read(body), body, status)
  }
})

t.test('statuses with one l or in capitals', async t => {
  const statuses = {
    canceled: 'cancelled',
    canceling: 'cancelling',
    CANCELED: 'cancelled',
    Canceling: 'cancelling',
    COMPLETED: 'completed',
    In_Progress: 'in_progress'
  }
  for (const [status, expected] of Object.entries(statuses)) {
    const body = { ...BATCH, status }
    checkFields(t, openai(), body, { status: expected, endpoint: BATCH.endpoint, created_at: BATCH.created_at })
  }
})

t.test('a batch within another object', async t => {
  const inner = { ...BATCH, status: 'cancelled' }
  t.equal(read({ data: inner }), inner)
  t.equal(read({ success: true, code: 0, data: inner }), inner)
  const nearly = { data: { ...BATCH, status: 'canceled' } }
  t.match(read(nearly), { status: 'cancelled', provider_batch: { status: 'canceled' } })
  for (const body of [{ data: null }, { data: [inner] }, { data: {} }, { data: { data: inner } }]) {
    t.equal(read(body), undefined, JSON.stringify(body))
  }
  const both = { ...BATCH, data: inner }
  t.equal(read(both), both, 'a batch with a member of that name')
})

t.test('times in milliseconds become seconds', async t => {
  const body = { ...BATCH, created_at: 1_713_894_800_123, cancelling_at: 1_713_894_900_600 }
  checkFields(t, openai(), body, { created_at: 1_713_894_800, cancelling_at: 1_713_894_901, status: 'cancelling' })
  t.match(read({ ...BATCH, created_at: '1713894800123' }), { created_at: 1_713_894_800 })
})

t.test('an object of three fields', async t => {
  const body = { id: 'batch_1', object: 'batch', status: 'cancelling' }
  const found = read(body)
  t.strictSame(found, { ...UNREPORTED, id: 'batch_1', status: 'cancelling', provider_batch: body })
  t.ok(isBatch(found))
  t.equal(read({ id: 'batch_1', object: 'batch' }), undefined, 'without a status it says nothing')
})

t.test('an accepted cancel that shows no status is resolved by a read', async t => {
  // As Bella-Queue documents it: the time of a change is in `expired_at`, in milliseconds.
  const bella = {
    id: 'batch_1',
    object: 'batch',
    endpoint: '/v1/chat/completions',
    input_file_id: 'file-1',
    completion_window: '24h',
    created_at: 1_762_928_558_649,
    expired_at: 1_763_014_958_648,
    request_counts: { total: 121, completed: 0, failed: 0 }
  }
  const upstream = await startUpstream(t, ({ method }) =>
    ({ body: method === 'GET' ? { success: true, data: { ...bella, status: 'Canceling' } } : bella }))
  const forward = forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url }) } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'openai', forward })
  const response = await cancel(app, { headers: BEARER })
  t.match(response, { statusCode: 200, headers: { 'x-batch-source': 'retrieved' } })
  t.match(response.json(), { status: 'cancelling', created_at: 1_762_928_559, expired_at: 1_763_014_959 })
  t.strictSame(upstream.requests.map(({ method }) => method), ['POST', 'GET'])
})

t.test('the times of a batch with an unknown status say what became of it, the end first', async t => {
  const time = 1_767_323_045
  const statusOf = (times: object) => read({ id: 'batch_1', object: 'batch', status: 'succeeded', ...times })?.status
  t.equal(statusOf({ cancelling_at: time }), 'cancelling')
  t.equal(statusOf({ cancelling_at: time, completed_at: time }), 'completed')
  t.equal(statusOf({ cancelling_at: time, failed_at: time }), 'failed')
  t.equal(statusOf({ cancelling_at: time, expired_at: time }), 'expired')
  t.equal(statusOf({ cancelling_at: time, cancelled_at: time }), 'cancelled')
  t.equal(statusOf({ in_progress_at: time, completed_at: 0, cancelled_at: null }), undefined)
})

t.test('usage, counts and metadata that have another form are not reported', async t => {
  const usage = {
    input_tokens: 1,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 2,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 3
  }
  const nearly = { ...BATCH, status: 'CANCELLING' }
  t.match(read({ ...nearly, usage }), { usage })
  for (const wrong of [
    { ...usage, total_tokens: '3' },
    { ...usage, input_tokens_details: null },
    { ...usage, output_tokens_details: { reasoning_tokens: 0.5 } },
    []
  ]) t.match(read({ ...nearly, usage: wrong }), { usage: null })
  const counts = { total: 3, completed: 1, failed: 0 }
  t.match(read({ ...nearly, request_counts: counts }), { request_counts: counts })
  t.match(read({ ...nearly, ...counts }), { request_counts: counts }, 'beside the other fields')
  t.match(read({ ...nearly, request_counts: { total: 3 }, ...counts }), { request_counts: counts })
  t.match(read({ ...nearly, request_counts: { ...counts, failed: '0' } }), { request_counts: null })
  t.match(read({ ...nearly, metadata: { a: 'b' } }), { metadata: { a: 'b' } })
  t.match(read({ ...nearly, metadata: { a: 1 } }), { metadata: null })
})

t.test('an id may be in batch_id', async t => {
  const { id, ...bare } = BATCH
  t.match(read({ ...bare, batch_id: id, status: 'CANCELLED' }), { id: 'batch_1', status: 'cancelled' })
  t.equal(read({ ...bare, status: 'CANCELLED' }), undefined)
})

t.test('a batch goes out byte for byte, also from within another object', async t => {
  const text = '{"id":"batch_1", "object":"batch","endpoint":"/v1/x","input_file_id":"f","completion_window":"24h",' +
    '"status":"cancelling","created_at":1e3,"big":17114715331711471533,"one":1.0}'
  const nearly = '{"id":"batch_1","object":"batch","status":"canceling","big":17114715331711471533,"one":1.0 }'
  let body = ''
  const upstream = await startUpstream(t, () => ({ body }))
  const forward = forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url }) } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'openai', forward })
  const get = async (sent: string) => {
    body = sent
    return (await cancel(app, { headers: BEARER })).body
  }
  t.equal(await get(text), text)
  t.equal(await get(`{ "success":true, "data" : ${text} }`), text)
  for (const sent of [nearly, `{"data": ${nearly}}`]) {
    t.match(await get(sent), /^\{"id":"batch_1","object":"batch","endpoint":""/)
    t.ok((await get(sent)).endsWith(`"status":"cancelling","provider_batch":${nearly}}`))
  }
})

t.test('Novita: every status', async t => {
  const readNovita = (body: unknown) => batchIn(novita(), body, 'b-1')
  t.strictSame(readNovita(NOVITA), {
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
  for (const [status, native] of Object.entries(NATIVE)) {
    t.match(readNovita({ ...NOVITA, cancelling_at: null, status: native }), { status }, native)
  }
  t.match(readNovita({ ...NOVITA, expires_at: '1772359200123' }), { expires_at: 1772359200 }, 'milliseconds')
  const failed = { ...NOVITA, status: 'FAILED', errors: 'line 3 is no JSON' }
  t.match(readNovita(failed), { errors: { object: 'list', data: [{ message: 'line 3 is no JSON' }] } })
  for (const body of [{ ...NOVITA, cancelling_at: null, status: 'PAUSED' }, { status: 5 }, {}, null, undefined]) {
    t.equal(readNovita(body), undefined)
  }
  const plain = { ...BATCH, completion_window: '48h' }
  t.equal(readNovita(plain), plain, 'what is OpenAI\'s batch stays as it is')
})

t.test('DigitalOcean: every status', async t => {
  const readDO = (body: unknown) => batchIn(digitalocean(), body, 'b-1')
  t.strictSame(readDO(DO), {
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
  for (const status of BATCH_STATUSES) t.match(readDO({ ...DO, status }), { status }, status)
  const little = { batch_id: UUID, status: 'failed', provider: 'anthropic', endpoint: null, errors: [] }
  t.match(readDO(little), { endpoint: '', errors: null, created_at: 0 })
  const { batch_id: id, ...bare } = DO
  for (const body of [{ ...DO, status: 'paused' }, bare, { ...bare, batch_id: 5, id }, {}, [], null, undefined]) {
    t.equal(readDO(body), undefined)
  }
})
