import { setImmediate as turn } from 'node:timers/promises'
import OpenAI from 'openai'
import t, { type Test } from 'tap'
import { createBatchCanceller, type BatchForwarder } from '../../lib/index.js'
import { BATCH } from '../support/app.js'
import { startUpstream } from '../support/upstream.js'

/** What Node warns of, such as too many listeners on one signal. */
function collectWarnings (t: Test): Error[] {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  return warnings
}

t.test('200 cancels with one signal are in flight when the canceller closes: no warning', async t => {
  const warnings = collectWarnings(t)
  let respond = () => {}
  const responded = new Promise<void>(resolve => { respond = resolve })
  const forward: BatchForwarder = {
    async cancel () {
      await responded
      return BATCH
    },
    retrieve: async () => BATCH
  }
  const canceller = createBatchCanceller({ forward })
  const controller = new AbortController()
  const { signal } = controller
  const calls = Array.from({ length: 200 }, () =>
    canceller.cancel({ provider: 'openai', batchId: 'batch_1', signal, wait: 60_000 }))
  const closing = canceller.close()
  respond()
  const results = await Promise.all(calls)
  await closing
  t.equal(results.length, 200)
  await turn()
  t.strictSame(warnings, [])
})

t.test('an SDK that never removes its listeners from the signal of a call: no warning', async t => {
  const warnings = collectWarnings(t)
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const client = new OpenAI({ apiKey: 'sk-key', baseURL: `${upstream.url}/v1` })
  const canceller = createBatchCanceller({
    async forward ({ batchId, signal }) {
      for (let n = 0; n < 20; n++) await client.batches.retrieve(batchId, { signal })
      return BATCH
    }
  })
  t.teardown(() => canceller.close())
  t.match(await canceller.cancel({ provider: 'openai', batchId: 'batch_1' }), { batch: BATCH })
  await turn()
  t.strictSame(warnings, [])
})
