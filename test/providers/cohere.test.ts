import t from 'tap'
import { cohere } from '../../lib/index.js'
import { COHERE, cohereBatch } from '../fixtures/cohere.js'
import { UNREPORTED } from '../fixtures/fixture.js'
import { batchIn } from '../support/provider.js'

const read = (body: unknown, action?: 'cancel') => batchIn(cohere(), body, 'b-1', action)

t.test('every status, and fields that are left out', async t => {
  const statuses = {
    UNSPECIFIED: 'validating',
    QUEUED: 'validating',
    IN_PROGRESS: 'in_progress',
    CANCELING: 'cancelling',
    COMPLETED: 'completed',
    FAILED: 'failed',
    CANCELED: 'cancelled'
  }
  for (const [native, status] of Object.entries(statuses)) t.match(read(cohereBatch(native)), { status }, native)
  t.strictSame(read({ batch: COHERE }), {
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
  const error = { code: null, message: 'requested', param: null, line: null }
  t.match(read(cohereBatch('FAILED')), { errors: { object: 'list', data: [error] } })
  const little = { status: 'BATCH_STATUS_QUEUED', num_records: 3 }
  t.strictSame(
    read({ batch: little }),
    { ...UNREPORTED, id: 'b-1', status: 'validating', provider_batch: little }
  )
  const notBatches = [
    cohereBatch('PAUSED'), { batch: { status: 'toString' } }, { batch: {} }, { batch: null }, { batch: [] },
    { batch: 'x' }, COHERE, null, undefined, 'x'
  ]
  for (const body of notBatches) t.equal(read(body), undefined, JSON.stringify(body))
  t.equal(read({}), undefined, 'a read returns a batch or nothing')
  t.equal(read({}, 'cancel'), null)
  t.equal(read({ message: 'hm' }, 'cancel'), undefined)
})
