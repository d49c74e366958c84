import { invalidOption, optionName, similarName, type Rule } from '../check-options.js'
import { internalError } from '../errors.js'
import { isObject } from '../is-object.js'
import { checkId, isProviderName } from './check-call.js'
import type { BatchCall, ProviderTraits } from './types.js'

/** A call whose provider is not known yet. */
export type UnresolvedCall = Omit<BatchCall, 'provider' | 'signal'>

/** A provider, or a function of the call that finds it; `undefined` if this call has no default. */
export type DefaultProvider = string | ((call: UnresolvedCall) => string | undefined | Promise<string | undefined>)

type Providers = ReadonlyMap<string, ProviderTraits> | undefined

export const DEFAULT_PROVIDER: Rule = {
  test: value => typeof value === 'function' || isProviderName(value),
  expected: 'the name of a provider, or a function of the call that returns one'
}

/** @throws FST_BATCH_CANCEL_INVALID_OPTION if the provider is not served */
export function checkDefaultProvider (path: string, value: DefaultProvider | undefined, providers: Providers): void {
  if (typeof value !== 'string' || providers === undefined) return
  const problem = problemOf(value, providers)
  if (problem !== undefined) throw invalidOption(`${optionName(path, 'defaultProvider')} must ${problem}`)
}

/** What keeps a provider from being served; completes "must …". */
function problemOf (name: string, providers: ReadonlyMap<string, ProviderTraits>): string | undefined {
  const traits = providers.get(name)
  if (traits?.unsupported !== undefined) return `not be '${name}': ${traits.unsupported}`
  if (traits !== undefined) return undefined
  const served = [...providers].filter(([, { unsupported }]) => unsupported === undefined).map(([key]) => key)
  const similar = similarName(name, served) ?? served.find(key => key.startsWith(name))
  const hint = similar === undefined ? '' : ` Did you mean '${similar}'?`
  return `be one of ${served.join(', ')}.${hint}`
}

/**
 * The default provider of a call, by a function of the server. What the function throws is thrown as it is.
 *
 * @throws BatchCancelError `invalid_batch_id`, so that the function sees only ids that a batch can have
 * @throws BatchCancelError `internal_error` if the function returned no provider that is served
 */
export async function findDefaultProvider (
  find: Exclude<DefaultProvider, string>,
  call: UnresolvedCall,
  providers: Providers
): Promise<string | undefined> {
  checkId(call.batchId, '', {})
  const name: unknown = await callFunction(find, call)
  if (name === undefined) return undefined
  if (!isProviderName(name)) throw internalError('The function defaultProvider returned something else than a name.')
  const problem = providers && problemOf(name, providers)
  if (problem === undefined) return name
  throw internalError(`The function defaultProvider returned '${name}', but must ${problem}`)
}

async function callFunction (find: Exclude<DefaultProvider, string>, call: UnresolvedCall): Promise<unknown> {
  try {
    return await find(call)
  } catch (error) {
    // Fastify takes a missing error for none.
    throw isObject(error) ? error : internalError('The function defaultProvider failed.', error)
  }
}
