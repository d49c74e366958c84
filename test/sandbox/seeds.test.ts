import t from 'tap'
import { SEED_RESET_MS } from '../../lib/sandbox/batches.js'
import { WINDOW_MS } from '../../lib/sandbox/job.js'
import { CANCELLING_MS } from '../../lib/sandbox/run-batch.js'
import { isBatch, type BatchStatus } from '../../schemas/batch.js'
import { customIdsOf, openApp } from '../support/sandbox-app.js'

t.test('there is a seed for every status, and it stays as it is', async t => {
  const { clock, retrieve, rows, call } = await openApp(t)
  type Count = 'total' | 'completed' | 'failed' | 'outputs' | 'errors'
  const cases: Array<{ status: BatchStatus } & Record<Count, number>> = [
    { status: 'validating', total: 0, completed: 0, failed: 0, outputs: 0, errors: 0 },
    { status: 'in_progress', total: 10, completed: 3, failed: 1, outputs: 0, errors: 0 },
    { status: 'finalizing', total: 10, completed: 10, failed: 0, outputs: 0, errors: 0 },
    { status: 'completed', total: 10, completed: 9, failed: 1, outputs: 9, errors: 1 },
    { status: 'failed', total: 0, completed: 0, failed: 0, outputs: 0, errors: 0 },
    { status: 'expired', total: 10, completed: 5, failed: 1, outputs: 5, errors: 5 },
    { status: 'cancelling', total: 10, completed: 4, failed: 0, outputs: 0, errors: 0 },
    { status: 'cancelled', total: 10, completed: 3, failed: 1, outputs: 3, errors: 7 }
  ]
  for (const { status, outputs, errors, ...counts } of cases) {
    const batch = await retrieve(`batch_${status}`)
    t.ok(isBatch(batch), status)
    t.match(batch, { status, input_file_id: `file-${status}`, request_counts: counts }, status)
    if (status !== 'validating') t.type(batch[`${status}_at`], 'number', status)
    t.equal((await rows(batch.output_file_id)).length, outputs, status)
    t.equal((await rows(batch.error_file_id)).length, errors, status)
    t.ok((await rows(batch.input_file_id)).length > 0, status)
    t.equal((await call('GET', `/files/file-${status}`)).json().created_at, batch.created_at)
    const outputRows = await rows(batch.output_file_id)
    const used = outputRows.reduce((sum, row) => sum + row.response.body.usage.total_tokens, 0)
    if (outputs > 0) t.equal(batch.usage?.total_tokens, used, status)
  }
  t.match((await retrieve('batch_failed')).errors, {
    data: [1, 2, 3].map(line => ({ code: 'missing_required_parameter', param: 'custom_id', line }))
  })
  t.match((await call('POST', '/batches/batch_failed/cancel')).json(), {
    error: { message: "Cannot cancel a batch with status 'failed'." }
  })
  const before = (await call('GET', '/batches')).text
  await clock.advance(2 * WINDOW_MS)
  t.equal((await call('GET', '/batches')).text, before)
})

const DOCUMENTED = {
  id: 'batch_abc123',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  errors: null,
  input_file_id: 'file-abc123',
  completion_window: '24h',
  status: 'cancelling',
  output_file_id: null,
  error_file_id: null,
  created_at: 1713894800,
  in_progress_at: 1713894900,
  cancelled_at: 1713895200,
  completed_at: null,
  request_counts: { total: 100, completed: 45, failed: 0 },
  metadata: { description: 'Daily batch job' }
}

t.test('the documented batch is cancelled as documented, again and again', async t => {
  const { clock, call, retrieve, rows } = await openApp(t)
  for (const resetBy of ['/batches/batch_abc123', '/batches']) {
    t.same(await retrieve('batch_abc123'), { ...DOCUMENTED, status: 'in_progress', cancelled_at: null })
    t.equal((await call('POST', '/batches/batch_abc123/cancel')).text, JSON.stringify(DOCUMENTED))

    await clock.advance(CANCELLING_MS)
    const ended = await retrieve('batch_abc123')
    t.same(ended, {
      ...DOCUMENTED,
      status: 'cancelled',
      output_file_id: 'file-abc123-output',
      error_file_id: 'file-abc123-error'
    })
    t.ok(isBatch(ended))
    const [output, errors] = [await rows(ended.output_file_id), await rows(ended.error_file_id)]
    t.equal(output.length, 45)
    t.equal(errors.length, 55)
    t.ok(errors.every(row => row.error.code === 'batch_cancelled'))
    t.same(customIdsOf([...output, ...errors]), customIdsOf(await rows('file-abc123')))

    await clock.advance(SEED_RESET_MS - 1)
    t.equal((await call('POST', '/batches/batch_abc123/cancel')).status, 409)
    await clock.advance(1)
    await call('GET', resetBy)
  }
  const again = await call('POST', '/batches/batch_abc123/cancel')
  t.equal(again.text, JSON.stringify(DOCUMENTED), 'a cancel resets it too')
})

t.test('the live seeds are cancelled like any other batch, and reset to what they were', async t => {
  const { clock, retrieve, cancel, rows } = await openApp(t)
  const cases = [
    { status: 'validating', outputs: 0, errors: 10 },
    { status: 'in_progress', outputs: 3, errors: 7 },
    { status: 'finalizing', outputs: 10, errors: 0 }
  ]
  for (const { status, outputs, errors } of cases) {
    const id = `batch_${status}`
    const before = await retrieve(id)
    t.match(await cancel(id), {
      status: 'cancelling',
      cancelling_at: Math.floor(clock.now() / 1000),
      cancelled_at: null
    })
    await clock.advance(CANCELLING_MS)
    const ended = await retrieve(id)
    t.match(ended, {
      status: 'cancelled',
      cancelled_at: Math.floor(clock.now() / 1000),
      request_counts: { total: 10 }
    })
    t.equal((await rows(ended.output_file_id)).length, outputs)
    t.equal((await rows(ended.error_file_id)).length, errors)
    await clock.advance(SEED_RESET_MS)
    t.same(await retrieve(id), before)
  }
  t.same(await cancel('batch_cancelling'), await retrieve('batch_cancelling'))
  await clock.advance(WINDOW_MS)
  t.match(await retrieve('batch_cancelling'), { status: 'cancelling' })
})

t.test('some ids return the errors that a client must handle', async t => {
  const { call } = await openApp(t)
  const cases: Array<{ id: string, status: number, error: object, headers: object }> = [
    {
      id: 'batch_rate_limited',
      status: 429,
      error: { type: 'requests', code: 'rate_limit_exceeded' },
      headers: { 'retry-after': '1', 'x-ratelimit-remaining-requests': '0' }
    },
    { id: 'batch_unavailable', status: 503, error: { type: 'server_error', code: null }, headers: {} },
    {
      id: 'batch_unauthorized',
      status: 401,
      error: { type: 'invalid_request_error', code: 'invalid_api_key' },
      headers: {}
    }
  ]
  for (const { id, status, error, headers } of cases) {
    for (const response of [await call('GET', `/batches/${id}`), await call('POST', `/batches/${id}/cancel`)]) {
      t.equal(response.status, status)
      t.match(response.json(), { error })
      t.match(response.headers, headers)
    }
  }
})
