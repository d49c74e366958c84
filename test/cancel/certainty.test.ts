import fc from 'fast-check'
import t from 'tap'
import { MAX_ATTEMPTS, MAX_READS } from '../../lib/cancel/backoff.js'
import type { CancelledBatch } from '../../lib/cancel/batch-state.js'
import { cancelBatch } from '../../lib/cancel/cancel-batch.js'
import { Deadline } from '../../lib/cancel/deadline.js'
import type { Progress } from '../../lib/cancel/operation.js'
import { BatchCancelError, ProviderError, unreachable, type CallError } from '../../lib/errors.js'
import type { BatchCall } from '../../lib/forwarder/types.js'
import { checkForwarder } from '../../lib/forwarder/check-forwarder.js'
import type { Batch, BatchStatus } from '../../schemas/index.js'
import { batch } from '../support/app.js'
import { runs } from '../support/exhaustive.js'
import { manualClock, type ManualClock } from '../support/manual-clock.js'

/**
 * What the network and the provider do to one request; `applied` tells whether a cancel is carried out all the same.
 */
interface Fault {
  readonly kind: 'none' | 'reset' | 'silence' | 'status'
  readonly status: number
  readonly applied: boolean
  /** How long the answer takes, in milliseconds. */
  readonly delay: number
  readonly retryAfter: number | undefined
}

interface World {
  /** What the batch is before the call; `undefined`: there is none. */
  readonly initial: BatchStatus | undefined
  /** How far reads lag behind, in milliseconds. */
  readonly lag: number
  /** How long a cancelled batch is `cancelling`, and how long until it completes by itself. */
  readonly cancelling: number
  readonly completes: number
  /** Whether a batch that is `cancelling` takes another cancel. */
  readonly repeatable: boolean
  /** Whether a cancel is answered with the batch. */
  readonly shows: boolean
  /** The status of a refusal for a wrong state. */
  readonly refusal: number
  readonly cancels: readonly Fault[]
  readonly reads: readonly Fault[]
  readonly repeated: boolean
  readonly once: boolean
  readonly timeout: number
}

const LIVE: readonly (BatchStatus | undefined)[] = ['validating', 'in_progress', 'finalizing']

/** A provider as it may be, with a batch whose true state is known at every moment. */
function provider (world: World, clock: ManualClock) {
  const start = clock.now()
  const counts = { attempts: 0, reads: 0, sleeping: 0, perhapsLost: 0 }
  let appliedAt: number | undefined

  function statusAt (time: number): BatchStatus | undefined {
    const { initial, completes, cancelling } = world
    if (!LIVE.includes(initial)) return initial
    if (appliedAt !== undefined && time >= appliedAt) return time < appliedAt + cancelling ? 'cancelling' : 'cancelled'
    return time >= start + completes ? 'completed' : initial
  }

  async function fate ({ delay }: Fault) {
    if (delay === 0) return
    counts.sleeping++
    await clock.sleep(delay)
    counts.sleeping--
  }

  async function suffer (fault: Fault) {
    await fate(fault)
    if (fault.kind === 'reset') throw unreachable(new Error('reset'))
    if (fault.kind === 'silence') await new Promise(() => {})
    if (fault.kind === 'status') {
      throw new ProviderError(
        fault.status,
        { message: 'fault' },
        fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) }
      )
    }
  }

  const faultOf = (faults: readonly Fault[], n: number) => faults[n % Math.max(1, faults.length)] ?? {
    kind: 'none',
    status: 0,
    applied: false,
    delay: 0,
    retryAfter: undefined
  }

  async function cancel (): Promise<Batch | null> {
    const fault = faultOf(world.cancels, counts.attempts++)
    const status = statusAt(clock.now())
    // A limit says that nothing was done, and so does any other 4xx but a 408.
    const may = fault.kind === 'none' ||
      (fault.applied && !(fault.kind === 'status' && fault.status < 500 && fault.status !== 408))
    const takes = LIVE.includes(status)
    if (may && takes) appliedAt = clock.now()
    if (fault.kind !== 'none' || fault.delay > 0) counts.perhapsLost++
    await suffer(fault)
    if (status === undefined) throw new ProviderError(404, { message: 'no such batch' })
    if (takes || (status === 'cancelling' && world.repeatable)) {
      return world.shows ? batch({ status: statusAt(clock.now() - world.lag) ?? status }) : null
    }
    throw new ProviderError(world.refusal, { message: 'wrong state' })
  }

  async function retrieve (): Promise<Batch> {
    await suffer(faultOf(world.reads, counts.reads++))
    const status = statusAt(clock.now() - world.lag)
    if (status === undefined) throw new ProviderError(404, { message: 'no such batch' })
    return batch({ status })
  }

  return { cancel, retrieve, counts, applied: () => appliedAt !== undefined, status: () => statusAt(clock.now()) }
}

const STATUSES = [401, 403, 408, 409, 429, 500, 502, 503, 504]

const faults = (kinds: Array<Fault['kind']>, statuses: number[]) => fc.array(fc.record<Fault>({
  kind: fc.constantFrom(...kinds),
  status: fc.constantFrom(...statuses),
  applied: fc.boolean(),
  delay: fc.constantFrom(0, 0, 10, 400, 3000),
  retryAfter: fc.constantFrom(undefined, undefined, 0, 1, 100)
}), { maxLength: 4 })

const worlds = fc.record<World>({
  initial: fc.constantFrom<BatchStatus | undefined>(
    'in_progress',
    'in_progress',
    'in_progress',
    'validating',
    'cancelling',
    'cancelled',
    'completed',
    'failed',
    'expired',
    undefined
  ),
  lag: fc.constantFrom(0, 0, 200, 900, 5000, 60_000),
  cancelling: fc.constantFrom(0, 100, 2000, 600_000),
  completes: fc.constantFrom(50, 1200, 900_000, 900_000),
  repeatable: fc.boolean(),
  shows: fc.boolean(),
  refusal: fc.constantFrom(400, 409, 412, 422),
  // A read may miss a batch that is there; a provider that denies it to both is believed.
  cancels: faults(['none', 'none', 'reset', 'silence', 'status'], STATUSES),
  reads: faults(['none', 'none', 'none', 'reset', 'silence', 'status'], [...STATUSES, 404]),
  repeated: fc.boolean(),
  once: fc.boolean(),
  timeout: fc.constantFrom(100, 2000, 30_000)
})

interface End {
  readonly outcome: CancelledBatch | CallError
  readonly after: number
}

/** What is wrong with the end of a call, by what truly happened. */
function falseClaims (
  world: World,
  { outcome, after }: End,
  { counts, applied, status }: ReturnType<typeof provider>,
  progress: Progress
): string[] {
  const wrong: string[] = []
  const claim = (holds: boolean, what: string) => { if (!holds) wrong.push(what) }
  if (!(outcome instanceof Error)) {
    claim(['cancelling', 'cancelled'].includes(outcome.batch.status), 'a 200 shows another status')
    claim(applied() || ['cancelling', 'cancelled'].includes(world.initial as string), 'a 200, but nobody cancelled')
    claim(
      world.initial !== 'cancelled' || world.repeated || counts.perhapsLost > 0,
      'a 200 for a batch that was cancelled before'
    )
  } else if (outcome instanceof BatchCancelError && outcome.code === 'batch_not_cancellable') {
    claim(!LIVE.includes(status()) && status() !== 'cancelling', 'a 409, but the batch is not at its end')
    claim(outcome.batch?.status === status(), 'the 409 shows another batch')
    claim(!(applied() && outcome.batch?.status === 'cancelled'), 'a 409 for what this call did')
  } else if (outcome.statusCode < 500) {
    claim(!applied(), `a ${outcome.statusCode}, but this call cancelled the batch`)
    claim(outcome instanceof ProviderError, 'a 4xx that nobody sent')
  }
  claim(after <= world.timeout, `answered after ${after} of ${world.timeout} ms`)
  claim(counts.attempts === progress.attempts && counts.reads === progress.reads, 'the progress is wrong')
  claim(counts.attempts >= 1 && counts.attempts <= (world.once ? 1 : MAX_ATTEMPTS), `${counts.attempts} cancels`)
  claim(counts.reads <= counts.attempts * 2 * MAX_READS, `${counts.reads} reads`)
  return wrong
}

/** Each 5xx alone is rare. */
const statusKind = (status: number) => status >= 500 ? '5xx' : String(status)

t.test('whatever happens on the way, the answer is true', async t => {
  const seen = new Map<string, number>()
  await fc.assert(fc.asyncProperty(worlds, fc.double({ min: 0, max: 1, noNaN: true }), async (world, random) => {
    const clock = manualClock()
    const start = clock.now()
    const held = provider(world, clock)
    const progress: Progress = { attempts: 0, reads: 0 }
    const ends: End[] = []
    const deadline = new Deadline(clock, world.timeout)
    cancelBatch({
      forwarder: checkForwarder({ cancel: held.cancel, retrieve: held.retrieve }),
      call: { batchId: 'batch_1', headers: {} } as unknown as BatchCall,
      clock,
      deadline,
      random: () => random,
      log: { warn () {}, error () {} },
      progress,
      repeated: world.repeated,
      maxAttempts: world.once ? 1 : MAX_ATTEMPTS
    }).catch((error: CallError) => error).then(outcome => { ends.push({ outcome, after: clock.now() - start }) })
    // Time stands still at the end of the call, so that what is true then can be asked.
    while (ends.length === 0) await clock.step()
    const end = ends[0] as End
    const wrong = falseClaims(world, end, held, progress)
    if (wrong.length > 0) throw new Error(wrong.join('; '))
    if (clock.timers !== held.counts.sleeping) throw new Error(`${clock.timers - held.counts.sleeping} timers are left`)
    const { outcome } = end
    const kind = outcome instanceof BatchCancelError
      ? outcome.code
      : outcome instanceof Error ? statusKind(outcome.statusCode) : outcome.source
    seen.set(kind, (seen.get(kind) ?? 0) + 1)
  }), runs({ usual: 1000, exhaustive: 10_000 }))
  for (const kind of [
    'provider',
    'retrieved',
    'assumed',
    'batch_not_cancellable',
    'upstream_unreachable',
    'upstream_timeout',
    '404',
    '409',
    '429',
    '5xx'
  ]) t.ok(seen.has(kind), `${kind}: ${seen.get(kind)} times`)
})
