import { isBatch, type BatchStatus } from '../../schemas/batch.js'
import type { Contract, IdName } from './setup.js'
import type { Seen, Stage } from './harness.js'
import { account, type Act } from './recorder.js'

/** How a promise was broken: what the hook did, and what to change, where the hook's doing tells it better than the case can. */
export interface Fault {
  readonly did: string
  readonly change?: string
}

/** A promise that a hook keeps or breaks. */
export interface Case {
  readonly name: string
  /** The id that it asks for. */
  readonly id: IdName
  /** What it needs besides. */
  readonly needs?: (contract: Contract) => boolean
  readonly promise: string
  /** What to change where the promise is broken. */
  readonly change: string
  readonly play: (stage: Stage, fresh: () => Promise<string>) => Promise<Fault | undefined>
}

/** Whether what the client got is as promised. */
export type Kept = (seen: Seen, contract: Contract) => boolean

export const shows = ({ batch }: Seen, ...statuses: BatchStatus[]) => isBatch(batch) && statuses.includes(batch.status)

export const isCancelled: Kept = seen => seen.status === 200 && shows(seen, 'cancelling', 'cancelled')

/** How a provider says that a batch is in no state for a cancel. */
const REFUSALS: ReadonlySet<number> = new Set([400, 409, 412, 422])

/** Refused for its status; without a `retrieve` the client gets no more than the provider's own refusal. */
export const isRefused = (status: BatchStatus): Kept => (seen, { forwarder }) => forwarder.retrieve === undefined
  ? REFUSALS.has(seen.status)
  : seen.status === 409 && seen.code === 'batch_not_cancellable' && shows(seen, status)

export const canRead = ({ forwarder }: Contract) => forwarder.retrieve !== undefined

/** What the hook did, and what the client got for it. */
export function faultOf (seen: Seen): Fault {
  const { did, change } = faultOfActs(seen.acts)
  const got = seen.code ?? (isBatch(seen.batch) ? `'${seen.batch.status}'` : 'without a code')
  return { did: `${did}, and the client got ${seen.status} ${got}`, ...change !== undefined && { change } }
}

export function faultOfActs (acts: readonly Act[]): Fault {
  const accounts = acts.map(account)
  const change = accounts.find(({ change }) => change !== undefined)?.change
  const did = [...new Set(accounts.map(({ did }) => did))].join(', then ')
  return { did: did || 'the hook was not called', ...change !== undefined && { change } }
}

/** A case of one cancel. */
export const one = (id: IdName, kept: Kept, promise: string, change: string): Case => ({
  name: id,
  id,
  promise,
  change,
  async play ({ cancel, contract }, fresh) {
    const seen = await cancel(await fresh())
    return kept(seen, contract) ? undefined : faultOf(seen)
  }
})
