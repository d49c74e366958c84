import t from 'tap'
import type { Batch, BatchStatus } from '../../schemas/index.js'
import type { CancelledBatch } from '../../lib/cancel/batch-state.js'
import { cancelBatch } from '../../lib/cancel/cancel-batch.js'
import { Deadline } from '../../lib/cancel/deadline.js'
import type { Progress } from '../../lib/cancel/operation.js'
import {
  BatchCancelError,
  invalidResponse,
  notSent,
  ProviderError,
  unreachable,
  type CallError
} from '../../lib/errors.js'
import { checkForwarder } from '../../lib/forwarder/check-forwarder.js'
import type { BatchCall } from '../../lib/forwarder/types.js'
import { batch } from '../support/app.js'
import { manualClock, type ManualClock } from '../support/manual-clock.js'

/** What the provider does: a batch of a status, `null`, an error, nothing at all, or either of them after a while. */
type Step = BatchStatus | null | Error | 'silence' | { readonly after: number, readonly step: Step }

async function take (clock: ManualClock, steps: Step[], what: string): Promise<Batch | null> {
  const step = steps.shift()
  if (step === undefined) throw new BatchCancelError('internal_error', `one ${what} too many`)
  return await perform(clock, step)
}

async function perform (clock: ManualClock, step: Step): Promise<Batch | null> {
  if (step instanceof Error) throw step
  if (step === 'silence') return await new Promise(() => {})
  if (step === null || typeof step === 'string') return step === null ? null : batch({ status: step })
  await clock.sleep(step.after)
  return await perform(clock, step.step)
}

interface Played extends Progress {
  outcome: CancelledBatch | CallError
  /** When the outcome came, in milliseconds after the call. */
  after: number
  /** How many steps were not used. */
  left: number
  /** How many timers of the engine were left. */
  timers: number
}

interface Play {
  cancels: Step[]
  reads?: Step[]
  repeated?: boolean
  maxAttempts?: number
  timeout?: number
  random?: number
}

/** Cancels over a forwarder that goes through steps, in virtual time. */
async function play (
  { cancels, reads, repeated = false, maxAttempts = 3, timeout = 30_000, random = 1 }: Play
): Promise<Played> {
  const clock = manualClock()
  const start = clock.now()
  const forwarder = checkForwarder({
    cancel: () => take(clock, cancels, 'cancel'),
    ...reads !== undefined && { retrieve: () => take(clock, reads, 'read') as Promise<Batch> }
  })
  const progress: Progress = { attempts: 0, reads: 0 }
  let after = NaN
  const work = cancelBatch({
    forwarder,
    call: { batchId: 'batch_1', headers: {} } as unknown as BatchCall,
    clock,
    deadline: new Deadline(clock, timeout),
    random: () => random,
    log: { warn () {}, error () {} },
    progress,
    repeated,
    maxAttempts
  }).catch((error: CallError) => error).then(outcome => {
    after = clock.now() - start
    return outcome
  })
  await clock.run(60_000)
  const left = cancels.length + (reads?.length ?? 0)
  return { outcome: await work, after, left, timers: clock.timers, ...progress }
}

const rejection = (status: number, headers = {}) =>
  new ProviderError(status, { message: 'as it came', code: 'own' }, headers)
const gone = unreachable(new Error('reset'))
const UNKNOWN = { code: 'upstream_unreachable', statusCode: 502 }
const LATE = { code: 'upstream_timeout', statusCode: 504 }

t.test('an accepted cancel is a 200, or the 409 of a batch that ended first', async t => {
  for (const { cancel, reads, status, source } of [
    { cancel: 'cancelling', reads: [], status: 'cancelling', source: 'provider' },
    { cancel: 'cancelled', reads: [], status: 'cancelled', source: 'provider' },
    { cancel: 'validating', reads: [], status: 'cancelling', source: 'assumed' },
    { cancel: 'in_progress', reads: [], status: 'cancelling', source: 'assumed' },
    { cancel: 'finalizing', reads: [], status: 'cancelling', source: 'assumed' },
    { cancel: null, reads: ['cancelling'], status: 'cancelling', source: 'retrieved' },
    { cancel: null, reads: ['cancelled'], status: 'cancelled', source: 'retrieved' },
    { cancel: null, reads: ['in_progress'], status: 'cancelling', source: 'assumed' },
    { cancel: null, reads: [gone, gone, gone], status: 'cancelling', source: 'assumed' },
    { cancel: null, reads: [gone, rejection(429), 'cancelled'], status: 'cancelled', source: 'retrieved' },
    { cancel: null, reads: [rejection(401)], status: 'cancelling', source: 'assumed' },
    { cancel: null, reads: [rejection(403)], status: 'cancelling', source: 'assumed' },
    { cancel: null, reads: [rejection(404)], status: 'cancelling', source: 'assumed' },
    { cancel: null, reads: [rejection(400)], status: 'cancelling', source: 'assumed' },
    { cancel: null, reads: [new BatchCancelError('internal_error', 'bug')], status: 'cancelling', source: 'assumed' },
    { cancel: null, reads: ['silence', 'silence', 'silence'], status: 'cancelling', source: 'assumed' },
    { cancel: null, reads: undefined, status: 'cancelling', source: 'assumed' }
  ] as Array<{ cancel: Step, reads: Step[] | undefined, status: BatchStatus, source: string }>) {
    const { outcome, after, left } = await play({ cancels: [cancel], ...reads !== undefined && { reads } })
    t.match(outcome, { batch: { id: 'batch_1', status }, source, accepted: true }, `${cancel} then ${reads?.join()}`)
    t.equal(left, 0)
    t.ok(after < 30_000, `${after} ms`)
  }
  for (const status of ['completed', 'failed', 'expired'] as const) {
    t.match(
      (await play({ cancels: [status], reads: [] })).outcome,
      { code: 'batch_not_cancellable', statusCode: 409, batch: { status } }
    )
    t.match(
      (await play({ cancels: [null], reads: [status] })).outcome,
      { code: 'batch_not_cancellable', statusCode: 409, batch: { status } }
    )
  }
})

t.test('a rejection that may mean a wrong state is resolved by reading the batch', async t => {
  for (const status of [400, 409, 412, 422]) {
    t.match(
      (await play({ cancels: [rejection(status)], reads: ['cancelling'] })).outcome,
      { batch: { status: 'cancelling' }, source: 'retrieved', accepted: false },
      `${status}, cancelling`
    )
    for (const ended of ['completed', 'failed', 'expired', 'cancelled'] as const) {
      t.match(
        (await play({ cancels: [rejection(status)], reads: [ended] })).outcome,
        { message: `Cannot cancel a batch with status '${ended}'.`, batch: { status: ended } },
        `${status}, ${ended}`
      )
    }
    t.match(
      (await play({ cancels: [rejection(status)], reads: ['cancelled'], repeated: true })).outcome,
      { batch: { status: 'cancelled' }, source: 'retrieved', accepted: false },
      'an earlier call did it'
    )
    t.match(
      (await play({ cancels: [rejection(status)], reads: ['completed'], repeated: true })).outcome,
      { code: 'batch_not_cancellable' },
      'an earlier call did not do that'
    )
    t.match(
      (await play({ cancels: [rejection(status)], reads: [rejection(403)] })).outcome,
      { statusCode: status, message: 'as it came' },
      'unreadable'
    )
    t.match(
      (await play({ cancels: [rejection(status)], reads: [gone, gone, gone] })).outcome,
      { statusCode: status, message: 'as it came' },
      'unreadable without a response'
    )
    t.match(
      (await play({ cancels: [rejection(status)] })).outcome,
      { statusCode: status, message: 'as it came' },
      'without a retrieve'
    )
  }
})

t.test('a batch that lags is read once more, a second later', async t => {
  for (const { second, expected } of [
    { second: 'cancelling', expected: { batch: { status: 'cancelling' }, source: 'retrieved' } },
    { second: 'completed', expected: { code: 'batch_not_cancellable' } },
    { second: 'in_progress', expected: { statusCode: 409, message: 'as it came' } },
    { second: rejection(401), expected: { statusCode: 409, message: 'as it came' } }
  ] as Array<{ second: Step, expected: object }>) {
    const { outcome, after, left } = await play({ cancels: [rejection(409)], reads: ['in_progress', second] })
    t.match(outcome, expected, String(second))
    t.strictSame([after, left], [1000, 0])
  }
  t.match(
    await play({ cancels: [rejection(409)], reads: ['in_progress'], timeout: 1000 }),
    { outcome: { statusCode: 409 }, reads: 1 },
    'if there is time for it'
  )
})

t.test('any other error is passed on as it is, without a read', async t => {
  for (const error of [
    rejection(401),
    rejection(403),
    rejection(404),
    rejection(405),
    rejection(501),
    new BatchCancelError('missing_credentials', 'none'),
    new BatchCancelError('internal_error', 'bug')
  ]) {
    const { outcome, left, attempts } = await play({ cancels: [error, 'cancelling'], reads: ['cancelling'] })
    t.equal(outcome, error)
    t.strictSame([left, attempts], [2, 1])
  }
})

t.test('a rate limit is waited for if the time allows it, else passed on', async t => {
  t.match(
    await play({ cancels: [rejection(429, { 'retry-after': '2' }), 'cancelling'], reads: [] }),
    { outcome: { batch: { status: 'cancelling' } }, after: 2000, attempts: 2, reads: 0 }
  )
  t.match(
    await play({ cancels: [rejection(429, { 'retry-after': '9', 'retry-after-ms': '1500' }), 'cancelling'] }),
    { after: 1500 },
    'milliseconds take precedence'
  )
  t.match(await play({
    cancels: [rejection(429, { 'retry-after': new Date(1_700_000_003_000).toUTCString() }), 'cancelling']
  }), { after: 3000 }, 'a date')
  t.match(await play({
    cancels: [rejection(429, { 'retry-after': new Date(1_600_000_000_000).toUTCString() }), 'cancelling']
  }), { after: 0 }, 'a date in the past')
  for (const asked of ['soon', '5 apples', '-1']) {
    t.match(
      await play({ cancels: [rejection(429, { 'retry-after': asked }), 'cancelling'] }),
      { after: 500 },
    `${asked} is not a time`
    )
  }
  t.match(
    await play({ cancels: [rejection(429), rejection(429), 'cancelling'] }),
    { outcome: { batch: { status: 'cancelling' } }, after: 1500, attempts: 3 }
  )
  t.match(await play({ cancels: [rejection(429), 'cancelling'], random: 0 }), { after: 250 }, 'the pause has jitter')
  for (const { headers, attempts } of [
    { headers: { 'retry-after': '30' }, attempts: 1 },
    { headers: { 'retry-after': '3600' }, attempts: 1 },
    { headers: { 'x-should-retry': 'false' }, attempts: 1 },
    { headers: {}, attempts: 3 }
  ] as const) {
    t.match(
      await play({ cancels: Array.from({ length: 9 }, () => rejection(429, headers)), reads: [] }),
      { outcome: { statusCode: 429, message: 'as it came' }, attempts, reads: 0 },
      JSON.stringify(headers)
    )
  }
})

t.test('an unknown outcome is resolved by reading, and the cancel sent again', async t => {
  const failures: Array<[string, Error]> = [
    ['reset', gone],
    ['no batch', invalidResponse('html')],
    ...[408, 500, 502, 503, 504].map(status => [String(status), rejection(status)] as [string, Error])
  ]
  for (const [what, error] of failures) {
    for (const status of ['cancelling', 'cancelled'] as const) {
      t.match(
        await play({ cancels: [error], reads: [status] }),
        { outcome: { batch: { status }, source: 'retrieved', accepted: true }, attempts: 1, reads: 1, after: 0 },
        `${what}, ${status}`
      )
    }
    for (const status of ['completed', 'failed', 'expired'] as const) {
      t.match(
        await play({ cancels: [error], reads: [status] }),
        { outcome: { code: 'batch_not_cancellable', batch: { status } }, attempts: 1 },
        `${what}, ${status}`
      )
    }
    for (const read of ['in_progress', rejection(404), rejection(401)] as Step[]) {
      t.match(
        await play({ cancels: [error, 'cancelling'], reads: [read] }),
        { outcome: { batch: { status: 'cancelling' }, source: 'provider' }, attempts: 2, reads: 1, after: 500 },
        `${what}, again`
      )
    }
    t.match(
      await play({ cancels: [error, null], reads: ['in_progress', 'in_progress'] }),
      { outcome: { source: 'assumed' }, attempts: 2, reads: 2 }
    )
    t.match(
      await play({
        cancels: [error, error, error, error],
        reads: ['in_progress', 'in_progress', 'in_progress', 'in_progress']
      }),
      {
        outcome: what === '408' ? LATE : { statusCode: (error as ProviderError).statusCode },
        attempts: 3,
        reads: 3,
        after: 1500
      },
      `${what}, three times`
    )
    t.match(
      await play({ cancels: [error, 'cancelling'], reads: ['in_progress'], maxAttempts: 1 }),
      { outcome: what === '408' ? LATE : { statusCode: (error as ProviderError).statusCode }, attempts: 1, reads: 1 },
      `${what}, a client that retries by itself`
    )
    t.match(
      await play({ cancels: [error, 'cancelling'] }),
      { outcome: { batch: { status: 'cancelling' } }, attempts: 2, reads: 0 },
      `${what}, without a retrieve`
    )
  }
  t.match(
    await play({ cancels: [rejection(503, { 'retry-after': '60' })], reads: ['in_progress'] }),
    { outcome: { statusCode: 503 }, attempts: 1, reads: 1 },
    'a pause that does not fit ends the call, but only after the read'
  )
  t.match(
    await play({ cancels: [rejection(503, { 'x-should-retry': 'false' })], reads: ['cancelled'] }),
    { outcome: { batch: { status: 'cancelled' } } }
  )
})

t.test('an attempt that was not sent did nothing, and is repeated', async t => {
  const refused = notSent(new Error('connect'))
  t.match(
    await play({ cancels: [refused, 'cancelling'], reads: [] }),
    { outcome: { batch: { status: 'cancelling' } }, attempts: 2, reads: 0 }
  )
  t.match(
    await play({ cancels: [refused, refused, refused], reads: ['cancelled'] }),
    { outcome: { code: 'upstream_unreachable', message: /Nothing was sent/ }, attempts: 3, reads: 0 },
    'a batch that was cancelled before proves nothing'
  )
  t.match(
    await play({ cancels: [refused, rejection(409)], reads: ['cancelled'] }),
    { outcome: { code: 'batch_not_cancellable' } }
  )
  for (const late of [
    new BatchCancelError('missing_credentials', 'none'),
    new BatchCancelError('internal_error', 'bug')
  ]) {
    t.match(
      await play({ cancels: [gone, late], reads: ['in_progress', 'cancelled'] }),
      { outcome: { batch: { status: 'cancelled' } } },
      'an error after an unknown outcome is resolved by reading'
    )
    t.match(await play({ cancels: [gone, late], reads: ['in_progress', 'in_progress'] }), { outcome: UNKNOWN })
  }
  for (const status of [502, 520, 524, 599]) {
    t.match(
      await play({ cancels: [rejection(status)], reads: ['cancelling'] }),
      { outcome: { batch: { status: 'cancelling' } } },
    `${status} is an unknown outcome`
    )
  }
})

t.test('after an unknown outcome no rejection is believed without a read', async t => {
  for (const status of [400, 401, 403, 409, 422, 429]) {
    const many = Array.from({ length: 3 }, () => rejection(status))
    t.match(
      (await play({ cancels: [gone, ...many], reads: ['in_progress', ...Array(9).fill('in_progress')] })).outcome,
      UNKNOWN,
      `${status}, and it looks live`
    )
    t.match(
      (await play({ cancels: [gone, ...many], reads: Array(9).fill(rejection(403)) })).outcome,
      UNKNOWN,
      `${status}, and it cannot be read`
    )
    t.match(
      (await play({ cancels: [gone, ...many], reads: ['in_progress', 'cancelled'] })).outcome,
      { batch: { status: 'cancelled' }, accepted: true },
      `${status}, and it is cancelled`
    )
    t.match(
      (await play({ cancels: [gone, ...many], reads: ['in_progress', 'completed'] })).outcome,
      { code: 'batch_not_cancellable' },
      `${status}, and it is completed`
    )
    t.match(
      (await play({ cancels: [rejection(504), ...many], reads: Array(9).fill(rejection(403)) })).outcome,
      LATE,
      `${status} after a 504`
    )
  }
  t.match(
    await play({ cancels: [gone, rejection(404)], reads: [rejection(404), rejection(404)] }),
    { outcome: { statusCode: 404, message: 'as it came' }, attempts: 2 },
    'a 404 of both counts'
  )
  t.match(
    await play({ cancels: [gone, rejection(404)], reads: ['in_progress', 'in_progress'] }),
    { outcome: UNKNOWN },
    'a 404 of the cancel alone does not'
  )
  t.match(await play({
    cancels: [gone, gone, rejection(404)],
    reads: [rejection(404), rejection(404), rejection(403)]
  }), { outcome: UNKNOWN })
  t.match(
    await play({ cancels: [gone], reads: [rejection(404)], maxAttempts: 1 }),
    { outcome: UNKNOWN },
    'a 404 of the read alone does not'
  )
})

t.test('each request gets half of the time left', async t => {
  t.match(
    await play({ cancels: ['silence'], reads: ['cancelled'] }),
    { outcome: { batch: { status: 'cancelled' } }, after: 15_000, attempts: 1, reads: 1 }
  )
  t.match(
    await play({ cancels: ['silence', 'silence', 'silence'], reads: ['silence', 'cancelling'] }),
    { outcome: { batch: { status: 'cancelling' } }, after: 15_000 + 7500 + 500 },
    'a read that hangs is repeated'
  )
  const { outcome, after, attempts, reads } = await play({
    cancels: Array(9).fill('silence'),
    reads: Array(99).fill('silence')
  })
  t.match(outcome, LATE)
  t.ok(after < 30_000 && attempts <= 3 && reads <= 9, `${after} ms, ${attempts} attempts, ${reads} reads`)
  t.match(
    await play({ cancels: ['silence'], reads: [], timeout: 1 }),
    { outcome: LATE, attempts: 1 },
    'a timeout of 1 ms'
  )
})

t.test('a response that comes after its time still counts', async t => {
  for (const { what, cancels, reads, expected } of [
    {
      what: 'during the read',
      cancels: [{ after: 16_000, step: 'cancelling' }],
      reads: ['silence', 'silence', 'silence'],
      expected: { outcome: { batch: { status: 'cancelling' }, source: 'provider', accepted: true }, after: 16_000 }
    },
    {
      what: 'during the pause before the next attempt',
      cancels: [{ after: 15_400, step: 'cancelling' }],
      reads: ['in_progress'],
      expected: { outcome: { batch: { status: 'cancelling' }, source: 'provider' }, after: 15_400, attempts: 1 }
    },
    {
      what: 'of a batch that had ended',
      cancels: [{ after: 16_000, step: 'completed' }],
      reads: ['silence', 'silence'],
      expected: { outcome: { code: 'batch_not_cancellable' }, after: 16_000 }
    },
    {
      what: 'without a batch, which is then read',
      cancels: [{ after: 16_000, step: null }],
      reads: ['silence', 'cancelled'],
      expected: { outcome: { batch: { status: 'cancelled' }, source: 'retrieved' }, after: 16_000 }
    },
    {
      what: 'of an error, which does not',
      cancels: [{ after: 16_000, step: rejection(409) }],
      reads: [{ after: 2000, step: 'cancelled' }],
      expected: { outcome: { batch: { status: 'cancelled' }, source: 'retrieved' }, after: 17_000 }
    }
  ] as Array<{ what: string, cancels: Step[], reads: Step[], expected: object }>) {
    const played = await play({ cancels, reads })
    t.match(played, expected, what)
    t.equal(played.timers, 0, 'no timer is left')
  }
})

t.test('an invalid result of the forwarder is resolved by reading, but not repeated', async t => {
  const clock = manualClock()
  for (const { reads, expected } of [
    { reads: ['cancelling'], expected: { batch: { status: 'cancelling' }, source: 'retrieved' } },
    { reads: ['completed'], expected: { code: 'batch_not_cancellable' } },
    {
      reads: ['in_progress'],
      expected: { code: 'internal_error', message: /not known whether the batch was cancelled/ }
    },
    { reads: undefined, expected: { code: 'internal_error', message: /not known whether the batch was cancelled/ } }
  ] as Array<{ reads: Step[] | undefined, expected: object }>) {
    const progress: Progress = { attempts: 0, reads: 0 }
    const outcome = await cancelBatch({
      forwarder: checkForwarder({
        cancel: async () => ({ success: true }) as never,
        ...reads !== undefined && { retrieve: () => take(clock, reads, 'read') as Promise<Batch> }
      }),
      call: { batchId: 'batch_1', headers: {} } as unknown as BatchCall,
      clock,
      deadline: new Deadline(clock, 30_000),
      random: () => 1,
      log: { warn () {}, error () {} },
      progress,
      repeated: false,
      maxAttempts: 3
    }).catch((error: CallError) => error)
    t.match(outcome, expected, String(reads))
    t.equal(progress.attempts, 1)
  }
})

t.test('a final 409 has no retry-after', async t => {
  const clock = manualClock()
  const outcome = await cancelBatch({
    forwarder: checkForwarder({
      cancel: async () => { throw rejection(409) },
      retrieve: async () => ({
        batch: batch({ status: 'completed' }),
        headers: { 'retry-after': '10', 'x-request-id': 'r' }
      })
    }),
    call: { batchId: 'batch_1', headers: {} } as unknown as BatchCall,
    clock,
    deadline: new Deadline(clock, 30_000),
    random: () => 1,
    log: { warn () {}, error () {} },
    progress: { attempts: 0, reads: 0 },
    repeated: false,
    maxAttempts: 3
  }).catch((error: BatchCancelError) => error)
  t.strictSame((outcome as BatchCancelError).headers, { 'x-request-id': 'r', 'x-should-retry': 'false' })
})
