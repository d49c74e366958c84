import t from 'tap'
import { CANCELLING_MS, FINALIZING_MS, VALIDATING_MS } from '../../lib/sandbox/run-batch.js'
import { isBatch } from '../../schemas/batch.js'
import { jsonl, lines, openApp } from '../support/sandbox-app.js'

t.test('a cancel accepts any body, or none', async t => {
  const { call } = await openApp(t)
  const cases: Array<{ payload: string, headers: Record<string, string> }> = [
    { payload: '', headers: { 'content-type': 'application/json' } },
    { payload: '', headers: {} },
    { payload: '{}', headers: { 'content-type': 'application/json' } },
    { payload: '{', headers: { 'content-type': 'application/json' } },
    { payload: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    { payload: 'text', headers: {} }
  ]
  for (const request of cases) {
    const { status } = await call('POST', '/batches/batch_in_progress/cancel', request)
    t.equal(status, 200, JSON.stringify(request))
  }
})

const MOMENTS = [
  { status: 'validating', afterMs: 0, completed: 0, endsAfterMs: VALIDATING_MS + CANCELLING_MS },
  { status: 'in_progress', afterMs: VALIDATING_MS + 500, completed: 6, endsAfterMs: 300 + CANCELLING_MS },
  {
    status: 'finalizing',
    afterMs: VALIDATING_MS + 4 * 400 + 100,
    completed: 10,
    endsAfterMs: FINALIZING_MS - 100 + CANCELLING_MS
  }
]
for (const { status, afterMs, completed, endsAfterMs } of MOMENTS) {
  t.test(`a cancel of a batch that is ${status} stores what completed`, async t => {
    const { clock, create, upload, retrieve, cancel, rows } = await openApp(t)
    const { id } = (await create(await upload(jsonl(lines(10))))).json()
    await clock.advance(afterMs)
    t.equal((await retrieve(id)).status, status)
    t.match(await cancel(id), { status: 'cancelling', cancelling_at: Math.floor(clock.now() / 1000) })
    await clock.advance(endsAfterMs - 1)
    t.match(await retrieve(id), { status: 'cancelling', output_file_id: null, error_file_id: null })
    await clock.advance(1)
    const batch = await retrieve(id)
    t.ok(isBatch(batch))
    t.match(batch, { status: 'cancelled', completed_at: null, request_counts: { total: 10, completed, failed: 0 } })
    t.equal((await rows(batch.output_file_id)).length, completed)
    t.equal((await rows(batch.error_file_id)).length, 10 - completed)
  })
}

t.test('a cancel of a batch that has ended is a conflict', async t => {
  const { call } = await openApp(t)
  for (const status of ['completed', 'failed', 'expired', 'cancelled']) {
    const response = await call('POST', `/batches/batch_${status}/cancel`)
    t.equal(response.status, 409)
    t.same(response.json(), {
      error: {
        message: `Cannot cancel a batch with status '${status}'.`,
        type: 'invalid_request_error',
        param: null,
        code: null
      }
    })
  }
})

t.test('a cancel while the input is validated wins over an invalid input', async t => {
  const { clock, create, upload, retrieve, cancel } = await openApp(t)
  const { id } = (await create(await upload(''))).json()
  await cancel(id)
  await clock.advance(60 * 60 * 1000)
  t.match(await retrieve(id), { status: 'cancelled', errors: null, output_file_id: null, error_file_id: null })
})
