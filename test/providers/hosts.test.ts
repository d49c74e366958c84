import { checkUrl } from '../../lib/providers/hosts.js'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { forwardToProviders, type ProviderOptions } from '../../lib/index.js'
import { vertex } from '../../lib/providers/vertex.js'
import { make, type Fixture, type Headers } from '../fixtures/fixture.js'
import { FIXTURES, fixtureOf } from '../fixtures/index.js'
import { keyFile, PEM } from '../fixtures/vertex.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { runs } from '../support/exhaustive.js'
import { hostileParts, hostileUrls } from '../support/hostile.js'
import { catchAll } from '../support/internet.js'
import { thrown } from '../support/provider.js'

/* Which host a call may reach, over every way to name one. The expectations follow the promise, not the code. */

/** No host has the batch; a request for a token gets one. */
const catchCalls = (t: Test) => catchAll(t, ({ path }) => path === '/token'
  ? { body: { access_token: 'exchanged', expires_in: 3600 } }
  : { status: 404, body: {} })

/** The entries of the operator, and the origins that they stand for. */
const TRUSTED = [
  'llm.example.com', 'llm.example.com:8443', 'https://other.example.com', 'http://10.0.0.5:8000', 'http://[::1]:8000'
]
const TRUSTED_ORIGINS = [
  'https://llm.example.com', 'https://llm.example.com:8443', 'https://other.example.com', 'http://10.0.0.5:8000',
  'http://[::1]:8000'
]

/** Custom hosts, with the origin that each may lead to, if any. */
const HOSTS: ReadonlyArray<readonly [url: string, origin?: string]> = [
  ['https://llm.example.com/v1', 'https://llm.example.com'],
  ['http://10.0.0.5:8000/v1', 'http://10.0.0.5:8000'],
  // The same origin, written otherwise.
  ['https://LLM.Example.COM/v1', 'https://llm.example.com'],
  ['HTTPS://llm.example.com', 'https://llm.example.com'],
  ['https://llm.example.com:443/v1/', 'https://llm.example.com'],
  ['https://llm.example.com:8443/v1', 'https://llm.example.com:8443'],
  ['https:llm.example.com/v1', 'https://llm.example.com'],
  ['https://llm%2eexample.com/v1', 'https://llm.example.com'],
  ['https://other.example.com/v1/../../deep', 'https://other.example.com'],
  ['http://167772165:8000/v1', 'http://10.0.0.5:8000'],
  ['http://0xa.5:8000/v1', 'http://10.0.0.5:8000'],
  ['http://[::1]:8000/v1', 'http://[::1]:8000'],
  ['http://[0:0:0:0:0:0:0:1]:8000', 'http://[::1]:8000'],
  // Another origin, or no base.
  ['https://evil.example/v1'],
  ['https://llm.example.com@evil.example/v1'],
  ['http://llm.example.com/v1'],
  ['https://10.0.0.5:8000/v1'],
  ['http://10.0.0.5/v1'],
  ['https://llm.example.com:9/v1'],
  ['https://llm.example.com./v1'],
  ['https://llm.example.com.evil.example/v1'],
  ['https://evil.example/llm.example.com'],
  ['https://evilllm.example.com/v1'],
  ['https://sub.llm.example.com/v1'],
  ['https://user@llm.example.com/v1'],
  ['https://user:secret@llm.example.com/v1'],
  ['https://@llm.example.com/v1'],
  ['https://llm.example.com/v1@x'],
  ['https://llm.example.com/v1?x=1'],
  ['https://llm.example.com/v1?'],
  ['https://llm.example.com/v1#x'],
  ['https://llm.example.com#@evil.example'],
  ['https://evil.example\\@llm.example.com/v1'],
  ['https:\\\\llm.example.com\\v1'],
  ['ftp://llm.example.com/v1'],
  ['ws://llm.example.com/v1'],
  ['file:///etc/passwd'],
  ['javascript:alert(1)'],
  ['llm.example.com/v1'],
  ['llm.example.com:443'],
  ['//llm.example.com/v1'],
  ['https://'],
  ['http://[::1]/v1'],
  ['https://[::1]:8000/v1'],
  ['http://[::ffff:10.0.0.5]:8000/v1'],
  ['http://2130706433/v1'],
  ['http://0x7f000001/v1'],
  ['http://127.1/v1'],
  ['http://localhost/v1'],
  ['http://169.254.169.254/latest/meta-data'],
  ['https://llm.example.com:99999/v1'],
  ['https://llm.example.com:8443:9/v1'],
  ['https://llm.example.com, https://evil.example'],
  ['https://evil.example https://llm.example.com']
]

/** With the real source of access tokens, since these tests stand in for the whole internet. */
const makeProvider = ({ name, factory }: Fixture, options: object) =>
  make({ factory: name === 'vertex-ai' ? vertex : factory }, options)

const LONG_IDS = { routerOptions: { maxParamLength: 512 } }

/** Serves providers, each with options of its own. */
function serveEach (t: Test, optionsOf: (fixture: Fixture) => ProviderOptions, trustedHosts = TRUSTED) {
  const entries = FIXTURES.map(fixture => [fixture.name, makeProvider(fixture, optionsOf(fixture))])
  const providers = Object.fromEntries(entries)
  return buildWithoutPauses(t, { forward: forwardToProviders({ trustedHosts, providers }) }, LONG_IDS)
}

/** Without a credential of the server, and with one. */
const serveClients = (t: Test) => serveEach(t, () => ({}))
const serveWithKey = (t: Test) => serveEach(t, ({ hosts }) => ({ ...hosts.serverOptions, apiKey: 'server-key' }))

const serveOne = (t: Test, fixture: Fixture, options: object) => buildWithoutPauses(
  t,
  { forward: forwardToProviders({ providers: { [fixture.name]: makeProvider(fixture, options) } }) },
  LONG_IDS
)

interface CallParts {
  readonly id?: string
  /** Headers that make the call complete. */
  readonly account?: Headers
}

/** A complete call to a provider, with these headers besides. */
function call (app: FastifyInstance, { name, ids, hosts }: Fixture, headers: Headers, parts: CallParts = {}) {
  const { id = ids.valid[0], account = hosts.headers } = parts
  return cancel(app, {
    id,
    headers: { 'x-portkey-provider': name, authorization: 'Bearer client-key', ...account, ...headers }
  })
}

const CUSTOM_HOST = 'x-portkey-custom-host'

t.test('every way to write a host, at every provider', async t => {
  const internet = await catchCalls(t)
  const app = await serveClients(t)
  for (const fixture of FIXTURES) {
    const wrong: string[] = []
    for (const [url, origin] of HOSTS) {
      internet.contacts.length = 0
      const response = await call(app, fixture, { [CUSTOM_HOST]: url })
      const reached = internet.contacts.join()
      const isRight = origin === undefined
        ? reached === '' && response.json().error.param === CUSTOM_HOST
        : reached === origin && response.statusCode === 404
      if (!isRight) wrong.push(`${url}: ${reached} ${response.body}`)
    }
    t.strictSame(wrong, [], `${fixture.name}: ${HOSTS.length} hosts`)
  }
})

t.test('no custom host beside a server credential, nor without trusted hosts', async t => {
  const internet = await catchCalls(t)
  const withKey = await serveWithKey(t)
  const withoutHosts = await serveEach(t, () => ({}), [])
  for (const fixture of FIXTURES) {
    const answers = await Promise.all(HOSTS.flatMap(([url]) => [
      call(withKey, fixture, { [CUSTOM_HOST]: url }, { account: {} }),
      call(withoutHosts, fixture, { [CUSTOM_HOST]: url })
    ]))
    const params = answers.map(answer => answer.json().error.param)
    t.strictSame(params.filter(param => param !== CUSTOM_HOST), [], fixture.name)
  }
  t.strictSame(internet.contacts, [])
})

/** Text of a config, so that a value may have any character. */
const asConfig = (config: Headers) => ({
  'x-portkey-config': JSON.stringify(config)
    .replace(/[^\x20-\x7e]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
})

t.test('no string leads to a host that is not trusted', async t => {
  const internet = await catchCalls(t)
  const [clients, withKey] = [await serveClients(t), await serveWithKey(t)]
  const names = fc.constantFrom('openai', 'azure-openai', 'bedrock', 'vertex-ai', 'x-ai')
  let reached = 0
  await fc.assert(fc.asyncProperty(hostileUrls(), names, fc.boolean(), async (url, name, byServer) => {
    fc.pre(url !== '')
    internet.contacts.length = 0
    const fixture = fixtureOf(name)
    const response = byServer
      ? await call(withKey, fixture, asConfig({ custom_host: url }), { account: {} })
      : await call(clients, fixture, asConfig({ custom_host: url }))
    if (internet.contacts.length === 0) return response.json().error.param === CUSTOM_HOST
    reached++
    const [contact = ''] = internet.contacts
    const isOne = !byServer && internet.contacts.length === 1
    return isOne && TRUSTED_ORIGINS.includes(contact) && contact === new URL(url).origin
  }), { ...runs({ usual: 300, exhaustive: 3000 }), examples: [['https://llm.example.com', 'openai', false]] })
  t.ok(reached > 0, `${reached} of the strings lead to a trusted host`)
})

/** Those headers that are credentials. */
const keysOf = (headers: Headers) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.includes('access-key')))

t.test('no part of a host leads away from the provider', async t => {
  const internet = await catchCalls(t)
  const app = await serveClients(t)
  for (const fixture of FIXTURES) {
    for (const { header, hosts, forms } of fixture.hosts.parts) {
      let reached = 0
      await fc.assert(fc.asyncProperty(fc.constantFrom(...forms), hostileParts(), async (form, filled) => {
        const value = form.replace('*', () => filled)
        fc.pre(value !== '' && value.length < 512 && !/\p{Surrogate}/u.test(value))
        internet.contacts.length = internet.requests.length = 0
        const { [header]: _, ...needed } = fixture.hosts.headers
        // A full id names the region.
        const account = header === 'id' && /^(?:arn|proj)/.test(value) ? keysOf(needed) : needed
        const key = header.replace('x-portkey-', '').replaceAll('-', '_')
        const response = header === 'id'
          ? await call(app, fixture, {}, { id: value, account })
          : await call(app, fixture, asConfig({ [key]: value }), { account })
        if (internet.contacts.length === 0) {
          return response.statusCode === 400 && response.json().error.param === header
        }
        reached++
        const [contact = ''] = internet.contacts
        const isOwn = internet.contacts.length === 1 && hosts.test(contact)
        return isOwn && internet.requests.every(({ path }) => !/\.\.|%2f\.|[\\#]/i.test(path))
      }), { ...runs({ usual: 60, exhaustive: 500 }), examples: forms.map(form => [form, '']) })
      t.ok(reached > 0, `${fixture.name}, ${header}: ${reached} lead to a host of the provider`)
    }
  }
})

t.test('no id leads a credential of the server to another account', async t => {
  const internet = await catchCalls(t)
  const app = await serveWithKey(t)
  for (const fixture of FIXTURES) {
    for (const [id, code] of fixture.hosts.foreignIds) {
      const response = await call(app, fixture, {}, { id, account: {} })
      t.match(response.json(), { error: { code, param: 'id' } }, id)
    }
  }
  t.strictSame(internet.contacts, [])
})

t.test('a service account goes to Google\'s token endpoint as a signature, wherever its file points', async t => {
  const internet = await catchCalls(t)
  const fixture = fixtureOf('vertex-ai')
  const header = { 'x-portkey-vertex-service-account-json': JSON.stringify(keyFile('client')) }
  const cases: ReadonlyArray<readonly [what: string, options: object, headers: Headers]> = [
    ['of the client', {}, { ...fixture.hosts.headers, ...header }],
    ['of the server', { ...fixture.hosts.serverOptions, serviceAccount: keyFile('server') }, {}]
  ]
  for (const [what, options, headers] of cases) {
    internet.contacts.length = internet.requests.length = 0
    const app = await serveOne(t, fixture, options)
    t.equal((await call(app, fixture, headers, { id: '1234', account: {} })).statusCode, 404, what)
    t.strictSame(internet.contacts, ['https://oauth2.googleapis.com', 'https://europe-west4-aiplatform.googleapis.com'])
    t.match(internet.requests, [
      { path: '/token', body: /assertion=eyJ[\w.-]+$/ },
      { headers: { authorization: 'Bearer exchanged' } }
    ])
    // The middle of the key, however it is written.
    const middle = PEM.split('\n')[9]?.replace(/[^0-9A-Za-z]/g, '.+')
    t.notMatch(JSON.stringify(internet.requests), new RegExp(`PRIVATE KEY|client-key|${middle}`))
  }
})

t.test('a client may repeat what the server chose, and not choose otherwise', async t => {
  const internet = await catchCalls(t)
  for (const fixture of FIXTURES) {
    for (const { options, header, origin, same, others } of fixture.hosts.pins) {
      const what = `${fixture.name}, ${header}`
      const app = await serveOne(t, fixture, options)
      const account = keysOf(fixture.hosts.headers)
      internet.contacts.length = 0
      for (const value of ['', ...same]) {
        t.equal((await call(app, fixture, { [header]: value }, { account })).statusCode, 404, `${what}: ${value}`)
      }
      t.strictSame(new Set(internet.contacts), new Set([origin]), what)
      internet.contacts.length = 0
      const message = `Header '${header}' conflicts with the value that the server configured for this provider.`
      for (const value of others) {
        const response = await call(app, fixture, { [header]: value }, { account })
        t.match(response.json(), { error: { code: 'provider_mismatch', param: header, message } }, `${what}: ${value}`)
      }
      t.strictSame(internet.contacts, [])
    }
  }
})

t.test('a place that the server leaves open beside its credential is named by the id', async t => {
  const internet = await catchCalls(t)
  for (const fixture of FIXTURES) {
    for (const { options, full, bare, origin, header, value, says } of fixture.hosts.openPlaces) {
      const app = await serveOne(t, fixture, options)
      internet.contacts.length = 0
      t.equal((await call(app, fixture, {}, { id: full, account: {} })).statusCode, 404, full)
      t.strictSame(internet.contacts, [origin])
      internet.contacts.length = 0
      const response = await call(app, fixture, {}, { id: bare, account: {} })
      t.match(response.json(), { error: { code: 'invalid_batch_id', param: 'id', message: says } }, bare)
      for (const id of [bare, full]) {
        const refused = await call(app, fixture, { [header]: value }, { id, account: {} })
        const error = { code: 'invalid_header', param: header, message: /the server configured/ }
        t.match(refused.json(), { error }, 'no header may name it')
      }
      t.strictSame(internet.contacts, [])
    }
  }
})

t.test('a URL that leads elsewhere than its base is never requested', async t => {
  const base = { origin: 'https://api.example.com', path: '/v1' }
  t.doesNotThrow(() => checkUrl(base, '/v1/batches/batch_1?version=1'))
  for (const path of ['@evil.example/x', '.evil.example/x', ':99999999/x', '/v1/../admin', '/v1/a b', '/v1/#x']) {
    t.throws(() => checkUrl(base, path), { code: 'internal_error' }, path)
  }
})

t.test('a path passes if and only if a parser of URLs leaves it as it is', async t => {
  const origin = 'https://api.example.com'
  const parsers = (path: string): boolean => {
    const url = URL.canParse(origin + path) ? new URL(origin + path) : undefined
    return url?.origin === origin && url.pathname + url.search === path
  }
  const passes = (path: string) => thrown(() => checkUrl({ origin, path: '' }, path)) === undefined
  const piece = fc.oneof(
    fc.constantFrom(
      '/', '.', '..', '/.', '/..', '/./', '/../', '%2e', '/%2E', '/.%2e', '//', '?', '#', '@', ':', '\\', ' ', '\t', '\n',
      '%', '%2f', '%zz', '|', '^', '[', ']', '"', '<', '`', '{', '\'', 'é', '\u{1f600}', '\ud800', 'a', 'v1', '/v1/x'
    ),
    fc.string({ maxLength: 3 }),
    fc.webPath()
  )
  fc.assert(fc.property(fc.array(piece, { maxLength: 6 }), pieces => {
    const path = pieces.join('')
    return passes(path) === parsers(path) && passes(`/${path}`) === parsers(`/${path}`)
  }), runs({ usual: 2000, exhaustive: 20_000 }))
  t.ok(passes('/v1beta/batches/a:cancel?api-version=2024-10-21&x=/y'))
})
