import t from 'tap'
import { isOverdue } from '../../lib/cancel/overdue.js'
import { createPollers, type WaitResult } from '../../lib/cancel/poller.js'
import { ProviderError, unreachable } from '../../lib/errors.js'
import { MAX_POLLERS } from '../../lib/limits.js'
import type { CheckedBatch } from '../../lib/forwarder/check-forwarder.js'
import type { BatchCall } from '../../lib/forwarder/types.js'
import type { BatchStatus } from '../../schemas/index.js'
import { batch } from '../support/app.js'
import { manualClock } from '../support/manual-clock.js'

type Step = BatchStatus | Error | 'silence' | { status: BatchStatus, headers: Record<string, string> }

const checked = (status: BatchStatus, headers = {}): CheckedBatch => {
  const read = batch({ status })
  return { batch: read, json: JSON.stringify(read), headers }
}

/** Waits for a batch that is read step by step; the last step repeats. */
function pollersOver (steps: Step[], keyOf: (call: BatchCall) => string | undefined = () => 'one') {
  const clock = manualClock()
  const start = clock.now()
  const reads: number[] = []
  const readers: BatchCall[] = []
  async function retrieve (call: BatchCall): Promise<CheckedBatch> {
    reads.push(clock.now() - start)
    readers.push(call)
    const step = steps[Math.min(reads.length, steps.length) - 1] as Step
    if (step instanceof Error) throw step
    if (step === 'silence') return await new Promise(() => {})
    return typeof step === 'string' ? checked(step) : checked(step.status, step.headers)
  }
  const pollers = createPollers({ retrieve, clock, isOverdue: () => false })
  const ends: Array<{ result: WaitResult, at: number }> = []
  const wait = (ms: number, call = callOf()) => {
    const { result, stop } = pollers.wait(call, keyOf(call), ms, LOG)
    result.then(result => ends.push({ result, at: clock.now() - start }))
    return stop
  }
  return { clock, pollers, reads, readers, ends, wait }
}

const LOG = { warn () {}, error () {} }

const callOf = () => ({ batchId: 'batch_1', provider: 'x', headers: {}, request: undefined }) as unknown as BatchCall

t.test('reads after 1, 2, 4, 8, then every 15 seconds, until the batch is terminal', async t => {
  const { clock, reads, ends, wait } = pollersOver([
    'cancelling',
    'in_progress',
    'cancelling',
    'cancelling',
    'cancelling',
    'cancelling',
    'cancelled'
  ])
  wait(600_000)
  await clock.advance(600_000)
  t.strictSame(reads, [1, 3, 7, 15, 30, 45, 60].map(s => s * 1000))
  t.match(ends, [{ at: 60_000, result: { seen: { batch: { status: 'cancelled' } }, retryAfter: undefined } }])
  t.equal(clock.timers, 0)
})

t.test('when the time is up: the batch as it was last read, and when to read it again', async t => {
  const { clock, reads, ends, wait } = pollersOver(['cancelling'])
  wait(5000)
  wait(500)
  await clock.advance(600_000)
  t.strictSame(reads, [1000, 3000, 4000])
  t.match(ends, [
    { at: 500, result: { seen: undefined, retryAfter: 1000 } },
    { at: 5000, result: { seen: { batch: { status: 'cancelling' } }, retryAfter: 8000 } }
  ])
  t.equal(clock.timers, 0)
})

t.test('shortly before the time is up the batch is read once more', async t => {
  const ended = pollersOver(['cancelling', 'cancelling', 'cancelling', 'cancelling', 'cancelled'])
  ended.wait(29_000)
  await ended.clock.advance(600_000)
  t.strictSame(ended.reads, [1000, 3000, 7000, 15_000, 28_000])
  t.match(
    ended.ends,
    [{ at: 28_000, result: { seen: { batch: { status: 'cancelled' } } } }],
    'the wait ends as soon as the batch does'
  )
  t.equal(ended.clock.timers, 0)

  const shared = pollersOver(['cancelling'])
  for (let i = 0; i < 100; i++) shared.wait(20_000 + 50 * i)
  await shared.clock.advance(600_000)
  t.strictSame(
    shared.reads,
    [1000, 3000, 7000, 15_000, 19_000, 20_000, 21_000, 22_000, 23_000],
    'one read a second, however many waits are about to end'
  )
  t.strictSame(
    shared.ends.map(({ at }) => at),
    Array.from({ length: 100 }, (_, i) => 20_000 + 50 * i),
    'each ends in its own time'
  )

  const slowed = pollersOver([{ status: 'cancelling', headers: { 'retry-after': '8' } }])
  slowed.wait(8000)
  await slowed.clock.advance(600_000)
  t.strictSame(slowed.reads, [1000], 'but not if the provider asked for more time')
  t.match(slowed.ends, [{ at: 8000 }])

  const slow = pollersOver(['cancelling', 'cancelling', 'silence'])
  slow.wait(10_000)
  slow.wait(5000)
  await slow.clock.advance(600_000)
  t.strictSame(slow.reads, [1000, 3000, 4000], 'nor while a read is in progress')
  t.match(slow.ends, [
    { at: 5000, result: { seen: { batch: { status: 'cancelling' } } } },
    { at: 10_000, result: { seen: { batch: { status: 'cancelling' } } } }
  ], 'and no wait lasts longer for it')
  t.equal(slow.clock.timers, 0)
})

t.test('a provider that asks for more time gets it', async t => {
  for (const { step, second } of [
    { step: { status: 'cancelling', headers: { 'retry-after': '10' } }, second: 11_000 },
    { step: { status: 'cancelling', headers: { 'retry-after-ms': '10' } }, second: 3000 },
    { step: { status: 'cancelling', headers: { 'retry-after': '3600' } }, second: 61_000 },
    { step: new ProviderError(429, { message: '' }, { 'retry-after': '7' }), second: 8000 },
    { step: new ProviderError(503, { message: '' }), second: 3000 },
    { step: unreachable(new Error('reset')), second: 3000 },
    { step: 'silence', second: 1000 + 15_000 + 2000 }
  ] as Array<{ step: Step, second: number }>) {
    const { clock, reads, ends, wait } = pollersOver([step, 'cancelled'])
    wait(120_000)
    await clock.advance(120_000)
    t.strictSame(reads, [1000, second])
    t.match(ends, [{ result: { seen: { batch: { status: 'cancelled' } } } }])
    t.equal(clock.timers, 0)
  }
})

t.test('a response after which reading is useless ends the wait', async t => {
  for (const status of [401, 403, 404]) {
    const { clock, ends, wait } = pollersOver(['cancelling', new ProviderError(status, { message: '' })])
    wait(60_000)
    await clock.advance(60_000)
    t.match(ends, [{ at: 3000, result: { seen: { batch: { status: 'cancelling' } }, retryAfter: undefined } }])
    t.equal(clock.timers, 0)
  }
})

t.test('waits with the same key share one poller, others do not', async t => {
  const shared = pollersOver(['cancelling', 'cancelled'])
  for (let i = 0; i < 100; i++) shared.wait(60_000)
  await shared.clock.advance(2000)
  shared.wait(60_000)
  await shared.clock.advance(60_000)
  t.strictSame(shared.reads, [1000, 3000])
  t.equal(shared.ends.length, 101)

  const own = pollersOver(['cancelling', 'cancelled'], () => undefined)
  own.wait(60_000)
  own.wait(60_000)
  await own.clock.advance(60_000)
  t.equal(own.reads.length, 3, 'one read each, until the second response of the provider')
})

t.test('the number of pollers is bounded: a wait for one more batch ends at once', async t => {
  const { clock, pollers, reads, ends, wait } = pollersOver(['cancelling'], ({ batchId }) => batchId)
  const callFor = (n: number) => ({ ...callOf(), batchId: `batch_${n}` })
  for (let n = 0; n < MAX_POLLERS; n++) wait(600_000, callFor(n))
  wait(600_000, callFor(0))
  t.strictSame(await pollers.wait(callFor(MAX_POLLERS), 'more', 600_000, LOG).result, { seen: undefined, retryAfter: 1000 })
  t.strictSame(ends, [], 'a poller that there is takes another wait')
  await clock.step()
  t.ok(reads.length <= MAX_POLLERS)
  pollers.close()
  t.equal(clock.timers, 0)
})

t.test('nothing is read for a wait that was stopped', async t => {
  const { clock, pollers, reads, readers, ends, wait } = pollersOver(['cancelling'])
  const first = callOf()
  const second = callOf()
  const stop = wait(60_000, first)
  const stopSecond = wait(60_000, second)
  await clock.advance(1000)
  stop()
  stop()
  await clock.advance(2000)
  t.equal(readers.length, 2, 'the other wait goes on')
  stopSecond()
  await clock.advance(60_000)
  t.equal(reads.length, 2)
  t.equal(ends.length, 2)
  t.equal(clock.timers, 0)

  wait(60_000)
  await clock.advance(500)
  pollers.close()
  await clock.advance(0)
  t.equal(ends.length, 3, 'closing ends a wait at once')
  wait(60_000)()
  await clock.advance(0)
  t.equal(ends.length, 4, 'and starts none')
  t.equal(clock.timers, 0)
})

t.test('a poller that is abandoned while it reads does not disturb the next', async t => {
  let respond = (_read: CheckedBatch) => {}
  const clock = manualClock()
  const pollers = createPollers({
    retrieve: () => new Promise(resolve => { respond = resolve }),
    clock,
    isOverdue: () => false
  })
  const { stop } = pollers.wait(callOf(), 'one', 60_000, LOG)
  await clock.advance(1000)
  stop()
  const late = respond
  const { result } = pollers.wait(callOf(), 'one', 60_000, LOG)
  late(checked('cancelled'))
  await clock.advance(1000)
  const sharing = pollers.wait(callOf(), 'one', 60_000, LOG)
  respond(checked('cancelled'))
  const cancelled = { seen: { batch: { status: 'cancelled' } } }
  t.match(await Promise.all([result, sharing.result]), [cancelled, cancelled])
  t.equal(clock.timers, 0)
})

t.test('a wait that starts late is not given what was read before it', async t => {
  const { clock, ends, wait } = pollersOver(['cancelling', 'silence'])
  wait(60_000)
  await clock.advance(1500)
  wait(1000)
  await clock.advance(2000)
  t.match(ends, [{ at: 2500, result: { seen: undefined } }])
  t.equal(ends.length, 1)
})

t.test('a batch that is overdue is logged once, with the time since when', async t => {
  const clock = manualClock()
  const since = clock.date() / 1000
  const lines: object[] = []
  const log = { ...LOG, warn: (details: object, msg: string) => { lines.push({ ...details, msg }) } }
  const pollers = createPollers({
    clock,
    retrieve: async () => {
      const read = batch({ cancelling_at: since })
      return { batch: read, json: JSON.stringify(read), headers: {} }
    },
    isOverdue: (_call, read) => isOverdue(read, 600_000, clock.date())
  })
  pollers.wait(callOf(), 'one', 1_200_000, log)
  pollers.wait(callOf(), 'one', 1_200_000, log)
  await clock.advance(600_000)
  t.strictSame(lines, [], 'within the documented time')
  await clock.advance(600_000)
  const line = {
    provider: 'x',
    batchId: 'batch_1',
    cancellingSince: '2023-11-14T22:13:20.000Z',
    msg: 'the batch is cancelling for longer than its provider documents'
  }
  t.strictSame(lines, [line])

  pollers.wait(callOf(), 'two', 60_000, log)
  await clock.advance(60_000)
  t.strictSame(lines, [line, line], 'and once more by another poller')
})

t.test('the wall clock says how old a batch is', async t => {
  const clock = manualClock()
  const seen = { status: 'cancelling', cancelling_at: clock.date() / 1000 } as const
  const overdue = () => isOverdue(seen, 600_000, clock.date())
  t.notOk(overdue())
  clock.setWallClock(600_001)
  t.ok(overdue())
  clock.setWallClock(-600_001)
  t.notOk(overdue())
})
