import t from 'tap'
import { cancelBatch, type Cancellation, type CancellationOptions } from '../lib/cancellation.js'
import { BatchCancelError, ProviderError, unreachable } from '../lib/errors.js'
import type { BatchCall } from '../lib/forwarder.js'
import { holdToWord } from '../lib/hook.js'
import type { Batch, BatchStatus } from '../schemas/index.js'
import { batch } from './app.js'
import { manualClock } from './manual-clock.js'

type Step = BatchStatus | null | Error

const take = (steps: Step[], what: string): Batch | null => {
  const step = steps.shift()
  if (step === undefined) throw new Error(`one ${what} too many`)
  if (step instanceof Error) throw step
  return step === null ? null : batch({ status: step })
}

interface Played {
  outcome: Cancellation | BatchCancelError | ProviderError
  /** When the outcome came, in milliseconds after the call. */
  after: number
  /** What was not asked for. */
  left: number
}

/** Plays a call over a hook that answers step by step. */
async function play ({ cancels, reads, repeated = false }: { cancels: Step[], reads?: Step[], repeated?: boolean }): Promise<Played> {
  const clock = manualClock()
  const start = clock.now()
  const hook = holdToWord({ cancel: async () => take(cancels, 'cancel'), ...reads !== undefined && { retrieve: async () => take(reads, 'read') as Batch } })
  const options: CancellationOptions = { clock, repeated, log: { warn () {} } }
  let after = NaN
  const work = cancelBatch(hook, { batchId: 'batch_1' } as BatchCall, options).catch((error: BatchCancelError | ProviderError) => error).then(outcome => {
    after = clock.now() - start
    return outcome
  })
  await clock.advance(60_000)
  return { outcome: await work, after, left: cancels.length + (reads?.length ?? 0) }
}

const refusal = (status: number) => new ProviderError(status, { message: 'as it came', code: 'own' })
const gone = unreachable(new Error('reset'))

t.test('an accepted cancel is a 200, or the 409 of a batch that ended first', async t => {
  for (const [cancel, reads, status, source] of [
    ['cancelling', [], 'cancelling', 'provider'],
    ['cancelled', [], 'cancelled', 'provider'],
    ['validating', [], 'cancelling', 'assumed'],
    ['in_progress', [], 'cancelling', 'assumed'],
    ['finalizing', [], 'cancelling', 'assumed'],
    [null, ['cancelling'], 'cancelling', 'retrieved'],
    [null, ['cancelled'], 'cancelled', 'retrieved'],
    [null, ['in_progress'], 'cancelling', 'assumed'],
    [null, [gone], 'cancelling', 'assumed'],
    [null, [refusal(401)], 'cancelling', 'assumed'],
    [null, [refusal(404)], 'cancelling', 'assumed'],
    [null, [refusal(500)], 'cancelling', 'assumed'],
    [null, undefined, 'cancelling', 'assumed']
  ] as Array<[Step, Step[] | undefined, BatchStatus, string]>) {
    const { outcome, after, left } = await play({ cancels: [cancel], ...reads !== undefined && { reads } })
    t.match(outcome, { batch: { id: 'batch_1', status }, source, accepted: true }, `${cancel} then ${reads?.join()}`)
    t.strictSame([after, left], [0, 0])
  }
  for (const status of ['completed', 'failed', 'expired'] as const) {
    t.match((await play({ cancels: [status], reads: [] })).outcome, { code: 'batch_not_cancellable', statusCode: 409, batch: { status } })
    t.match((await play({ cancels: [null], reads: [status] })).outcome, { code: 'batch_not_cancellable', statusCode: 409, batch: { status } })
  }
})

t.test('a refusal that may mean a wrong state is settled by the batch', async t => {
  for (const status of [400, 409, 412, 422]) {
    t.match((await play({ cancels: [refusal(status)], reads: ['cancelling'] })).outcome, { batch: { status: 'cancelling' }, source: 'retrieved', accepted: false }, `${status}, cancelling`)
    for (const ended of ['completed', 'failed', 'expired', 'cancelled'] as const) {
      t.match((await play({ cancels: [refusal(status)], reads: [ended] })).outcome, { message: `Cannot cancel a batch with status '${ended}'.`, batch: { status: ended } }, `${status}, ${ended}`)
    }
    t.match((await play({ cancels: [refusal(status)], reads: ['cancelled'], repeated: true })).outcome, { batch: { status: 'cancelled' }, source: 'retrieved', accepted: false }, 'the first try did it')
    t.match((await play({ cancels: [refusal(status)], reads: ['completed'], repeated: true })).outcome, { code: 'batch_not_cancellable' }, 'the first try did not do that')
    t.match((await play({ cancels: [refusal(status)], reads: [gone] })).outcome, { statusCode: status, message: 'as it came' }, 'unreadable')
    t.match((await play({ cancels: [refusal(status)] })).outcome, { statusCode: status, message: 'as it came' }, 'without a retrieve')
  }
})

t.test('a batch that lags is read once more, a second later', async t => {
  for (const [second, expected] of [
    ['cancelling', { batch: { status: 'cancelling' }, source: 'retrieved' }],
    ['completed', { code: 'batch_not_cancellable' }],
    ['in_progress', { statusCode: 409, message: 'as it came' }],
    [gone, { statusCode: 409, message: 'as it came' }]
  ] as Array<[Step, object]>) {
    const { outcome, after, left } = await play({ cancels: [refusal(409)], reads: ['in_progress', second] })
    t.match(outcome, expected, String(second))
    t.strictSame([after, left], [1000, 0])
  }
})

t.test('any other failure goes out as it came, without a read', async t => {
  for (const error of [refusal(401), refusal(403), refusal(404), refusal(429), refusal(500), refusal(503), gone, new BatchCancelError('missing_credentials', 'none')]) {
    const { outcome, left } = await play({ cancels: [error], reads: ['cancelling'] })
    t.equal(outcome, error)
    t.equal(left, 1)
  }
})
