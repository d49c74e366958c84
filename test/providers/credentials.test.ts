import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { builtIn, forwardToProviders, type Provider, type ProviderOptions, type Resolvable } from '../../lib/index.js'
import { isUnsupported } from '../../lib/providers/provider.js'
import type { Client, Credentials, Headers, Server, Wire } from '../fixtures/fixture.js'
import { FIXTURES, fixtureOf } from '../fixtures/index.js'
import { PEM } from '../fixtures/vertex.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { selectRows } from '../support/covering.js'
import { catchAll, type Internet } from '../support/internet.js'
import type { Recorded } from '../support/upstream.js'

/*
 * Whose secret goes to which host, over all that may choose either. At every provider each two choices meet, both in a
 * call that is sent and in one that is refused, if they can; `npm run test:exhaustive` makes every call. The expectations
 * follow the promise, not the code. Whatever is a secret has `s3cret` in it, so that a leak of any is seen.
 */

/** A provider behind every host, which shows this body. */
interface AnyProvider extends Internet {
  body: object
}

async function catchProviders (t: Test): Promise<AnyProvider> {
  const internet = await catchAll(t, () => ({ body: provider.body }))
  const provider: AnyProvider = { ...internet, body: {} }
  return provider
}

/** A response that shows the batch needs no second request. */
function acceptedBody (name: string): object {
  const { responses: { statuses, body }, ids } = fixtureOf(name)
  return body(statuses.includes('cancelling') ? 'cancelling' : 'cancelled', ids.shown[0])
}

const SERVICE_ACCOUNT = 'x-portkey-vertex-service-account-json'

const NAMES = FIXTURES.map(({ name }) => name)
const rowOf = (name: string): Credentials => fixtureOf(name).credentials
const serverOf = ({ name, server }: Pick<Combination, 'name' | 'server'>) => rowOf(name).servers[server] as Server

const unique = (names: readonly string[]) => [...new Set(names)]
/** Every upstream header that is a credential or an account at any provider: a request has only those of its own. */
const KNOWN = unique([...NAMES.flatMap(name => rowOf(name).known), 'x-dashscope-workspace'])

/** What a client may send to one provider, and to all of them. */
const sentTo = (name: string): Headers =>
  Object.assign({}, rowOf(name).accounts, ...rowOf(name).clients.map(({ headers }) => headers))
const SENT: Headers = Object.assign({}, ...NAMES.map(sentTo))

/** Headers that do not concern this provider, and are named to be forwarded: only the last of them may be. */
function noise (name: string, named: readonly string[]): Headers {
  const own = sentTo(name)
  const known = Object.fromEntries(KNOWN.map(header => [header, 'forward-s3cret']))
  const foreign = Object.entries({ ...known, ...SENT })
    .filter(([header]) => !Object.hasOwn(own, header) && header !== 'authorization')
  const portkey = Object.keys(SENT).filter(header => header.startsWith('x-portkey-'))
  const names = [
    'Cookie', 'proxy-authorization', 'host', 'content-length', 'traceparent', 'tracestate', 'x-portkey-custom-host',
    ...portkey, ...named, 'X-Team'
  ]
  return {
    ...Object.fromEntries(foreign),
    'x-portkey-forward-headers': names.join(', '),
    cookie: 'sid=client-s3cret-cookie',
    'proxy-authorization': 'Basic client-s3cret-proxy',
    traceparent: 'client-s3cret-trace',
    tracestate: 'client=s3cret-trace',
    'x-team': 'red'
  }
}

type Authorization = readonly [authorization: string | undefined, secret?: string]
const AUTHORIZATIONS: readonly Authorization[] = [
  [undefined],
  ['Bearer client-s3cret-1', 'client-s3cret-1'],
  ['bearer client-s3cret-2', 'client-s3cret-2'],
  ['client-s3cret-3', 'client-s3cret-3'],
  ['Bearer eyJhbGciOi.client-s3cret-4', 'eyJhbGciOi.client-s3cret-4'],
  ['Basic Y2xpZW50LXMzY3JldC01'],
  [''],
  ['Bearer']
]
const WITHOUT_AND_WITH = AUTHORIZATIONS.slice(0, 2)
const WITH = AUTHORIZATIONS.slice(1, 2)

const TRUSTED = ['llm.example.com', 'http://10.0.0.5:8000']

/** Custom hosts, with the origin that each may lead to, if any. */
type Host = readonly [url: string | undefined, origin?: string]
const NO_HOST: Host = [undefined]
const TRUSTED_HOST: Host = ['https://llm.example.com/v1', 'https://llm.example.com']
const OTHER_HOST: Host = ['https://evil.example/v1']
const HOSTS: readonly Host[] = [
  NO_HOST,
  [''],
  TRUSTED_HOST,
  ['http://10.0.0.5:8000/v1', 'http://10.0.0.5:8000'],
  OTHER_HOST,
  ['https://llm.example.com@evil.example/v1']
]

/** What the operator sets besides the server, with the origin that its base URL leads to. */
interface Operator {
  readonly origin?: string
  readonly options?: ProviderOptions
  readonly forwardHeaders?: readonly string[]
}
const NO_OPTIONS: Operator = {}

interface Choices {
  readonly authorizations?: readonly Authorization[]
  readonly hosts?: readonly Host[]
  readonly operators?: readonly Operator[]
  /** How a config spells its keys, if the client sends everything in one. */
  readonly spellings?: readonly Spelling[]
  /** Headers that should change nothing. */
  readonly extra?: (name: string) => Headers
}

interface Combination {
  readonly name: string
  readonly server: string
  readonly client: Client
  readonly authorization: Authorization
  readonly host: Host
  readonly operator: Operator
  readonly spelling?: Spelling | undefined
  readonly extra?: Headers | undefined
}

/** All combinations of each provider with these. */
function combine (choices: Choices): Combination[] {
  const {
    authorizations = AUTHORIZATIONS, hosts = HOSTS, operators = [NO_OPTIONS], spellings = [undefined], extra
  } = choices
  return NAMES.flatMap(name => {
    const { servers, clients } = rowOf(name)
    const others = { name, extra: extra?.(name) }
    return Object.keys(servers).flatMap(server => clients.flatMap(client =>
      authorizations.flatMap(authorization => hosts.flatMap(host => operators.flatMap(operator =>
        spellings.map(spelling => ({ ...others, server, client, authorization, host, operator, spelling })))))))
  })
}

type Outcome =
  | { readonly to: string, readonly wire: Wire }
  | { readonly error: string, readonly params: readonly string[] }

/** What is promised. */
function promised (combination: Combination): Outcome {
  const { name, server, client, authorization: [, secret], host: [url, trustedOrigin], operator } = combination
  const { origin } = operator
  const { own, served, accounts, authorized } = rowOf(name)
  const { isServer, wire: serverWire, decides, placed = client.place } = serverOf({ name, server })
  const refused = (...params: string[]): Outcome => ({ error: 'invalid_header', params })
  const isSent = (header: string) => client.headers[header] !== undefined && client.headers[header] !== ''
  const isCustom = url !== undefined && url !== ''
  // A credential of the server never goes to a custom host, and no header chooses another account for it.
  if (isCustom && (isServer || trustedOrigin === undefined)) return refused('x-portkey-custom-host')
  const accountsSent = Object.keys(accounts).filter(isSent)
  if (isServer && accountsSent.length > 0) return refused(...accountsSent)
  // What an option of the server decides, no client decides otherwise.
  const others = decides?.filter(isSent) ?? []
  if (others.length > 0) return { error: 'provider_mismatch', params: others }
  const lacking = isServer || decides !== undefined ? undefined : client.lacks?.(isCustom || origin !== undefined)
  if (lacking !== undefined) return refused(lacking)
  if (client.fault !== undefined) return refused(client.fault)
  const credential = isServer ? serverWire : client.wire ?? (secret === undefined ? undefined : authorized(secret))
  if (credential === undefined) return { error: 'missing_credentials', params: ['authorization'] }
  const to = origin ?? (isServer || decides !== undefined ? served : own)
  return { to: isCustom ? trustedOrigin as string : to, wire: { ...credential, ...!isServer && placed } }
}

type Spelling = (key: string) => string
const snake: Spelling = key => key
const camel: Spelling = key => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
/** Keys that a config may name without their provider. */
const short: Spelling = key => key.replace(/^azure_(resource_name|api_version)$/, '$1')

/** Everything that a config can hold is in one, and the headers have something else, which does not count. */
function asConfig (headers: Headers, spell: Spelling): Headers {
  const own = Object.entries(headers)
    .filter(([header]) => header === 'authorization' || header.startsWith('x-portkey-'))
  const config = own.map(([header, value]): [string, unknown] => {
    if (header === 'authorization') return ['api_key', value]
    const key = spell(header.replace('x-portkey-', '').replaceAll('-', '_'))
    return [key, header === SERVICE_ACCOUNT ? JSON.parse(value) : value]
  })
  return {
    ...headers,
    ...Object.fromEntries(own.map(([header]) => [header, 'Bearer decoy-s3cret'])),
    'x-portkey-config': JSON.stringify(Object.fromEntries(config))
  }
}

/** An app for each way in which a server may be set up, with every provider that can be set up so. */
function serve (t: Test, server: string, { options = {}, forwardHeaders }: Operator) {
  const names = NAMES.filter(name => Object.hasOwn(rowOf(name).servers, server))
  const providers = Object.fromEntries(names.map(name => [name, serverOf({ name, server }).make(options)]))
  const forward = forwardToProviders({ trustedHosts: TRUSTED, providers, ...forwardHeaders && { forwardHeaders } })
  // What is logged is in leaks.test.ts.
  return buildWithoutPauses(t, { forward }, { routerOptions: { maxParamLength: 512 }, logger: { level: 'silent' } })
}

/** What happens to a combination, and at which provider. */
function kindOf (combination: Combination): string {
  const outcome = promised(combination)
  return `${combination.name}, ${'error' in outcome ? outcome.error : 'sent'}`
}

/** Those in which each two choices meet. */
const withPairs = (combinations: readonly Combination[]) => selectRows(combinations, {
  strength: 2,
  valuesOf: ({ server, client, authorization, host }) => [server, client, authorization, host],
  kindOf
})

/** Those in which each choice meets every operator and every spelling: the pairs of the others are in one test. */
function withEach (combinations: readonly Combination[]): Combination[] {
  const variations = [...new Set(combinations.flatMap(({ operator, spelling }) => [operator, spelling]))]
  return selectRows(combinations, {
    strength: 1,
    valuesOf: ({ server, client, authorization, host }) => [server, client, authorization, host],
    kindOf: combination => [
      kindOf(combination), variations.indexOf(combination.operator), variations.indexOf(combination.spelling)
    ].join()
  })
}

/** Plays combinations, and reports those in which something else happened. */
async function play (t: Test, combinations: readonly Combination[]): Promise<void> {
  const internet = await catchProviders(t)
  const apps = new Map<Operator, Map<string, FastifyInstance>>()
  const broken: string[] = []
  for (const combination of combinations) {
    const { name, server, client, authorization: [authorization], host: [url], operator, extra, spelling } = combination
    const served = apps.get(operator) ?? new Map<string, FastifyInstance>()
    apps.set(operator, served)
    const app = served.get(server) ?? await serve(t, server, operator)
    served.set(server, app)
    const headers = {
      ...extra,
      'x-portkey-provider': name,
      ...client.headers,
      ...authorization !== undefined && { authorization },
      ...url !== undefined && { 'x-portkey-custom-host': url }
    }
    internet.contacts.length = internet.requests.length = 0
    internet.body = acceptedBody(name)
    const response = await cancel(app, {
      id: fixtureOf(name).ids.valid[0],
      // A client that retries by itself gets one attempt per call.
      headers: { 'x-stainless-retry-count': '0', ...spelling === undefined ? headers : asConfig(headers, spelling) }
    })
    const wrong = compare(combination, response, internet)
    if (wrong === undefined) continue
    const shown = JSON.stringify({ ...combination, extra: extra !== undefined })
    broken.push(`${name}, ${server}: ${wrong}; ${shown} ${response.statusCode} ${response.body.slice(0, 300)} ` +
      JSON.stringify(internet))
  }
  t.strictSame(broken.slice(0, 5), [], `${combinations.length} combinations, ${broken.length} broken`)
}

/** The encoded ones are of Basic, and of the middle of the private key. */
const SECRETS =
  new RegExp(`s3cret|Y2xpZW50LXMzY3JldC01|PRIVATE KEY|${PEM.split('\n')[9]?.replace(/[^0-9A-Za-z]/g, '.')}`)

/** Sent with a signature, and not secret. */
const DERIVED = ['x-amz-date', 'x-amz-content-sha256']

type Response = Pick<LightMyRequestResponse, 'statusCode' | 'body' | 'json'>

function compare (combination: Combination, response: Response, { contacts, requests }: Internet): string | undefined {
  const outcome = promised(combination)
  if (SECRETS.test(response.body)) return 'should not show a secret'
  if ('error' in outcome) {
    const { code, param } = response.json<{ error?: { code: string, param: string } }>().error ?? {}
    const isExpected = code === outcome.error && outcome.params.includes(String(param))
    if (!isExpected) return `should be ${outcome.error} of ${outcome.params.join(' or ')}`
    return contacts.length + requests.length === 0 ? undefined : 'should send nothing'
  }
  const { to, wire } = outcome
  if (response.statusCode !== 200 || contacts.join() !== to || requests.length !== 1) return `should reach ${to} once`
  return compareRequest(combination, requests[0] as Recorded, to, wire)
}

function compareRequest (
  combination: Combination,
  { path, headers, body }: Recorded,
  to: string,
  wire: Wire
): string | undefined {
  if (headers.host !== new URL(to).host) return 'should name the host'
  const carried: Record<string, unknown> = { ...headers, ':path': path }
  for (const [name, value] of Object.entries(wire)) {
    const sent = carried[name]
    const isExpected = value instanceof RegExp ? value.test(String(sent)) : sent === value
    if (!isExpected) return `should send ${name}: ${String(value)}`
    delete carried[name]
  }
  const others = KNOWN.filter(name => carried[name] !== undefined && !DERIVED.includes(name))
  if (others.length > 0) return `should not send ${others.join(', ')}`
  if (SECRETS.test(JSON.stringify([carried, body]))) return 'should send no other secret'
  const { isServer } = serverOf(combination)
  const isForwarded = !isServer || combination.operator.forwardHeaders?.includes('X-Team') === true
  const team = isForwarded ? combination.extra?.['x-team'] : undefined
  return headers['x-team'] === team ? undefined : 'should forward what may be forwarded'
}

t.test('every header that chooses an account has a value in its fixture', async t => {
  const providers = Object.entries(builtIn).filter((entry): entry is [string, Provider] => !isUnsupported(entry[1]))
  t.strictSame(providers.map(([name]) => name).sort(), NAMES.toSorted())
  for (const [name, { accountHeaders = [] }] of providers) {
    t.strictSame(accountHeaders.toSorted(), Object.keys(rowOf(name).accounts).sort(), name)
  }
})

t.test('every server with all headers, each with every Authorization and every host', async t => {
  const otherHosts = HOSTS.filter(host => host !== NO_HOST)
  await play(t, withPairs([
    ...combine({ hosts: [NO_HOST] }),
    ...combine({ authorizations: WITHOUT_AND_WITH, hosts: otherHosts })
  ]))
})

t.test('headers of other providers, and those to be forwarded, change nothing', async t => {
  const extra = (name: string) => noise(name, rowOf(name).known)
  await play(t, withEach(combine({ authorizations: WITHOUT_AND_WITH, hosts: HOSTS.slice(0, 3), extra })))
})

t.test('what is a credential at any provider is never forwarded', async t => {
  const named = [...KNOWN, ...Object.keys(SENT)]
  const extra = (name: string) => noise(name, named)
  await play(t, withEach(combine({ authorizations: WITH, hosts: [NO_HOST], extra })))
})

t.test('the operator says which headers may be forwarded', async t => {
  const extra = (name: string) => noise(name, rowOf(name).known)
  const operators = [{ forwardHeaders: ['X-Team'] }]
  await play(t, withEach(combine({ authorizations: WITHOUT_AND_WITH, hosts: [NO_HOST], operators, extra })))
})

t.test('the base URL of the operator', async t => {
  const origin = 'https://operator.example:8443'
  const baseUrls: readonly Resolvable[] = [`${origin}/base`, () => `${origin}/base/`, async () => origin]
  const operators = baseUrls.map(baseUrl => ({ origin, options: { baseUrl } }))
  await play(t, withEach([
    ...combine({ authorizations: WITHOUT_AND_WITH, operators: operators.slice(0, 1) }),
    ...combine({ authorizations: WITH, hosts: [NO_HOST, TRUSTED_HOST], operators: operators.slice(1) })
  ]))
})

t.test('a config is what the headers would be', async t => {
  const hosts = [TRUSTED_HOST, OTHER_HOST]
  await play(t, withEach([
    ...combine({ hosts: [NO_HOST], spellings: [snake] }),
    ...combine({ authorizations: WITHOUT_AND_WITH, hosts, spellings: [snake, camel, short] })
  ]))
})

t.test('beside a server credential each header that chooses an account is refused', async t => {
  await play(t, NAMES.flatMap(name => {
    const { servers, accounts } = rowOf(name)
    const withCredential = Object.entries(servers).filter(([, { isServer }]) => isServer)
    return withCredential.flatMap(([server]) => Object.entries(accounts).map(([header, value]) => ({
      name,
      server,
      client: { headers: { [header]: value } },
      authorization: WITH[0] as Authorization,
      host: NO_HOST,
      operator: NO_OPTIONS
    })))
  }))
})

t.test('no client makes the server use an identity of its own', async t => {
  const combinations = NAMES.flatMap(name => {
    const { servers, modes } = rowOf(name)
    const clients = modes.map(fault => ({ headers: { [fault]: 'managed' }, fault }))
    return Object.keys(servers).flatMap(server => clients.flatMap(client => AUTHORIZATIONS.map(authorization =>
      ({ name, server, client, authorization, host: NO_HOST, operator: NO_OPTIONS }))))
  })
  t.ok(combinations.length > 0)
  await play(t, withPairs(combinations))
})
