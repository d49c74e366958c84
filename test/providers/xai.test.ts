import t from 'tap'
import { xai, type Action } from '../../lib/index.js'
import { defineXai } from '../../lib/providers/xai.js'
import { UNREPORTED } from '../fixtures/fixture.js'
import { CANCEL, counts, NOW, XAI, xaiBatch } from '../fixtures/xai.js'
import { batchIn } from '../support/provider.js'

/** Read once by a process that has not seen the batch before. */
const readOnce = (body: unknown, action?: Action) => batchIn(defineXai({ date: () => NOW })(), body, 'b-1', action)

t.test('the status follows from the counters and the times', async t => {
  const cancelled = counts(5, 0, 0, 0, 5)
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
    [{ ...CANCEL, state: cancelled }, 'cancelling', 'cancel'],
    [{ ...CANCEL, state: counts(0, 0, 0, 0, 0) }, 'cancelled'],
    // A date without an hour may mean the end of its day; an exact time is settled after a minute.
    [{ ...CANCEL, state: cancelled }, 'cancelling'],
    [{ cancel_time: '2026-02-28', state: cancelled }, 'cancelled'],
    [{ cancel_time: '2026-02-28', state: cancelled }, 'cancelling', 'cancel'],
    [{ cancel_time: '2026-03-01T11:59:30Z', state: cancelled }, 'cancelling'],
    [{ cancel_time: '2026-03-01T11:59:00Z', state: cancelled }, 'cancelled'],
    [{ cancel_time: 'soon', state: cancelled }, 'cancelling'],
    // Every request was cancelled, and no time says so.
    [{ state: cancelled }, 'cancelling'],
    [{ expire_time: '2026-03-01', state: counts(8, 3, 5, 0, 0) }, 'in_progress'],
    [{ expire_time: '2026-02-28', state: counts(8, 3, 5, 0, 0) }, 'expired'],
    [{ expire_time: '2026-02-28', state: counts(0, 0, 0, 0, 0) }, 'expired'],
    [{ expire_time: '2026-03-01T12:00:00Z', state: counts(8, 3, 5, 0, 0) }, 'expired'],
    [{ expire_time: '2026-03-01T12:00:01Z', state: counts(8, 3, 5, 0, 0) }, 'in_progress'],
    [{ expire_time: '2026-02-28', state: counts(8, 0, 8, 0, 0) }, 'completed']
  ]
  for (const [fields, status, action] of cases) {
    t.match(readOnce(xaiBatch(fields), action), { status }, JSON.stringify([fields, action]))
  }

  const partly = xaiBatch({ ...CANCEL, state: counts(5, 0, 2, 0, 3) })
  t.strictSame(readOnce(partly), {
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
  t.match(readOnce(xaiBatch({ ...CANCEL, cancel_by_xai_message: 'bad file' })), {
    failed_at: 1772323200,
    cancelling_at: null,
    cancelled_at: null,
    errors: { data: [{ message: 'bad file' }] }
  })
  t.match(readOnce(xaiBatch({ cancel_time: '2026-02-27T00:00:00.4Z', state: cancelled })), {
    cancelling_at: 1772150400,
    cancelled_at: 1772150400,
    request_counts: { total: 5, completed: 0, failed: 0 }
  })
})

t.test('counters that are left out are 0, and others that cannot be read are unknown', async t => {
  const { state, ...bare } = XAI
  const completed = { num_requests: 5, num_success: 5 }
  t.match(readOnce({ ...bare, state: completed }), {
    status: 'completed',
    request_counts: { total: 5, completed: 5, failed: 0 }
  })
  t.match(readOnce({ ...bare, state: {} }), { status: 'validating' })
  t.match(readOnce({ ...bare, ...CANCEL }), { status: 'cancelling', request_counts: null })
  const wrong = { ...bare, state: { ...state, num_pending: '8' }, ...CANCEL }
  t.match(readOnce(wrong), { status: 'cancelling', request_counts: null })
  t.match(readOnce({ ...bare, state: { ...state, num_pending: null }, ...CANCEL }), { request_counts: null })
  t.match(readOnce({ batch_id: 'b', cancel_by_xai_message: 'bad file' }), {
    status: 'failed',
    created_at: 0,
    expires_at: null,
    input_file_id: ''
  })
  for (const body of [bare, { state }, { ...XAI, batch_id: 5 }, [], null, undefined]) {
    t.equal(readOnce(body), undefined)
  }
  const old = xaiBatch({ expire_time: '2000-01-01' })
  t.match(batchIn(xai(), old, 'b-1'), { status: 'expired' }, 'by the system\'s clock')
})

t.test('a cancel whose time of day is unknown is settled when the counters have not changed for a minute', async t => {
  let now = 0
  const provider = defineXai({ date: () => NOW, now: () => now })()
  const statusOf = (state: object, id = 'b-1', action: Action = 'retrieve') =>
    batchIn(provider, { ...XAI, ...CANCEL, state }, id, action)?.status
  const cancelled = counts(5, 0, 0, 0, 5)
  t.equal(statusOf(cancelled, 'b-1', 'cancel'), 'cancelling')
  now += 59_999
  t.equal(statusOf(cancelled), 'cancelling')
  now += 1
  t.equal(statusOf(cancelled), 'cancelled')
  t.equal(statusOf(cancelled, 'b-1', 'cancel'), 'cancelling', 'a cancel that is accepted may still change them')
  t.equal(statusOf(cancelled, 'b-2'), 'cancelling', 'another batch')
  t.equal(statusOf(counts(5, 0, 1, 0, 4)), 'cancelling', 'they have changed')
  now += 60_000
  t.equal(statusOf(counts(5, 0, 5, 0, 0)), 'completed', 'it was not cancelled after all')
  for (let n = 0; n < 1001; n++) statusOf(cancelled, `other-${n}`)
  now += 60_000
  t.equal(statusOf(cancelled, 'other-0'), 'cancelling', 'the oldest of many batches is forgotten')
  t.equal(statusOf(cancelled, 'other-1000'), 'cancelled')
})

t.test('this minute does not follow the wall clock', async t => {
  let date = NOW
  const provider = defineXai({ date: () => date, now: () => 0 })()
  const statusOf = () => batchIn(provider, { ...XAI, ...CANCEL, state: counts(5, 0, 0, 0, 5) }, 'b-1')?.status
  t.equal(statusOf(), 'cancelling')
  date += 3_600_000
  t.equal(statusOf(), 'cancelling', 'set an hour ahead')
})
