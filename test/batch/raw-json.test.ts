import t from 'tap'
import { isSameId } from '../../lib/batch/batch-id.js'
import { batchProblem } from '../../lib/batch/batch-problem.js'
import { batchJson, deepFreeze } from '../../lib/batch/raw-json.js'
import { BATCH, batch } from '../support/app.js'

t.test('raw JSON counts only for the object it was parsed from', async t => {
  const text = '{"big":12345678901234567890}'
  const original = JSON.parse(text) as object
  const mapped = batch({ provider_batch: original })
  t.equal(batchJson(BATCH), JSON.stringify(BATCH))
  t.equal(batchJson(BATCH, { text, value: BATCH }), text)
  t.match(batchJson(mapped, { text, value: original }), /,"provider_batch":\{"big":12345678901234567890\}\}$/)
  t.equal(batchJson(mapped, { text, value: { ...original } }), JSON.stringify(mapped), 'a copy may differ')
})

t.test('deepFreeze freezes every object and array, however deep', async t => {
  const value = { list: [{ a: 1 }], nested: { b: { c: null } } }
  deepFreeze(value)
  t.ok([value, value.list, value.list[0], value.nested, value.nested.b].every(Object.isFrozen))
  let deep: unknown = 0
  for (let i = 0; i < 50_000; i++) deep = [deep]
  deepFreeze(deep)
  deepFreeze('text')
  t.ok(Object.isFrozen(deep), 'without recursion')
})

t.test('batchProblem names the field', async t => {
  for (const { value, problem } of [
    { value: { ...BATCH, status: 'canceled' }, problem: 'status is \'canceled\'' },
    { value: { ...BATCH, created_at: '2026-01-01' }, problem: 'created_at is \'2026-01-01\'' },
    { value: { ...BATCH, input_file_id: undefined }, problem: 'input_file_id is missing' },
    { value: { id: 'a', object: 'batch' }, problem: 'endpoint is missing' },
    { value: { ...BATCH, errors: { data: [{ line: 'x' }] } }, problem: 'errors is an object of another kind' },
    { value: 5, problem: 'it is 5' },
    { value: 'x'.repeat(100), problem: `it is '${'x'.repeat(64)}'` }
  ]) t.equal(batchProblem(value), problem)
})

t.test('forms of an id name the same batch', async t => {
  const arn = 'arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc123def456'
  for (const { shown, requested, same } of [
    { shown: 'batch_1', requested: 'batch_1', same: true },
    { shown: 'abc123def456', requested: arn, same: true },
    { shown: arn, requested: 'abc123def456', same: true },
    { shown: arn, requested: encodeURIComponent(arn), same: true },
    { shown: '0E9D1D35', requested: '0e9d1d35', same: true },
    { shown: 'batch_2', requested: 'batch_1', same: false },
    { shown: 'batch_1/cancel', requested: 'batch_1', same: false },
    { shown: '', requested: 'batch_1', same: false },
    { shown: 'xbatch_1', requested: 'batch_1', same: false }
  ]) t.equal(isSameId(shown, requested), same, `${shown} for ${requested}`)
})
