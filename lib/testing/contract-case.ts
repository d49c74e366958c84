import { isBatch, type BatchStatus } from '../../schemas/batch.js'
import type { CancelResult, Harness } from './harness.js'
import { describeCall, type ForwarderCall, type Observation } from './recorder.js'
import type { Contract, IdName } from './setup.js'

/** One promise of the contract, and how it is checked. */
export interface Case {
  readonly name: string
  /** The id of the setup that it uses. */
  readonly id: IdName
  /** Whether it applies; always if absent. */
  readonly applies?: (contract: Contract) => boolean
  readonly promise: string
  /** How to fix a forwarder that breaks the promise. */
  readonly fix: string
  /** Returns what is wrong; `undefined` if the promise is kept. */
  readonly check: (harness: Harness, nextId: () => Promise<string>) => Promise<Observation | undefined>
}

/** Whether the result of a cancel is as promised. */
export type Expectation = (result: CancelResult, contract: Contract) => boolean

export const showsStatus = ({ batch }: CancelResult, ...statuses: BatchStatus[]) =>
  isBatch(batch) && statuses.includes(batch.status)

/** A result of the wrong kind is resolved by reading, if the forwarder can; it is a bug all the same. */
export const isWithoutBugs = ({ calls }: CancelResult) =>
  calls.every(call => call.method !== 'cancel' || describeCall(call).fix === undefined)

export const isCancelled: Expectation = (result) =>
  result.status === 200 && showsStatus(result, 'cancelling', 'cancelled') && isWithoutBugs(result)

/** The statuses with which providers refuse a cancel because of the batch's status. */
const REJECTED: ReadonlySet<number> = new Set([400, 409, 412, 422])

/** Rejected because of the batch's status. Without `retrieve`, the client gets the provider's own error. */
export const isRejected = (status: BatchStatus): Expectation => (result, { forwarder }) =>
  forwarder.retrieve === undefined
    ? REJECTED.has(result.status)
    : result.status === 409 && result.code === 'batch_not_cancellable' && showsStatus(result, status)

export const canRead = ({ forwarder }: Contract) => forwarder.retrieve !== undefined

/** Describes what the forwarder did, and what the client got. */
export function describeResult (result: CancelResult): Observation {
  const { observed, fix } = describeCalls(result.calls)
  const got = result.code ?? (isBatch(result.batch) ? `'${result.batch.status}'` : 'without a code')
  return { observed: `${observed}, and the client got ${result.status} ${got}`, ...fix !== undefined && { fix } }
}

export function describeCalls (calls: readonly ForwarderCall[]): Observation {
  const observations = calls.map(describeCall)
  const fix = observations.find(({ fix }) => fix !== undefined)?.fix
  const observed = [...new Set(observations.map(({ observed }) => observed))].join(', then ')
  return { observed: observed || 'the forwarder was not called', ...fix !== undefined && { fix } }
}

/** Returns the case of one cancel of the batch with that id. */
export const cancelCase = (id: IdName, isKept: Expectation, promise: string, fix: string): Case => ({
  name: id,
  id,
  promise,
  fix,
  async check ({ cancel, contract }, nextId) {
    const result = await cancel(await nextId())
    return isKept(result, contract) ? undefined : describeResult(result)
  }
})
