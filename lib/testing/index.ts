/**
 * The contract tests for forwarders.
 *
 * @module fastify-batch-cancel/testing
 */

import { ALL_CASES } from './all-cases.js'
import type { Case } from './contract-case.js'
import { withHarness } from './harness.js'
import { readSetup, type Contract, type ForwarderContractSetup } from './setup.js'

export type { ContractId, ForwarderContractIds, ForwarderContractSetup } from './setup.js'

/** One promise of the contract, as a test for any test runner. */
export interface ContractCase {
  readonly name: string
  /** What a forwarder promises in this case. */
  readonly promise: string
  /** Runs the case. @throws {ForwarderContractError} if the forwarder breaks the promise. */
  readonly run: () => Promise<void>
}

/** A broken promise. The message says what the forwarder did, what is expected, and how to fix it. */
export class ForwarderContractError extends Error {
  override readonly name = 'ForwarderContractError'
  /** The name of the case. */
  readonly case: string

  constructor (name: string, message: string) {
    super(message)
    this.case = name
  }
}

/**
 * Returns the contract of a forwarder as test cases, each of which runs behind a Fastify with the plugin.
 *
 * Only the batches of `setup.ids` are used. A case is left out if its id, or the function of the forwarder that it
 * checks, is absent.
 *
 * Every call is sent with `x-stainless-retry-count: 0`, as by a client that retries by itself. The plugin then makes
 * one attempt per call, so that each case sees the result of exactly one `cancel`; reads are not affected.
 *
 * @throws {TypeError} `FST_BATCH_CANCEL_INVALID_OPTION` if the setup is not valid.
 * @example
 * for (const { name, run } of forwarderContract({ forward, ids: { live: createBatch } })) test(name, run)
 */
export function forwarderContract (setup: ForwarderContractSetup): ContractCase[] {
  const contract = readSetup(setup)
  return ALL_CASES
    .filter(({ id, applies = () => true }) => contract.ids[id] !== undefined && applies(contract))
    .map(one => ({ name: one.name, promise: one.promise, run: () => run(one, contract) }))
}

/**
 * Runs the whole contract, for use in a script.
 *
 * @returns The broken promises: an empty array if all are kept.
 * @throws {TypeError} `FST_BATCH_CANCEL_INVALID_OPTION` if the setup is not valid.
 * @throws Whatever a function of the setup throws.
 */
export async function checkForwarder (setup: ForwarderContractSetup): Promise<ForwarderContractError[]> {
  const errors: ForwarderContractError[] = []
  for (const { run } of forwarderContract(setup)) {
    try {
      await run()
    } catch (error) {
      if (!(error instanceof ForwarderContractError)) throw error
      errors.push(error)
    }
  }
  return errors
}

async function run ({ name, id, promise, fix, check }: Case, contract: Contract): Promise<void> {
  const given = contract.ids[id]
  const nextId = async () => typeof given === 'function' ? await given() : given as string
  const wrong = await withHarness(contract, harness => check(harness, nextId))
  if (wrong === undefined) return
  throw new ForwarderContractError(name, `${wrong.observed}; expected: ${promise}. To fix it, ${wrong.fix ?? fix}.`)
}
