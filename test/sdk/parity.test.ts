import type { IncomingHttpHeaders } from 'node:http'
import { devNull } from 'node:os'
import { AnthropicAws, type AwsClientOptions } from '@anthropic-ai/aws-sdk'
import Anthropic from '@anthropic-ai/sdk'
import {
  BedrockClient,
  GetModelInvocationJobCommand,
  StopModelInvocationJobCommand,
  type BedrockClientConfig
} from '@aws-sdk/client-bedrock'
import { InferenceClient } from '@digitalocean/dots/inference'
import { GoogleGenAI, type GoogleGenAIOptions } from '@google/genai'
import { BatchInference } from '@ibm-cloud/watsonx-ai/batch_inference'
import { Mistral } from '@mistralai/mistralai'
import AnthropicBefore from 'anthropic-sdk-0'
import { CohereClient } from 'cohere-ai'
import { OAuth2Client } from 'google-auth-library'
import Groq from 'groq-sdk'
import OpenAI, { AzureOpenAI } from 'openai'
import t, { type Test } from 'tap'
import Together from 'together-ai'
import {
  anthropic, azureOpenAI, bedrockOpenAI, builtIn, cohere, digitalocean, forwardToProviders, google, mistral, openai,
  providerFactories, together, vertex, watsonx, type Provider, type ProviderOptions
} from '../../lib/index.js'
import { defineBedrock } from '../../lib/providers/bedrock.js'
import { defineClaudePlatformAWS } from '../../lib/providers/claude-platform-aws.js'
import { createSigner } from '../../lib/providers/sigv4.js'
import { fixtureOf } from '../fixtures/index.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { requestOf } from '../support/provider.js'
import { startUpstream, type Recorded } from '../support/upstream.js'

// The SDKs look for keys, hosts and proxies there.
const SDK_VARIABLE = /^(openai|azure|anthropic|aws|google|gemini|mistral|groq|together|co|watsonx|ibm)_|_proxy$/i
for (const name of Object.keys(process.env)) if (SDK_VARIABLE.test(name)) delete process.env[name]
process.env['AWS_CONFIG_FILE'] = process.env['AWS_SHARED_CREDENTIALS_FILE'] = devNull

const ACTIONS = ['cancel', 'retrieve'] as const

/** An official client, ready to make each of the two requests. */
type Sdk = Record<typeof ACTIONS[number], () => PromiseLike<unknown>>

/** One way in which a call reaches our provider: with what the client sends, or with what the server has. */
interface Way {
  readonly what: string
  readonly provider: (url: string) => Provider
  readonly headers?: Record<string, string>
  /** What this way alone has of deliberate differences. */
  readonly differences?: readonly Difference[]
}

/** A part of a request that we send otherwise than the SDK, on purpose. A part that is not sent is `undefined`. */
interface Difference {
  readonly of: readonly (typeof ACTIONS[number])[]
  readonly part: string
  readonly sdk: string | undefined
  readonly ours: string | undefined
  readonly because: string
}

interface Row {
  readonly what: string
  /** The name in `x-portkey-provider`. */
  readonly name: string
  readonly id: string
  readonly sdk: (url: string) => Sdk
  readonly ways: readonly Way[]
  /** The name under which the provider shows the batch. @default its id */
  readonly shown?: string
  /** Lifts our grammar of ids, in order to compare how ids are encoded. */
  readonly anyId?: boolean
  readonly differences?: readonly Difference[]
}

/** What a request tells about the connection and the program that sent it, and nothing about what it asks for. */
const NOISE: ReadonlyArray<readonly [header: RegExp, because: string]> = [
  [/^(host|connection)$/, 'of the connection'],
  [/^accept(-language|-encoding)?$/, 'of the HTTP client: every answer is JSON'],
  [/^sec-fetch-mode$/, 'of fetch'],
  [/^user-agent$/, 'names the program'],
  [/^x-stainless-/, 'telemetry of the SDKs that Stainless makes'],
  [/^x-fern-/, 'telemetry of the SDKs that Fern makes'],
  [/^x-goog-api-client$/, 'telemetry of Google\'s SDK']
]

const isNoise = (header: string) => NOISE.some(([noise]) => noise.test(header))

/** All that is compared of a request, by name. */
const partsOf = ({ method, path, headers, body }: Recorded): ReadonlyMap<string, string> => new Map([
  ['method', method],
  ['path', path],
  ['body', body],
  ...Object.entries(headers)
    .filter(([header]) => !isNoise(header))
    .map(([header, value]) => [header, String(value)] as const)
])

const BOTH = ACTIONS
const JSON_WITHOUT_BODY = 'JSON\'s content type says nothing without a body'

const UUID = '0f0e0d0c-1111-4222-8333-444455556666'
const KEY = 'key-of-the-client'
const AUTHORIZATION = { authorization: `Bearer ${KEY}` }

/** Some of everything that may stand in an id and not in a segment of a path. */
const ODD_ID = 'b 1/ü%2F#?'
/** What a segment may hold by RFC 3986; `encodeURIComponent` encodes a part of it all the same. */
const SUBTLE_ID = 'b$&+,;=:@1'

const subtle = (before: string, after = ''): Difference[] => [
  {
    of: ['cancel'],
    part: 'path',
    sdk: `${before}/b$&+,;=:@1/cancel${after}`,
    ours: `${before}/b%24%26%2B%2C%3B%3D%3A%401/cancel${after}`,
    because: 'both name the same segment; what some servers read otherwise, such as a plus, is safe only encoded'
  },
  {
    of: ['retrieve'],
    part: 'path',
    sdk: `${before}/b$&+,;=:@1${after}`,
    ours: `${before}/b%24%26%2B%2C%3B%3D%3A%401${after}`,
    because: 'the same'
  }
]

/** The client's own credential, then the server's. */
const ways = (base: string, factory: (options: ProviderOptions) => Provider): Way[] => [
  {
    what: 'with the key of the client',
    provider: url => factory({ baseUrl: url + base }),
    headers: AUTHORIZATION
  },
  { what: 'with the key of the server', provider: url => factory({ baseUrl: url + base, apiKey: KEY }) }
]

/* OpenAI, and who speaks its shape */

const openaiSdk = (options: object, id = 'batch_1') => (url: string): Sdk => {
  const { batches } = new OpenAI({ apiKey: KEY, organization: null, project: null, baseURL: `${url}/v1`, ...options })
  return { cancel: () => batches.cancel(id), retrieve: () => batches.retrieve(id) }
}

const ourOpenai = ways('/v1', openai)

const groqSdk = (id: string) => (url: string): Sdk => {
  const { batches } = new Groq({ apiKey: KEY, baseURL: url })
  return { cancel: () => batches.cancel(id), retrieve: () => batches.retrieve(id) }
}

const ourGroq = ways('/openai/v1', providerFactories.groq)

const togetherSdk = (id: string) => (url: string): Sdk => {
  const { batches } = new Together({ apiKey: KEY, baseURL: `${url}/v1` })
  return { cancel: () => batches.cancel(id), retrieve: () => batches.retrieve(id) }
}

const ourTogether = ways('/v1', together)

const OPENAI_ROWS: readonly Row[] = [
  { what: 'openai', name: 'openai', id: 'batch_1', sdk: openaiSdk({}), ways: ourOpenai },
  { what: 'openai, an odd id', name: 'openai', id: ODD_ID, anyId: true, sdk: openaiSdk({}, ODD_ID), ways: ourOpenai },
  {
    what: 'openai, a subtle id',
    name: 'openai',
    id: SUBTLE_ID,
    anyId: true,
    sdk: openaiSdk({}, SUBTLE_ID),
    ways: ourOpenai,
    differences: subtle('/v1/batches')
  },
  {
    what: 'openai, an organization and a project',
    name: 'openai',
    id: 'batch_1',
    sdk: openaiSdk({ organization: 'org-1', project: 'proj_1', defaultHeaders: { 'openai-beta': 'batches=v2' } }),
    ways: [{
      what: 'as the headers of this gateway',
      provider: url => openai({ baseUrl: `${url}/v1` }),
      headers: {
        ...AUTHORIZATION,
        'x-portkey-openai-organization': 'org-1',
        'x-portkey-openai-project': 'proj_1',
        'x-portkey-openai-beta': 'batches=v2'
      }
    }]
  },
  { what: 'groq', name: 'groq', id: 'batch_1', sdk: groqSdk('batch_1'), ways: ourGroq },
  { what: 'groq, an odd id', name: 'groq', id: ODD_ID, anyId: true, sdk: groqSdk(ODD_ID), ways: ourGroq },
  {
    what: 'groq, a subtle id',
    name: 'groq',
    id: SUBTLE_ID,
    anyId: true,
    sdk: groqSdk(SUBTLE_ID),
    ways: ourGroq,
    differences: subtle('/openai/v1/batches')
  },
  { what: 'together', name: 'together-ai', id: UUID, sdk: togetherSdk(UUID), ways: ourTogether },
  {
    what: 'together, an odd id',
    name: 'together-ai',
    id: ODD_ID,
    anyId: true,
    sdk: togetherSdk(ODD_ID),
    ways: ourTogether
  },
  {
    what: 'together, a subtle id',
    name: 'together-ai',
    id: SUBTLE_ID,
    anyId: true,
    sdk: togetherSdk(SUBTLE_ID),
    ways: ourTogether,
    differences: subtle('/v1/batches')
  }
]

/* Azure */

const ENTRA = 'eyJhbGciOiJub25lIn0.e30.c2ln'

const azureSdk = (credential: object, id = 'batch_1') => (url: string): Sdk => {
  const { batches } = new AzureOpenAI({ endpoint: url, apiVersion: '2024-10-21', ...credential })
  return { cancel: () => batches.cancel(id), retrieve: () => batches.retrieve(id) }
}

/** The plain client, as Microsoft documents it for the v1 API. */
const azureV1Sdk = (apiKey: string, defaultQuery: Record<string, string> = {}) => (url: string): Sdk => {
  const { batches } = new OpenAI({
    apiKey,
    organization: null,
    project: null,
    baseURL: `${url}/openai/v1/`,
    defaultQuery
  })
  return { cancel: () => batches.cancel('batch_1'), retrieve: () => batches.retrieve('batch_1') }
}

const azureKeyWays: readonly Way[] = [
  {
    what: 'with the key of the client',
    provider: url => azureOpenAI({ baseUrl: `${url}/openai` }),
    headers: { 'api-key': KEY }
  },
  {
    what: 'with the key of the client as Bearer',
    provider: url => azureOpenAI({ baseUrl: `${url}/openai` }),
    headers: AUTHORIZATION
  },
  { what: 'with the key of the server', provider: url => azureOpenAI({ baseUrl: `${url}/openai`, apiKey: KEY }) }
]

const azureTokenWays = (apiVersion: string): Way[] => [
  {
    what: 'with the token of the client',
    provider: url => azureOpenAI({ baseUrl: `${url}/openai` }),
    headers: { 'x-portkey-azure-ad-token': ENTRA, 'x-portkey-azure-api-version': apiVersion }
  },
  {
    what: 'with the token of the client as Bearer',
    provider: url => azureOpenAI({ baseUrl: `${url}/openai` }),
    headers: { authorization: `Bearer ${ENTRA}`, 'x-portkey-azure-api-version': apiVersion }
  },
  {
    what: 'with the token of the server',
    provider: url => azureOpenAI({ baseUrl: `${url}/openai`, entraToken: () => ENTRA, apiVersion })
  }
]

const AZURE_ROWS: readonly Row[] = [
  { what: 'azure', name: 'azure-openai', id: 'batch_1', sdk: azureSdk({ apiKey: KEY }), ways: azureKeyWays },
  {
    what: 'azure, a deployment',
    name: 'azure-openai',
    id: 'batch_1',
    sdk: azureSdk({ apiKey: KEY, deployment: 'gpt-batch' }),
    ways: azureKeyWays
  },
  {
    what: 'azure, an odd id',
    name: 'azure-openai',
    id: ODD_ID,
    anyId: true,
    sdk: azureSdk({ apiKey: KEY }, ODD_ID),
    ways: azureKeyWays
  },
  {
    what: 'azure, a subtle id',
    name: 'azure-openai',
    id: SUBTLE_ID,
    anyId: true,
    sdk: azureSdk({ apiKey: KEY }, SUBTLE_ID),
    ways: azureKeyWays,
    differences: subtle('/openai/batches', '?api-version=2024-10-21')
  },
  {
    what: 'azure, a token',
    name: 'azure-openai',
    id: 'batch_1',
    sdk: azureSdk({ azureADTokenProvider: async () => ENTRA }),
    ways: azureTokenWays('2024-10-21')
  },
  {
    what: 'azure v1, a token',
    name: 'azure-openai',
    id: 'batch_1',
    sdk: azureV1Sdk(ENTRA),
    ways: azureTokenWays('v1')
  },
  {
    what: 'azure v1, a token and a preview',
    name: 'azure-openai',
    id: 'batch_1',
    sdk: azureV1Sdk(ENTRA, { 'api-version': 'preview' }),
    ways: azureTokenWays('preview')
  },
  {
    what: 'azure v1, a key',
    name: 'azure-openai',
    id: 'batch_1',
    sdk: azureV1Sdk(KEY),
    ways: [
      {
        what: 'with the key of the server',
        provider: url => azureOpenAI({ baseUrl: `${url}/openai`, apiKey: KEY, apiVersion: 'v1' })
      }
    ],
    differences: [
      {
        of: BOTH,
        part: 'authorization',
        sdk: `Bearer ${KEY}`,
        ours: undefined,
        because: 'the plain client has no other place for a key'
      },
      {
        of: BOTH,
        part: 'api-key',
        sdk: undefined,
        ours: KEY,
        because: 'where Azure documents a key, for v1 and for dated versions'
      }
    ]
  }
]

/* Anthropic */

const anthropicSdk = (id = 'msgbatch_1', params?: { workspace_id: string }) => (url: string): Sdk => {
  const { batches } = new Anthropic({ apiKey: KEY, baseURL: url }).messages
  return { cancel: () => batches.cancel(id, params), retrieve: () => batches.retrieve(id, params) }
}

const anthropicBeforeSdk = (url: string): Sdk => {
  const { batches } = new AnthropicBefore({ apiKey: KEY, authToken: null, baseURL: url }).messages
  return { cancel: () => batches.cancel('msgbatch_1'), retrieve: () => batches.retrieve('msgbatch_1') }
}

const anthropicWay = (headers: Record<string, string> = {}): Way[] => [
  {
    what: 'with the headers of the SDK',
    provider: url => anthropic({ baseUrl: `${url}/v1` }),
    headers: { ...AUTHORIZATION, 'anthropic-version': '2026-10-21', ...headers }
  }
]

const ANTHROPIC_ROWS: readonly Row[] = [
  {
    what: 'anthropic',
    name: 'anthropic',
    id: 'msgbatch_1',
    sdk: anthropicSdk(),
    ways: [
      ...anthropicWay(),
      {
        what: 'with Authorization alone',
        provider: url => anthropic({ baseUrl: `${url}/v1` }),
        headers: AUTHORIZATION
      },
      {
        what: 'with the key of the server',
        provider: url => anthropic({ baseUrl: `${url}/v1`, apiKey: KEY }),
        differences: [
          {
            of: BOTH,
            part: 'authorization',
            sdk: `Bearer ${KEY}`,
            ours: undefined,
            because: 'Bearer is for tokens, too: this is a key'
          },
          {
            of: BOTH,
            part: 'x-api-key',
            sdk: undefined,
            ours: KEY,
            because: 'where Anthropic documents a key, and its SDK before 1.0 sent it'
          },
          {
            of: BOTH,
            part: 'anthropic-version',
            sdk: '2026-10-21',
            ours: '2023-06-01',
            because: 'without a version the response has the documented one; a batch has one shape in both'
          }
        ]
      }
    ]
  },
  {
    what: 'anthropic, a workspace',
    name: 'anthropic',
    id: 'msgbatch_1',
    sdk: anthropicSdk('msgbatch_1', { workspace_id: 'wrkspc_1' }),
    ways: anthropicWay({ 'anthropic-workspace-id': 'wrkspc_1' })
  },
  {
    what: 'anthropic, an odd id',
    name: 'anthropic',
    id: ODD_ID,
    anyId: true,
    sdk: anthropicSdk(ODD_ID),
    ways: anthropicWay()
  },
  {
    what: 'anthropic, a subtle id',
    name: 'anthropic',
    id: SUBTLE_ID,
    anyId: true,
    sdk: anthropicSdk(SUBTLE_ID),
    ways: anthropicWay(),
    differences: subtle('/v1/messages/batches')
  },
  {
    what: 'anthropic before 1.0',
    name: 'anthropic',
    id: 'msgbatch_1',
    sdk: anthropicBeforeSdk,
    ways: [
      {
        what: 'with the key of the client',
        provider: url => anthropic({ baseUrl: `${url}/v1` }),
        headers: { 'x-api-key': KEY }
      },
      { what: 'with the key of the server', provider: url => anthropic({ baseUrl: `${url}/v1`, apiKey: KEY }) }
    ]
  }
]

/* Amazon Bedrock */

const AT = Date.UTC(2026, 7, 1, 12, 30)
const JOB = 'abcdefghij12'
const ARN = `arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/${JOB}`

const AWS_KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const AWS_SESSION = { ...AWS_KEYS, sessionToken: 'session/token+1==' }

const bedrockAt = defineBedrock({ sign: createSigner({ now: () => AT }) })

const AMAZON_TELEMETRY = /^(amz-sdk-invocation-id|amz-sdk-request|x-amz-user-agent)$/

/** What the SDK tells of itself would be signed, and make every signature another one. */
const withoutTelemetry = <A extends { request: unknown }, R>(next: (args: A) => R) => (args: A): R => {
  const { headers } = args.request as { headers: Record<string, string> }
  for (const header of Object.keys(headers)) if (AMAZON_TELEMETRY.test(header)) delete headers[header]
  return next(args)
}

const bedrockSdk = (credential: BedrockClientConfig, id: string) => (url: string): Sdk => {
  const client = new BedrockClient({ region: 'us-east-1', endpoint: url, ...credential })
  client.middlewareStack.addRelativeTo(withoutTelemetry, {
    name: 'withoutTelemetry',
    relation: 'before',
    toMiddleware: 'httpSigningMiddleware'
  })
  const job = { jobIdentifier: id }
  return {
    cancel: () => client.send(new StopModelInvocationJobCommand(job)),
    retrieve: () => client.send(new GetModelInvocationJobCommand(job))
  }
}

const awsHeaders = ({
  accessKeyId,
  secretAccessKey,
  sessionToken = ''
}: typeof AWS_KEYS & { sessionToken?: string }): Record<string, string> => ({
  'x-portkey-aws-access-key-id': accessKeyId,
  'x-portkey-aws-secret-access-key': secretAccessKey,
  'x-portkey-aws-session-token': sessionToken,
  'x-portkey-aws-region': 'us-east-1'
})

const signedRow = (what: string, id: string, keys: typeof AWS_KEYS & { sessionToken?: string }): Row => ({
  what: `bedrock, ${what}`,
  name: 'bedrock',
  id,
  shown: ARN,
  sdk: bedrockSdk({ credentials: keys }, id),
  ways: [
    { what: 'with the keys of the client', provider: url => bedrockAt({ baseUrl: url }), headers: awsHeaders(keys) },
    {
      what: 'with the keys of the server',
      provider: url => bedrockAt({ baseUrl: url, region: 'us-east-1', credentials: async () => keys })
    }
  ]
})

const claudeAt = defineClaudePlatformAWS(createSigner({ now: () => AT }))

/** All that the request says of the program would be signed, but for Anthropic's own headers and the host. */
const claudeSdk = (credential: AwsClientOptions) => (url: string): Sdk => {
  const { batches } = new AnthropicAws({
    awsRegion: 'us-east-1',
    workspaceId: 'wrkspc_1',
    baseURL: url,
    maxRetries: 0,
    middleware: [(request, next) => {
      const headers = [...new Headers(request.headers)].filter(([name]) => /^(anthropic-|authorization$)/.test(name))
      return next({ ...request, headers: new Headers(headers) })
    }],
    ...credential
  }).messages
  return { cancel: () => batches.cancel('msgbatch_1'), retrieve: () => batches.retrieve('msgbatch_1') }
}

const claudeRow = (what: string, keys: typeof AWS_KEYS & { sessionToken?: string }): Row => ({
  what: `claude platform on aws, ${what}`,
  name: 'claude-platform-aws',
  id: 'msgbatch_1',
  sdk: claudeSdk({
    awsAccessKey: keys.accessKeyId,
    awsSecretAccessKey: keys.secretAccessKey,
    awsSessionToken: keys.sessionToken ?? null
  }),
  ways: [
    {
      what: 'with the keys of the client',
      provider: url => claudeAt({ baseUrl: `${url}/v1` }),
      headers: { ...awsHeaders(keys), 'anthropic-workspace-id': 'wrkspc_1' }
    },
    {
      what: 'with the keys of the server',
      provider: url => claudeAt({
        baseUrl: `${url}/v1`,
        region: 'us-east-1',
        workspaceId: 'wrkspc_1',
        credentials: async () => keys
      })
    }
  ]
})

const CLAUDE_ROWS: readonly Row[] = [
  claudeRow('AWS keys', AWS_KEYS),
  claudeRow('AWS keys and a session', AWS_SESSION),
  {
    what: 'claude platform on aws, a key',
    name: 'claude-platform-aws',
    id: 'msgbatch_1',
    sdk: claudeSdk({ apiKey: KEY }),
    ways: [
      {
        what: 'with the key of the client',
        provider: url => claudeAt({ baseUrl: `${url}/v1` }),
        headers: { ...AUTHORIZATION, 'anthropic-workspace-id': 'wrkspc_1' }
      },
      {
        what: 'with the key of the server',
        provider: url => claudeAt({ baseUrl: `${url}/v1`, apiKey: KEY, workspaceId: 'wrkspc_1' })
      }
    ]
  }
]

/** OpenAI's client, as AWS documents it for these batches. */
const bedrockOpenAIRow: Row = {
  what: 'bedrock-openai, an API key',
  name: 'bedrock-openai',
  id: 'batch_1',
  sdk: url => openaiSdk({ baseURL: `${url}/openai/v1` })(url),
  ways: ways('/openai/v1', bedrockOpenAI)
}

const BEDROCK_ROWS: readonly Row[] = [
  signedRow('an id', JOB, AWS_KEYS),
  signedRow('an id and a session', JOB, AWS_SESSION),
  signedRow('an ARN', ARN, AWS_KEYS),
  signedRow('an ARN and a session', ARN, AWS_SESSION),
  {
    what: 'bedrock, an API key',
    name: 'bedrock',
    id: ARN,
    sdk: bedrockSdk({ token: { token: KEY }, authSchemePreference: ['httpBearerAuth'] }, ARN),
    ways: ways('', bedrockAt)
  },
  bedrockOpenAIRow
]

/* Google */

const VERTEX_NAME = 'projects/my-project/locations/us-central1/batchPredictionJobs/123'

const googleSdk = (options: GoogleGenAIOptions, name: string, httpOptions: object = {}) => (url: string): Sdk => {
  const { batches } = new GoogleGenAI({ ...options, httpOptions: { baseUrl: url, ...httpOptions } })
  return { cancel: () => batches.cancel({ name }), retrieve: () => batches.get({ name }) }
}

const jsonOfGet: Difference = {
  of: ['retrieve'],
  part: 'content-type',
  sdk: 'application/json',
  ours: undefined,
  because: JSON_WITHOUT_BODY
}

const geminiRow = (what: string, id: string): Row => ({
  what: `gemini, ${what}`,
  name: 'google',
  id,
  shown: 'batches/b-1',
  sdk: googleSdk({ apiKey: KEY, vertexai: false }, 'batches/b-1'),
  ways: [
    {
      what: 'with the key of the client',
      provider: url => google({ baseUrl: `${url}/v1beta` }),
      headers: { 'x-goog-api-key': KEY }
    },
    ...ways('/v1beta', google)
  ],
  differences: [jsonOfGet]
})

/** A client of Google's that has its token. */
function signedIn (): OAuth2Client {
  const client = new OAuth2Client()
  client.setCredentials({ access_token: KEY, expiry_date: AT * 2 })
  return client
}

const VERTEX = { vertexai: true, project: 'my-project', location: 'us-central1' }

const ourVertex = (base: string): Way[] => [
  {
    what: 'with the token of the client',
    provider: url => vertex({ baseUrl: url + base }),
    headers: { ...AUTHORIZATION, 'x-portkey-vertex-project-id': 'my-project', 'x-portkey-vertex-region': 'us-central1' }
  },
  {
    what: 'with the token of the server',
    provider: url => vertex({
      baseUrl: url + base,
      project: 'my-project',
      region: 'us-central1',
      apiKey: async () => KEY
    })
  }
]

const vertexSdk = (name: string, httpOptions: object = {}) => (url: string) => googleSdk({
  ...VERTEX,
  googleAuthOptions: { authClient: signedIn() }
}, name, httpOptions)(url)

const V1_OF_VERTEX = 'v1 is the version that Google keeps stable, and it has batch prediction jobs; Google\'s SDK ' +
  'requests v1beta1 by default'

const GOOGLE_ROWS: readonly Row[] = [
  geminiRow('the full name', 'batches/b-1'),
  geminiRow('the full name, encoded before', 'batches%2Fb-1'),
  geminiRow('the last part of the name', 'b-1'),
  {
    what: 'vertex',
    name: 'vertex-ai',
    id: '123',
    shown: VERTEX_NAME,
    sdk: vertexSdk('123'),
    ways: ourVertex('/v1'),
    differences: [
      {
        of: ['cancel'],
        part: 'path',
        sdk: `/v1beta1/${VERTEX_NAME}:cancel`,
        ours: `/v1/${VERTEX_NAME}:cancel`,
        because: V1_OF_VERTEX
      },
      {
        of: ['retrieve'],
        part: 'path',
        sdk: `/v1beta1/${VERTEX_NAME}`,
        ours: `/v1/${VERTEX_NAME}`,
        because: V1_OF_VERTEX
      },
      jsonOfGet
    ]
  },
  {
    what: 'vertex v1',
    name: 'vertex-ai',
    id: '123',
    shown: VERTEX_NAME,
    sdk: vertexSdk('123', { apiVersion: 'v1' }),
    ways: ourVertex('/v1'),
    differences: [jsonOfGet]
  },
  {
    what: 'vertex v1, the full name',
    name: 'vertex-ai',
    id: VERTEX_NAME,
    sdk: vertexSdk(VERTEX_NAME, { apiVersion: 'v1' }),
    ways: [
      ...ourVertex('/v1'),
      { what: 'with the name alone', provider: url => vertex({ baseUrl: `${url}/v1` }), headers: AUTHORIZATION }
    ],
    differences: [jsonOfGet]
  },
  {
    what: 'vertex v1, the full name in another project and region',
    name: 'vertex-ai',
    id: 'projects/another/locations/europe-west4/batchPredictionJobs/123',
    sdk: vertexSdk('projects/another/locations/europe-west4/batchPredictionJobs/123', { apiVersion: 'v1' }),
    ways: [{ what: 'with the name alone', provider: url => vertex({ baseUrl: `${url}/v1` }), headers: AUTHORIZATION }],
    differences: [
      {
        of: ['cancel'],
        part: 'path',
        sdk: `/v1/${VERTEX_NAME}:cancel`,
        ours: '/v1/projects/another/locations/europe-west4/batchPredictionJobs/123:cancel',
        because: 'Google\'s SDK takes only the number from the name, and makes the name of another job with its own ' +
          'project and region'
      },
      {
        of: ['retrieve'],
        part: 'path',
        sdk: `/v1/${VERTEX_NAME}`,
        ours: '/v1/projects/another/locations/europe-west4/batchPredictionJobs/123',
        because: 'the same'
      },
      jsonOfGet
    ]
  }
]

/* The others */

const mistralSdk = (url: string): Sdk => {
  const { jobs } = new Mistral({ apiKey: KEY, serverURL: url }).batch
  return { cancel: () => jobs.cancel({ jobId: UUID }), retrieve: () => jobs.get({ jobId: UUID }) }
}

const cohereSdk = (url: string): Sdk => {
  const { batches } = new CohereClient({ token: KEY, environment: url })
  return { cancel: () => batches.cancel('b_1.2-3'), retrieve: () => batches.retrieve('b_1.2-3') }
}

const digitaloceanSdk = (url: string): Sdk => {
  const { batches } = new InferenceClient({ apiKey: KEY, baseURL: url })
  return { cancel: () => batches.cancel(UUID), retrieve: () => batches.retrieve(UUID) }
}

const watsonxSdk = (owner: { projectId: string } | { spaceId: string }) => (url: string): Sdk => {
  const batches = new BatchInference({ apikey: KEY, serviceUrl: url })
  return {
    cancel: () => batches.cancel({ batchId: 'batch-1', ...owner }),
    retrieve: () => batches.getDetails({ batchId: 'batch-1', ...owner })
  }
}

type Owner = { projectId: string } | { spaceId: string }

const watsonxRow = (what: string, owner: Owner, headers: Record<string, string>): Row => ({
  what: `watsonx, ${what}`,
  name: 'watsonx',
  id: 'batch-1',
  sdk: watsonxSdk(owner),
  ways: [
    {
      what: 'with the key of the client',
      provider: url => watsonx({ baseUrl: url }),
      headers: { ...AUTHORIZATION, ...headers }
    },
    { what: 'with the key of the server', provider: url => watsonx({ baseUrl: url, apiKey: KEY, ...owner }) }
  ]
})

const OTHER_ROWS: readonly Row[] = [
  {
    what: 'mistral',
    name: 'mistral-ai',
    id: UUID,
    sdk: mistralSdk,
    ways: ways('/v1', mistral),
    differences: [
      {
        of: BOTH,
        part: 'cookie',
        sdk: '',
        ours: undefined,
        because: 'Mistral\'s SDK sends a cookie without anything in it'
      }
    ]
  },
  { what: 'cohere', name: 'cohere', id: 'b_1.2-3', sdk: cohereSdk, ways: ways('', cohere) },
  { what: 'digitalocean', name: 'digitalocean', id: UUID, sdk: digitaloceanSdk, ways: ways('/v1', digitalocean) },
  watsonxRow('a project', { projectId: 'project-1' }, { 'x-portkey-watsonx-project-id': 'project-1' }),
  watsonxRow('a space', { spaceId: 'space-1' }, { 'x-portkey-watsonx-space-id': 'space-1' })
]

/** Compares two requests part by part: what differs is a row of the table, and what is a row differs. */
function compare (
  t: Test,
  action: typeof ACTIONS[number],
  sdk: Recorded,
  ours: Recorded,
  rows: readonly Difference[]
): void {
  const [theirs, own] = [partsOf(sdk), partsOf(ours)]
  const expected = new Map(rows.filter(({ of }) => of.includes(action)).map(row => [row.part, row]))
  for (const part of new Set([...theirs.keys(), ...own.keys(), ...expected.keys()])) {
    const difference = expected.get(part)
    const [documented, sent] = [theirs.get(part), own.get(part)]
    if (difference === undefined) {
      t.equal(sent, documented, `${action}: ${part}`)
      continue
    }
    const { sdk: expectedOfSdk, ours: expectedOfUs, because } = difference
    if (documented === sent) t.fail(`${action}: ${part}: the difference is gone: delete the row (${because})`)
    const expectation = { sdk: expectedOfSdk, ours: expectedOfUs }
    t.strictSame({ sdk: documented, ours: sent }, expectation, `${action}: ${part} differs: ${because}`)
  }
}

/** Every header that any of the SDKs sent. */
const seen = new Set<string>()

/** The two requests of each row as its SDK makes them and as the route does, in all its ways. */
async function parity (t: Test, rows: readonly Row[]): Promise<void> {
  // The SDKs that sign do so for this moment; they have no other clock.
  t.intercept(Date, 'now', { value: () => AT })
  const construct = (date: DateConstructor, args: unknown[]) => Reflect.construct(date, args.length === 0 ? [AT] : args)
  t.intercept(globalThis, 'Date', { value: new Proxy(Date, { construct }) })

  for (const { what, name, id, shown = id, anyId = false, sdk, ways, differences = [] } of rows) {
    await t.test(what, async t => {
      const body = fixtureOf(name).responses.body('cancelled', shown)
      const upstream = await startUpstream(t, ({ method }, response) => {
        // Amazon's SDK takes the time from there.
        response.sendDate = false
        if (method === 'GET') return { body }
        return { status: 400, body: { message: 'No.', error: { message: 'No.' } } }
      })
      const client = sdk(upstream.url)
      await t.rejects(Promise.resolve(client.cancel()), 'the SDK is refused')
      await client.retrieve()
      const theirs = upstream.requests.splice(0)
      t.equal(theirs.length, ACTIONS.length, 'the SDK makes one request for each')
      for (const header of theirs.flatMap(({ headers }) => Object.keys(headers))) seen.add(header)

      for (const { what, provider, headers = {}, differences: more = [] } of ways) {
        await t.test(what, async t => {
          const made = provider(upstream.url)
          const own = anyId ? { ...made, id: /^[^]+$/ } : made
          const forward = forwardToProviders({ providers: { [name]: own } })
          const server = { routerOptions: { maxParamLength: 512 } }
          const app = await buildWithoutPauses(t, { defaultProvider: name, forward }, server)
          const response = await cancel(app, { id, headers })
          t.match(response.json(), {
            error: { code: 'batch_not_cancellable' },
            batch: { status: 'cancelled' }
          }, 'refused, then read')
          const ours = upstream.requests.splice(0)
          t.equal(ours.length, ACTIONS.length, 'and so do we')
          for (const [i, action] of ACTIONS.entries()) {
            compare(t, action, theirs[i] as Recorded, ours[i] as Recorded, [...differences, ...more])
          }
        })
      }
    })
  }
}

t.test('OpenAI, Groq and Together', t => parity(t, OPENAI_ROWS))
t.test('Azure OpenAI', t => parity(t, AZURE_ROWS))
t.test('Anthropic', t => parity(t, ANTHROPIC_ROWS))
t.test('Amazon Bedrock, signatures included', t => parity(t, BEDROCK_ROWS))
t.test('Claude Platform on AWS, signatures included', t => parity(t, CLAUDE_ROWS))
t.test('Gemini and Vertex AI', t => parity(t, GOOGLE_ROWS))
t.test('Mistral, Cohere, DigitalOcean and watsonx', t => parity(t, OTHER_ROWS))

t.test('nothing is ignored that no SDK sends', async t => {
  for (const [noise, because] of NOISE) t.ok([...seen].some(header => noise.test(header)), `${noise}, ${because}`)
})

/** The URL of the request that a built-in provider makes, unless an operator says otherwise. */
async function ourUrl (
  name: keyof typeof builtIn,
  batchId: string,
  headers: IncomingHttpHeaders = {}
): Promise<string> {
  const { origin, path } = await requestOf(builtIn[name] as Provider, 'cancel', batchId, { headers, credential: KEY })
  return origin + path
}

const GOOGLE_ACCOUNT = (location: string): GoogleGenAIOptions => ({
  vertexai: true,
  project: 'my-project',
  location,
  apiVersion: 'v1',
  googleAuthOptions: { authClient: signedIn() }
})

const vertexHeaders = (region: string) => ({
  'x-portkey-vertex-project-id': 'my-project',
  'x-portkey-vertex-region': region
})

t.test('where the requests go if nobody says otherwise', async t => {
  const asked: string[] = []
  t.intercept(globalThis, 'fetch', {
    value: async (input: string | URL | Request) => {
      asked.push(input instanceof Request ? input.url : String(input))
      return Response.json({ message: 'No.' }, { status: 400 })
    }
  })

  const rows: Array<[what: string, sdk: () => PromiseLike<unknown>, ours: Promise<string>]> = [
    ['openai', () => new OpenAI({ apiKey: KEY }).batches.cancel('b'), ourUrl('openai', 'b')],
    [
      'azure',
      () => new AzureOpenAI({
        apiKey: KEY,
        apiVersion: '2024-10-21',
        endpoint: 'https://my-resource.openai.azure.com'
      }).batches.cancel('b'),
      ourUrl('azure-openai', 'b', { 'x-portkey-azure-resource-name': 'my-resource' })
    ],
    ['groq', () => new Groq({ apiKey: KEY }).batches.cancel('b'), ourUrl('groq', 'b')],
    ['together', () => new Together({ apiKey: KEY }).batches.cancel('b'), ourUrl('together-ai', 'b')],
    ['anthropic', () => new Anthropic({ apiKey: KEY }).messages.batches.cancel('b'), ourUrl('anthropic', 'b')],
    ['mistral', () => new Mistral({ apiKey: KEY }).batch.jobs.cancel({ jobId: UUID }), ourUrl('mistral-ai', UUID)],
    ['cohere', () => new CohereClient({ token: KEY }).batches.cancel('b'), ourUrl('cohere', 'b')],
    ['digitalocean', () => new InferenceClient({ apiKey: KEY }).batches.cancel(UUID), ourUrl('digitalocean', UUID)],
    [
      'gemini',
      () => new GoogleGenAI({ apiKey: KEY, vertexai: false }).batches.cancel({ name: 'batches/b' }),
      ourUrl('google', 'b')
    ],
    ...['us-central1', 'europe-west4', 'global', 'us', 'eu'].map((region): typeof rows[number] =>
      [
        `vertex in ${region}`,
        () => new GoogleGenAI(GOOGLE_ACCOUNT(region)).batches.cancel({ name: '123' }),
        ourUrl('vertex-ai', '123', vertexHeaders(region))
      ])
  ]
  for (const [what, sdk, ours] of rows) {
    await t.rejects(Promise.resolve(sdk()), `${what} is refused`)
    t.strictSame(asked.splice(0), [await ours], what)
  }
})

t.test('where Amazon has its regions', async t => {
  for (const region of [
    'us-east-1',
    'ap-southeast-2',
    'cn-north-1',
    'us-gov-west-1',
    'eusc-de-east-1',
    'us-iso-east-1',
    'us-isob-east-1',
    'eu-isoe-west-1',
    'us-isof-south-1'
  ]) {
    const asked: string[] = []
    const client = new BedrockClient({
      region,
      credentials: AWS_KEYS,
      requestHandler: {
        async handle ({ protocol, hostname, path }: Record<'protocol' | 'hostname' | 'path', string>) {
          asked.push(`${protocol}//${hostname}${path}`)
          throw new Error('Nobody is asked.')
        }
      }
    })
    await t.rejects(client.send(new StopModelInvocationJobCommand({ jobIdentifier: JOB })))
    t.strictSame(asked, [await ourUrl('bedrock', JOB, { 'x-portkey-aws-region': region })], region)
  }
})

t.test('where Claude Platform on AWS has its regions', async t => {
  for (const region of ['us-east-1', 'eu-west-1', 'ap-southeast-2']) {
    const { baseURL } = new AnthropicAws({ awsRegion: region, workspaceId: 'w', apiKey: KEY })
    const url = await ourUrl('claude-platform-aws', 'msgbatch_1', {
      'x-portkey-aws-region': region,
      'anthropic-workspace-id': 'w'
    })
    t.equal(url, `${baseURL}/v1/messages/batches/msgbatch_1/cancel`, region)
  }
})

t.test('where IBM has its regions', async t => {
  const platform = /^https:\/\/[a-z]{2}-[a-z]+(-\d)?\.(ml\.cloud|aws\.wxai)\.ibm\.com$/
  const hosts = Object.keys(BatchInference.PLATFORM_URLS_MAP)
    .filter(url => platform.test(url) && !url.includes('-qa.'))
  t.ok(hosts.length >= 8, String(hosts))
  for (const host of hosts) {
    const region = new URL(host).hostname.split('.')[0] as string
    const url = await ourUrl('watsonx', 'b', {
      'x-portkey-watsonx-region': region,
      'x-portkey-watsonx-project-id': 'p'
    })
    t.equal(new URL(url).origin, host, region)
  }
})
