import { generateKeyPairSync } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { anthropic, azureAI, azureOpenAI, bedrock, builtIn, cohere, digitalocean, forwardToProviders, google, mistral, novita, providerFactories, together, watsonx, xai, type AzureOptions, type BedrockOptions, type Provider, type VertexOptions, type WatsonxOptions } from '../../lib/index.js'
import { createTokens } from '../../lib/providers/google-token.js'
import { isUnsupported, type ProviderOptions, type Resolvable } from '../../lib/providers/provider.js'
import { defineVertex } from '../../lib/providers/vertex.js'
import { BATCH, buildWithoutPauses, cancel } from '../support/app.js'
import { catchAll, type Internet } from '../support/internet.js'
import type { Recorded } from '../support/upstream.js'

/*
 * Whose secret goes to which host, over every combination of what may choose either. The expectations follow the
 * promise, not the code. Whatever is a secret has `s3cret` in it, so that a leak of any is seen.
 */

/** Every shape of an accepted cancel in one object, so that one request settles a call. */
const ANSWER = {
  ...BATCH,
  cancel_time: '2026-03-01',
  batch: { status: 'BATCH_STATUS_CANCELING' },
  type: 'message_batch',
  processing_status: 'canceling',
  request_counts: { total: 1, completed: 0, failed: 0, processing: 1, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
  state: 'JOB_STATE_CANCELLING',
  metadata: { state: 'BATCH_STATE_CANCELLING' }
}

/** A provider behind every host, which gives the batch a status. */
interface Providers extends Internet {
  status: string
}

async function answerAll (t: Test): Promise<Providers> {
  const internet = await catchAll(t, ({ path }) => {
    const id = path.includes(UUID) ? UUID : 'batch_1'
    return { body: { ...ANSWER, id, batch_id: id, status: providers.status } }
  })
  const providers: Providers = { ...internet, status: 'cancelling' }
  return providers
}

/** What a request should carry, `:path` being its path: its whole credential, and what else names an account. */
type Wire = Readonly<Record<string, string | RegExp>>
type Headers = Readonly<Record<string, string>>
type ToWire = (secret: string) => Wire

/** The server's side of a provider. */
interface Server {
  readonly make: (more: ProviderOptions) => Provider
  readonly isServer: boolean
  /** What goes out; nothing where no credential is found. */
  readonly wire?: Wire | undefined
  /** The headers of a client whose say the server has, and what it says. */
  readonly chooses?: readonly string[] | undefined
  readonly placed?: Wire | undefined
}

/** What a client says in the provider's own headers. */
interface Client {
  readonly headers: Headers
  /** The credential in them, if any; it goes before Authorization. */
  readonly wire?: Wire
  /** The account in them. */
  readonly place?: Wire
  /** The header at fault, where they cannot be what anybody means. */
  readonly fault?: string
  /** The first of the headers that the provider cannot do without, and the call has not. */
  readonly lacks?: (hasBase: boolean) => string | undefined
}

interface Row {
  readonly id: string
  readonly status: string
  /** Where it is reached when nothing else is said: with the client's account, with the server's. */
  readonly own: string
  readonly served: string
  readonly servers: Readonly<Record<string, Server>>
  readonly authorized: ToWire
  /** Every header with which a client chooses an account, each with a value that it may have. */
  readonly accounts: Headers
  /** The headers by which the provider itself knows a credential or an account. */
  readonly known: readonly string[]
  readonly clients: readonly Client[]
}

const bearer: ToWire = secret => ({ authorization: `Bearer ${secret}` })
const inHeader = (name: string): ToWire => secret => ({ [name]: secret })

/** Settings of a server, with the secret that comes of each, if any. */
const KEYS: Readonly<Record<string, readonly [setting: Resolvable, secret?: string]>> = {
  'a key': ['server-s3cret-1', 'server-s3cret-1'],
  'a function': [() => 'server-s3cret-2', 'server-s3cret-2'],
  'a function that finds none': [async () => undefined],
  'a function that gives no token': [() => 'Bearer server-s3cret-3']
}

interface Told<O> extends Partial<Omit<Row, 'own' | 'servers'>> {
  /** The account that the server chooses, as options and upstream. */
  readonly place?: Partial<O>
  readonly placed?: Wire
  /** The headers with which a client would choose it. */
  readonly choosers?: readonly string[]
  readonly keyed?: ToWire
  /** Credentials of a server in other options than `apiKey`. */
  readonly credentials?: Readonly<Record<string, readonly [options: Partial<O>, wire?: Wire]>>
}

function row<O extends ProviderOptions> (factory: (options: O) => Provider, own: string, { place, placed, choosers, keyed = bearer, credentials, ...told }: Told<O> = {}): Row {
  const keys = Object.entries(KEYS).map(([label, [apiKey, secret]]): [string, Partial<O>, Wire | undefined] => [label, { apiKey } as Partial<O>, secret === undefined ? undefined : keyed(secret)])
  const others = Object.entries(credentials ?? {}).map(([label, [options, wire]]): [string, Partial<O>, Wire | undefined] => [label, options, wire])
  const servers = [...keys, ...others].map(([label, options, wire]): [string, Server] =>
    [label, { isServer: true, wire: wire && { ...wire, ...placed }, make: more => factory({ ...place, ...options, ...more } as O) }])
  return {
    id: 'batch_1',
    status: 'cancelling',
    own,
    served: own,
    authorized: bearer,
    accounts: {},
    known: ['authorization'],
    clients: [{ headers: {} }],
    ...told,
    servers: {
      'no key': { isServer: false, make: more => factory(more as O) },
      ...choosers && { 'no key, but a place': { isServer: false, chooses: choosers, placed, make: (more: ProviderOptions) => factory({ ...place, ...more } as O) } },
      ...Object.fromEntries(servers)
    }
  }
}

const shaped = (name: 'openai' | 'groq' | 'deepinfra' | 'parasail' | 'cerebras' | 'moonshot' | 'dashscope' | 'zhipu' | 'siliconflow' | 'morph', own: string, told?: Told<ProviderOptions>) => row(providerFactories[name], own, told)

/* Azure */

const AD_TOKEN = 'x-portkey-azure-ad-token'
const AZURE_MODES = ['auth-mode', 'managed-client-id', 'workload-client-id', 'entra-client-id', 'entra-client-secret', 'entra-tenant-id', 'entra-scope'].map(name => `x-portkey-azure-${name}`)

/** A key and a token look different. */
const azureWire: ToWire = secret => secret.startsWith('eyJ') ? bearer(secret) : { 'api-key': secret }

function azureRow (factory: (options: AzureOptions) => Provider, domain: string, header: string, value: string): Row {
  const place = { [header]: value }
  return row(factory, `https://res-client.${domain}`, {
    served: `https://res-server.${domain}`,
    place: { resourceName: 'res-server' },
    choosers: [header],
    keyed: inHeader('api-key'),
    credentials: Object.fromEntries(Object.entries(KEYS).map(([label, [entraToken, secret]]) => [`${label}, of Entra`, secret === undefined ? [{ entraToken }] : [{ entraToken }, bearer(secret)]])),
    authorized: azureWire,
    accounts: { ...place, [AD_TOKEN]: 'client-s3cret-ad' },
    known: ['authorization', 'api-key', 'x-api-key', 'ocp-apim-subscription-key'],
    clients: [
      { headers: {}, lacks: hasBase => hasBase ? undefined : header },
      { headers: place },
      { headers: { ...place, 'x-portkey-azure-api-version': '2025-01-01-preview' }, place: { ':path': /\?api-version=2025-01-01-preview$/ } },
      { headers: { 'api-key': 'client-s3cret-a' }, wire: { 'api-key': 'client-s3cret-a' }, lacks: hasBase => hasBase ? undefined : header },
      { headers: { ...place, 'api-key': 'client-s3cret-a' }, wire: { 'api-key': 'client-s3cret-a' } },
      { headers: { ...place, 'api-key': 'client-s3cret-a', [AD_TOKEN]: 'Bearer client-s3cret-b' }, wire: bearer('client-s3cret-b') },
      { headers: { ...place, [AD_TOKEN]: 'client-s3cret-c' }, wire: bearer('client-s3cret-c') }
    ]
  })
}

/* Bedrock: the secret of the keys is never sent, but what it signs. */

const AWS = {
  id: { 'x-portkey-aws-access-key-id': 'AKIACLIENT' },
  secret: { 'x-portkey-aws-secret-access-key': 'client-s3cret-aws' },
  session: { 'x-portkey-aws-session-token': 'client-s3cret-session' },
  region: { 'x-portkey-aws-region': 'eu-west-1' },
  bearer: { 'x-portkey-aws-auth-type': 'apiKey' }
}

const signed = (id: string, region: string, session?: string): Wire => ({
  authorization: new RegExp(`^AWS4-HMAC-SHA256 Credential=${id}/\\d{8}/${region}/bedrock/aws4_request, SignedHeaders=host;[a-z0-9;-]+, Signature=[0-9a-f]{64}$`),
  ...session !== undefined && { 'x-amz-security-token': session }
})

const SERVER_KEYS = { accessKeyId: 'AKIASERVER', secretAccessKey: 'server-s3cret-aws' }

/* Vertex AI: the private key is never sent, but a token that it gets. */

const { privateKey: PEM } = generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } })
const keyFile = (name: string) => ({ type: 'service_account', client_email: `${name}@example.com`, private_key: PEM, token_uri: 'https://evil.example/token', project_id: 'p-evil' })
const tokenOf = (name: string) => bearer(`s3cret-token-of-${name}@example.com`)

const vertexExchanging = defineVertex({ accessToken: createTokens({ exchange: async ({ client_email: email }) => ({ access_token: `s3cret-token-of-${email}`, expiry_date: Infinity }) }) })

const GCP = { project: { 'x-portkey-vertex-project-id': 'p-client' }, region: { 'x-portkey-vertex-region': 'europe-west4' } }
const GCP_PLACE: Wire = { ':path': /\/projects\/p-client\/locations\/europe-west4\/batchPredictionJobs\/1234:cancel$/ }
const SERVICE_ACCOUNT = 'x-portkey-vertex-service-account-json'

/* watsonx */

const IBM = { region: { 'x-portkey-watsonx-region': 'eu-de' }, project: { 'x-portkey-watsonx-project-id': 'p-client' }, space: { 'x-portkey-watsonx-space-id': 's-client' } }

const UUID = '0e9d1d35-3d1e-4d66-9a2f-8c7e0f6b3e21'

const PROVIDERS: Readonly<Record<string, Row>> = {
  openai: shaped('openai', 'https://api.openai.com', {
    accounts: { 'x-portkey-openai-organization': 'org-client', 'x-portkey-openai-project': 'proj-client' },
    known: ['authorization', 'openai-organization', 'openai-project'],
    clients: [
      { headers: {} },
      { headers: { 'x-portkey-openai-project': 'proj-client' }, place: { 'openai-project': 'proj-client' } },
      { headers: { 'x-portkey-openai-organization': 'org-client', 'x-portkey-openai-project': 'proj-client' }, place: { 'openai-organization': 'org-client', 'openai-project': 'proj-client' } }
    ]
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
  'azure-openai': azureRow(azureOpenAI, 'openai.azure.com', 'x-portkey-azure-resource-name', 'res-client'),
  'azure-ai': azureRow(azureAI, 'services.ai.azure.com', 'x-portkey-azure-foundry-url', 'https://res-client.services.ai.azure.com/api/projects/p'),
  anthropic: row(anthropic, 'https://api.anthropic.com', {
    keyed: inHeader('x-api-key'),
    accounts: { 'anthropic-workspace-id': 'ws-client' },
    known: ['authorization', 'x-api-key', 'anthropic-workspace-id'],
    clients: [
      { headers: {} },
      { headers: { 'x-api-key': '' } },
      { headers: { 'x-api-key': 'client-s3cret-a' }, wire: { 'x-api-key': 'client-s3cret-a' } },
      { headers: { 'anthropic-workspace-id': 'ws-client' }, place: { 'anthropic-workspace-id': 'ws-client' } },
      { headers: { 'x-api-key': 'client-s3cret-a', 'anthropic-workspace-id': 'ws-client' }, wire: { 'x-api-key': 'client-s3cret-a' }, place: { 'anthropic-workspace-id': 'ws-client' } }
    ]
  }),
  bedrock: row<BedrockOptions>(bedrock, 'https://bedrock.eu-west-1.amazonaws.com', {
    id: 'abcdefghij12',
    status: 'Stopping',
    served: 'https://bedrock.us-east-1.amazonaws.com',
    place: { region: 'us-east-1' },
    choosers: Object.keys(AWS.region),
    credentials: {
      'AWS keys': [{ credentials: SERVER_KEYS }, signed('AKIASERVER', 'us-east-1')],
      'a function that finds AWS keys': [{ credentials: async () => ({ ...SERVER_KEYS, sessionToken: 'server-s3cret-session' }) }, signed('AKIASERVER', 'us-east-1', 'server-s3cret-session')],
      'a function that finds no AWS keys': [{ credentials: () => undefined }]
    },
    accounts: { ...AWS.id, ...AWS.secret, ...AWS.session, ...AWS.region, ...AWS.bearer, 'x-portkey-aws-role-arn': 'arn:aws:iam::123456789012:role/r' },
    known: ['authorization', 'x-amz-security-token', 'x-amz-date', 'x-amz-content-sha256'],
    clients: [
      { headers: {}, lacks: hasBase => hasBase ? undefined : 'x-portkey-aws-region' },
      { headers: AWS.region },
      { headers: { ...AWS.region, ...AWS.id, ...AWS.secret }, wire: signed('AKIACLIENT', 'eu-west-1') },
      { headers: { ...AWS.region, ...AWS.id, ...AWS.secret, ...AWS.session }, wire: signed('AKIACLIENT', 'eu-west-1', 'client-s3cret-session') },
      { headers: { ...AWS.id, ...AWS.secret }, wire: signed('AKIACLIENT', 'us-east-1'), lacks: () => 'x-portkey-aws-region' },
      { headers: { ...AWS.region, ...AWS.id, ...AWS.secret, ...AWS.session, ...AWS.bearer } },
      { headers: { ...AWS.region, ...AWS.id }, fault: 'x-portkey-aws-secret-access-key' },
      { headers: { ...AWS.region, ...AWS.secret }, fault: 'x-portkey-aws-access-key-id' },
      { headers: { ...AWS.region, ...AWS.session }, fault: 'x-portkey-aws-access-key-id' }
    ]
  }),
  'vertex-ai': row<VertexOptions>(vertexExchanging, 'https://europe-west4-aiplatform.googleapis.com', {
    id: '1234',
    served: 'https://us-central1-aiplatform.googleapis.com',
    place: { project: 'p-server', region: 'us-central1' },
    choosers: Object.keys({ ...GCP.project, ...GCP.region }),
    placed: { ':path': /\/projects\/p-server\/locations\/us-central1\/batchPredictionJobs\/1234:cancel$/ },
    credentials: {
      'a key file': [{ serviceAccount: keyFile('server-1') }, tokenOf('server-1')],
      'a key file as JSON': [{ serviceAccount: JSON.stringify(keyFile('server-2')) }, tokenOf('server-2')],
      'a function that finds a key file': [{ serviceAccount: async () => keyFile('server-3') }, tokenOf('server-3')],
      'a function that finds no key file': [{ serviceAccount: () => undefined }]
    },
    accounts: { ...GCP.project, ...GCP.region, [SERVICE_ACCOUNT]: JSON.stringify(keyFile('client')) },
    known: ['authorization', 'x-goog-api-key', 'x-goog-user-project'],
    clients: [
      { headers: {}, lacks: () => 'x-portkey-vertex-project-id' },
      { headers: GCP.project, lacks: () => 'x-portkey-vertex-region' },
      { headers: { ...GCP.project, ...GCP.region }, place: GCP_PLACE },
      { headers: { ...GCP.project, ...GCP.region, [SERVICE_ACCOUNT]: JSON.stringify(keyFile('client')) }, wire: tokenOf('client'), place: GCP_PLACE },
      { headers: { ...GCP.project, ...GCP.region, [SERVICE_ACCOUNT]: JSON.stringify({ ...keyFile('client'), type: 'external_account' }) }, fault: SERVICE_ACCOUNT }
    ]
  }),
  google: row(google, 'https://generativelanguage.googleapis.com', {
    keyed: inHeader('x-goog-api-key'),
    authorized: inHeader('x-goog-api-key'),
    accounts: { 'x-goog-api-key': 'client-s3cret-a' },
    known: ['authorization', 'x-goog-api-key', 'x-goog-user-project'],
    clients: [{ headers: {} }, { headers: { 'x-goog-api-key': '' } }, { headers: { 'x-goog-api-key': 'client-s3cret-a' }, wire: { 'x-goog-api-key': 'client-s3cret-a' } }]
  }),
  'mistral-ai': row(mistral, 'https://api.mistral.ai', { id: UUID, status: 'CANCELLATION_REQUESTED' }),
  'together-ai': row(together, 'https://api.together.ai', { status: 'CANCELING' }),
  cohere: row(cohere, 'https://api.cohere.com'),
  'x-ai': row(xai, 'https://api.x.ai'),
  'novita-ai': row(novita, 'https://api.novita.ai'),
  digitalocean: row(digitalocean, 'https://inference.do-ai.run', { id: UUID }),
  watsonx: row<WatsonxOptions>(watsonx, 'https://eu-de.ml.cloud.ibm.com', {
    served: 'https://us-south.ml.cloud.ibm.com',
    place: { region: 'us-south', projectId: 'p-server' },
    placed: { 'x-ibm-project-id': 'p-server' },
    choosers: Object.keys({ ...IBM.region, ...IBM.project, ...IBM.space }),
    accounts: { ...IBM.region, ...IBM.project, ...IBM.space },
    known: ['authorization', 'x-ibm-project-id', 'x-ibm-space-id'],
    clients: [
      { headers: {}, lacks: hasBase => hasBase ? 'x-portkey-watsonx-project-id' : 'x-portkey-watsonx-region' },
      { headers: IBM.region, lacks: () => 'x-portkey-watsonx-project-id' },
      { headers: { ...IBM.region, ...IBM.project }, place: { 'x-ibm-project-id': 'p-client' } },
      { headers: { ...IBM.region, ...IBM.space }, place: { 'x-ibm-space-id': 's-client' } },
      { headers: { ...IBM.region, ...IBM.project, ...IBM.space }, fault: 'x-portkey-watsonx-space-id' }
    ]
  })
}
const NAMES = Object.keys(PROVIDERS)
const rowOf = (name: string) => PROVIDERS[name] as Row
const serverOf = ({ name, server }: Pick<Combination, 'name' | 'server'>) => rowOf(name).servers[server] as Server

const unique = (names: readonly string[]) => [...new Set(names)]
/** Every upstream header that is a credential or an account somewhere: a request has those of its own, and no other. */
const KNOWN = unique([...NAMES.flatMap(name => rowOf(name).known), 'x-dashscope-workspace'])

/** What a client may say to one provider, and to all of them. */
const saidTo = (name: string): Headers => Object.assign({}, rowOf(name).accounts, ...rowOf(name).clients.map(({ headers }) => headers))
const SAID: Headers = Object.assign({}, ...NAMES.map(saidTo))

/** Some headers that are not this provider's to take, and are named to be sent on: only the last of them may be. */
function noise (name: string, named: readonly string[]): Headers {
  const own = saidTo(name)
  const foreign = Object.entries({ ...Object.fromEntries(KNOWN.map(header => [header, 'forward-s3cret'])), ...SAID }).filter(([header]) => !Object.hasOwn(own, header) && header !== 'authorization')
  return {
    ...Object.fromEntries(foreign),
    'x-portkey-forward-headers': ['Cookie', 'proxy-authorization', 'host', 'content-length', 'x-portkey-custom-host', ...Object.keys(SAID).filter(header => header.startsWith('x-portkey-')), ...named, 'X-Team'].join(', '),
    cookie: 'sid=client-s3cret-cookie',
    'proxy-authorization': 'Basic client-s3cret-proxy',
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

const TRUSTED = ['llm.example.com', 'http://10.0.0.5:8000']

/** Custom hosts, with the origin that each may lead to, if any. */
type Host = readonly [url: string | undefined, origin?: string]
const HOSTS: readonly Host[] = [
  [undefined],
  [''],
  ['https://llm.example.com/v1', 'https://llm.example.com'],
  ['http://10.0.0.5:8000/v1', 'http://10.0.0.5:8000'],
  ['https://evil.example/v1'],
  ['https://llm.example.com@evil.example/v1']
]

interface Combination {
  readonly name: string
  readonly server: string
  readonly client: Client
  readonly authorization: Authorization
  readonly host: Host
  /** The operator's base URL, as an origin. */
  readonly operator?: string
  /** Headers that should change nothing. */
  readonly extra?: Headers
  /** Whether the operator lets `X-Team` be forwarded. */
  readonly forwards?: boolean
  /** How a config spells its keys, where the client says all in one. */
  readonly spelling?: Spelling
}

/** All combinations of a provider with these. */
const combine = (name: string, { servers = Object.keys(rowOf(name).servers), authorizations = AUTHORIZATIONS, hosts = HOSTS, ...more }: { servers?: readonly string[], authorizations?: readonly Authorization[], hosts?: readonly Host[] } & Pick<Combination, 'operator' | 'extra' | 'forwards' | 'spelling'> = {}): Combination[] =>
  servers.flatMap(server => rowOf(name).clients.flatMap(client => authorizations.flatMap(authorization => hosts.map(host => ({ name, server, client, authorization, host, ...more })))))

type Outcome = { readonly to: string, readonly wire: Wire } | { readonly error: string, readonly params: readonly string[] }

/** What is promised. */
function promised ({ name, server, client, authorization: [, secret], host: [url, trustedOrigin], operator }: Combination): Outcome {
  const { own, served, accounts, authorized } = rowOf(name)
  const { isServer, wire: serverWire, chooses, placed = client.place } = serverOf({ name, server })
  const refused = (...params: string[]): Outcome => ({ error: 'invalid_header', params })
  const says = (header: string) => client.headers[header] !== undefined && client.headers[header] !== ''
  const isCustom = url !== undefined && url !== ''
  // A credential of the server never goes to a custom host, and no header chooses another account for it.
  if (isCustom && (isServer || trustedOrigin === undefined)) return refused('x-portkey-custom-host')
  const chosen = Object.keys(accounts).filter(says)
  if (isServer && chosen.length > 0) return refused(...chosen)
  // What the server chose, no client chooses otherwise.
  const others = chooses?.filter(says) ?? []
  if (others.length > 0) return { error: 'provider_mismatch', params: others }
  const lacking = isServer || chooses !== undefined ? undefined : client.lacks?.(isCustom || operator !== undefined)
  if (lacking !== undefined) return refused(lacking)
  if (client.fault !== undefined) return refused(client.fault)
  const credential = isServer ? serverWire : client.wire ?? (secret === undefined ? undefined : authorized(secret))
  if (credential === undefined) return { error: 'missing_credentials', params: ['authorization'] }
  return { to: isCustom ? trustedOrigin as string : operator ?? (isServer || chooses !== undefined ? served : own), wire: { ...credential, ...!isServer && placed } }
}

type Spelling = (key: string) => string
const snake: Spelling = key => key
const camel: Spelling = key => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
/** Keys that a config may name without their provider. */
const short: Spelling = key => key.replace(/^azure_(resource_name|api_version)$/, '$1')

/** All that can be said in a config is, and as headers there is something else, which counts for nothing. */
function asConfig (headers: Headers, spell: Spelling): Headers {
  const told = Object.entries(headers).filter(([header]) => header === 'authorization' || header.startsWith('x-portkey-'))
  const config = told.map(([header, value]): [string, unknown] => header === 'authorization'
    ? ['api_key', value]
    : [spell(header.replace('x-portkey-', '').replaceAll('-', '_')), header === SERVICE_ACCOUNT ? JSON.parse(value) : value])
  return { ...headers, ...Object.fromEntries(told.map(([header]) => [header, 'Bearer decoy-s3cret'])), 'x-portkey-config': JSON.stringify(Object.fromEntries(config)) }
}

/** An app for each way in which a server may be set up, with every provider that can be set up so. */
const serve = (t: Test, server: string, more: ProviderOptions = {}, forwardHeaders?: readonly string[]) => buildWithoutPauses(t, {
  forward: forwardToProviders({
    trustedHosts: TRUSTED,
    ...forwardHeaders && { forwardHeaders },
    providers: Object.fromEntries(NAMES.filter(name => Object.hasOwn(rowOf(name).servers, server)).map(name => [name, serverOf({ name, server }).make(more)]))
  })
})

/** Plays combinations, and tells those in which something else happened. */
async function play (t: Test, internet: Providers, combinations: readonly Combination[], more: ProviderOptions = {}, forwardHeaders?: readonly string[]): Promise<void> {
  const apps = new Map<string, FastifyInstance>()
  const broken: string[] = []
  for (const combination of combinations) {
    const { name, server, client, authorization: [authorization], host: [url], extra, spelling } = combination
    const app = apps.get(server) ?? await serve(t, server, more, forwardHeaders)
    apps.set(server, app)
    const headers = { ...extra, 'x-portkey-provider': name, ...client.headers, ...authorization !== undefined && { authorization }, ...url !== undefined && { 'x-portkey-custom-host': url } }
    internet.contacts.length = internet.requests.length = 0
    internet.status = rowOf(name).status
    // A client of this kind gets one cancel a call.
    const response = await cancel(app, { id: rowOf(name).id, headers: { 'x-stainless-retry-count': '0', ...spelling === undefined ? headers : asConfig(headers, spelling) } })
    const wrong = compare(combination, response, internet)
    if (wrong !== undefined) broken.push(`${name}, ${server}: ${wrong}; ${JSON.stringify({ ...combination, extra: extra !== undefined })} ${response.statusCode} ${response.body.slice(0, 300)} ${JSON.stringify(internet)}`)
  }
  t.strictSame(broken.slice(0, 5), [], `${combinations.length} combinations, ${broken.length} broken`)
}

/** The encoded ones are of Basic, and of the middle of the private key. */
const SECRETS = new RegExp(`s3cret|Y2xpZW50LXMzY3JldC01|PRIVATE KEY|${PEM.split('\n')[9]?.replace(/[^0-9A-Za-z]/g, '.')}`)

/** Beside a signature, and no secret. */
const DERIVED = ['x-amz-date', 'x-amz-content-sha256']

function compare (combination: Combination, { statusCode, body, json }: { statusCode: number, body: string, json: () => { error?: { code: string, param: string } } }, { contacts, requests }: Internet): string | undefined {
  const outcome = promised(combination)
  if (SECRETS.test(body)) return 'should tell no secret'
  if ('error' in outcome) {
    const { code, param } = json().error ?? {}
    if (code !== outcome.error || !outcome.params.includes(String(param))) return `should be ${outcome.error} of ${outcome.params.join(' or ')}`
    return contacts.length + requests.length === 0 ? undefined : 'should send nothing'
  }
  const { to, wire } = outcome
  if (statusCode !== 200 || contacts.join() !== to || requests.length !== 1) return `should reach ${to} once`
  const [{ path, headers, body: sent }] = requests as [Recorded]
  if (headers.host !== new URL(to).host) return 'should name the host'
  const carried: Record<string, unknown> = { ...headers, ':path': path }
  for (const [name, value] of Object.entries(wire)) {
    const is = carried[name]
    if (value instanceof RegExp ? !value.test(String(is)) : is !== value) return `should send ${name}: ${String(value)}`
    delete carried[name]
  }
  const others = KNOWN.filter(name => carried[name] !== undefined && !DERIVED.includes(name))
  if (others.length > 0) return `should send no ${others.join(', ')}`
  if (SECRETS.test(JSON.stringify([carried, sent]))) return 'should send no other secret'
  const { isServer } = serverOf(combination)
  const team = isServer && combination.forwards !== true ? undefined : combination.extra?.['x-team']
  return headers['x-team'] === team ? undefined : 'should send on what may be sent on'
}

t.test('every provider has a row here, and every header that chooses an account a value in it', async t => {
  const providers = Object.entries(builtIn).filter((entry): entry is [string, Provider] => !isUnsupported(entry[1]))
  t.strictSame(providers.map(([name]) => name).sort(), NAMES.toSorted())
  for (const [name, { accountHeaders = [] }] of providers) t.strictSame(accountHeaders.toSorted(), Object.keys(rowOf(name).accounts).sort(), name)
})

t.test('every combination of server, headers, Authorization and host', async t => {
  await play(t, await answerAll(t), NAMES.flatMap(name => combine(name)))
})

t.test('headers of other providers, and those to be sent on, change nothing', async t => {
  await play(t, await answerAll(t), NAMES.flatMap(name => combine(name, { authorizations: AUTHORIZATIONS.slice(0, 2), hosts: HOSTS.slice(0, 3), extra: noise(name, rowOf(name).known) })))
})

t.test('what is a credential anywhere is sent on nowhere', async t => {
  await play(t, await answerAll(t), NAMES.flatMap(name => combine(name, { authorizations: AUTHORIZATIONS.slice(1, 2), hosts: HOSTS.slice(0, 1), extra: noise(name, [...KNOWN, ...Object.keys(SAID)]) })))
})

t.test('the operator says which headers may be forwarded', async t => {
  const internet = await answerAll(t)
  const options = { authorizations: AUTHORIZATIONS.slice(0, 2), hosts: HOSTS.slice(0, 1) }
  await play(t, internet, NAMES.flatMap(name => combine(name, { ...options, extra: noise(name, rowOf(name).known), forwards: true })), {}, ['X-Team'])
})

t.test('the base URL of the operator', async t => {
  const internet = await answerAll(t)
  const operator = 'https://operator.example:8443'
  const combinations = NAMES.flatMap(name => combine(name, { authorizations: AUTHORIZATIONS.slice(0, 2), operator }))
  for (const baseUrl of [`${operator}/base`, () => `${operator}/base/`, async () => operator]) await play(t, internet, combinations, { baseUrl })
})

t.test('a config is what the headers would be', async t => {
  const internet = await answerAll(t)
  await play(t, internet, NAMES.flatMap(name => combine(name, { hosts: HOSTS.filter(([url]) => url !== ''), spelling: snake })))
  for (const spelling of [camel, short]) await play(t, internet, NAMES.flatMap(name => combine(name, { authorizations: AUTHORIZATIONS.slice(0, 2), hosts: HOSTS.slice(2, 5), spelling })))
})

t.test('with a credential of the server each header that chooses an account is refused', async t => {
  const internet = await answerAll(t)
  const alone = ([header, value]: [string, string]): Client => ({ headers: { [header]: value } })
  await play(t, internet, NAMES.flatMap(name => Object.entries(rowOf(name).servers).filter(([, { isServer }]) => isServer).flatMap(([server]) =>
    Object.entries(rowOf(name).accounts).map(account => ({ name, server, client: alone(account), authorization: AUTHORIZATIONS[1] as Authorization, host: HOSTS[0] as Host })))))
})

t.test('no client makes the server use an identity of its own', async t => {
  const internet = await answerAll(t)
  const modes = { 'azure-openai': AZURE_MODES, 'azure-ai': AZURE_MODES, bedrock: ['x-portkey-aws-role-arn'] }
  await play(t, internet, Object.entries(modes).flatMap(([name, headers]) => Object.keys(rowOf(name).servers).flatMap(server => headers.flatMap(fault => AUTHORIZATIONS.map(authorization =>
    ({ name, server, client: { headers: { [fault]: 'managed' }, fault }, authorization, host: HOSTS[0] as Host }))))))
})
