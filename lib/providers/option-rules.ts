import { withValue, type Rule, type Rules } from '../check-options.js'
import { parseBase } from './hosts.js'
import { isToken } from './provider.js'

/** An option that may be a function of the call. */
export const resolvable = (test: (value: unknown) => boolean, expected: string): Rule => ({
  test: value => typeof value === 'function' || test(value),
  expected: `a function or ${expected}`
})

export const CREDENTIAL: Rule = resolvable(
  isToken,
  'the credential itself, in visible ASCII characters, without spaces, line breaks or \'Bearer \' before it'
)

/** An option that matches a pattern. */
export const matching = (pattern: RegExp, expected: string): Rule =>
  ({ test: value => typeof value === 'string' && pattern.test(value), expected })

export const BASE_URL: Rule = resolvable(
  value => typeof value === 'string' && parseBase(value) !== undefined,
  'an http or https URL without userinfo, query and fragment'
)

/** An unset variable must choose neither a credential nor a host. */
export const mustHaveValues = (rules: Rules): Rules =>
  Object.fromEntries(Object.entries(rules).map(([name, rule]) => [name, withValue(rule)]))

/** The options of every factory. */
export const COMMON_RULES = mustHaveValues({ baseUrl: BASE_URL, apiKey: CREDENTIAL })
