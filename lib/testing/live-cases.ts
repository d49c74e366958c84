import { setTimeout as sleep } from 'node:timers/promises'
import { isBatch, type Batch, type BatchStatus } from '../../schemas/batch.js'
import { canRead, faultOf, faultOfActs, isCancelled, isRefused, type Case } from './case.js'
import type { Seen, Stage } from './harness.js'

/** Milliseconds between reads of a batch whose provider may lag. */
const PAUSE = 100

/** How many batches are cancelled at once. */
const AT_ONCE = 3

/** No time of a batch in seconds is later than this, none in milliseconds earlier: the year 5138, and 1973. */
const LATEST = 1e11

const LIVE: ReadonlySet<BatchStatus> = new Set<BatchStatus>(['validating', 'in_progress', 'finalizing'])

const isLive = (batch: Batch | undefined) => batch !== undefined && LIVE.has(batch.status)

const STATES = 'let cancel throw the provider\'s refusal with its status, and retrieve answer the batch as it is'

const accepted: Case = {
  name: 'accepted',
  id: 'live',
  promise: 'one cancel of a live batch cancels it, and its batch can be shown',
  change: 'send the cancel to the provider, once, and answer what it answers',
  async play (stage, fresh) {
    const id = await fresh()
    const seen = await stage.cancel(id)
    // The plugin settles a refusal by reading; of a live batch there should be none.
    const [act] = seen.acts
    if (!isCancelled(seen, stage.contract) || act?.outcome?.kind !== 'answered') return faultOf(seen)
    if (act.changedHeaders) return { did: 'cancel changed call.headers', change: 'copy the headers first, since they are those of the request' }
    if (!canRead(stage.contract)) return act.outcome.value === null ? { did: 'cancel answered null, and there is no retrieve', change: 'add a retrieve, or let cancel answer the batch' } : undefined
    const status = await staysLive(stage, id)
    return status === undefined ? undefined : { did: `cancel ended well, and retrieve still showed the batch as '${status}' after ${stage.contract.timeout} ms` }
  }
}

/** The status of a batch that is live although it was cancelled, for as long as a cancel may take. That a read fails is for another case. */
async function staysLive ({ read, contract }: Stage, id: string): Promise<BatchStatus | undefined> {
  const end = Date.now() + contract.timeout
  for (;;) {
    const { batch } = await read(id)
    if (!isLive(batch)) return undefined
    if (Date.now() >= end) return batch?.status
    await sleep(PAUSE)
  }
}

const repeated: Case = {
  name: 'repeated',
  id: 'live',
  promise: 'a repeated cancel shows the batch as it is: cancelling, or cancelled before',
  change: STATES,
  async play (stage, fresh) {
    const { cancel, contract } = stage
    const id = await fresh()
    await cancel(id)
    // A provider may lag longer than a cancel can wait for it; that is not the hook's fault.
    if (canRead(contract)) await staysLive(stage, id)
    const seen = await cancel(id)
    return isCancelled(seen, contract) || isRefused('cancelled')(seen, contract) ? undefined : faultOf(seen)
  }
}

const retrieved: Case = {
  name: 'retrieved',
  id: 'live',
  needs: canRead,
  promise: 'retrieve answers a live batch as it is, and does nothing to it',
  change: 'let retrieve do no more than read',
  async play ({ read, cancel }, fresh) {
    const id = await fresh()
    const reads = [await read(id), await read(id)]
    const kept = reads.every(({ batch }) => isLive(batch))
    // Nobody is to pay for a batch that a case left behind.
    await cancel(id)
    return kept ? undefined : faultOfActs(reads.flatMap(({ acts }) => acts))
  }
}

const truthful: Case = {
  name: 'true',
  id: 'live',
  promise: 'the batch is the one that was asked for, with times in seconds and nothing invented',
  change: 'take every field from the provider, and leave \'\', 0 or null for what it does not tell',
  async play ({ read, cancel, contract }, fresh) {
    const id = await fresh()
    const before = canRead(contract) ? (await read(id)).batch : undefined
    const seen = await cancel(id)
    if (!isBatch(seen.batch)) return faultOf(seen)
    const did = untruth(seen.batch, id, before)
    return did === undefined ? undefined : { did }
  }
}

/** What stays as it is as long as a batch lives. */
const LASTING = ['endpoint', 'input_file_id', 'completion_window', 'created_at'] as const

const isTold = (value: string | number) => value !== '' && value !== 0

function untruth (batch: Batch, id: string, before: Batch | undefined): string | undefined {
  if (batch.id !== id) return `the hook answered the batch '${batch.id}' for '${id}'`
  const time = Object.entries(batch).find(([name, value]) => name.endsWith('_at') && typeof value === 'number' && value > LATEST)
  if (time !== undefined) return `the hook answered ${time[0]} in milliseconds (${time[1]})`
  const field = LASTING.find(name => before !== undefined && isTold(batch[name]) && batch[name] !== before[name])
  return field === undefined ? undefined : `the hook answered ${field} '${batch[field]}' after the cancel, and '${before?.[field]}' before it`
}

/** Cancels some batches at the same time. */
async function cancelAtOnce ({ cancel }: Stage, fresh: () => Promise<string>): Promise<Seen[]> {
  const ids: string[] = []
  while (ids.length < AT_ONCE) ids.push(await fresh())
  return await Promise.all(ids.map(cancel))
}

const concurrent: Case = {
  name: 'concurrent',
  id: 'live',
  promise: 'calls at the same time get each its own batch',
  change: 'keep nothing of a call outside of it',
  async play (stage, fresh) {
    const all = await cancelAtOnce(stage, fresh)
    const failed = all.find(seen => !isCancelled(seen, stage.contract))
    if (failed !== undefined) return faultOf(failed)
    const mixed = all.find(({ id, batch }) => isBatch(batch) && batch.id !== id)
    return mixed === undefined ? undefined : { did: `of ${AT_ONCE} calls at the same time the one for '${mixed.id}' was answered with another batch` }
  }
}

const shared: Case = {
  name: 'shared',
  id: 'live',
  needs: ({ forwarder }) => forwarder.shareKey !== undefined,
  promise: 'only calls for the same batch with the same credential share a key, which is a string',
  change: 'make the key of all that the read is made of: the host, the account, the credential and the id',
  async play (stage, fresh) {
    const { shareKey } = stage.contract.forwarder
    const calls = (await cancelAtOnce(stage, fresh)).flatMap(({ acts }) => acts.slice(0, 1)).map(({ call }) => call)
    try {
      const keys = calls.map(call => shareKey?.(call))
      if (keys.some(key => typeof key !== 'string')) return { did: `shareKey answered ${typeof keys[0]}` }
      return new Set(keys).size === AT_ONCE ? undefined : { did: 'shareKey answered the same for different batches' }
    } catch (error) {
      return { did: `shareKey threw ${error}` }
    }
  }
}

export const LIVE_CASES: readonly Case[] = [accepted, repeated, retrieved, truthful, concurrent, shared]
