import { FST_BATCH_CANCEL_INVALID_OPTION } from './errors.js'
import { isObject } from './is-object.js'

/** What an option must be. */
export interface Rule {
  readonly test: (value: unknown) => boolean
  /** Completes the sentence "… must be …". */
  readonly expected: string
  /** Whether the option must have a value if it is present; see `withValue`. */
  readonly refuseUndefined?: boolean
}

export type Rules = Readonly<Record<string, Rule>>

/** The longest time that a timer of Node can have. */
const MAX_MILLISECONDS = 2 ** 31 - 1

const isString = (value: unknown) => typeof value === 'string'
const isFunction = (value: unknown) => typeof value === 'function'
const isStrings = (value: unknown) => Array.isArray(value) && value.every(isString)

export const STRING: Rule = { test: isString, expected: 'a string' }
export const STRINGS: Rule = { test: isStrings, expected: 'an array of strings' }
export const BOOLEAN: Rule = { test: value => typeof value === 'boolean', expected: 'a boolean' }
export const FUNCTION: Rule = { test: isFunction, expected: 'a function' }
export const OBJECT: Rule = { test: isObject, expected: 'an object' }
export const FUNCTIONS: Rule = {
  test: value => isFunction(value) || (Array.isArray(value) && value.every(isFunction)),
  expected: 'a function or an array of functions'
}

/** An option that must have a value if it is present: an unset variable must not choose a credential or a host. */
export const withValue = (rule: Rule): Rule => ({ ...rule, refuseUndefined: true })

/** Whole milliseconds, from a least value to the most that a timer can have. */
export const milliseconds = (least: number): Rule => ({
  test: value => Number.isInteger(value) && value as number >= least && value as number <= MAX_MILLISECONDS,
  expected: `whole milliseconds from ${least} to ${MAX_MILLISECONDS}`
})

/** A shorter time for an LLM provider was most likely meant in seconds. */
const SHORT_MS = 1000

/** Warns, as Node does, of a time that was most likely meant in seconds; 0 is no time, but a switch. */
export function warnOfSeconds (name: string, value: number | undefined): void {
  if (value === undefined || value === 0 || value >= SHORT_MS) return
  const message = `${name} is in milliseconds, and ${value} of them are less than a second: write ${value}_000 for ` +
    `${value} seconds.`
  process.emitWarning(message, { type: 'FastifyWarning', code: 'FST_BATCH_CANCEL_MILLISECONDS' })
}

/**
 * Checks options by rules, one for each valid name.
 *
 * @param path how messages name the options: `options.routeOptions`, or `openai()` for the argument of a function
 * @param ignored names that somebody else checks
 * @throws FST_BATCH_CANCEL_INVALID_OPTION with one sentence about the first problem
 */
export function checkOptions (path: string, options: unknown, rules: Rules, ignored: readonly string[] = []): void {
  const valid = Object.keys(rules)
  if (!isObject(options)) throw invalidOption(`${path} expects an object with these options: ${valid.join(', ')}.`)
  for (const [name, value] of Object.entries(options)) {
    if (ignored.includes(name)) continue
    if (!Object.hasOwn(rules, name)) throw invalidOption(unknownOption(path, name, valid))
    const { test, expected, refuseUndefined = false } = rules[name] as Rule
    if (value === undefined && refuseUndefined) {
      throw invalidOption(`${optionName(path, name)} is present but undefined: it must be ${expected}. ` +
        'Leave it out if it is not meant to be set.')
    }
    if (value !== undefined && !test(value)) throw invalidOption(`${optionName(path, name)} must be ${expected}.`)
  }
}

export const invalidOption = (sentence: string) => new FST_BATCH_CANCEL_INVALID_OPTION(sentence)

/** @example optionName('openai()', 'apiKey') // 'openai({ apiKey })' */
export const optionName = (path: string, ...names: string[]) => path.endsWith('()')
  ? `${path.slice(0, -2)}({ ${names.join(', ')} })`
  : names.map(name => `${path}.${name}`).join(', ')

function unknownOption (path: string, name: string, valid: readonly string[]): string {
  const similar = similarName(name, valid)
  const hint = similar === undefined ? '' : ` Did you mean '${similar}'?`
  return `Unknown option '${name}' in ${path}.${hint} Valid options: ${valid.join(', ')}.`
}

/** The name that was probably meant. */
export const similarName = (name: string, valid: readonly string[]): string | undefined =>
  valid.find(candidate => isSimilar(candidate.toLowerCase(), name.toLowerCase()))

/** Whether two names are the same letters, give or take one and in any order: a slip, not another word. */
function isSimilar (a: string, b: string): boolean {
  const letters = [...a].sort().join('')
  const others = [...b].sort().join('')
  if (letters === others) return true
  const [short, long] = letters.length < others.length ? [letters, others] : [others, letters]
  if (long.length - short.length !== 1) return false
  return [...long].some((_, index) => long.slice(0, index) + long.slice(index + 1) === short)
}
