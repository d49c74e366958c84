import t, { type Test } from 'tap'
import { batch } from '../support/app.js'
import { copyExample } from '../support/code-blocks.js'
import { startUpstream, type Upstream, type UpstreamResponse } from '../support/upstream.js'

/* The example 'aws-lambda', bundled as it says and invoked as Lambda does. */

interface LambdaResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly isBase64Encoded: boolean
}

type Handler = (event: object, context: object) => Promise<LambdaResponse>

const REQUEST_ID = 'JKJaXmPLvHcESHA='

/** What an HTTP API of API Gateway sends, payload format 2.0, for a POST with a body. */
const eventOf = (rawPath: string, headers: Record<string, string>) => ({
  version: '2.0',
  routeKey: '$default',
  rawPath,
  rawQueryString: '',
  headers: {
    accept: 'application/json',
    'content-length': '2',
    'content-type': 'application/json',
    host: 'r3pmxmplak.execute-api.us-east-2.amazonaws.com',
    'x-amzn-trace-id': 'Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e',
    'x-forwarded-for': '205.255.255.176',
    'x-forwarded-port': '443',
    'x-forwarded-proto': 'https',
    ...headers
  },
  requestContext: {
    accountId: '123456789012',
    apiId: 'r3pmxmplak',
    domainName: 'r3pmxmplak.execute-api.us-east-2.amazonaws.com',
    domainPrefix: 'r3pmxmplak',
    http: {
      method: 'POST',
      path: rawPath,
      protocol: 'HTTP/1.1',
      sourceIp: '205.255.255.176',
      userAgent: 'OpenAI/JS 6.49.0'
    },
    requestId: REQUEST_ID,
    routeKey: '$default',
    stage: '$default',
    time: '10/Mar/2020:05:16:23 +0000',
    timeEpoch: 1583817383220
  },
  body: 'e30=',
  isBase64Encoded: true
})

const CONTEXT = { functionName: 'cancel-batches', memoryLimitInMB: '512', getRemainingTimeInMillis: () => 30_000 }

/** Bundles the function, and loads the bundle. */
async function loadFunction (upstream: Upstream): Promise<Handler> {
  Object.assign(process.env, { OPENAI_BASE_URL: `${upstream.url}/v1`, OPENAI_API_KEY: 'sk-lambda' })
  const folder = await copyExample('aws-lambda', 'aws-lambda')
  await import(new URL('build.js', folder).href)
  const { handler } = await import(new URL('dist/index.mjs', folder).href) as { handler: Handler }
  return handler
}

const upstream = await startUpstream(t)
const handler = await loadFunction(upstream)

interface Row {
  readonly what: string
  readonly cancel: UpstreamResponse
  readonly read?: UpstreamResponse
  readonly headers?: Record<string, string>
  readonly status: number
  readonly body: object
  readonly responseHeaders?: Record<string, string>
}

const COMPLETED = batch({ status: 'completed', output_file_id: 'file-2' })
const REFUSED = { status: 409, body: { error: { message: 'Cannot cancel.' } } }

const ROWS: readonly Row[] = [
  {
    what: 'a cancelled batch',
    cancel: { body: batch({}) },
    status: 200,
    body: batch({}),
    responseHeaders: { 'x-batch-source': 'provider', 'x-request-id': REQUEST_ID }
  },
  {
    what: 'a wait, which the time-out of the client does not shorten',
    cancel: { body: batch({}) },
    read: { body: batch({ status: 'cancelled', output_file_id: 'file-2' }) },
    headers: { prefer: 'wait=20', 'x-portkey-request-timeout': '1000' },
    status: 200,
    body: { status: 'cancelled', output_file_id: 'file-2' },
    responseHeaders: { 'preference-applied': 'wait=20' }
  },
  {
    what: 'a batch that has ended',
    cancel: REFUSED,
    read: { body: COMPLETED },
    status: 409,
    body: { error: { code: 'batch_not_cancellable' }, batch: COMPLETED },
    responseHeaders: { 'x-should-retry': 'false' }
  },
  {
    what: 'an error of the provider',
    cancel: { status: 429, headers: { 'retry-after': '60' }, body: { error: { message: 'Slow down.' } } },
    status: 429,
    body: { error: { message: 'Slow down.' } },
    responseHeaders: { 'retry-after': '60' }
  }
]

async function check (t: Test, { cancel, read, headers = {}, status, body, responseHeaders = {} }: Row): Promise<void> {
  upstream.answer = ({ method }) => method === 'GET' ? read : cancel
  upstream.requests.length = 0
  const client = { authorization: 'Bearer token-of-the-app', ...headers }
  const response = await handler(eventOf('/v1/batches/batch_1/cancel', client), CONTEXT)
  t.match(response, { statusCode: status, isBase64Encoded: false, headers: responseHeaders })
  t.match(JSON.parse(response.body), body)
  t.match(upstream.requests[0], {
    method: 'POST',
    path: '/v1/batches/batch_1/cancel',
    headers: { authorization: 'Bearer sk-lambda' }
  })
}

for (const row of ROWS) t.test(row.what, t => check(t, row))

t.test('a path that API Gateway has decoded has no route', async t => {
  const { statusCode } = await handler(eventOf('/v1/batches/arn:aws:bedrock/job/cancel', {}), CONTEXT)
  t.equal(statusCode, 404)
})
