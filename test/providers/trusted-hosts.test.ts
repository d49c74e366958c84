import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { azureAI, azureOpenAI, bedrock, builtIn, forwardToProviders, providerFactories, vertex, watsonx, type Provider } from '../../lib/index.js'
import { isUnsupported, type ProviderOptions } from '../../lib/providers/provider.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { catchAll } from '../support/internet.js'

/* Which host a call may reach, over every way to name one. The expectations follow the promise, not the code. */

/** No host has the batch; who asks for a token gets one. */
const catchCalls = (t: Test) => catchAll(t, ({ path }) => path === '/token'
  ? { body: { access_token: 'exchanged', expires_in: 3600 } }
  : { status: 404, body: {} })

/** The entries of the operator, and the origins that they stand for. */
const TRUSTED = ['llm.example.com', 'llm.example.com:8443', 'https://other.example.com', 'http://10.0.0.5:8000', 'http://[::1]:8000']
const TRUSTED_ORIGINS = ['https://llm.example.com', 'https://llm.example.com:8443', 'https://other.example.com', 'http://10.0.0.5:8000', 'http://[::1]:8000']

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

/** What makes a call to a provider whole, beside a credential; of those that are not here an id is enough. */
const UUID = '0e9d1d35-3d1e-4d66-9a2f-8c7e0f6b3e21'
const NEEDED: Readonly<Record<string, { readonly id?: string, readonly headers?: Readonly<Record<string, string>>, readonly serve?: (options: ProviderOptions) => Provider }>> = {
  'azure-openai': { headers: { 'x-portkey-azure-resource-name': 'res-1' }, serve: options => azureOpenAI({ ...options, resourceName: 'res-1' }) },
  'azure-ai': { headers: { 'x-portkey-azure-foundry-url': 'https://res-1.services.ai.azure.com' }, serve: options => azureAI({ ...options, resourceName: 'res-1' }) },
  bedrock: { id: 'abcdefghij12', headers: { 'x-portkey-aws-region': 'eu-west-1', 'x-portkey-aws-access-key-id': 'AKIA1', 'x-portkey-aws-secret-access-key': 'secret' }, serve: options => bedrock({ ...options, region: 'eu-west-1' }) },
  'vertex-ai': { id: '1234', headers: { 'x-portkey-vertex-project-id': 'p-1', 'x-portkey-vertex-region': 'europe-west4' }, serve: options => vertex({ ...options, project: 'p-1', region: 'europe-west4' }) },
  watsonx: { headers: { 'x-portkey-watsonx-region': 'eu-de', 'x-portkey-watsonx-project-id': 'p-1' }, serve: options => watsonx({ ...options, region: 'eu-de', projectId: 'p-1' }) },
  'mistral-ai': { id: UUID },
  digitalocean: { id: UUID }
}
const NAMES = Object.keys(providerFactories) as Array<keyof typeof providerFactories>

const LONG_IDS = { routerOptions: { maxParamLength: 512 } }
const open = (t: Test) => buildWithoutPauses(t, { forward: forwardToProviders({ trustedHosts: TRUSTED }) }, LONG_IDS)
const serve = (t: Test) => buildWithoutPauses(t, {
  forward: forwardToProviders({
    trustedHosts: TRUSTED,
    providers: Object.fromEntries(NAMES.map(name => [name, (NEEDED[name]?.serve ?? providerFactories[name])({ apiKey: 'server-key' })]))
  })
}, LONG_IDS)

/** A whole call to a provider, with these headers besides. */
const call = (app: FastifyInstance, name: string, headers: Readonly<Record<string, string>>, { id = 'b1', headers: needed }: { readonly id?: string, readonly headers?: Readonly<Record<string, string>> } = NEEDED[name] ?? {}) =>
  cancel(app, { id, headers: { 'x-portkey-provider': name, authorization: 'Bearer client-key', ...needed, ...headers } })

const CUSTOM_HOST = 'x-portkey-custom-host'

t.test('every provider is played', async t => {
  t.strictSame(Object.entries(builtIn).filter(([, provider]) => !isUnsupported(provider)).map(([name]) => name).sort(), NAMES.toSorted())
})

t.test('every way to write a host, at every provider', async t => {
  const internet = await catchCalls(t)
  const app = await open(t)
  for (const name of NAMES) {
    const wrong: string[] = []
    for (const [url, origin] of HOSTS) {
      internet.contacts.length = 0
      const response = await call(app, name, { [CUSTOM_HOST]: url })
      const reached = internet.contacts.join()
      const right = origin === undefined ? reached === '' && response.json().error.param === CUSTOM_HOST : reached === origin && response.statusCode === 404
      if (!right) wrong.push(`${url}: ${reached} ${response.body}`)
    }
    t.strictSame(wrong, [], `${name}: ${HOSTS.length} hosts`)
  }
})

t.test('with a credential of the server, and without trusted hosts, there is none', async t => {
  const internet = await catchCalls(t)
  const [server, none] = [await serve(t), await buildWithoutPauses(t, { forward: forwardToProviders() })]
  for (const name of NAMES) {
    const { id, ...needed } = { id: 'b1', ...NEEDED[name] }
    const answers = await Promise.all(HOSTS.flatMap(([url]) => [call(server, name, { [CUSTOM_HOST]: url }, { id }), call(none, name, { [CUSTOM_HOST]: url }, { id, ...needed })]))
    t.strictSame(answers.map(answer => answer.json().error.param).filter(param => param !== CUSTOM_HOST), [], name)
  }
  t.strictSame(internet.contacts, [])
})

/** Text of a config, so that a value may have any character. */
const asConfig = (config: Readonly<Record<string, string>>) => ({ 'x-portkey-config': JSON.stringify(config).replace(/[^\x20-\x7e]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`) })

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
  const internet = await catchCalls(t)
  const [client, server] = [await open(t), await serve(t)]
  let reached = 0
  await fc.assert(fc.asyncProperty(hostile(), fc.constantFrom('openai', 'azure-openai', 'bedrock', 'vertex-ai', 'x-ai'), fc.boolean(), async (url, name, byServer) => {
    fc.pre(url !== '')
    internet.contacts.length = 0
    const response = byServer
      ? await call(server, name, asConfig({ custom_host: url }), { id: NEEDED[name]?.id ?? 'b1' })
      : await call(client, name, asConfig({ custom_host: url }))
    if (internet.contacts.length === 0) return response.json().error.param === CUSTOM_HOST
    reached++
    return !byServer && internet.contacts.length === 1 && TRUSTED_ORIGINS.includes(internet.contacts[0] as string) && internet.contacts[0] === new URL(url).origin
  }), { numRuns: 3000 })
  t.ok(reached > 0, `${reached} of the strings lead to a trusted host`)
})

/** What a client may say of which a host is made, with the key of it in a config and all hosts that there are. */
interface Part {
  readonly name: string
  /** The header; `id` for the id. */
  readonly header: string
  readonly hosts: RegExp
  /** Something that leads somewhere, with `*` where anything may be put. */
  readonly forms: readonly string[]
}

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const AWS_HOSTS = new RegExp(`^https://bedrock\\.${LABEL}\\.(?:amazonaws\\.com|amazonaws\\.com\\.cn|amazonaws\\.eu|c2s\\.ic\\.gov|sc2s\\.sgov\\.gov|cloud\\.adc-e\\.uk|csp\\.hci\\.ic\\.gov)$`)
const GCP_HOSTS = new RegExp(`^https://(?:(?:${LABEL}-)?aiplatform|aiplatform\\.(?:us|eu)\\.rep)\\.googleapis\\.com$`)

const PARTS: readonly Part[] = [
  { name: 'azure-openai', header: 'x-portkey-azure-resource-name', hosts: new RegExp(`^https://${LABEL}\\.openai\\.azure\\.com$`), forms: ['res*', '*res', 'r*s', '*'] },
  { name: 'azure-ai', header: 'x-portkey-azure-foundry-url', hosts: new RegExp(`^https://${LABEL}\\.(?:services\\.ai|openai|cognitiveservices)\\.azure\\.com$`), forms: ['https://r*s.openai.azure.com/x', 'https://res.services.ai.azure.com*', 'https://res.services.ai*.azure.com', 'https://*', 'https:*res.cognitiveservices.azure.com/', '*https://res.openai.azure.com'] },
  { name: 'bedrock', header: 'x-portkey-aws-region', hosts: AWS_HOSTS, forms: ['us-east-1*', '*us-east-1', 'us-*east-1', 'cn-north-1*', '*'] },
  { name: 'bedrock', header: 'id', hosts: AWS_HOSTS, forms: ['arn:aws:bedrock:us-*east-1:123456789012:model-invocation-job/abcdefghij12', 'arn:aws*:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij12', 'arn%3Aaws%3Abedrock%3Aus-east-1*%3A123456789012%3Amodel-invocation-job%2Fabcdefghij12', 'abcdefghij12*'] },
  { name: 'vertex-ai', header: 'x-portkey-vertex-region', hosts: GCP_HOSTS, forms: ['us-central1*', '*us-central1', 'us-*central1', 'global*', 'us*', '*'] },
  { name: 'vertex-ai', header: 'x-portkey-vertex-project-id', hosts: GCP_HOSTS, forms: ['p-1*', '*p-1', 'example.com:*p', '*'] },
  { name: 'vertex-ai', header: 'id', hosts: GCP_HOSTS, forms: ['projects/p-1*/locations/us-central1/batchPredictionJobs/1', 'projects/p-1/locations/us-*central1/batchPredictionJobs/1', '1*'] },
  { name: 'watsonx', header: 'x-portkey-watsonx-region', hosts: new RegExp(`^https://${LABEL}\\.(?:ml\\.cloud|aws\\.wxai)\\.ibm\\.com$`), forms: ['us-south*', '*us-south', 'us-*south', 'us-south-1*', '*'] }
]

const filling = (): fc.Arbitrary<string> => fc.oneof(
  fc.constantFrom('', '.', '-', '1', 'a', '.evil.example', '.evil.example/', '@evil.example', '@evil.example/', '/', '//evil.example', '\\', '\\evil.example', '#', '?', ':', ':8443', '%2e', '%00', '%2f', '\t', '\n', '\r\n', ' ', '\u3002', 'xn--', '_', '..', '/../', ';', ',', '\u0130'),
  fc.stringMatching(/^[a-z0-9-]{0,5}$/),
  fc.string({ unit: 'binary', maxLength: 8 }),
  hostile()
)

t.test('no part of a host leads away from the provider', async t => {
  const internet = await catchCalls(t)
  const app = await open(t)
  for (const { name, header, hosts, forms } of PARTS) {
    let reached = 0
    await fc.assert(fc.asyncProperty(fc.constantFrom(...forms), filling(), async (form, filled) => {
      const value = form.replace('*', () => filled)
      fc.pre(value !== '' && value.length < 512 && !/\p{Surrogate}/u.test(value))
      internet.contacts.length = internet.requests.length = 0
      const { [header]: _, ...needed } = NEEDED[name]?.headers ?? {}
      // A full id tells the region.
      const headers = header === 'id' && /^(?:arn|proj)/.test(value) ? keysOf(needed) : needed
      const response = header === 'id'
        ? await call(app, name, {}, { id: value, headers })
        : await call(app, name, asConfig({ [header.replace('x-portkey-', '').replaceAll('-', '_')]: value }), { ...NEEDED[name], headers })
      if (internet.contacts.length === 0) return response.statusCode === 400 && response.json().error.param === header
      reached++
      const [contact = ''] = internet.contacts
      return internet.contacts.length === 1 && hosts.test(contact) && internet.requests.every(({ path }) => !/\.\.|%2f\.|[\\#]/i.test(path))
    }), { numRuns: 500 })
    t.ok(reached > 0, `${name}, ${header}: ${reached} lead to a host of the provider`)
  }
})

/** Of the headers of a call those that are credentials. */
const keysOf = (headers: Readonly<Record<string, string>>) => Object.fromEntries(Object.entries(headers).filter(([name]) => name.includes('access-key')))

t.test('no id leads a credential of the server to another account', async t => {
  const internet = await catchCalls(t)
  const app = await serve(t)
  const ids: Array<[name: string, id: string, code: string]> = [
    ['bedrock', 'arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij12', 'provider_mismatch'],
    ['bedrock', 'arn:aws-cn:bedrock:eu-west-1:123456789012:model-invocation-job/abcdefghij12', 'invalid_batch_id'],
    ['vertex-ai', 'projects/p-2/locations/europe-west4/batchPredictionJobs/1234', 'provider_mismatch'],
    ['vertex-ai', 'projects/p-1/locations/us-central1/batchPredictionJobs/1234', 'provider_mismatch']
  ]
  for (const [name, id, code] of ids) t.match((await call(app, name, {}, { id })).json(), { error: { code, param: 'id' } }, id)
  t.strictSame(internet.contacts, [])
})

t.test('a service account goes to Google\'s token endpoint as a signature, wherever its key file points', async t => {
  const internet = await catchCalls(t)
  const { privateKey: pem } = generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } })
  const keyFile = (name: string) => ({ type: 'service_account', client_email: `${name}@example.com`, private_key: pem, token_uri: 'https://evil.example/token', universe_domain: 'evil.example', auth_uri: 'https://evil.example' })
  const cases: Array<[what: string, provider: Provider, headers: Readonly<Record<string, string>>]> = [
    ['of the client', vertex(), { ...NEEDED['vertex-ai']?.headers, 'x-portkey-vertex-service-account-json': JSON.stringify(keyFile('client')) }],
    ['of the server', vertex({ project: 'p-1', region: 'europe-west4', serviceAccount: keyFile('server') }), {}]
  ]
  for (const [what, provider, headers] of cases) {
    internet.contacts.length = internet.requests.length = 0
    const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers: { 'vertex-ai': provider } }) })
    t.equal((await call(app, 'vertex-ai', headers, { id: '1234' })).statusCode, 404, what)
    t.strictSame(internet.contacts, ['https://oauth2.googleapis.com', 'https://europe-west4-aiplatform.googleapis.com'])
    t.match(internet.requests, [{ path: '/token', body: /assertion=eyJ[\w.-]+$/ }, { headers: { authorization: 'Bearer exchanged' } }])
    // The middle of the key, however it is written.
    t.notMatch(JSON.stringify(internet.requests), new RegExp(`PRIVATE KEY|client-key|${pem.split('\n')[9]?.replace(/[^0-9A-Za-z]/g, '.+')}`))
  }
})

t.test('what the server chose a client may repeat, and not choose otherwise', async t => {
  const internet = await catchCalls(t)
  const rows: ReadonlyArray<readonly [name: string, provider: Provider, header: string, origin: string, same: readonly string[], others: readonly string[]]> = [
    ['azure-openai', azureOpenAI({ resourceName: 'Res-1' }), 'x-portkey-azure-resource-name', 'https://res-1.openai.azure.com', ['res-1', 'RES-1'], ['res-2', 'res-11']],
    ['azure-ai', azureAI({ resourceName: 'res-1' }), 'x-portkey-azure-foundry-url', 'https://res-1.services.ai.azure.com', ['https://res-1.services.ai.azure.com', 'https://RES-1.services.ai.azure.com/api/projects/p'], ['https://res-2.services.ai.azure.com', 'https://res-1.openai.azure.com']],
    ['bedrock', bedrock({ region: 'eu-west-1' }), 'x-portkey-aws-region', 'https://bedrock.eu-west-1.amazonaws.com', ['eu-west-1'], ['eu-west-2', 'us-east-1']],
    ['vertex-ai', vertex({ project: 'p-1', region: 'europe-west4' }), 'x-portkey-vertex-project-id', 'https://europe-west4-aiplatform.googleapis.com', ['p-1'], ['p-2', '12']],
    ['vertex-ai', vertex({ project: 'p-1', region: 'europe-west4' }), 'x-portkey-vertex-region', 'https://europe-west4-aiplatform.googleapis.com', ['europe-west4'], ['global']],
    ['watsonx', watsonx({ region: 'eu-de', projectId: 'p-1' }), 'x-portkey-watsonx-region', 'https://eu-de.ml.cloud.ibm.com', ['eu-de'], ['us-south']],
    ['watsonx', watsonx({ region: 'eu-de', projectId: 'p-1' }), 'x-portkey-watsonx-project-id', 'https://eu-de.ml.cloud.ibm.com', ['p-1'], ['P-1', 'p-2']],
    ['watsonx', watsonx({ region: 'eu-de', projectId: 'p-1' }), 'x-portkey-watsonx-space-id', 'https://eu-de.ml.cloud.ibm.com', [], ['p-1', 's-1']],
    ['watsonx', watsonx({ region: 'eu-de', spaceId: 's-1' }), 'x-portkey-watsonx-space-id', 'https://eu-de.ml.cloud.ibm.com', ['s-1'], ['s-2']],
    ['watsonx', watsonx({ region: 'eu-de', spaceId: 's-1' }), 'x-portkey-watsonx-project-id', 'https://eu-de.ml.cloud.ibm.com', [], ['s-1', 'p-1']],
    // A version of the API chooses neither a host nor an account: the server's wins.
    ['azure-openai', azureOpenAI({ resourceName: 'res-1', apiVersion: 'v1' }), 'x-portkey-azure-api-version', 'https://res-1.openai.azure.com', ['v1', '2024-10-21'], []]
  ]
  for (const [name, provider, header, origin, same, others] of rows) {
    const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers: { [name]: provider } }) })
    const { id = 'b1' } = NEEDED[name] ?? {}
    const plain: Readonly<Record<string, string>> = name === 'bedrock' ? keysOf(NEEDED.bedrock?.headers ?? {}) : {}
    internet.contacts.length = 0
    for (const value of ['', ...same]) t.equal((await call(app, name, { [header]: value }, { id, headers: plain })).statusCode, 404, `${name}, ${header}: ${value}`)
    t.strictSame(new Set(internet.contacts), new Set([origin]), name)
    internet.contacts.length = 0
    for (const value of others) t.match((await call(app, name, { [header]: value }, { id, headers: plain })).json(), { error: { code: 'provider_mismatch', param: header, message: `Header '${header}' conflicts with the value that the server configured for this provider.` } }, `${name}, ${header}: ${value}`)
    t.strictSame(internet.contacts, [])
  }
})

t.test('a place that the server left open, with a credential of the server, is the id\'s to tell', async t => {
  const internet = await catchCalls(t)
  const keys = { accessKeyId: 'AKIASERVER', secretAccessKey: 'server-secret' }
  const vertexName = 'projects/p-2/locations/us-central1/batchPredictionJobs/1234'
  const rows: ReadonlyArray<readonly [name: string, provider: Provider, full: string, bare: string, origin: string, header: string, value: string, says: RegExp]> = [
    ['bedrock', bedrock({ credentials: keys }), 'arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij12', 'abcdefghij12', 'https://bedrock.us-east-1.amazonaws.com', 'x-portkey-aws-region', 'us-east-1', /expected an ARN, since the server sets no region/],
    ['bedrock', bedrock({ apiKey: 'server-key' }), 'arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij12', 'abcdefghij12', 'https://bedrock.us-east-1.amazonaws.com', 'x-portkey-aws-region', 'us-east-1', /expected an ARN/],
    ['vertex-ai', vertex({ apiKey: 'server-token' }), vertexName, '1234', 'https://us-central1-aiplatform.googleapis.com', 'x-portkey-vertex-project-id', 'p-2', /expected the full name of the job, since the server sets no project/],
    ['vertex-ai', vertex({ apiKey: 'server-token', project: 'p-2' }), vertexName, '1234', 'https://us-central1-aiplatform.googleapis.com', 'x-portkey-vertex-region', 'us-central1', /expected the full name of the job, since the server sets no region/]
  ]
  for (const [name, provider, full, bare, origin, header, value, says] of rows) {
    const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers: { [name]: provider } }) }, LONG_IDS)
    internet.contacts.length = 0
    t.equal((await call(app, name, {}, { id: full })).statusCode, 404, full)
    t.strictSame(internet.contacts, [origin])
    internet.contacts.length = 0
    t.match((await call(app, name, {}, { id: bare })).json(), { error: { code: 'invalid_batch_id', param: 'id', message: says } }, bare)
    for (const id of [bare, full]) t.match((await call(app, name, { [header]: value }, { id })).json(), { error: { code: 'invalid_header', param: header, message: /the server configured/ } }, 'no header may tell it')
    t.strictSame(internet.contacts, [])
  }
})
