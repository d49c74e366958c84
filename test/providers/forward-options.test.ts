import { EventEmitter } from 'node:events'
import t, { type Test } from 'tap'
import { Agent, type Dispatcher } from 'undici'
import { builtIn, forwardToProviders, openai } from '../../lib/index.js'
import { BEARER } from '../fixtures/fixture.js'
import { BATCH, buildWithoutPauses, cancel } from '../support/app.js'
import { catchAll } from '../support/internet.js'
import { startUpstream } from '../support/upstream.js'

/** Returns a function that expects options to be refused. */
const refusing = (t: Test) => (options: unknown, message: string | RegExp) => t.throws(
  () => forwardToProviders(options as never),
  { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: message as string },
  `${JSON.stringify(options)} ${message}`
)

t.test('providers', async t => {
  const refuse = refusing(t)
  const object = 'forwardToProviders({ providers }) must be an object of providers by name, with at least one.'
  for (const providers of [[], {}, null, 'openai', new Map([['openai', openai()]])]) refuse({ providers }, object)
  const name = 'forwardToProviders({ providers })'
  refuse({ providers: { openai } }, `${name}['openai'] is a factory: call it, as in openai().`)
  for (const provider of ['openai', {}, null, undefined, { cancel: () => {} }]) {
    refuse({ providers: { openai: provider } }, `${name}['openai'] must be a provider, such as openai() returns.`)
  }
  refuse({ providers: { '': openai() } }, `${name}[''] must have a name of 1 to 128 visible ASCII characters.`)
  refuse({ providers: { 'a b': openai() } }, /must have a name of 1 to 128 visible ASCII characters/)
  refuse({ provider: {} }, /^Unknown option 'provider' in forwardToProviders\(\)\. Did you mean 'providers'\?/)
  refuse('openai', /^forwardToProviders\(\) expects an object with these options: providers, trustedHosts/)
})

t.test('what decides about hosts or credentials must have a value', async t => {
  const refuse = refusing(t)
  for (const name of ['providers', 'trustedHosts', 'forwardHeaders', 'clientCredentials', 'dispatcher']) {
    refuse({ [name]: undefined }, new RegExp(`^forwardToProviders\\(\\{ ${name} \\}\\) is present but undefined`))
  }
})

t.test('trusted hosts', async t => {
  const refuse = refusing(t)
  refuse({ trustedHosts: 'llm.example.com' }, 'forwardToProviders({ trustedHosts }) must be an array.')
  const entries = [
    '*', '*.example.com', 'https://*.example.com', 'ftp://llm.example.com', 'llm.example.com/v1', '', 'a b', 5, null,
    undefined, /example\.com$/
  ]
  for (const entry of entries) {
    const shown = `forwardToProviders({ trustedHosts }) has an invalid entry '${String(entry)}': expected a host`
    refuse({ trustedHosts: ['llm.example.com', entry] }, new RegExp(`^${shown.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`))
  }
  for (const [entry, shown] of [['https://u@x', 'https://\\*{3}@x'], ['x?y', 'x\\?\\*{3}']]) {
    refuse({ trustedHosts: [entry] }, new RegExp(`^forwardToProviders\\(.* has an invalid entry '${shown}': `))
  }
  t.doesNotThrow(() => forwardToProviders({ trustedHosts: ['x', 'x:1', 'http://[::1]:8000', 'https://x/'] }))
})

t.test('headers to forward', async t => {
  const refuse = refusing(t)
  refuse({ forwardHeaders: 'x-tenant' }, 'forwardToProviders({ forwardHeaders }) must be an array.')
  const names = [
    '*', '', 'a b', 'x-tenant,x-team', 5, 'Authorization', 'cookie', 'Host', 'Content-Type', 'Connection', 'x-api-key',
    'X-Forwarded-For', 'forwarded', 'via', 'x-real-ip', 'x-original-url', 'x-rewrite-url', 'x-acme-access-token',
    'x-portkey-provider', 'x-amz-date', 'openai-organization', 'te', 'proxy-authorization', 'x-http-method-override'
  ]
  for (const name of names) {
    refuse({ forwardHeaders: [name] }, /^forwardToProviders\(\{ forwardHeaders \}\) has an invalid entry '/)
  }
  t.doesNotThrow(() => forwardToProviders({ forwardHeaders: ['X-Tenant', 'x-team'] }))
})

t.test('which headers are forwarded', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const { url: baseUrl } = upstream
  const never = {
    'x-forwarded-for': '1',
    forwarded: '1',
    via: '1',
    'x-real-ip': '1',
    'x-original-url': '/1',
    'x-rewrite-url': '/1',
    'x-acme-access-token': '1',
    'x-api-key': '1',
    cookie: '1',
    'keep-alive': '1',
    'x-hop': '1',
    'content-language': '1'
  }
  const safe = { 'x-tenant': 'red', 'x-team': 'blue' }
  const headers = {
    ...BEARER,
    ...never,
    ...safe,
    connection: 'X-Hop , close',
    'x-portkey-forward-headers': [...Object.keys({ ...never, ...safe }), 'X-Absent', 'connection'].join(', ')
  }
  const forwarded = async (options: object, apiKey?: string) => {
    const provider = openai({ baseUrl, ...apiKey !== undefined && { apiKey } })
    const forward = forwardToProviders({ providers: { openai: provider }, ...options })
    const app = await buildWithoutPauses(t, { defaultProvider: 'openai', forward })
    t.equal((await cancel(app, { headers })).statusCode, 200)
    const sent = upstream.requests.pop()?.headers ?? {}
    return Object.keys(sent).filter(name => Object.hasOwn({ ...never, ...safe }, name)).sort()
  }
  t.strictSame(await forwarded({}), ['x-team', 'x-tenant'], 'whatever is safe, beside the client\'s credential')
  t.strictSame(await forwarded({}, 'server-key'), [], 'none beside a credential of the server')
  t.strictSame(await forwarded({ forwardHeaders: ['X-Tenant'] }), ['x-tenant'])
  t.strictSame(await forwarded({ forwardHeaders: ['X-Tenant'] }, 'server-key'), ['x-tenant'])
  t.strictSame(await forwarded({ forwardHeaders: [] }), [])
})

t.test('without clientCredentials no credential of a client is passed on', async t => {
  const refuse = refusing(t)
  refuse({ clientCredentials: 'no' }, 'forwardToProviders({ clientCredentials }) must be a boolean.')
  const internet = await catchAll(t, () => ({ body: BATCH }))
  const providers = { ...builtIn, openai: openai({ apiKey: 'server-key' }) }
  const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers, clientCredentials: false }) })
  const call = (provider: string, headers = {}) =>
    cancel(app, { headers: { authorization: 'Bearer app-token', 'x-portkey-provider': provider, ...headers } })
  t.equal((await call('openai')).statusCode, 200)
  t.match(internet.requests, [{ headers: { authorization: 'Bearer server-key' } }])
  const refused = await call('groq')
  t.equal(refused.statusCode, 401)
  t.match(refused.json(), {
    error: {
      code: 'missing_credentials',
      message: 'The server has no credential for \'groq\', and does not pass on the client\'s.'
    }
  })
  const azure = await call('azure-openai', { 'x-portkey-azure-resource-name': 'attackers-own', 'api-key': 'k' })
  t.equal(azure.statusCode, 401)
  t.strictSame(internet.contacts, ['https://api.openai.com'])
})

t.test('a dispatcher of the operator sends the requests', async t => {
  const refuse = refusing(t)
  refuse({ dispatcher: {} }, 'forwardToProviders({ dispatcher }) must be a Dispatcher of undici.')
  refuse({ dispatcher: new EventEmitter() }, 'forwardToProviders({ dispatcher }) must be a Dispatcher of undici.')
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const agent = new Agent()
  t.teardown(() => agent.close())
  const origins: unknown[] = []
  const dispatcher = agent.compose(dispatch => (options, handler) => {
    origins.push(options.origin)
    return dispatch({ ...options, origin: upstream.url }, handler)
  }) as Dispatcher
  const forward = forwardToProviders({ dispatcher })
  const app = await buildWithoutPauses(t, { defaultProvider: 'openai', forward })
  t.equal((await cancel(app, { headers: BEARER })).statusCode, 200)
  t.strictSame(origins, ['https://api.openai.com'])
  t.equal(upstream.requests.length, 1)
})
