import t from 'tap'
import { mistral } from '../../lib/index.js'
import { BEARER, UUID } from '../fixtures/fixture.js'
import { mistralJob, STOPPED, STOPPED_BATCH } from '../fixtures/mistral.js'
import { checkFields, requestOf } from '../support/provider.js'

t.test('every status', async t => {
  const ended = { completed_at: 1788000060, started_at: 1788000001, errors: [{ message: 'one', count: 2 }] }
  const error = { message: 'one', code: null, param: null, line: null }
  const fields = {
    completed_at: null,
    failed_at: null,
    expired_at: null,
    cancelled_at: null,
    in_progress_at: 1788000001,
    errors: null as object | null
  }
  const rows: Array<[body: unknown, fields: object | undefined]> = [
    [STOPPED, STOPPED_BATCH],
    [mistralJob('QUEUED', ended), { ...fields, status: 'validating' }],
    [mistralJob('RUNNING', ended), { ...fields, status: 'in_progress' }],
    [mistralJob('SUCCESS', ended), { ...fields, status: 'completed', completed_at: 1788000060 }],
    [mistralJob('FAILED', ended), {
      ...fields,
      status: 'failed',
      failed_at: 1788000060,
      errors: { object: 'list', data: [error] }
    }],
    [mistralJob('TIMEOUT_EXCEEDED', ended), { ...fields, status: 'expired', expired_at: 1788000060 }],
    [mistralJob('CANCELLATION_REQUESTED', ended), { ...fields, status: 'cancelling' }],
    [mistralJob('CANCELLED', ended), { ...fields, status: 'cancelled', cancelled_at: 1788000060 }],
    [{ status: 'RUNNING' }, {
      id: 'asked',
      endpoint: '',
      model: null,
      input_file_id: '',
      created_at: 0,
      in_progress_at: null,
      request_counts: null,
      metadata: null
    }],
    [{ status: 'RUNNING', input_files: [], metadata: { a: 1 }, total_requests: 1 }, {
      input_file_id: '',
      metadata: null,
      request_counts: null
    }],
    [mistralJob('running'), undefined],
    [mistralJob('PAUSED'), undefined],
    [null, undefined],
    ['CANCELLED', undefined]
  ]
  for (const [body, expected] of rows) checkFields(t, mistral(), body, expected)
})

t.test('what is sent to its own address', async t => {
  const path = `/v1/batch/jobs/${UUID}`
  const origin = 'https://api.mistral.ai'
  t.strictSame(
    await requestOf(mistral(), 'cancel', UUID, { headers: BEARER }),
    { origin, method: 'POST', path: `${path}/cancel`, headers: BEARER }
  )
  t.match(await requestOf(mistral(), 'retrieve', UUID, { headers: BEARER }), { origin, method: 'GET', path })
  t.strictSame(mistral().reservedHeaders, ['authorization'])
})
