import t from 'tap'
import { cancelBatch, type Cancellation, type CancellationOptions, type Tally } from '../../lib/cancel/cancel-batch.js'
import { BatchCancelError, invalidResponse, ProviderError, unreachable, unsent } from '../../lib/errors.js'
import type { BatchCall } from '../../lib/forwarder/types.js'
import { checkForwarder } from '../../lib/forwarder/check-forwarder.js'
import type { Batch, BatchStatus } from '../../schemas/index.js'
import { batch } from '../support/app.js'
import { manualClock } from '../support/manual-clock.js'

/** What is answered: a batch of a status, `null`, an error, or nothing at all. */
type Step = BatchStatus | null | Error | 'silence'

const take = async (steps: Step[], what: string): Promise<Batch | null> => {
  const step = steps.shift()
  if (step === undefined) throw new BatchCancelError('internal_error', `one ${what} too many`)
  if (step instanceof Error) throw step
  if (step === 'silence') return await new Promise(() => {})
  return step === null ? null : batch({ status: step })
}

interface Played extends Tally {
  outcome: Cancellation | BatchCancelError | ProviderError
  /** When the outcome came, in milliseconds after the call. */
  after: number
  /** What was not asked for. */
  left: number
}

interface Play {
  cancels: Step[]
  reads?: Step[]
  repeated?: boolean
  /** Most cancels. */
  most?: number
  timeout?: number
  random?: number
}

/** Plays a call over a hook that answers step by step, in virtual time. */
async function play ({ cancels, reads, repeated = false, most = 3, timeout = 30_000, random = 1 }: Play): Promise<Played> {
  const clock = manualClock()
  const start = clock.now()
  const hook = checkForwarder({ cancel: () => take(cancels, 'cancel'), ...reads !== undefined && { retrieve: () => take(reads, 'read') as Promise<Batch> } })
  const tally = { cancels: 0, reads: 0 }
  const options: CancellationOptions = { clock, random: () => random, end: start + timeout, repeated, cancels: most, tally, log: { warn () {} } }
  let after = NaN
  const work = cancelBatch(hook, { batchId: 'batch_1' } as BatchCall, options).catch((error: BatchCancelError | ProviderError) => error).then(outcome => {
    after = clock.now() - start
    return outcome
  })
  await clock.run(60_000)
  return { outcome: await work, after, left: cancels.length + (reads?.length ?? 0), ...tally }
}

const refusal = (status: number, headers = {}) => new ProviderError(status, { message: 'as it came', code: 'own' }, headers)
const gone = unreachable(new Error('reset'))
const UNKNOWN = { code: 'upstream_unreachable', statusCode: 502 }
const LATE = { code: 'upstream_timeout', statusCode: 504 }

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
    [null, [gone, gone, gone], 'cancelling', 'assumed'],
    [null, [gone, refusal(429), 'cancelled'], 'cancelled', 'retrieved'],
    [null, [refusal(401)], 'cancelling', 'assumed'],
    [null, [refusal(403)], 'cancelling', 'assumed'],
    [null, [refusal(404)], 'cancelling', 'assumed'],
    [null, [refusal(400)], 'cancelling', 'assumed'],
    [null, [new BatchCancelError('internal_error', 'bug')], 'cancelling', 'assumed'],
    [null, ['silence', 'silence', 'silence'], 'cancelling', 'assumed'],
    [null, undefined, 'cancelling', 'assumed']
  ] as Array<[Step, Step[] | undefined, BatchStatus, string]>) {
    const { outcome, after, left } = await play({ cancels: [cancel], ...reads !== undefined && { reads } })
    t.match(outcome, { batch: { id: 'batch_1', status }, source, accepted: true }, `${cancel} then ${reads?.join()}`)
    t.equal(left, 0)
    t.ok(after < 30_000, `${after} ms`)
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
    t.match((await play({ cancels: [refusal(status)], reads: [refusal(403)] })).outcome, { statusCode: status, message: 'as it came' }, 'unreadable')
    t.match((await play({ cancels: [refusal(status)], reads: [gone, gone, gone] })).outcome, { statusCode: status, message: 'as it came' }, 'unreadable for want of an answer')
    t.match((await play({ cancels: [refusal(status)] })).outcome, { statusCode: status, message: 'as it came' }, 'without a retrieve')
  }
})

t.test('a batch that lags is read once more, a second later', async t => {
  for (const [second, expected] of [
    ['cancelling', { batch: { status: 'cancelling' }, source: 'retrieved' }],
    ['completed', { code: 'batch_not_cancellable' }],
    ['in_progress', { statusCode: 409, message: 'as it came' }],
    [refusal(401), { statusCode: 409, message: 'as it came' }]
  ] as Array<[Step, object]>) {
    const { outcome, after, left } = await play({ cancels: [refusal(409)], reads: ['in_progress', second] })
    t.match(outcome, expected, String(second))
    t.strictSame([after, left], [1000, 0])
  }
  t.match(await play({ cancels: [refusal(409)], reads: ['in_progress'], timeout: 1000 }), { outcome: { statusCode: 409 }, reads: 1 }, 'where there is time for it')
})

t.test('any other refusal goes out as it came, without a read', async t => {
  for (const error of [refusal(401), refusal(403), refusal(404), refusal(405), refusal(501), new BatchCancelError('missing_credentials', 'none'), new BatchCancelError('internal_error', 'bug')]) {
    const { outcome, left, cancels } = await play({ cancels: [error, 'cancelling'], reads: ['cancelling'] })
    t.equal(outcome, error)
    t.strictSame([left, cancels], [2, 1])
  }
})

t.test('a limit is waited for where it fits, and goes out as it came where it does not', async t => {
  t.match(await play({ cancels: [refusal(429, { 'retry-after': '2' }), 'cancelling'], reads: [] }), { outcome: { batch: { status: 'cancelling' } }, after: 2000, cancels: 2, reads: 0 })
  t.match(await play({ cancels: [refusal(429, { 'retry-after': '9', 'retry-after-ms': '1500' }), 'cancelling'] }), { after: 1500 }, 'milliseconds win')
  t.match(await play({ cancels: [refusal(429, { 'retry-after': new Date(1_700_000_003_000).toUTCString() }), 'cancelling'] }), { after: 3000 }, 'a date')
  t.match(await play({ cancels: [refusal(429, { 'retry-after': new Date(1_600_000_000_000).toUTCString() }), 'cancelling'] }), { after: 0 }, 'a date in the past')
  for (const asked of ['soon', '5 apples', '-1']) t.match(await play({ cancels: [refusal(429, { 'retry-after': asked }), 'cancelling'] }), { after: 500 }, `${asked} is no time`)
  t.match(await play({ cancels: [refusal(429), refusal(429), 'cancelling'] }), { outcome: { batch: { status: 'cancelling' } }, after: 1500, cancels: 3 })
  t.match(await play({ cancels: [refusal(429), 'cancelling'], random: 0 }), { after: 250 }, 'the pause is spread')
  for (const [headers, cancels] of [[{ 'retry-after': '30' }, 1], [{ 'retry-after': '3600' }, 1], [{ 'x-should-retry': 'false' }, 1], [{}, 3]] as const) {
    t.match(await play({ cancels: Array.from({ length: 9 }, () => refusal(429, headers)), reads: [] }), { outcome: { statusCode: 429, message: 'as it came' }, cancels, reads: 0 }, JSON.stringify(headers))
  }
})

t.test('a lost answer is settled by reading, and the cancel sent again', async t => {
  const lost: Array<[string, Error]> = [['reset', gone], ['no batch', invalidResponse('html')], ...[408, 500, 502, 503, 504].map(status => [String(status), refusal(status)] as [string, Error])]
  for (const [what, error] of lost) {
    for (const status of ['cancelling', 'cancelled'] as const) {
      t.match(await play({ cancels: [error], reads: [status] }), { outcome: { batch: { status }, source: 'retrieved', accepted: true }, cancels: 1, reads: 1, after: 0 }, `${what}, ${status}`)
    }
    for (const status of ['completed', 'failed', 'expired'] as const) {
      t.match(await play({ cancels: [error], reads: [status] }), { outcome: { code: 'batch_not_cancellable', batch: { status } }, cancels: 1 }, `${what}, ${status}`)
    }
    for (const read of ['in_progress', refusal(404), refusal(401)] as Step[]) {
      t.match(await play({ cancels: [error, 'cancelling'], reads: [read] }), { outcome: { batch: { status: 'cancelling' }, source: 'provider' }, cancels: 2, reads: 1, after: 500 }, `${what}, again`)
    }
    t.match(await play({ cancels: [error, null], reads: ['in_progress', 'in_progress'] }), { outcome: { source: 'assumed' }, cancels: 2, reads: 2 })
    t.match(await play({ cancels: [error, error, error, error], reads: ['in_progress', 'in_progress', 'in_progress', 'in_progress'] }), { outcome: what === '408' ? LATE : { statusCode: (error as ProviderError).statusCode }, cancels: 3, reads: 3, after: 1500 }, `${what}, three times`)
    t.match(await play({ cancels: [error, 'cancelling'], reads: ['in_progress'], most: 1 }), { outcome: what === '408' ? LATE : { statusCode: (error as ProviderError).statusCode }, cancels: 1, reads: 1 }, `${what}, a client that repeats by itself`)
    t.match(await play({ cancels: [error, 'cancelling'] }), { outcome: { batch: { status: 'cancelling' } }, cancels: 2, reads: 0 }, `${what}, without a retrieve`)
  }
  t.match(await play({ cancels: [refusal(503, { 'retry-after': '60' })], reads: ['in_progress'] }), { outcome: { statusCode: 503 }, cancels: 1, reads: 1 }, 'a pause that does not fit goes out, but only after the read')
  t.match(await play({ cancels: [refusal(503, { 'x-should-retry': 'false' })], reads: ['cancelled'] }), { outcome: { batch: { status: 'cancelled' } } })
})

t.test('what never left did nothing, and is tried again', async t => {
  const refused = unsent(new Error('connect'))
  t.match(await play({ cancels: [refused, 'cancelling'], reads: [] }), { outcome: { batch: { status: 'cancelling' } }, cancels: 2, reads: 0 })
  t.match(await play({ cancels: [refused, refused, refused], reads: ['cancelled'] }), { outcome: { code: 'upstream_unreachable', message: /nothing was sent/ }, cancels: 3, reads: 0 }, 'a batch that was cancelled before is no proof')
  t.match(await play({ cancels: [refused, refusal(409)], reads: ['cancelled'] }), { outcome: { code: 'batch_not_cancellable' } })
  for (const late of [new BatchCancelError('missing_credentials', 'none'), new BatchCancelError('internal_error', 'bug')]) {
    t.match(await play({ cancels: [gone, late], reads: ['in_progress', 'cancelled'] }), { outcome: { batch: { status: 'cancelled' } } }, 'a bug after a lost answer is read past')
    t.match(await play({ cancels: [gone, late], reads: ['in_progress', 'in_progress'] }), { outcome: UNKNOWN })
  }
  for (const status of [502, 520, 524, 599]) t.match(await play({ cancels: [refusal(status)], reads: ['cancelling'] }), { outcome: { batch: { status: 'cancelling' } } }, `${status} is no answer`)
})

t.test('once an answer was lost, no refusal is believed that no read settles', async t => {
  for (const status of [400, 401, 403, 409, 422, 429]) {
    const many = Array.from({ length: 3 }, () => refusal(status))
    t.match((await play({ cancels: [gone, ...many], reads: ['in_progress', ...Array(9).fill('in_progress')] })).outcome, UNKNOWN, `${status}, and it looks live`)
    t.match((await play({ cancels: [gone, ...many], reads: Array(9).fill(refusal(403)) })).outcome, UNKNOWN, `${status}, and it cannot be read`)
    t.match((await play({ cancels: [gone, ...many], reads: ['in_progress', 'cancelled'] })).outcome, { batch: { status: 'cancelled' }, accepted: true }, `${status}, and it is cancelled`)
    t.match((await play({ cancels: [gone, ...many], reads: ['in_progress', 'completed'] })).outcome, { code: 'batch_not_cancellable' }, `${status}, and it is completed`)
    t.match((await play({ cancels: [refusal(504), ...many], reads: Array(9).fill(refusal(403)) })).outcome, LATE, `${status} after a 504`)
  }
  t.match(await play({ cancels: [gone, refusal(404)], reads: [refusal(404), refusal(404)] }), { outcome: { statusCode: 404, message: 'as it came' }, cancels: 2 }, 'a 404 of both is one')
  t.match(await play({ cancels: [gone, refusal(404)], reads: ['in_progress', 'in_progress'] }), { outcome: UNKNOWN }, 'a 404 of one is none')
  t.match(await play({ cancels: [gone, gone, refusal(404)], reads: [refusal(404), refusal(404), refusal(403)] }), { outcome: UNKNOWN })
  t.match(await play({ cancels: [gone], reads: [refusal(404)], most: 1 }), { outcome: UNKNOWN }, 'a 404 of the read alone is none')
})

t.test('time: each request gets half of what is left', async t => {
  t.match(await play({ cancels: ['silence'], reads: ['cancelled'] }), { outcome: { batch: { status: 'cancelled' } }, after: 15_000, cancels: 1, reads: 1 })
  t.match(await play({ cancels: ['silence', 'silence', 'silence'], reads: ['silence', 'cancelling'] }), { outcome: { batch: { status: 'cancelling' } }, after: 15_000 + 7500 + 500 }, 'a read that hangs is tried again')
  const { outcome, after, cancels, reads } = await play({ cancels: Array(9).fill('silence'), reads: Array(99).fill('silence') })
  t.match(outcome, LATE)
  t.ok(after < 30_000 && cancels <= 3 && reads <= 9, `${after} ms, ${cancels} cancels, ${reads} reads`)
  t.match(await play({ cancels: ['silence'], reads: [], timeout: 1 }), { outcome: LATE, cancels: 1 }, 'a time of next to nothing')
})
