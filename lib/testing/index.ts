import { CASES } from './cases.js'
import type { Case } from './case.js'
import { readSetup, type Contract, type HookContractSetup } from './setup.js'
import { onStage } from './harness.js'

export type { ContractId, HookContractIds, HookContractSetup } from './setup.js'

/** One promise, as a test of any runner: `for (const { name, run } of hookContract(setup)) test(name, run)`. */
export interface ContractCase {
  readonly name: string
  /** What a hook promises here. */
  readonly promise: string
  /** Throws a `HookContractBreach` where the hook breaks it. */
  readonly run: () => Promise<void>
}

/** A promise that a hook broke. The message is one sentence: what the hook did, what the promise is, what to change. */
export class HookContractBreach extends Error {
  override readonly name = 'HookContractBreach'
  /** The name of the case. */
  readonly case: string

  constructor (name: string, sentence: string) {
    super(sentence)
    this.case = name
  }
}

/**
 * The promises of a `forward` hook, each to be run behind a Fastify with the plugin.
 *
 * Only the batches of `setup.ids` are asked for. A case whose batch, or whose function of the hook, is not there is not
 * in the list. Throws `FST_BATCH_CANCEL_INVALID_OPTION` when the setup cannot work.
 */
export function hookContract (setup: HookContractSetup): ContractCase[] {
  const contract = readSetup(setup)
  return CASES
    .filter(({ id, needs = () => true }) => contract.ids[id] !== undefined && needs(contract))
    .map(one => ({ name: one.name, promise: one.promise, run: () => run(one, contract) }))
}

/** The promises that a hook breaks, for a script; none is what it should be. */
export async function checkHook (setup: HookContractSetup): Promise<HookContractBreach[]> {
  const breaches: HookContractBreach[] = []
  for (const { run } of hookContract(setup)) {
    try {
      await run()
    } catch (error) {
      if (!(error instanceof HookContractBreach)) throw error
      breaches.push(error)
    }
  }
  return breaches
}

async function run ({ name, id, promise, change, play }: Case, contract: Contract): Promise<void> {
  const given = contract.ids[id]
  const fresh = async () => typeof given === 'function' ? await given() : given as string
  const fault = await onStage(contract, stage => play(stage, fresh))
  if (fault !== undefined) throw new HookContractBreach(name, sentenceOf(fault.did, promise, fault.change ?? change))
}

const sentenceOf = (did: string, promise: string, change: string) =>
  `${did.charAt(0).toUpperCase()}${did.slice(1)}; the promise is that ${promise}: ${change}.`
