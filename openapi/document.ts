import { createRequire } from 'node:module'
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import Fastify from 'fastify'
import { fastifyBatchCancel } from '../lib/index.js'

const { version, description } = createRequire(import.meta.url)('fastify-batch-cancel/package.json') as { version: string, description: string }

interface Server {
  url: string
  description: string
}

/** Credentials are optional: the server may have its own. */
export const security = [{ providerKey: [] }, {}]

/** What @fastify/swagger needs in order to write the document of this package. */
export function documentOptions (server: Server): FastifyDynamicSwaggerOptions {
  return {
    convertConstToEnum: false,
    refResolver: { buildLocalReference: ({ title }) => String(title) },
    openapi: {
      openapi: '3.1.0',
      info: { title: 'fastify-batch-cancel', version, description: `${description}.`, contact: { name: 'The maintainers of fastify-batch-cancel' }, license: { name: 'MIT', identifier: 'MIT' } },
      servers: [server],
      tags: [{ name: 'Batch', description: 'Cancelling batches.' }],
      components: { securitySchemes: { providerKey: { type: 'http', scheme: 'bearer', description: 'The credential for the provider.' } } }
    },
    transformObject: complete
  }
}

type Transform = NonNullable<FastifyDynamicSwaggerOptions['transformObject']>

interface Parameter {
  name: string
  required: boolean
  schema: object
}

interface Operation {
  parameters: Parameter[]
  responses: Record<string, { headers: Record<string, object> }>
}

/** Adds what Fastify's schemas cannot say: examples that Swagger UI does not fill in, an optional body, required headers of answers. */
function complete (document: Parameters<Transform>[0]): ReturnType<Transform> {
  const { openapiObject } = document as { openapiObject: { paths: Record<string, { post: Operation }> } }
  const paths = Object.entries(openapiObject.paths).map(([path, item]) => [path, { ...item, post: completeOperation(item.post) }])
  return { ...openapiObject, paths: Object.fromEntries(paths) }
}

const completeOperation = ({ parameters, responses, ...operation }: Operation) => ({
  ...operation,
  parameters: parameters.map(parameter => ({ ...parameter, schema: { ...parameter.schema, ...examplesOf(parameter) } })),
  requestBody: { required: false, description: 'Ignored: clients send `{}`, or nothing.', content: { 'application/json': { schema: { type: 'object' } } } },
  responses: Object.fromEntries(Object.entries(responses).map(([status, response]) => [status, { ...response, headers: requireHeaders(status, response.headers) }])),
  'x-codeSamples': CODE_SAMPLES
})

/** Examples in the schema of an optional header are shown; those beside it Swagger UI would fill in and send. */
const examplesOf = ({ name }: Parameter) => Object.hasOwn(HEADER_EXAMPLES, name) ? { examples: [HEADER_EXAMPLES[name]] } : {}

const requireHeaders = (status: string, headers: Record<string, object>) => Object.fromEntries(Object.entries(headers).map(([name, header]) =>
  [name, { ...header, ...isAlwaysThere(status, name) && { required: true }, ...Object.hasOwn(ANSWER_EXAMPLES, name) && { example: ANSWER_EXAMPLES[name] } }]))

const ALWAYS = ['x-request-id', 'x-portkey-trace-id']
const ALWAYS_BY_STATUS: Readonly<Record<string, readonly string[]>> = {
  200: ['x-portkey-provider', 'x-portkey-retry-attempt-count', 'x-batch-source'],
  409: ['x-portkey-provider', 'x-portkey-retry-attempt-count', 'x-should-retry']
}

const isAlwaysThere = (status: string, name: string) => ALWAYS.includes(name) || ALWAYS_BY_STATUS[status]?.includes(name) === true

const ANSWER_EXAMPLES: Readonly<Record<string, string>> = {
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

const HEADER_EXAMPLES: Readonly<Record<string, string>> = {
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

const CODE_SAMPLES = [
  {
    lang: 'Shell',
    label: 'curl',
    source: 'curl -X POST http://127.0.0.1:8787/v1/batches/batch_abc123/cancel \\\n  -H "x-portkey-provider: openai" \\\n  -H "Authorization: Bearer $OPENAI_API_KEY"'
  },
  {
    lang: 'JavaScript',
    label: 'openai',
    source: "import OpenAI from 'openai'\n\nconst openai = new OpenAI({ baseURL: 'http://127.0.0.1:8787/v1', defaultHeaders: { 'x-portkey-provider': 'openai' } })\nconst batch = await openai.batches.cancel('batch_abc123')"
  },
  {
    lang: 'JavaScript',
    label: 'portkey-ai',
    source: "import Portkey from 'portkey-ai'\n\nconst portkey = new Portkey({ baseURL: 'http://127.0.0.1:8787/v1', provider: 'openai', apiKey: process.env.OPENAI_API_KEY })\nconst batch = await portkey.batches.cancel('batch_abc123')"
  }
]

/** The document of the plugin as it is registered with no options, its one operation only. */
export async function renderDocument (): Promise<string> {
  const app = Fastify()
  await app.register(swagger, documentOptions({ url: 'http://127.0.0.1:8787', description: 'The gateway that `npm start` runs' }))
  await app.register(fastifyBatchCancel, { routeOptions: { schema: { security } } })
  await app.ready()
  const document = JSON.stringify(app.swagger(), null, 2) + '\n'
  await app.close()
  return document
}
