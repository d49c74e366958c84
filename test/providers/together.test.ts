import t from 'tap'
import { together } from '../../lib/index.js'
import { BEARER } from '../fixtures/fixture.js'
import { CANCELLING, CREATED_AT, togetherJob } from '../fixtures/together.js'
import { checkFields, requestOf } from '../support/provider.js'

t.test('every status', async t => {
  const ended = { completed_at: '2026-09-01T10:01:00Z', output_file_id: 'out', error_file_id: 'err' }
  const endedAt = CREATED_AT + 60
  const fields = {
    completed_at: null,
    failed_at: null,
    expired_at: null,
    cancelled_at: null,
    output_file_id: 'out',
    error_file_id: 'err',
    errors: null
  }
  const error = { message: 'Bad line.', code: null, param: null, line: null }
  const rows: Array<[body: unknown, fields: object | undefined]> = [
    [togetherJob('CANCELING'), CANCELLING],
    [togetherJob('VALIDATING', ended), { ...fields, status: 'validating' }],
    [togetherJob('IN_PROGRESS', ended), { ...fields, status: 'in_progress' }],
    [togetherJob('COMPLETED', ended), { ...fields, status: 'completed', completed_at: endedAt }],
    [togetherJob('FAILED', ended), { ...fields, status: 'failed', failed_at: endedAt }],
    [togetherJob('EXPIRED', ended), { ...fields, status: 'expired', expired_at: endedAt }],
    [togetherJob('CANCELING', ended), { ...fields, status: 'cancelling' }],
    [togetherJob('CANCELLED', ended), { ...fields, status: 'cancelled', cancelled_at: endedAt }],
    [togetherJob('FAILED', { error: 'Bad line.' }), { errors: { object: 'list', data: [error] } }],
    [{ status: 'FAILED', error: '', completed_at: '' }, {
      id: 'asked',
      endpoint: '',
      input_file_id: '',
      created_at: 0,
      expires_at: null,
      failed_at: null,
      errors: null,
      model: null,
      request_counts: null
    }],
    [{ job: togetherJob('CANCELING') }, undefined],
    [togetherJob('canceling'), undefined],
    [togetherJob('PAUSED'), undefined],
    [undefined, undefined]
  ]
  for (const [body, expected] of rows) checkFields(t, together(), body, expected)
})

t.test('what is sent to its own address', async t => {
  const origin = 'https://api.together.ai'
  t.strictSame(
    await requestOf(together(), 'cancel', 'a/b', { headers: BEARER }),
    { origin, method: 'POST', path: '/v1/batches/a%2Fb/cancel', headers: BEARER }
  )
  t.match(
    await requestOf(together(), 'retrieve', 'batch_1', { headers: BEARER }),
    { origin, method: 'GET', path: '/v1/batches/batch_1' }
  )
  t.strictSame(together().reservedHeaders, ['authorization'])
})
