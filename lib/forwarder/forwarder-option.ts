import { FUNCTION, checkOptions, invalidOption, optionName, type Rules } from '../check-options.js'
import { isObject } from '../is-object.js'
import { isProviderName } from './check-call.js'
import type { BatchForwarder } from './types.js'

const FORWARDER_RULES: Rules = {
  cancel: FUNCTION,
  retrieve: FUNCTION,
  prepare: FUNCTION,
  warm: FUNCTION,
  close: FUNCTION,
  shareKey: FUNCTION,
  providers: {
    test: value => value instanceof Map && [...value.keys()].every(isProviderName),
    expected: 'a Map of provider traits by name (1 to 128 visible ASCII characters)'
  }
}

/**
 * The forwarder that an option holds: a forwarder, or just its `cancel` function.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export function forwarderOf (path: string, forward: unknown): BatchForwarder {
  if (typeof forward === 'function') return { cancel: forward as BatchForwarder['cancel'] }
  const name = optionName(path, 'forward')
  if (!isObject(forward) || typeof forward['cancel'] !== 'function') {
    throw invalidOption(`${name} must be a function or an object with a function cancel.`)
  }
  checkOptions(name, forward, FORWARDER_RULES)
  return forward as unknown as BatchForwarder
}
