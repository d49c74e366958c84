import { setTimeout } from 'node:timers/promises'
import { isBatch, type Batch, type BatchStatus } from '../../schemas/batch.js'
import { canRead, describeCalls, describeResult, isCancelled, isWithoutBugs, isRejected, type Case } from './contract-case.js'
import type { CancelResult, Harness } from './harness.js'
import type { Observation } from './recorder.js'

/** Time between reads of a batch whose provider may lag, in milliseconds. */
const READ_INTERVAL_MS = 100

/** How many batches are cancelled at the same time. */
const CONCURRENT_CANCELS = 3

/** Times in seconds are below this, times in milliseconds above it: the year 5138, and 1973. */
const MAX_SECONDS = 1e11

const LIVE: ReadonlySet<BatchStatus> = new Set<BatchStatus>(['validating', 'in_progress', 'finalizing'])

const isLive = (batch: Batch | undefined) => batch !== undefined && LIVE.has(batch.status)

const NOTHING_TO_SHOW: Observation = {
  observed: 'cancel returned null, and there is no retrieve',
  fix: 'add a retrieve, or let cancel return the batch'
}

const acceptedCase: Case = {
  name: 'accepted',
  id: 'live',
  promise: 'one cancel of a live batch cancels it, and the batch can be shown',
  fix: 'send the cancel to the provider once, and return its response',
  async check (harness, nextId) {
    const { contract } = harness
    const id = await nextId()
    const result = await harness.cancel(id)
    // The plugin resolves an error by reading the batch; a cancel of a live batch should not need that.
    const [call] = result.calls
    if (!isCancelled(result, contract) || call?.outcome?.kind !== 'returned') return describeResult(result)
    if (call.changedHeaders) {
      return {
        observed: 'cancel changed call.headers',
        fix: 'copy the headers before you change them, since they belong to the request'
      }
    }
    if (!canRead(contract)) return call.outcome.value === null ? NOTHING_TO_SHOW : undefined
    const status = await remainsLive(harness, id)
    if (status === undefined) return undefined
    const { timeout } = contract
    return { observed: `cancel succeeded, and retrieve still showed the batch as '${status}' after ${timeout} ms` }
  }
}

/**
 * Returns the status of a batch that is still live after the time that a cancel may take; `undefined` as soon as it is
 * not. A read that fails is the matter of another case.
 */
async function remainsLive ({ read, contract }: Harness, id: string): Promise<BatchStatus | undefined> {
  const end = performance.now() + contract.timeout
  for (;;) {
    const { batch } = await read(id)
    if (!isLive(batch)) return undefined
    if (performance.now() >= end) return batch?.status
    await setTimeout(READ_INTERVAL_MS)
  }
}

const repeatedCase: Case = {
  name: 'repeated',
  id: 'live',
  promise: 'a repeated cancel shows the batch as it is: cancelling, or already cancelled',
  fix: 'let cancel throw the provider\'s error with its status, and retrieve return the batch as it is',
  async check (harness, nextId) {
    const { cancel, contract } = harness
    const id = await nextId()
    await cancel(id)
    // A provider may lag longer than a cancel can wait; the forwarder is not to blame for that.
    if (canRead(contract)) await remainsLive(harness, id)
    const result = await cancel(id)
    const isKept = isCancelled(result, contract) || isRejected('cancelled')(result, contract)
    return isKept ? undefined : describeResult(result)
  }
}

const retrievedCase: Case = {
  name: 'retrieved',
  id: 'live',
  applies: canRead,
  promise: 'retrieve returns a live batch as it is, without any effect on it',
  fix: 'let retrieve only read the batch',
  async check ({ read, cancel }, nextId) {
    const id = await nextId()
    const reads = [await read(id), await read(id)]
    const isKept = reads.every(({ batch }) => isLive(batch))
    // No batch is left running, since it costs money.
    await cancel(id)
    return isKept ? undefined : describeCalls(reads.flatMap(({ calls }) => calls))
  }
}

const accurateCase: Case = {
  name: 'accurate',
  id: 'live',
  promise: 'the batch is the requested one, with times in seconds and no invented values',
  fix: 'take every field from the provider, and use \'\', 0 or null for what it does not report',
  async check ({ read, cancel, contract }, nextId) {
    const id = await nextId()
    const before = canRead(contract) ? (await read(id)).batch : undefined
    const result = await cancel(id)
    if (!isBatch(result.batch) || !isWithoutBugs(result)) return describeResult(result)
    const observed = findInaccuracy(result.batch, before)
    return observed === undefined ? undefined : { observed }
  }
}

/** The fields that never change. */
const CONSTANT_FIELDS = ['endpoint', 'input_file_id', 'completion_window', 'created_at'] as const

const isReported = (value: string | number) => value !== '' && value !== 0

function findInaccuracy (batch: Batch, before: Batch | undefined): string | undefined {
  const inMs = Object.entries(batch)
    .find(([name, value]) => name.endsWith('_at') && typeof value === 'number' && value > MAX_SECONDS)
  if (inMs !== undefined) return `the forwarder returned ${inMs[0]} in milliseconds (${inMs[1]})`
  const field = CONSTANT_FIELDS
    .find(name => before !== undefined && isReported(batch[name]) && batch[name] !== before[name])
  if (field === undefined) return undefined
  return `the forwarder returned ${field} '${batch[field]}' after the cancel, and '${before?.[field]}' before it`
}

async function cancelConcurrently ({ cancel }: Harness, nextId: () => Promise<string>): Promise<CancelResult[]> {
  const ids: string[] = []
  while (ids.length < CONCURRENT_CANCELS) ids.push(await nextId())
  return await Promise.all(ids.map(cancel))
}

const concurrentCase: Case = {
  name: 'concurrent',
  id: 'live',
  promise: 'each of several concurrent calls gets its own batch',
  fix: 'keep no state of a call outside of it',
  async check (harness, nextId) {
    const results = await cancelConcurrently(harness, nextId)
    const failed = results.find(result => !isCancelled(result, harness.contract))
    return failed && describeResult(failed)
  }
}

const sharedCase: Case = {
  name: 'shared',
  id: 'live',
  applies: ({ forwarder }) => forwarder.shareKey !== undefined,
  promise: 'only calls for the same batch with the same credential share a key, which is a string, or undefined',
  fix: 'make the key from everything that the read depends on: the host, the account, the credential and the id',
  async check (harness, nextId) {
    const { shareKey } = harness.contract.forwarder
    const results = await cancelConcurrently(harness, nextId)
    const calls = results.flatMap(({ calls }) => calls.slice(0, 1)).map(({ call }) => call)
    try {
      const keys = calls.map(call => shareKey?.(call)).filter(key => key !== undefined)
      const wrong = keys.find(key => typeof key !== 'string')
      if (wrong !== undefined) return { observed: `shareKey returned a ${typeof wrong}` }
      if (new Set(keys).size < keys.length) return { observed: 'shareKey returned the same key for different batches' }
      return undefined
    } catch (error) {
      return { observed: `shareKey threw ${error}` }
    }
  }
}

export const LIVE_BATCH_CASES: readonly Case[] = [
  acceptedCase,
  repeatedCase,
  retrievedCase,
  accurateCase,
  concurrentCase,
  sharedCase
]
