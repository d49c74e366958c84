import fc from 'fast-check'
import t from 'tap'
import {
  azureOpenAI, bedrock, digitalocean, forwardToProviders, openai, watsonx, type BatchCall, type BatchForwarder
} from '../../lib/index.js'
import { originTest } from '../../lib/providers/hosts.js'
import { BEARER, make, type Headers } from '../fixtures/fixture.js'
import { FIXTURES } from '../fixtures/index.js'
import { BATCH, buildWithoutPauses, cancel } from '../support/app.js'
import { runs } from '../support/exhaustive.js'
import { hostileParts } from '../support/hostile.js'
import { catchAll } from '../support/internet.js'

/* The forwarder checks every call itself: a wrapper, the canceller or a test may call it without the route. */

const call = (provider: string, batchId: string, headers: Headers): BatchCall =>
  ({ provider, batchId, headers, request: undefined, signal: new AbortController().signal })

/** What came of a call that was made directly. */
async function outcomeOf (run: Promise<unknown>): Promise<string> {
  try {
    await run
    return 'sent'
  } catch (error) {
    return String((error as { code?: string }).code)
  }
}

t.test('what slips past a check elsewhere is refused here', async t => {
  const internet = await catchAll(t, () => ({ status: 404, body: {} }))
  const forward = forwardToProviders({
    providers: {
      digitalocean: digitalocean({ apiKey: 'server-key' }),
      'azure-openai': azureOpenAI({ apiKey: 'server-key', resourceName: 'res-1' }),
      bedrock: bedrock(),
      watsonx: watsonx(),
      openai: openai(),
      'fireworks-ai': { unsupported: 'it cannot.' }
    }
  })
  const uuid = '0e9d1d35-3d1e-4d66-9a2f-8c7e0f6b3e21'
  const project = { 'x-portkey-watsonx-project-id': 'p' }
  const rows: ReadonlyArray<readonly [provider: string, id: string, headers: Headers, code: string, param: string]> = [
    ['digitalocean', 'x/../../../v2/account', {}, 'invalid_batch_id', 'id'],
    ['digitalocean', `${uuid}/../x`, {}, 'invalid_batch_id', 'id'],
    ['azure-openai', 'batch_1', { 'x-portkey-azure-api-version': '2024-10-21&api-key=x&foo=bar' }, 'invalid_header',
      'x-portkey-azure-api-version'],
    ['bedrock', 'abcdefghij12', { ...BEARER, 'x-portkey-aws-region': 'attacker@evil.us-east-1' }, 'invalid_header',
      'x-portkey-aws-region'],
    ['watsonx', 'batch_1', { ...BEARER, ...project, 'x-portkey-watsonx-region': 'evil.ml.cloud.ibm.com/' },
      'invalid_header', 'x-portkey-watsonx-region'],
    ['openai', '../fine_tuning/jobs/ftjob-1', BEARER, 'invalid_batch_id', 'id'],
    ['openai', '', BEARER, 'invalid_batch_id', 'id'],
    ['openai', 'batch_1', { ...BEARER, 'x-portkey-openai-project': 'a b' }, 'invalid_header',
      'x-portkey-openai-project'],
    ['openai', 'batch_1', { authorization: `Bearer ${'x'.repeat(16_384)}` }, 'invalid_header', 'authorization'],
    ['openai', 'batch_1', {}, 'missing_credentials', 'authorization'],
    ['opnai', 'batch_1', BEARER, 'unknown_provider', 'x-portkey-provider'],
    ['constructor', 'batch_1', BEARER, 'unknown_provider', 'x-portkey-provider'],
    ['fireworks-ai', 'batch_1', BEARER, 'unsupported_provider', 'x-portkey-provider']
  ]
  for (const [provider, id, headers, code, param] of rows) {
    await t.rejects(forward.cancel(call(provider, id, headers)), { code, param }, `cancel ${provider} ${id}`)
    await t.rejects(forward.retrieve(call(provider, id, headers)), { code, param }, `retrieve ${provider} ${id}`)
    t.throws(() => forward.prepare(call(provider, id, headers)), { code, param }, `prepare ${provider} ${id}`)
  }
  t.strictSame(internet.contacts, [])
})

t.test('a wrapper that passes only functions on has all checks', async t => {
  const internet = await catchAll(t, () => ({ body: BATCH }))
  const upstream = forwardToProviders({ providers: { openai: openai({ apiKey: 'server-key' }) } })
  const wrappers: Readonly<Record<string, BatchForwarder | BatchForwarder['cancel']>> = {
    'its cancel': upstream.cancel,
    'a function': call => upstream.cancel(call),
    'two functions': { cancel: upstream.cancel, retrieve: upstream.retrieve },
    'copies of calls': {
      cancel: call => upstream.cancel({ ...call }),
      retrieve: call => upstream.retrieve({ ...call })
    }
  }
  for (const [what, forward] of Object.entries(wrappers)) {
    internet.contacts.length = 0
    const app = await buildWithoutPauses(t, { defaultProvider: 'openai', forward })
    t.equal((await cancel(app)).statusCode, 200, what)
    t.strictSame(internet.contacts, ['https://api.openai.com'])
    const bad = await cancel(app, { id: '..%2F..%2Faccount' })
    t.match(bad.json(), { error: { code: 'invalid_batch_id' } }, what)
    const custom = await cancel(app, { headers: { 'x-portkey-custom-host': 'https://evil.example' } })
    t.match(custom.json(), { error: { code: 'invalid_header', param: 'x-portkey-custom-host' } }, what)
    t.strictSame(internet.contacts, ['https://api.openai.com'], what)
  }
})

t.test('no id and no header leads a direct call away from the provider', async t => {
  const internet = await catchAll(t, () => ({ status: 404, body: {} }))
  const providers = Object.fromEntries(FIXTURES.map(fixture => [fixture.name, make(fixture)]))
  const forward = forwardToProviders({ providers })
  for (const fixture of FIXTURES) {
    const { name, ids, hosts } = fixture
    const provider = make(fixture)
    const account = { ...BEARER, ...hosts.headers }
    const targets = ['id', ...Object.keys(provider.headers ?? {})]
    let sent = 0
    const parts = [fc.constantFrom(...targets), hostileParts(), fc.boolean()] as const
    await fc.assert(fc.asyncProperty(...parts, async (target, part, whole) => {
      internet.contacts.length = internet.requests.length = 0
      const old = target === 'id' ? ids.valid[0] : (account as Headers)[target] ?? ''
      const value = whole ? part : old + part
      const batchId = target === 'id' ? value : ids.valid[0]
      const headers = target === 'id' ? account : { ...account, [target]: value }
      const outcome = await outcomeOf(forward.cancel(call(name, batchId, headers)))
      if (internet.contacts.length === 0) return /^(?:invalid_|missing_|provider_mismatch)/.test(outcome)
      sent++
      const [contact = ''] = internet.contacts
      const { path = '' } = internet.requests[0] ?? {}
      const climbs = path.split(/\/|%2f/i).some(segment => /^(?:\.|%2e){1,2}$/i.test(segment))
      return provider.ownsOrigin(contact) && !climbs && !/[\\#]/.test(path)
    }), { ...runs({ usual: 20, exhaustive: 150 }), examples: [['id', '', false]] })
    t.ok(sent > 0, `${name}: ${sent} calls were sent, all to the provider`)
  }
})

t.test('domains', async t => {
  const isOwn = originTest(['api.acme.example', '*.acme.example', 'eu-*.acme.example', 'bedrock.*.amazonaws.com'])
  const own = ['https://api.acme.example', 'https://x.acme.example', 'https://bedrock.us-east-1.amazonaws.com']
  for (const origin of own) t.ok(isOwn(origin), origin)
  const others = [
    'http://api.acme.example', 'https://api.acme.example:8443', 'https://acme.example', 'https://a.b.acme.example',
    'https://.acme.example', 'https://xn--a.acme.example', 'https://api.acme.example.evil.example',
    'https://apiXacme.example', 'https://-a.acme.example', `https://${'a'.repeat(64)}.acme.example`, ''
  ]
  for (const origin of others) t.notOk(isOwn(origin), origin)
})
