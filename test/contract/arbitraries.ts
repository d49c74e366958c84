import fc, { type Arbitrary } from 'fast-check'
import type { Parameter, Requests } from './document.js'
import type { Call } from './place.js'

/** A character that the value of a header can have. */
const headerCharacter = fc.oneof(
  { arbitrary: fc.integer({ min: 0x20, max: 0x7e }), weight: 9 },
  { arbitrary: fc.integer({ min: 0x80, max: 0xff }), weight: 1 }
).map(code => String.fromCharCode(code))

/** A value that a header can carry: white space around it is not part of it, and an empty one is none. */
const headerText = fc.string({ unit: headerCharacter, minLength: 1, maxLength: 40 }).filter(value => value.trim() === value && value !== '')

/** The matches of a pattern. Look-aheads, which fast-check cannot make, are left to a filter. */
function matchesOf (pattern: string): Arbitrary<string> {
  const regex = new RegExp(pattern, 'u')
  return fc.stringMatching(new RegExp(pattern.replace(/\(\?![^()]*\)/g, ''), 'u'), { maxLength: 60 }).filter(value => regex.test(value))
}

/** Values of a header that the document allows. */
function allowed ({ name, schema }: Parameter, { allows }: Requests): Arbitrary<string> {
  const { enum: names, pattern, examples = [] } = schema
  const values = names !== undefined ? fc.constantFrom(...names) : pattern !== undefined ? matchesOf(pattern) : headerText
  const shown = examples.length > 0 ? [fc.constantFrom(...examples)] : []
  return fc.oneof(...shown, values).filter(value => value.trim() === value && allows(name, value))
}

/** Values of a header that the document refuses; `undefined` for a header that may have any. */
export function refused ({ name, schema }: Parameter, { allows }: Requests): Arbitrary<string> | undefined {
  const { enum: names, pattern } = schema
  if (names === undefined && pattern === undefined) return undefined
  const near = names !== undefined ? fc.constantFrom(...names) : matchesOf(pattern as string)
  return fc.oneof(
    headerText,
    fc.tuple(near, headerText).map(([value, more]) => value + more),
    near.map(value => value.toUpperCase())
  ).filter(value => value.trim() === value && value !== '' && !allows(name, value))
}

/** Each of these parameters, now and then, with a value of the kind that `values` makes. */
function someOf (parameters: readonly Parameter[], values: (parameter: Parameter) => Arbitrary<string> | undefined): Arbitrary<Record<string, string>> {
  const made = parameters.flatMap(parameter => {
    const arbitrary = values(parameter)
    return arbitrary === undefined ? [] : [[parameter.name, fc.oneof({ arbitrary: fc.constant(undefined), weight: 12 }, { arbitrary, weight: 1 })] as const]
  })
  return fc.record(Object.fromEntries(made))
    .map(headers => Object.fromEntries(Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined)))
}

/** Any text that an address can have, and what has broken servers before. */
const idText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: fc.constantFrom('.', '/', '\\', '%', '2', 'e', 'f', '?', '#', ' ', '\0', '\n'), maxLength: 20 }),
  fc.string({ minLength: 400, maxLength: 512 }),
  fc.string({ unit: 'binary', minLength: 150, maxLength: 512 }),
  fc.constantFrom('..', '.', '...', '__proto__', 'constructor', '{id}', ':id', '../../files', '..%2f', 'v1', 'batch_abc123/cancel', 'batch_completed', 'batch_failed', 'batch_finalizing')
).filter(id => !/\p{Surrogate}/u.test(id))

/** Ids that the document allows, or refuses. */
export const idsOf = ({ allows }: Requests, wanted: boolean) => idText.filter(id => allows('id', id) === wanted)

/** What is sent as a body: the document takes any object, or nothing; whatever comes is ignored. */
const bodies = fc.oneof(
  fc.constant({}),
  fc.constant({ type: 'application/json' }),
  fc.object().map(value => ({ type: 'application/json', body: JSON.stringify(value) })),
  fc.record({ type: fc.constantFrom('application/json', 'text/plain', 'application/x-www-form-urlencoded', 'application/octet-stream'), body: fc.string({ unit: 'binary', maxLength: 200 }) })
) as Arbitrary<{ type?: string, body?: string }>

const callOf = (id: string, provider: string | undefined, headers: Record<string, string>, { type, body }: { type?: string, body?: string }): Call => ({
  id,
  headers: { ...headers, ...provider !== undefined && { 'x-portkey-provider': provider }, ...type !== undefined && { 'content-type': type } },
  ...body !== undefined && { body }
})

/** What a request has beyond its schema: these headers take any string, so that one would hardly hit what they mean. */
function meaningful (parameter: Parameter, requests: Requests): Arbitrary<string> | undefined {
  switch (parameter.name) {
    case 'id': case 'x-portkey-provider': return undefined
    // None that is a wait, or thousands of calls would take theirs.
    case 'prefer': return fc.oneof(headerText, fc.constantFrom('respond-async', 'wait=0', 'wait=-1', 'wait=1e3', 'wait'))
    case 'x-portkey-config': return fc.oneof({ arbitrary: configsOf(requests), weight: 3 }, { arbitrary: headerText, weight: 1 })
    default: return allowed(parameter, requests)
  }
}

/** Flat objects of what the other headers say; never another provider, or a credential by its general name. */
function configsOf (requests: Requests): Arbitrary<string> {
  const others = [...requests.parameters.values()].filter(({ name }) => /^x-portkey-(?!config$|provider$)/.test(name))
  return someOf(others, parameter => allowed(parameter, requests))
    .map(headers => JSON.stringify(Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.slice('x-portkey-'.length).replaceAll('-', '_'), value]))))
    .filter(text => /^[\x20-\x7e]*$/.test(text))
}

/** Calls that the document allows, for a provider of our own. */
export function allowedCalls (requests: Requests, provider: string): Arbitrary<Call> {
  const headers = someOf([...requests.parameters.values()], parameter => meaningful(parameter, requests))
  return fc.tuple(idsOf(requests, true), headers, bodies).map(([id, own, body]) => callOf(id, provider, own, body))
}

/** Which headers the route itself reads, so that it refuses what the document refuses. */
const READ_BY_THE_ROUTE = ['x-portkey-request-timeout', 'x-portkey-forward-headers']

/** Calls for a provider of our own in which one thing at least is not what the document allows. */
export function refusedCalls (requests: Requests, provider: string): Arbitrary<Call> {
  const { parameters, providers } = requests
  const headers = someOf([...parameters.values()], parameter => meaningful(parameter, requests))
  const nobody = fc.oneof(fc.constant(undefined), headerText.filter(name => !providers.includes(name)))
  const malformed = fc.constantFrom(...READ_BY_THE_ROUTE).chain(name =>
    (refused(parameters.get(name) as Parameter, requests) as Arbitrary<string>).map(value => ({ [name]: value })))
  return fc.oneof(
    fc.tuple(idsOf(requests, false), headers, bodies).map(([id, own, body]) => callOf(id, provider, own, body)),
    fc.tuple(idsOf(requests, true), nobody, headers, bodies).map(([id, name, own, body]) => callOf(id, name, own, body)),
    // What a config says wins over a malformed header.
    fc.tuple(idsOf(requests, true), headers, malformed, bodies).map(([id, { 'x-portkey-config': _config, ...own }, wrong, body]) => callOf(id, provider, { ...own, ...wrong }, body))
  )
}

/** What no id may have, as it is in the document; a NUL is left out, since proxies refuse it in their own words. */
const FORBIDDEN = ['\x01', '\t', '\n', '\r', '\x1b', '\x7f', '\x80', '\x9f', '\u2028', '\u2029']

/** Ids that no server can take for a batch: were the forbidden character dropped on the way, they would still be nobody's. */
export const impossibleIds = fc.tuple(fc.constantFrom(...FORBIDDEN), fc.stringMatching(/^[a-z0-9]{0,16}$/))
  .map(([forbidden, more]) => `contract-check-${forbidden}-nobodys-${more}`)

/** Calls that can be carried out nowhere, whichever credentials a server has of its own: their ids are impossible. */
export function impossibleCalls (requests: Requests, provider?: string): Arbitrary<Call> {
  const { parameters, providers } = requests
  const names = fc.oneof(fc.constantFrom(...providers, ...provider === undefined ? [] : [provider]), fc.constant(undefined), headerText)
  const headers = someOf([...parameters.values()], parameter => parameter.name === 'id' || parameter.name === 'x-portkey-provider'
    ? undefined
    : fc.oneof(...[allowed(parameter, requests), refused(parameter, requests)].filter(values => values !== undefined)))
  return fc.tuple(impossibleIds, names, headers, bodies).map(([id, name, own, body]) => callOf(id, name, own, body))
}
