import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import tls from 'node:tls'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { forwardToProviders, type Provider } from '../lib/index.js'
import type { ProviderOptions, Setting } from '../lib/providers/provider.js'
import { cohere } from '../lib/providers/cohere.js'
import { digitalocean } from '../lib/providers/digitalocean.js'
import { novita } from '../lib/providers/novita.js'
import { openaiCompatible, type OpenAICompatible } from '../lib/providers/openai.js'
import { watsonx } from '../lib/providers/watsonx.js'
import { xai } from '../lib/providers/xai.js'
import { BATCH, build, cancel } from './app.js'

/* Which secret goes to which host, over every combination of what may choose either. The expectations follow the promise, not the code. */

interface Internet {
  /** The origins to which a connection was opened, in order. */
  readonly contacts: string[]
  /** The headers of every request that came over one. */
  readonly requests: IncomingHttpHeaders[]
}

/** Every shape of an accepted cancel in one object, so that one request settles a call. */
const ANSWER = JSON.stringify({
  ...BATCH,
  batch_id: 'b',
  cancel_time: '2026-03-01',
  batch: { status: 'BATCH_STATUS_CANCELING' }
})

/** In the place of all hosts there are: whatever this process connects to, it reaches one server that remembers it. */
async function catchAll (t: Test): Promise<Internet> {
  const internet: Internet = { contacts: [], requests: [] }
  const server = createServer((request, response) => {
    internet.requests.push(request.headers)
    // A connection for each request, so that none goes unseen.
    response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(ANSWER)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const connect = net.connect
  const reach = (scheme: string) => (to: { host: string, port: number | string }): Socket => {
    internet.contacts.push(new URL(`${scheme}//${to.host.includes(':') && !to.host.startsWith('[') ? `[${to.host}]` : to.host}:${to.port}`).origin)
    const socket = connect({ port, host: '127.0.0.1' })
    if (scheme === 'https:') socket.once('connect', () => socket.emit('secureConnect'))
    return socket
  }
  t.intercept(net, 'connect', { value: reach('http:') })
  t.intercept(tls, 'connect', { value: reach('https:') })
  t.teardown(() => { server.closeAllConnections(); server.close() })
  return internet
}

/** The entries of the operator, and the origins that they stand for. */
const TRUSTED = ['llm.example.com', 'llm.example.com:8443', 'https://other.example.com', 'http://10.0.0.5:8000', 'http://[::1]:8000']
const TRUSTED_ORIGINS = ['https://llm.example.com', 'https://llm.example.com:8443', 'https://other.example.com', 'http://10.0.0.5:8000', 'http://[::1]:8000']

const KEYS: Record<string, Setting | undefined> = {
  'no key': undefined,
  'a key': 'server-secret-1',
  'a function': () => 'server-secret-2',
  'a function that finds none': async () => undefined,
  'a function that gives no token': () => 'Bearer server-secret-3'
}
const SERVER_SECRET: Record<string, string | undefined> = { 'a key': 'server-secret-1', 'a function': 'server-secret-2' }

const AUTHORIZATIONS: Array<readonly [authorization: string | undefined, secret: string | undefined]> = [
  [undefined, undefined],
  ['Bearer client-secret-1', 'client-secret-1'],
  ['bearer client-secret-2', 'client-secret-2'],
  ['client-secret-3', 'client-secret-3'],
  ['Basic Y2xpZW50LXNlY3JldC00', undefined],
  ['', undefined],
  ['Bearer', undefined]
]

/** Custom hosts, with the origin that each may lead to, if any. */
const FEW_HOSTS: Array<readonly [url: string | undefined, origin?: string]> = [
  [undefined],
  [''],
  ['https://llm.example.com/v1', 'https://llm.example.com'],
  ['http://10.0.0.5:8000/v1', 'http://10.0.0.5:8000'],
  ['https://evil.example/v1'],
  ['https://llm.example.com@evil.example/v1']
]
const MORE_HOSTS: typeof FEW_HOSTS = [
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

interface Row {
  readonly make: (options: ProviderOptions) => Provider
  /** Where it is reached when nothing else is said. */
  readonly own: string
  readonly id: string
  /** Headers of a client that choose an account, and what they are upstream. */
  readonly accounts: Record<string, string>
  readonly upstream: Record<string, string>
  /** The first of the headers that it cannot do without, and the call has not. */
  readonly missing: (headers: Record<string, string>, hasBase: boolean) => string | undefined
}

const row = (make: Row['make'], own: string, told: Partial<Row> = {}): Row => ({ make, own, id: 'batch_1', accounts: {}, upstream: {}, missing: () => undefined, ...told })
const shaped = (name: OpenAICompatible, own: string, told?: Partial<Row>) => row(openaiCompatible[name], own, told)

const PROVIDERS: Record<string, Row> = {
  openai: shaped('openai', 'https://api.openai.com', {
    accounts: { 'x-portkey-openai-organization': 'org-1', 'x-portkey-openai-project': 'proj-1' },
    upstream: { 'openai-organization': 'org-1', 'openai-project': 'proj-1' }
  }),
  groq: shaped('groq', 'https://api.groq.com'),
  deepinfra: shaped('deepinfra', 'https://api.deepinfra.com'),
  parasail: shaped('parasail', 'https://api.parasail.io'),
  cerebras: shaped('cerebras', 'https://api.cerebras.ai'),
  moonshot: shaped('moonshot', 'https://api.moonshot.ai'),
  dashscope: shaped('dashscope', 'https://dashscope.aliyuncs.com'),
  zhipu: shaped('zhipu', 'https://open.bigmodel.cn'),
  siliconflow: shaped('siliconflow', 'https://api.siliconflow.cn'),
  morph: shaped('morph', 'https://api.morphllm.com'),
  cohere: row(cohere, 'https://api.cohere.com'),
  'x-ai': row(xai, 'https://api.x.ai'),
  'novita-ai': row(novita, 'https://api.novita.ai'),
  digitalocean: row(digitalocean, 'https://inference.do-ai.run', { id: '0e9d1d35-3d1e-4d66-9a2f-8c7e0f6b3e21' }),
  watsonx: row(options => watsonx(options.apiKey === undefined ? options : { ...options, region: 'eu-de', projectId: 'p-server' }), 'https://eu-de.ml.cloud.ibm.com', {
    accounts: { 'x-portkey-watsonx-region': 'eu-de', 'x-portkey-watsonx-project-id': 'p-1' },
    upstream: { 'x-ibm-project-id': 'p-1' },
    missing: (headers, hasBase) => [...hasBase ? [] : ['x-portkey-watsonx-region'], 'x-portkey-watsonx-project-id'].find(name => headers[name] === undefined)
  })
}
const NAMES = Object.keys(PROVIDERS)

/** Headers that a client would like to see sent on; only the last of them may be. */
const SENT_ON = {
  'x-portkey-forward-headers': 'Authorization, cookie, proxy-authorization, host, content-length, x-portkey-custom-host, x-team',
  cookie: 'sid=client-cookie',
  'proxy-authorization': 'Basic client-proxy',
  'x-team': 'red'
}

const clientHeaders = (name: string): Array<Record<string, string>> => [{}, (PROVIDERS[name] as Row).accounts, { ...(PROVIDERS[name] as Row).accounts, ...SENT_ON }]

const serve = (t: Test, key: string, more: ProviderOptions = {}) => build(t, {
  forward: forwardToProviders({
    trustedHosts: TRUSTED,
    providers: Object.fromEntries(Object.entries(PROVIDERS).map(([name, { make }]) => [name, make({ ...more, ...KEYS[key] !== undefined && { apiKey: KEYS[key] } })]))
  })
})

interface Combination {
  readonly name: string
  readonly key: string
  readonly own: Record<string, string>
  readonly authorization: readonly [string | undefined, string | undefined]
  readonly host: readonly [url: string | undefined, origin?: string]
  /** The operator's base URL, as an origin. */
  readonly operator?: string
}

interface Outcome {
  readonly to?: string
  readonly secret?: string | undefined
  readonly error?: string
  readonly param?: string | null
}

/** What is promised. */
function promised ({ name, key, own, authorization: [, clientSecret], host: [url, trustedOrigin], operator }: Combination): Outcome {
  const { own: origin, accounts, missing } = PROVIDERS[name] as Row
  const refused = (param: string): Outcome => ({ error: 'invalid_header', param })
  const isServer = key !== 'no key'
  const isCustom = url !== undefined && url !== ''
  // A credential of the server never goes to a custom host, and no header chooses another account for it.
  if (isCustom && (isServer || trustedOrigin === undefined)) return refused('x-portkey-custom-host')
  const account = Object.keys(accounts).find(header => own[header] !== undefined)
  if (isServer && account !== undefined) return refused(account)
  const lacking = isServer ? undefined : missing(own, isCustom || operator !== undefined)
  if (lacking !== undefined) return refused(lacking)
  const secret = isServer ? SERVER_SECRET[key] : clientSecret
  if (secret === undefined) return { error: 'missing_credentials', param: 'authorization' }
  return { to: isCustom ? trustedOrigin as string : operator ?? origin, secret }
}

/** Plays combinations, and tells those in which something else happened. */
async function play (t: Test, internet: Internet, combinations: readonly Combination[], more: (combination: Combination) => ProviderOptions = () => ({})): Promise<string[]> {
  const apps = new Map<string, Awaited<ReturnType<typeof serve>>>()
  const broken: string[] = []
  for (const combination of combinations) {
    const { name, key, own, authorization: [authorization], host: [url] } = combination
    const app = apps.get(key) ?? await serve(t, key, more(combination))
    apps.set(key, app)
    internet.contacts.length = internet.requests.length = 0
    const response = await cancel(app, {
      id: (PROVIDERS[name] as Row).id,
      headers: { 'x-portkey-provider': name, ...own, ...authorization !== undefined && { authorization }, ...url !== undefined && { 'x-portkey-custom-host': url } }
    })
    const wrong = compare(combination, promised(combination), response, internet)
    if (wrong !== undefined) broken.push(`${JSON.stringify(combination)}: ${wrong}; ${response.statusCode} ${response.body.slice(0, 200)} ${JSON.stringify(internet)}`)
  }
  return broken
}

function compare ({ name, key, own }: Combination, { to, secret, error, param }: Outcome, { statusCode, json }: { statusCode: number, json: () => { error?: { code: string, param: string } } }, { contacts, requests }: Internet): string | undefined {
  if (to === undefined) {
    const told = json().error
    if (told?.code !== error || told?.param !== param) return `should be ${String(error)} of ${String(param)}`
    return contacts.length + requests.length === 0 ? undefined : 'should send nothing'
  }
  if (statusCode !== 200) return `should reach ${to}`
  if (contacts.join() !== to || requests.length !== 1) return `should reach ${to} once`
  const [sent = {}] = requests
  if (sent.authorization !== `Bearer ${secret}`) return `should send ${String(secret)}`
  if (`https://${sent.host}` !== to && `http://${sent.host}` !== to) return 'should name the host'
  // No other header carries a secret, and what the client wants sent on is no credential.
  const { authorization, ...rest } = sent
  if (/client-|server-secret/.test(JSON.stringify(rest))) return 'should send no other secret'
  if (sent['x-team'] !== own['x-team']) return 'should send on what may be sent on'
  const upstream = Object.entries((PROVIDERS[name] as Row).upstream)
  if (key === 'no key' && Object.keys(own).length > 0 && upstream.some(([header, value]) => sent[header] !== value)) return 'should send the account'
  return undefined
}

t.test('every combination of key, headers, Authorization and host', async t => {
  t.strictSame(Object.keys(openaiCompatible).filter(name => !NAMES.includes(name)), [], 'a new provider has a row here')
  const internet = await catchAll(t)
  const combinations = NAMES.flatMap(name => Object.keys(KEYS).flatMap(key => clientHeaders(name).flatMap(own =>
    AUTHORIZATIONS.flatMap(authorization => FEW_HOSTS.map(host => ({ name, key, own, authorization, host }))))))
  const broken = await play(t, internet, combinations)
  t.strictSame(broken.slice(0, 5), [], `${combinations.length} combinations, ${broken.length} broken`)
})

t.test('every way to write a host', async t => {
  const internet = await catchAll(t)
  const authorization = ['Bearer client-secret-1', 'client-secret-1'] as const
  const combinations = NAMES.flatMap(name => ['no key', 'a key'].flatMap(key => MORE_HOSTS.map(host => ({ name, key, own: key === 'no key' ? (PROVIDERS[name] as Row).accounts : {}, authorization, host }))))
  const broken = await play(t, internet, combinations)
  t.strictSame(broken.slice(0, 5), [], `${combinations.length} combinations, ${broken.length} broken`)
})

t.test('the base URL of the operator', async t => {
  const internet = await catchAll(t)
  const operator = 'https://operator.example:8443'
  for (const baseUrl of [`${operator}/base`, () => `${operator}/base/`, async () => operator]) {
    const combinations = NAMES.flatMap(name => Object.keys(KEYS).flatMap(key => clientHeaders(name).flatMap(own =>
      AUTHORIZATIONS.slice(0, 2).flatMap(authorization => FEW_HOSTS.map(host => ({ name, key, own, authorization, host, operator }))))))
    t.strictSame((await play(t, internet, combinations, () => ({ baseUrl }))).slice(0, 5), [])
  }
})

t.test('a config chooses no more than the headers do', async t => {
  const internet = await catchAll(t)
  const config = (told: object) => ({ 'x-portkey-provider': 'groq', authorization: 'Bearer client-secret-1', 'x-portkey-config': JSON.stringify(told) })
  const open = await serve(t, 'no key')
  const served = await serve(t, 'a key')

  t.equal((await cancel(open, { headers: config({ api_key: 'client-secret-9', custom_host: 'https://llm.example.com/v1' }) })).statusCode, 200)
  t.match(internet, { contacts: ['https://llm.example.com'], requests: [{ authorization: 'Bearer client-secret-9' }] })
  t.equal((await cancel(served, { headers: config({ api_key: 'client-secret-9' }) })).statusCode, 200)
  t.match(internet.requests[1], { host: 'api.groq.com', authorization: 'Bearer server-secret-1' })

  for (const [app, custom] of [[open, 'https://evil.example'], [served, 'https://evil.example'], [served, 'https://llm.example.com']] as const) {
    const response = await cancel(app, { headers: config({ api_key: 'client-secret-9', custom_host: custom }) })
    t.match(response.json(), { error: { code: 'invalid_header', param: 'x-portkey-custom-host' } })
  }
  t.equal(internet.contacts.length, 2)
})

t.test('without trusted hosts there is none', async t => {
  const internet = await catchAll(t)
  const app = await build(t, { forward: forwardToProviders() })
  for (const [url] of [...FEW_HOSTS.slice(2), ...MORE_HOSTS]) {
    const response = await cancel(app, { headers: { 'x-portkey-provider': 'openai', authorization: 'Bearer client-secret-1', 'x-portkey-custom-host': url as string } })
    t.match(response.json(), { error: { code: 'invalid_header', param: 'x-portkey-custom-host' } }, String(url))
  }
  t.strictSame(internet, { contacts: [], requests: [] })
})

/** Strings that a parser may take for one host and a check for another. */
const hostile = (): fc.Arbitrary<string> => {
  const hosts = fc.constantFrom('llm.example.com', 'LLM.example.com', 'llm。example。com', 'llm%2Eexample.com', 'other.example.com', '10.0.0.5', '167772165', '012.0.0.5', '[::1]', '[::ffff:a00:5]', 'evil.example', '127.0.0.1', 'localhost')
  const part = fc.constantFrom('', '.', '@', ':', ':8000', ':8443', ':443', ':0443', '/', '//', '\\', '?', '#', '%2f', '%40', '%00', '\t', '\n', ' ', 'user:pw@', '/..', ';', ',', 'v1')
  const scheme = fc.constantFrom('https://', 'http://', 'HTTPS://', 'https:', 'http:/', 'https:\\\\', '//', '', 'ftp://', ' https://', 'https:///', 'blob:https://')
  const built = fc.tuple(scheme, part, hosts, part, hosts, part, part).map(([start, before, host, between, second, after, end]) => start + before + host + between + (between === '' ? '' : second) + after + end)
  const plain = fc.tuple(scheme, hosts, part, part).map(parts => parts.join(''))
  // These look like what is trusted, and often are.
  const likely = fc.tuple(fc.constantFrom('https://', 'http://'), hosts, fc.constantFrom('', ':443', ':8443', ':8000'), fc.constantFrom('', '/', '/v1', '/v1?', '/%40'))
    .map(parts => parts.join(''))
  return fc.oneof(built, plain, likely, fc.webUrl({ withQueryParameters: true, withFragments: true }), fc.string({ unit: 'binary' }), fc.webAuthority({ withIPv4Extended: true, withIPv6: true, withPort: true, withUserInfo: true }).map(authority => `http://${authority}`))
}

t.test('no string leads to a host that is not trusted', async t => {
  const internet = await catchAll(t)
  const open = await serve(t, 'no key')
  const served = await serve(t, 'a key')
  let reached = 0
  await fc.assert(fc.asyncProperty(hostile(), fc.constantFrom('openai', 'cohere', 'x-ai'), fc.boolean(), async (url, name, byServer) => {
    internet.contacts.length = internet.requests.length = 0
    // In a config, so that it may hold any character.
    const response = await cancel(byServer ? served : open, {
      headers: { 'x-portkey-provider': name, authorization: 'Bearer client-secret-1', 'x-portkey-config': JSON.stringify({ custom_host: url }).replace(/[^\x20-\x7e]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`) }
    })
    if (url === '') return internet.contacts.join() === (PROVIDERS[name] as Row).own
    if (response.statusCode !== 200) return internet.contacts.length === 0 && response.json().error.param === 'x-portkey-custom-host'
    reached++
    return !byServer && internet.contacts.length === 1 && TRUSTED_ORIGINS.includes(internet.contacts[0] as string) &&
      internet.contacts[0] === new URL(url).origin && internet.requests.every(({ authorization }) => authorization === 'Bearer client-secret-1')
  }), { numRuns: 3000 })
  t.ok(reached > 0, `${reached} of the strings lead to a trusted host`)
})
