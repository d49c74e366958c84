import { createRequire } from 'node:module'
import t from 'tap'
import { bedrock, builtIn, providerFactories, type ProviderOptions } from '../../lib/index.js'
import { missingPeers } from '../../lib/providers/import-peer.js'
import { BEARER, make } from '../fixtures/fixture.js'
import { FIXTURES } from '../fixtures/index.js'
import { requestOf } from '../support/provider.js'
import { ROOT } from '../support/root.js'

/* What every factory does alike. */

const factories = Object.entries(providerFactories) as unknown as ReadonlyArray<[string, (options: object) => unknown]>

const INVALID = { code: 'FST_BATCH_CANCEL_INVALID_OPTION' }

t.test('what is sent to the provider\'s own address', async t => {
  for (const fixture of FIXTURES) {
    const { name, ids, url, hosts, scenarios: [{ cancel, retrieve }] } = fixture
    const provider = make(fixture)
    const options = { headers: { ...BEARER, ...hosts.headers } }
    const sent = await requestOf(provider, 'cancel', ids.valid[0], options)
    t.equal(sent.origin + sent.path, url, name)
    t.equal(sent.method, cancel.method, name)
    t.ok(provider.ownsOrigin(sent.origin), name)
    const read = await requestOf(provider, 'retrieve', ids.valid[0], options)
    t.equal(read.method, retrieve.method)
    t.equal(read.origin, sent.origin)
    t.ok(sent.path.startsWith(read.path.split('?')[0] as string), `${name}: ${sent.path} is of ${read.path}`)
    for (const { headers } of [sent, read]) {
      const added = Object.keys(headers).filter(header => !provider.reservedHeaders.includes(header))
      t.strictSame(added.filter(header => header !== 'content-type'), [], `${name}: no client may add these`)
    }
  }
})

t.test('no other origin is the provider\'s own', async t => {
  for (const fixture of FIXTURES) {
    const { origin } = new URL(fixture.url)
    const { hostname } = new URL(origin)
    const others = [
      origin.replace('https:', 'http:'), `${origin}:8443`, `${origin}.evil.example`, 'https://evil.example',
      `https://evil.example.${hostname}`, `https://evil${hostname}`, `https://${hostname}.`, ''
    ]
    // A label that anything may stand in is the resource, the region or the project.
    const isOwn = others.filter(other => make(fixture).ownsOrigin(other))
    const allowed = fixture.hosts.parts.length > 0 ? [`https://evil${hostname}`] : []
    t.strictSame(isOwn.filter(other => !allowed.includes(other)), [], fixture.name)
  }
})

t.test('most take the client\'s Authorization as their credential', async t => {
  const rows: Array<[string | undefined, string | undefined]> = [
    [undefined, undefined],
    ['', undefined],
    ['Bearer', undefined],
    ['Basic YTpi', undefined],
    ['Bearer k', 'k'],
    ['bearer k', 'k'],
    ['k', 'k']
  ]
  for (const fixture of FIXTURES) {
    if (fixture.name === 'anthropic') continue
    for (const [authorization, credential] of rows) {
      const headers = authorization === undefined ? {} : { authorization }
      t.equal(make(fixture).clientCredential(headers), credential, `${fixture.name}: ${authorization}`)
    }
  }
})

const BAD_URLS = [
  'ftp://x', 'http://u:p@x', 'https://x?y', 'https://x#y', '//x', 'x', '', 5, null, new URL('https://x')
]
const BASE_URL =
  /^\w+\(\{ baseUrl \}\) must be a function or an http or https URL without userinfo, query and fragment\.$/

const BAD_KEYS = ['', 'a b', 'Bearer sk-1', 'sk-1\n', ' sk-1', 'ü', 5, null, Promise.resolve('sk-1')]
const API_KEY = new RegExp('^\\w+\\(\\{ apiKey \\}\\) must be a function or the credential itself, in visible ASCII ' +
  'characters, without spaces, line breaks or \'Bearer \' before it\\.$')

const UNKNOWN = /^Unknown option 'baseURL' in \w+\(\)\. Did you mean 'baseUrl'\? Valid options: baseUrl, apiKey/

t.test('options that cannot work', async t => {
  for (const [name, factory] of factories) {
    const refuse = (options: object, message: RegExp) => t.throws(() => factory(options), { ...INVALID, message }, name)
    for (const baseUrl of BAD_URLS) refuse({ baseUrl }, BASE_URL)
    for (const apiKey of BAD_KEYS) refuse({ apiKey, baseUrl: 'https://x' }, API_KEY)
    refuse({ baseURL: 'https://x' }, UNKNOWN)
    refuse('sk-key' as never, /^\w+\(\) expects an object with these options: baseUrl, apiKey/)
  }
})

t.test('an option that is present but undefined is refused', async t => {
  const names = [
    'baseUrl', 'apiKey', 'credentials', 'serviceAccount', 'entraToken', 'region', 'project', 'projectId', 'spaceId',
    'resourceName', 'apiVersion', 'workspace', 'workspaceId'
  ]
  for (const [name, factory] of factories) {
    let refused = 0
    for (const option of names) {
      try {
        factory({ [option]: undefined })
        t.fail(`${name}({ ${option}: undefined }) was accepted`)
      } catch (error) {
        const { message } = error as Error
        if (message.startsWith('Unknown option')) continue
        refused++
        t.match(error, { ...INVALID, message: new RegExp(`\\{ ${option} \\}\\) is present but undefined`) }, name)
      }
    }
    t.ok(refused >= 2, name)
  }
  // @ts-expect-error an unset variable of the environment
  const options: ProviderOptions = { apiKey: process.env['NO_SUCH_VARIABLE'] }
  t.equal(options.apiKey, undefined)
})

t.test('what is built in', async t => {
  const { base } = builtIn.groq.locate({ batchId: 'b', headers: {}, hasBase: false })
  t.strictSame(base, { origin: 'https://api.groq.com', path: '/openai/v1' })
  t.match(builtIn['fireworks-ai'], { unsupported: /delete the job/ })
  for (const [name, { unsupported }] of Object.entries(builtIn)) {
    if (unsupported !== undefined) t.match(unsupported, /^(?:its?|a) .*\.$/, `${name}: completes a sentence`)
  }
})

t.test('optional packages', async t => {
  t.strictSame(missingPeers(['@smithy/signature-v4', 'no-such-package']), ['no-such-package'])
  // `import.meta.url` of an ECMAScript module, and of CommonJS as esbuild writes it.
  for (const bundle of ['file:///bundle.mjs', '']) t.strictSame(missingPeers(['no-such-package'], bundle), [], bundle)
  t.doesNotThrow(() => bedrock({ credentials: { accessKeyId: 'a', secretAccessKey: 'b' } }))
  const { peerDependencies } = createRequire(ROOT)('./package.json') as { peerDependencies: object }
  t.strictSame(
    Object.keys(peerDependencies).filter(name => name !== 'fastify').sort(),
    ['@smithy/hash-node', '@smithy/signature-v4']
  )
})
