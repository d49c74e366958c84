import { createRequire } from 'node:module'
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { headerReaders } from 'fastify-batch-cancel/schemas'

const { version, description } = createRequire(import.meta.url)('fastify-batch-cancel/package.json') as {
  version: string
  description: string
}

interface Server {
  url: string
  description: string
}

/** The bearer credential is optional: there are others, and the server may have its own. */
export const security = [{ providerKey: [] }, {}]

/** The options of @fastify/swagger for a document of the plugin's operations. */
export function documentOptions (server: Server): FastifyDynamicSwaggerOptions {
  return {
    convertConstToEnum: false,
    refResolver: { buildLocalReference: ({ title }) => String(title) },
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'fastify-batch-cancel',
        version,
        description: `${description}.`,
        contact: { name: 'The maintainers of fastify-batch-cancel' },
        license: { name: 'MIT', identifier: 'MIT' }
      },
      servers: [server],
      tags: [{ name: 'Batch', description: 'Operations on batches.' }],
      components: {
        securitySchemes: {
          providerKey: { type: 'http', scheme: 'bearer', description: 'The credential for the provider.' }
        }
      }
    },
    transform: annotateHeaders,
    transformObject: completeDocument
  }
}

/** The OpenAPI extension that lists the providers that read a header, for headers that not every provider reads. */
const X_PROVIDERS = 'x-providers'

type Transform = NonNullable<FastifyDynamicSwaggerOptions['transform']>
type TransformObject = NonNullable<FastifyDynamicSwaggerOptions['transformObject']>

interface HeadersSchema {
  properties: Record<string, object>
}

/** Adds the extension to a copy of the route's schema. @fastify/swagger keeps it within the schema of the parameter. */
function annotateHeaders ({ schema, url }: Parameters<Transform>[0]): ReturnType<Transform> {
  const headers = schema?.headers as HeadersSchema | undefined
  if (headers === undefined) return { schema, url }
  const readers = headerReaders(headers)
  const properties = Object.entries(headers.properties).map(([name, property]) =>
    [name, readers.has(name) ? { ...property, [X_PROVIDERS]: readers.get(name) } : property])
  return { schema: { ...schema, headers: { ...headers, properties: Object.fromEntries(properties) } }, url }
}

interface Parameter {
  name: string
  required: boolean
  schema: { [X_PROVIDERS]?: readonly string[] }
}

interface Response {
  headers: Record<string, object>
}

interface Operation {
  parameters: Parameter[]
  responses: Record<string, Response>
}

type Method = keyof typeof OPERATIONS

/** Adds what Fastify's schemas cannot express. */
function completeDocument (document: Parameters<TransformObject>[0]): ReturnType<TransformObject> {
  const { openapiObject } = document as { openapiObject: { paths: Record<string, Record<Method, Operation>> } }
  const paths = Object.entries(openapiObject.paths).map(([path, item]) => [path, completePath(item)])
  return { ...openapiObject, paths: Object.fromEntries(paths) }
}

const completePath = (item: Record<Method, Operation>) => Object.fromEntries(Object.entries(item)
  .map(([method, operation]) => [method, completeOperation(operation, OPERATIONS[method as Method])]))

function completeOperation ({ parameters, responses, ...operation }: Operation, addition: Addition) {
  const completed = Object.entries(responses).map(([status, response]) =>
    [status, { ...response, headers: completeHeaders(response.headers, status, addition) }])
  return {
    ...operation,
    parameters: parameters.map(completeParameter),
    ...addition.requestBody !== undefined && { requestBody: addition.requestBody },
    responses: Object.fromEntries(completed),
    'x-codeSamples': addition.codeSamples
  }
}

/** Swagger UI only displays an example in the schema of a header; one beside the schema it would fill in and send. */
function completeParameter (parameter: Parameter) {
  const { [X_PROVIDERS]: providers, ...schema } = parameter.schema
  const example = REQUEST_HEADER_EXAMPLES[parameter.name]
  return {
    ...parameter,
    schema: { ...schema, ...example !== undefined && { examples: [example] } },
    ...providers !== undefined && { [X_PROVIDERS]: providers }
  }
}

function completeHeaders (headers: Record<string, object>, status: string, { requiredHeaders, examples }: Addition) {
  const required = [...REQUIRED_HEADERS, ...requiredHeaders[status] ?? []]
  const complete = (name: string, header: object) =>
    ({ ...header, ...required.includes(name) && { required: true }, example: examples[name] })
  return Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, complete(name, header)]))
}

/** The headers of every response. */
const REQUIRED_HEADERS = ['x-request-id', 'x-portkey-trace-id']

const RESPONSE_HEADER_EXAMPLES: Readonly<Record<string, string>> = {
  'x-request-id': 'req_123',
  'x-portkey-trace-id': 'trace-1',
  'x-portkey-provider': 'openai',
  'x-portkey-retry-attempt-count': '0',
  'x-batch-source': 'provider',
  'preference-applied': 'wait=30',
  'retry-after': '15',
  'retry-after-ms': '1000',
  'x-should-retry': 'false'
}

const REQUEST_HEADER_EXAMPLES: Readonly<Record<string, string>> = {
  'x-portkey-config': '{"provider":"openai","request_timeout":10000}',
  'x-portkey-request-timeout': '10000',
  'x-portkey-trace-id': 'trace-1',
  'x-stainless-retry-count': '0',
  prefer: 'wait=30',
  'x-portkey-custom-host': 'https://llm.example.com/v1',
  'x-portkey-forward-headers': 'x-tenant, x-team',
  'x-portkey-openai-organization': 'org-123',
  'x-portkey-openai-project': 'proj_123',
  'x-portkey-azure-resource-name': 'my-resource',
  'x-portkey-azure-api-version': '2024-10-21',
  'x-portkey-azure-foundry-url': 'https://my-resource.services.ai.azure.com',
  'anthropic-version': '2023-06-01',
  'x-portkey-aws-region': 'us-east-1',
  'x-portkey-vertex-project-id': 'my-project',
  'x-portkey-vertex-region': 'us-central1',
  'x-portkey-watsonx-region': 'us-south'
}

const OPENAI_CLIENT = `import OpenAI from 'openai'

const openai = new OpenAI({
  baseURL: 'http://127.0.0.1:8787/v1',
  defaultHeaders: { 'x-portkey-provider': 'openai' }
})`

const PORTKEY_CLIENT = `import Portkey from 'portkey-ai'

const portkey = new Portkey({
  baseURL: 'http://127.0.0.1:8787/v1',
  provider: 'openai',
  apiKey: process.env.OPENAI_API_KEY
})`

/** Code samples by client, in the format of Redocly and ReadMe. */
const codeSamples = (curlArguments: string, method: string) => [
  {
    lang: 'Shell',
    label: 'curl',
    source: [`curl ${curlArguments}`, '-H "x-portkey-provider: openai"', '-H "Authorization: Bearer $OPENAI_API_KEY"']
      .join(' \\\n  ')
  },
  {
    lang: 'JavaScript',
    label: 'openai',
    source: `${OPENAI_CLIENT}\nconst batch = await openai.batches.${method}('batch_abc123')`
  },
  {
    lang: 'JavaScript',
    label: 'portkey-ai',
    source: `${PORTKEY_CLIENT}\nconst batch = await portkey.batches.${method}('batch_abc123')`
  }
]

/** What is added to an operation. */
interface Addition {
  readonly requestBody?: object
  /** Response headers that are always present, by status. */
  readonly requiredHeaders: Readonly<Record<string, readonly string[]>>
  /** Examples of response headers. */
  readonly examples: Readonly<Record<string, string>>
  readonly codeSamples: readonly object[]
}

const OPERATIONS: Readonly<Record<'get' | 'post', Addition>> = {
  get: {
    requiredHeaders: { 200: ['x-portkey-provider', 'x-batch-source'] },
    examples: { ...RESPONSE_HEADER_EXAMPLES, 'x-batch-source': 'retrieved' },
    codeSamples: codeSamples('http://127.0.0.1:8787/v1/batches/batch_abc123', 'retrieve')
  },
  post: {
    requestBody: {
      required: false,
      description: 'Ignored. Clients send `{}` or no body.',
      content: { 'application/json': { schema: { type: 'object' } } }
    },
    requiredHeaders: {
      200: ['x-portkey-provider', 'x-portkey-retry-attempt-count', 'x-batch-source'],
      409: ['x-portkey-provider', 'x-portkey-retry-attempt-count']
    },
    examples: RESPONSE_HEADER_EXAMPLES,
    codeSamples: codeSamples('-X POST http://127.0.0.1:8787/v1/batches/batch_abc123/cancel', 'cancel')
  }
}
