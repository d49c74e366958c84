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
    test: value => value instanceof Map && value.size > 0 && [...value.keys()].every(isProviderName),
    expected: 'a Map of provider traits by name (1 to 128 visible ASCII characters), with at least one'
  }
}

const mistaken = new WeakMap<object, string>()

/**
 * Makes the option `forward` refuse a value of this package that people may take for a forwarder.
 *
 * @param correction completes "options.forward …"
 */
export function refuseAsForwarder<T extends object> (value: T, correction: string): T {
  mistaken.set(value, correction)
  return value
}

const hasCancel = (value: unknown) => isObject(value) && typeof value['cancel'] === 'function'
const isProvider = (value: unknown) => isObject(value) && typeof value['authorize'] === 'function'
const hasProviders = (value: unknown) => isObject(value) && Object.values(value).some(isProvider)

const WRAPPED = '{ cancel: ({ batchId, signal }) => client.batches.cancel(batchId, { signal }) }, and the same for ' +
  'retrieve.'

/** What people give in place of a forwarder, and the sentence that helps. The first match counts. */
const MISTAKES: ReadonlyArray<readonly [isMade: (forward: Record<string, unknown>) => boolean, sentence: string]> = [
  [
    forward => hasCancel(forward) && !Object.hasOwn(forward, 'cancel'),
    `has cancel as a method of a class, but the functions of a forwarder are called without \`this\`: use ${WRAPPED}`
  ],
  [
    forward => hasCancel(forward['batches']),
    `is the client of an SDK, not a forwarder: use ${WRAPPED}`
  ],
  [
    isProvider,
    'is a provider, not a forwarder: use forwardToProviders({ providers: { name: provider } }).'
  ],
  [
    forward => !hasCancel(forward) && [forward, ...Object.values(forward)].some(hasProviders),
    'is an object of providers, not a forwarder: use forwardToProviders({ providers }).'
  ]
]

const correctionOf = (forward: unknown): string | undefined =>
  mistaken.get(forward as object) ??
  (isObject(forward) ? MISTAKES.find(([isMade]) => isMade(forward))?.[1] : undefined)

/**
 * The forwarder that an option holds: a forwarder, or just its `cancel` function.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export function forwarderOf (path: string, forward: unknown): BatchForwarder {
  const name = optionName(path, 'forward')
  const correction = correctionOf(forward)
  if (correction !== undefined) throw invalidOption(`${name} ${correction}`)
  if (typeof forward === 'function') return { cancel: forward as BatchForwarder['cancel'] }
  if (!hasCancel(forward)) {
    throw invalidOption(`${name} must be a function or an object with a function cancel.`)
  }
  checkOptions(name, forward, FORWARDER_RULES)
  return forward as unknown as BatchForwarder
}
