import t from 'tap'
import { builtIn, forwardToProviders, providerFactories, type Provider } from '../../lib/index.js'
import { isUnsupported } from '../../lib/providers/provider.js'
import { FIXTURES } from '../fixtures/index.js'
import { BEARER, make } from '../fixtures/fixture.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { conform } from '../support/conformance.js'
import { startUpstream } from '../support/upstream.js'

t.test('every registered provider has a fixture, a grammar of ids and a source', async t => {
  const supported = Object.entries(builtIn).filter((entry): entry is [string, Provider] => !isUnsupported(entry[1]))
  const names = supported.map(([name]) => name).sort()
  t.strictSame(FIXTURES.map(({ name }) => name).sort(), names)
  t.strictSame(Object.keys(providerFactories).sort(), names)
  for (const [name, { id, idDescription, source, ...provider }] of supported) {
    t.equal(provider.name, name)
    t.ok(id instanceof RegExp && id.source.startsWith('^') && id.source.endsWith('$'), `${name} has a grammar of ids`)
    t.match(idDescription, /./, `${name} says what an id looks like`)
    t.ok((source?.package ?? source?.document) !== undefined, `${name} has a source`)
    t.equal(source?.package === undefined, source?.version === undefined, `${name}: a package has a version`)
  }
})

for (const fixture of FIXTURES) {
  t.test(fixture.name, async t => {
    for (const scenario of fixture.scenarios) await t.test(scenario.what, t => conform(t, fixture, scenario))
  })
}

t.test('ids', async t => {
  for (const { name, ids: { valid, shown, invalid }, ...fixture } of FIXTURES) {
    const provider = make(fixture)
    for (const id of [...valid, ...shown]) t.ok(provider.id?.test(id), `${name}: ${id}`)
    for (const id of invalid) t.notOk(provider.id?.test(id), `${name}: ${id}`)
  }
})

/** All providers, with a server that stands for each. */
const providersAt = (baseUrl: string) =>
  Object.fromEntries(FIXTURES.map(fixture => [fixture.name, make(fixture, { baseUrl })]))

t.test('nothing is sent for an id that is not valid', async t => {
  const upstream = await startUpstream(t)
  const app = await buildWithoutPauses(
    t,
    { forward: forwardToProviders({ providers: providersAt(upstream.url) }) },
    { routerOptions: { maxParamLength: 2048 } }
  )
  for (const { name, ids, hosts, scenarios: [{ headers }] } of FIXTURES) {
    for (const id of ids.invalid) {
      const response = await cancel(app, { id, headers: { 'x-portkey-provider': name, ...headers, ...hosts.headers } })
      t.equal(response.statusCode, 400, `${name}: ${id}`)
      t.match(response.json(), { error: { code: 'invalid_batch_id', param: 'id' } }, `${name}: ${id}`)
    }
  }
  t.strictSame(upstream.requests, [])
})

t.test('a response that shows another batch is not believed', async t => {
  let body: object = {}
  const upstream = await startUpstream(t, ({ method }) =>
    method === 'GET' ? { body } : { status: 422, body: { error: 'No.' } })
  const app = await buildWithoutPauses(
    t,
    { forward: forwardToProviders({ providers: providersAt(upstream.url) }) },
    { routerOptions: { maxParamLength: 512 } }
  )
  for (const { name, ids, responses, hosts } of FIXTURES) {
    for (const id of ids.valid) {
      // A full name has the account in it.
      const account = /^(?:arn|projects)/.test(id) ? {} : hosts.headers
      const answer = async (shown: string) => {
        body = responses.body('cancelled', shown)
        return (await cancel(app, { id, headers: { ...BEARER, ...account, 'x-portkey-provider': name } })).json()
      }
      const cancelled = { error: { code: 'batch_not_cancellable' }, batch: { status: 'cancelled' } }
      for (const shown of ids.shown) t.match(await answer(shown), cancelled, `${name}: ${shown} for ${id}`)
      const refused = { error: { message: 'No.' }, batch: undefined }
      for (const shown of ids.others) t.match(await answer(shown), refused, `${name}: ${shown} for ${id}`)
    }
  }
})
