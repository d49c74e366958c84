import fc, { type Arbitrary } from 'fast-check'
import type { Parameter, Requests } from './requests.js'
import type { Call } from './target.js'

/** A character that is allowed in a header value. */
const headerCharacter = fc.oneof(
  { arbitrary: fc.integer({ min: 0x20, max: 0x7e }), weight: 9 },
  { arbitrary: fc.integer({ min: 0x80, max: 0xff }), weight: 1 }
).map(code => String.fromCharCode(code))

/** A header value: servers strip surrounding white space and ignore empty headers, so it has neither. */
const headerText = fc.string({ unit: headerCharacter, minLength: 1, maxLength: 40 })
  .filter(value => value.trim() === value && value !== '')

/** Strings that match a pattern. fast-check does not support lookaheads, so a filter applies them. */
function matchesOf (pattern: string): Arbitrary<string> {
  const regex = new RegExp(pattern, 'u')
  const withoutLookaheads = new RegExp(pattern.replace(/\(\?![^()]*\)/g, ''), 'u')
  return fc.stringMatching(withoutLookaheads, { maxLength: 60 }).filter(value => regex.test(value))
}

/** Values of a header that the document allows. */
function validValues ({ name, schema }: Parameter, { allows }: Requests): Arbitrary<string> {
  const { enum: names, pattern, examples = [] } = schema
  const generated = pattern !== undefined ? matchesOf(pattern) : headerText
  const values = names !== undefined ? fc.constantFrom(...names) : generated
  const documented = examples.length > 0 ? [fc.constantFrom(...examples)] : []
  return fc.oneof(...documented, values).filter(value => value.trim() === value && allows(name, value))
}

/** Values of a header that the document does not allow; `undefined` if it allows all values. */
export function invalidValues ({ name, schema }: Parameter, { allows }: Requests): Arbitrary<string> | undefined {
  const { enum: names, pattern } = schema
  if (names === undefined && pattern === undefined) return undefined
  const valid = names !== undefined ? fc.constantFrom(...names) : matchesOf(pattern as string)
  return fc.oneof(
    headerText,
    fc.tuple(valid, headerText).map(([value, suffix]) => value + suffix),
    valid.map(value => value.toUpperCase())
  ).filter(value => value.trim() === value && value !== '' && !allows(name, value))
}

/** Headers in which each parameter is occasionally present, with a value from the arbitrary that `values` returns. */
function someOf (
  parameters: readonly Parameter[],
  values: (parameter: Parameter) => Arbitrary<string> | undefined
): Arbitrary<Record<string, string>> {
  const optional = parameters.flatMap(parameter => {
    const arbitrary = values(parameter)
    if (arbitrary === undefined) return []
    const value = fc.oneof({ arbitrary: fc.constant(undefined), weight: 12 }, { arbitrary, weight: 1 })
    return [[parameter.name, value] as const]
  })
  const isPresent = (entry: [string, string | undefined]): entry is [string, string] => entry[1] !== undefined
  return fc.record(Object.fromEntries(optional))
    .map(headers => Object.fromEntries(Object.entries(headers).filter(isPresent)))
}

const UNUSUAL_IDS = [
  '..', '.', '...', '__proto__', 'constructor', '{id}', ':id', '../../files', '..%2f', 'v1',
  'batch_abc123/cancel', 'batch_completed', 'batch_failed', 'batch_finalizing'
]

/** Any text that a URL can contain, including what has broken servers before. */
const idText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: fc.constantFrom('.', '/', '\\', '%', '2', 'e', 'f', '?', '#', ' ', '\0', '\n'), maxLength: 20 }),
  fc.string({ minLength: 400, maxLength: 512 }),
  fc.string({ unit: 'binary', minLength: 150, maxLength: 512 }),
  fc.constantFrom(...UNUSUAL_IDS)
).filter(id => !/\p{Surrogate}/u.test(id))

/** Ids that the document allows, or does not allow. */
const idsOf = ({ allows }: Requests, allowed: boolean) => idText.filter(id => allows('id', id) === allowed)

interface Body {
  readonly type?: string
  readonly body?: string
}

const MEDIA_TYPES = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'application/octet-stream']

/** Request bodies. The document allows any object or none; the server ignores whatever is sent. */
const bodies: Arbitrary<Body> = fc.oneof(
  fc.constant({}),
  fc.constant({ type: 'application/json' }),
  fc.object().map(value => ({ type: 'application/json', body: JSON.stringify(value) })),
  fc.record({
    type: fc.constantFrom(...MEDIA_TYPES),
    body: fc.string({ unit: 'binary', maxLength: 200 })
  })
)

type Headers = Record<string, string>

function callOf (id: string, provider: string | undefined, headers: Headers, { type, body }: Body): Call {
  const own = {
    ...headers,
    ...provider !== undefined && { 'x-portkey-provider': provider },
    ...type !== undefined && { 'content-type': type }
  }
  return { id, headers: own, ...body !== undefined && { body } }
}

/** Values for headers that any string is valid for: random strings would rarely have a meaning to the server. */
function meaningfulValues (parameter: Parameter, requests: Requests): Arbitrary<string> | undefined {
  switch (parameter.name) {
    case 'id': case 'x-portkey-provider': return undefined
    // Nothing that is granted: thousands of calls would really wait.
    case 'prefer':
      return fc.oneof(headerText, fc.constantFrom('respond-async', 'wait=0', 'wait=-1', 'wait=1e3', 'wait'))
    case 'x-portkey-config':
      return fc.oneof({ arbitrary: configsOf(requests), weight: 3 }, { arbitrary: headerText, weight: 1 })
    default: return validValues(parameter, requests)
  }
}

const PREFIX = 'x-portkey-'
const configKey = (header: string) => header.slice(PREFIX.length).replaceAll('-', '_')

/** Configs with the values of other headers, but never with another provider or an `api_key`. */
function configsOf (requests: Requests): Arbitrary<string> {
  const others = [...requests.parameters.values()].filter(({ name }) => /^x-portkey-(?!config$|provider$)/.test(name))
  return someOf(others, parameter => validValues(parameter, requests))
    .map(headers => Object.fromEntries(Object.entries(headers).map(([name, value]) => [configKey(name), value])))
    .map(config => JSON.stringify(config))
    .filter(text => /^[\x20-\x7e]*$/.test(text))
}

/** Ids that the grammar of the sandbox accepts: a provider may accept less than the document, which is for all. */
const idsOfSandbox = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.:=~+-]{0,60}$/)

/** Calls that the document allows, for a given provider. */
export function validCalls (requests: Requests, provider: string): Arbitrary<Call> {
  const headers = someOf([...requests.parameters.values()], parameter => meaningfulValues(parameter, requests))
  return fc.tuple(idsOfSandbox, headers, bodies)
    .map(([id, own, body]) => callOf(id, provider, own, body))
}

/** Headers that the server checks for every provider, so that an invalid value is always an error. */
const CHECKED_FOR_EVERY_PROVIDER = ['x-portkey-request-timeout', 'x-portkey-forward-headers']

/** Calls that deviate from the document in at least one way: the id, the provider or a header. */
export function invalidCalls (requests: Requests, provider: string): Arbitrary<Call> {
  const { parameters, providers } = requests
  const headers = someOf([...parameters.values()], parameter => meaningfulValues(parameter, requests))
  const invalidProvider = fc.oneof(fc.constant(undefined), headerText.filter(name => !providers.includes(name)))
  const invalidHeader = fc.constantFrom(...CHECKED_FOR_EVERY_PROVIDER).chain(name =>
    (invalidValues(parameters.get(name) as Parameter, requests) as Arbitrary<string>).map(value => ({ [name]: value })))
  // A config would take precedence over the invalid header.
  const headersWithoutConfig = headers.map(({ 'x-portkey-config': _config, ...others }) => others)
  return fc.oneof(
    fc.tuple(idsOf(requests, false), headers, bodies)
      .map(([id, own, body]) => callOf(id, provider, own, body)),
    fc.tuple(idsOf(requests, true), invalidProvider, headers, bodies)
      .map(([id, name, own, body]) => callOf(id, name, own, body)),
    fc.tuple(idsOf(requests, true), headersWithoutConfig, invalidHeader, bodies)
      .map(([id, own, invalid, body]) => callOf(id, provider, { ...own, ...invalid }, body))
  )
}

/** Characters that an id must not contain. NUL is left out, because proxies reject it with responses of their own. */
const FORBIDDEN = ['\x01', '\t', '\n', '\r', '\x1b', '\x7f', '\x80', '\x9f', '\u2028', '\u2029']

/** Ids that no server accepts. Even if something on the way removed the forbidden character, no batch would match. */
export const impossibleIds = fc.tuple(fc.constantFrom(...FORBIDDEN), fc.stringMatching(/^[a-z0-9]{0,16}$/))
  .map(([forbidden, suffix]) => `contract-test-${forbidden}-no-such-batch-${suffix}`)

/** Calls that no server can carry out, whatever credentials it has: their ids are impossible. */
export function impossibleCalls (requests: Requests, provider?: string): Arbitrary<Call> {
  const { parameters, providers } = requests
  const known = fc.constantFrom(...providers, ...provider === undefined ? [] : [provider])
  const names = fc.oneof(known, fc.constant(undefined), headerText)
  const anyValue = (parameter: Parameter) => {
    const values = [validValues(parameter, requests), invalidValues(parameter, requests)]
    return fc.oneof(...values.filter(arbitrary => arbitrary !== undefined))
  }
  const others = [...parameters.values()].filter(({ name }) => name !== 'id' && name !== 'x-portkey-provider')
  return fc.tuple(impossibleIds, names, someOf(others, anyValue), bodies)
    .map(([id, name, own, body]) => callOf(id, name, own, body))
}
