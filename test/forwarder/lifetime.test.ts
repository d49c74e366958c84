import t from 'tap'
import { createCall, createCallStore } from '../../lib/forwarder/lifetime.js'
import type { BatchCall } from '../../lib/forwarder/types.js'

const FACTS = { batchId: 'batch_abc123', provider: 'openai', headers: {}, request: undefined }

const CALLS: Array<{ title: string, create: () => BatchCall }> = [
  { title: 'a call of the engine', create: () => createCall(FACTS) },
  { title: 'a call that something else made', create: () => ({ ...FACTS, signal: new AbortController().signal }) }
]

for (const { title, create } of CALLS) {
  t.test(`${title} has a value in each store`, async t => {
    const [first, second] = [createCallStore<object>(), createCallStore<object>()]
    const call = create()
    const values = [{ of: 'first' }, { of: 'second' }, { of: 'first, later' }] as const
    t.equal(first.get(call), undefined)
    first.set(call, values[0])
    second.set(call, values[1])
    t.equal(first.get(call), values[0])
    t.equal(second.get(call), values[1])
    first.set(call, values[2])
    t.equal(first.get(call), values[2])
    t.equal(second.get(call), values[1], 'the other store keeps its own')
  })

  t.test(`a copy of ${title} has no value of its original`, async t => {
    const store = createCallStore<object>()
    const call = create()
    store.set(call, {})
    t.equal(store.get({ ...call }), undefined)
    t.strictSame(Object.keys(call).sort(), ['batchId', 'headers', 'provider', 'request', 'signal'])
    t.equal({ ...call }.signal, call.signal, 'and the same signal')
  })
}
