import { generateKeyPairSync } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import t, { type Test } from 'tap'
import { forwardToProviders, type Batch, type BatchCall, type BatchResult } from '../../lib/index.js'
import { bedrock, bedrockErrorCode, defineBedrock, type BedrockOptions } from '../../lib/providers/bedrock.js'
import { google } from '../../lib/providers/google.js'
import type { Provider, Resolvable } from '../../lib/providers/provider.js'
import { vertex, type VertexOptions } from '../../lib/providers/vertex.js'
import { createSigner } from '../../lib/providers/sigv4.js'
import { isBatch } from '../../schemas/index.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { conform, type Case } from '../support/conformance.js'
import { batchIn, requestOf } from '../support/provider.js'
import { startUpstream } from '../support/upstream.js'

/** The fields of a batch of which a provider tells nothing. */
const UNREPORTED = {
  object: 'batch',
  endpoint: '',
  model: null,
  errors: null,
  input_file_id: '',
  completion_window: '',
  output_file_id: null,
  error_file_id: null,
  created_at: 0,
  in_progress_at: null,
  expires_at: null,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: null,
  request_counts: null,
  usage: null,
  metadata: null
}

t.test('the provider\'s own object goes out byte for byte', async t => {
  const job = (state: string) => `{ "state" : "JOB_STATE_${state}", "createTime":"2026-08-01T10:00:00Z", "huge":1e400, "precise":12345678901234567890, "float":1.0 }\n`
  let text = ''
  const upstream = await startUpstream(t, ({ method }) => ({ body: method === 'POST' ? '{}' : text }))
  const forward = forwardToProviders({ providers: { 'vertex-ai': vertex({ baseUrl: upstream.url, project: 'p', region: 'eu', apiKey: 'token' }) } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'vertex-ai', forward })
  for (const [state, source] of [['CANCELLING', 'retrieved'], ['RUNNING', 'assumed'], ['SUCCEEDED']] as const) {
    text = job(state)
    const { body, headers } = await cancel(app, { id: '12' })
    t.ok(body.endsWith(`,"provider_batch":${text}}${source === undefined ? '}' : ''}`), body)
    t.equal(headers['x-batch-source'], source)
    t.match(JSON.parse(body), source === undefined ? { batch: { id: '12', status: 'completed' } } : { id: '12', status: 'cancelling', created_at: 1785578400, provider_batch: { state: `JOB_STATE_${state}` } })
  }
  text = job('CANCELLING')
  for (const [change, ends] of [
    [{ metadata: { mine: 'yes' } }, `"metadata":{"mine":"yes"},"status":"cancelling","provider_batch":${text}}`],
    [{ provider_batch: { mine: 1 } }, '"status":"cancelling","provider_batch":{"mine":1}}'],
    [{ provider_batch: 'mine' }, '"status":"cancelling","provider_batch":"mine"}']
  ] as const) {
    const changing = await buildWithoutPauses(t, { defaultProvider: 'vertex-ai', forward: { ...forward, async retrieve (call) { const { batch, raw } = await forward.retrieve(call) as BatchResult<Batch>; return { batch: { ...batch, ...change }, raw } } } })
    const { body } = await cancel(changing, { id: '12' })
    t.ok(body.endsWith(ends), body)
  }
})

/** What every server option gives to a call. */
const settled = async <T>(setting: Resolvable<T> | undefined): Promise<T | undefined> =>
  typeof setting === 'function' ? (setting as (call: BatchCall) => Promise<T>)({ batchId: 'b' } as BatchCall) : setting

const thrown = (run: () => unknown) => {
  try {
    return run()
  } catch (error) {
    return error
  }
}

/** What calls of a route do to a provider that must not be reached. */
async function refusedCalls (t: Test, name: string, provider: (baseUrl: string) => Provider, calls: Array<{ what: string, id: string, headers?: Record<string, string>, status?: number, code: string, param: string, says?: RegExp }>) {
  const upstream = await startUpstream(t)
  const app = await buildWithoutPauses(t, { defaultProvider: name, forward: forwardToProviders({ providers: { [name]: provider(upstream.url) } }) }, { routerOptions: { maxParamLength: 512 } })
  for (const { what, id, headers = {}, status = 400, code, param, says = /./ } of calls) {
    const response = await cancel(app, { id, headers })
    t.equal(response.statusCode, status, `${what} ${response.body}`)
    t.match(response.json(), { error: { code, param, message: says } }, what)
  }
  t.equal(upstream.requests.length, 0, 'no byte left')
}

/** What the three have alike: an accepted cancel shows no batch, and errors come as JSON with a message. */
const common = (error: (message: string, status: string) => unknown, live: unknown): Case[] => [
  { what: 'accepted, and the read fails', cancel: { body: {} }, reads: [{ status: 403 }], status: 200, answer: { ...UNREPORTED, status: 'cancelling' }, source: 'assumed', requests: 2 },
  { what: 'accepted, and nobody answers the read', cancel: { body: {} }, status: 200, answer: { status: 'cancelling', cancelling_at: null }, source: 'assumed' },
  { what: 'accepted, and the read shows a page', cancel: { body: {} }, reads: [{ body: '<html>' }], status: 200, answer: { status: 'cancelling' }, source: 'assumed' },
  { what: 'accepted, and the read shows nothing', cancel: { body: {} }, reads: [{ body: {} }], status: 200, answer: { status: 'cancelling' }, source: 'assumed' },
  { what: 'accepted without a body', cancel: { body: '' }, reads: [{ body: live }], status: 200, answer: { status: 'cancelling', provider_batch: live }, source: 'assumed', requests: 2 },
  { what: 'accepted, but the old state is shown', cancel: { body: {} }, reads: [{ body: live }], status: 200, answer: { status: 'cancelling', provider_batch: live }, source: 'assumed', requests: 2 },
  { what: 'refused, and still live', cancel: { status: 400, body: error('Not now.', 'FAILED_PRECONDITION') }, reads: [{ body: live }], status: 400, answer: { error: { message: 'Not now.' } } },
  { what: 'not found', cancel: { status: 404, body: error('No such job.', 'NOT_FOUND') }, status: 404, answer: { error: { message: 'No such job.' } }, requests: 1 },
  { what: 'not allowed', cancel: { status: 403, body: error('You may not.', 'PERMISSION_DENIED') }, status: 403, answer: { error: { message: 'You may not.' } }, requests: 1 },
  { what: 'a limit', cancel: { status: 429, headers: { 'retry-after': '3600' }, body: error('Slow down.', 'RESOURCE_EXHAUSTED') }, status: 429, answer: { error: { message: 'Slow down.' } }, responseHeaders: { 'retry-after': '3600' } },
  { what: 'an error of the server', cancel: { status: 500, body: error('Oh.', 'INTERNAL') }, reads: [{ status: 500, body: error('Oh.', 'INTERNAL') }], status: 500, answer: { error: { message: 'Oh.' } } },
  { what: 'a page in the place of an answer', cancel: { body: '<html>' }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'another object', cancel: { body: { status: 'success' } }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } },
  { what: 'a list', cancel: { body: [] }, status: 502, answer: { error: { code: 'upstream_invalid_response' } } }
]

/* Amazon Bedrock */

const JOB = 'abcdefghij12'
const ARN = `arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/${JOB}`
const AWS_KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const AWS_HEADERS = { 'x-portkey-aws-access-key-id': AWS_KEYS.accessKeyId, 'x-portkey-aws-secret-access-key': AWS_KEYS.secretAccessKey }
const EMPTY_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

const awsJob = (told: object) => ({
  jobArn: ARN,
  jobName: 'nightly',
  modelId: 'anthropic.claude-3-haiku-20240307-v1:0',
  roleArn: 'arn:aws:iam::123456789012:role/batch',
  status: 'Stopping',
  submitTime: '2026-08-01T10:00:00.123Z',
  lastModifiedTime: '2026-08-01T12:30:00Z',
  jobExpirationTime: '2026-08-02T10:00:00Z',
  inputDataConfig: { s3InputDataConfig: { s3InputFormat: 'JSONL', s3Uri: 's3://in/batch.jsonl' } },
  outputDataConfig: { s3OutputDataConfig: { s3Uri: 's3://out/results/' } },
  timeoutDurationInHours: 24,
  totalRecordCount: 100,
  processedRecordCount: 50,
  successRecordCount: 45,
  errorRecordCount: 5,
  ...told
})

const awsError = (message: string) => ({ message })

const awsEnded = (status: string, as: string): Case => ({
  what: `it is ${status}`,
  cancel: { status: 400, headers: { 'x-amzn-errortype': 'ValidationException:http://internal.amazon.com/coral/com.amazon.coral.validate/' }, body: awsError(`The job cannot be stopped. State was: ${status}`) },
  reads: [{ body: awsJob({ status, endTime: '2026-08-01T12:30:00Z' }) }],
  status: 409,
  answer: { error: { code: 'batch_not_cancellable', message: `Cannot cancel a batch with status '${as}'.` }, batch: { id: JOB, status: as } },
  responseHeaders: { 'x-should-retry': 'false' },
  requests: 2
})

const BEDROCK_CASES: readonly Case[] = [
  { what: 'accepted, and being stopped', cancel: { headers: { 'x-amzn-requestid': 'req-1' } }, reads: [{ headers: { 'x-amzn-requestid': 'req-2' }, body: awsJob({}) }], status: 200, answer: { id: JOB, status: 'cancelling', cancelling_at: 1785587400, request_counts: { total: 100, completed: 45, failed: 5 } }, source: 'retrieved', responseHeaders: { 'x-request-id': 'req-2' }, requests: 2 },
  { what: 'accepted, and stopped', cancel: {}, reads: [{ body: awsJob({ status: 'Stopped', endTime: '2026-08-01T12:30:00Z' }) }], status: 200, answer: { status: 'cancelled', cancelled_at: 1785587400, cancelling_at: null, output_file_id: 's3://out/results/' }, source: 'retrieved' },
  { what: 'accepted, but it had just completed', cancel: {}, reads: [{ body: awsJob({ status: 'Completed' }) }], status: 409, answer: { batch: { status: 'completed', output_file_id: 's3://out/results/' } } },
  { what: 'being stopped already', cancel: { status: 400, headers: { 'x-amzn-errortype': 'ConflictException' }, body: awsError('The job is being stopped.') }, reads: [{ body: awsJob({}) }], status: 200, answer: { status: 'cancelling' }, source: 'retrieved', requests: 2 },
  awsEnded('Completed', 'completed'), awsEnded('PartiallyCompleted', 'completed'), awsEnded('Failed', 'failed'), awsEnded('Expired', 'expired'), awsEnded('Stopped', 'cancelled'),
  { what: 'stopped by the first try of a client that repeats', headers: { 'x-stainless-retry-count': '1' }, cancel: { status: 400, body: awsError('State was: Stopped') }, reads: [{ body: awsJob({ status: 'Stopped' }) }], status: 200, answer: { status: 'cancelled' } },
  { what: 'an error with a capital', cancel: { status: 403, body: { Message: 'User is not authorized to perform bedrock:StopModelInvocationJob' } }, status: 403, answer: { error: { message: /^User is not authorized/ } } },
  ...common(awsError, awsJob({ status: 'InProgress' }))
]

t.test('bedrock, with an API key', t => conform(t, {
  name: 'bedrock',
  provider: baseUrl => bedrock({ baseUrl }),
  base: '',
  id: JOB,
  headers: { authorization: 'Bearer bedrock-api-key-1' },
  cancel: { method: 'POST', path: `/model-invocation-job/${JOB}/stop`, headers: { authorization: 'Bearer bedrock-api-key-1', 'content-length': '0', 'content-type': undefined }, body: '' },
  retrieve: { method: 'GET', path: `/model-invocation-job/${JOB}`, headers: { authorization: 'Bearer bedrock-api-key-1' }, body: '' },
  cases: [
    ...BEDROCK_CASES,
    { what: 'a bad key, which it repeats', cancel: { status: 403, body: awsError('Invalid key bedrock-api-key-1') }, status: 403, answer: { error: { message: 'Invalid key ***' } }, requests: 1 }
  ]
}))

t.test('bedrock, signed, by an ARN that was encoded twice', async t => {
  const id = encodeURIComponent(ARN)
  const path = `/deep/model-invocation-job/${id}`
  const signed = { authorization: /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20\d{6}\/us-east-1\/bedrock\/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}$/ as unknown as string, 'x-amz-security-token': 'session-token-1', 'x-amz-content-sha256': EMPTY_HASH, 'content-type': undefined }
  await conform(t, {
    name: 'bedrock',
    provider: baseUrl => bedrock({ baseUrl }),
    base: '/deep',
    id,
    headers: { ...AWS_HEADERS, 'x-portkey-aws-session-token': 'session-token-1', authorization: 'Bearer dummy', 'content-type': 'application/json' },
    cancel: { method: 'POST', path: `${path}/stop`, headers: signed, body: '' },
    retrieve: { method: 'GET', path, headers: signed, body: '' },
    cases: [
      { what: 'accepted', cancel: { body: {} }, reads: [{ body: awsJob({}) }], status: 200, answer: { id, status: 'cancelling', provider_batch: { jobArn: ARN } } },
      { what: 'a bad signature, which repeats the keys', cancel: { status: 403, body: awsError(`The key AKIDEXAMPLE and ${AWS_KEYS.secretAccessKey}, session-token-1`) }, status: 403, answer: { error: { message: 'The key *** and ***, ***' } }, requests: 1 }
    ]
  })
})

t.test('bedrock signs as AWS\'s own SDK does', async t => {
  /*
   * Recorded from @aws-sdk/client-bedrock 3.1164.0: StopModelInvocationJobCommand and GetModelInvocationJobCommand on
   * 2026-01-02T03:04:05Z, sent to a local server after they had been signed, without the SDK's own telemetry headers.
   */
  const recorded = [
    { id: '123456789012', region: 'us-east-1', origin: 'https://bedrock.us-east-1.amazonaws.com', path: '/model-invocation-job/123456789012', cancel: '7f38caa00605930107a28847e53d7575781b41d95aaf590a033b693588d9817e', retrieve: '33a4918b055ec6288e34f6c228a90a85fc4b28bf8d7b8c0750348c010be26bb2' },
    { id: ARN, region: 'us-east-1', sessionToken: 'session+/token==', origin: 'https://bedrock.us-east-1.amazonaws.com', path: '/model-invocation-job/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Amodel-invocation-job%2Fabcdefghij12', cancel: 'a93fa51694e28fce4f618e77a177281601f3c2c8ab15ed098186b83b5ad42148', retrieve: 'dce72a1b5a03d7e75ed25dac571d2d8b617d71d253336dc8f1a44e8b7a73d0e6' },
    { id: 'arn:aws-cn:bedrock:cn-north-1:123456789012:model-invocation-job/abcdefghij12', region: 'cn-north-1', origin: 'https://bedrock.cn-north-1.amazonaws.com.cn', path: '/model-invocation-job/arn%3Aaws-cn%3Abedrock%3Acn-north-1%3A123456789012%3Amodel-invocation-job%2Fabcdefghij12', cancel: '92426236b7885850d846f8d2fad539877a00ba4ef3589a0028728a8b66e15792', retrieve: '8ad8c90911a3794cd675133fb5ecfe59cc2a94dff2767770022bc16eaf16c097' },
    { id: JOB, region: 'eu-west-1', base: { origin: 'http://127.0.0.1:8443', path: '/deep/base' }, origin: 'http://127.0.0.1:8443', path: '/deep/base/model-invocation-job/abcdefghij12', cancel: '382dc479b21a3a991ef8bafbe6467dcb2e3861117d98bfd3453a6dc323a4d637', retrieve: 'c3b1a4b97f94a5cef4e46a1fcc014294511708d743e65d92eb6ac657f46eb019' }
  ]
  const provider = defineBedrock({ sign: createSigner({ now: () => Date.parse('2026-01-02T03:04:05Z') }) })()
  for (const { id, region, sessionToken, base, origin, path, ...signatures } of recorded) {
    const headers = { 'x-portkey-aws-region': region }
    const credential = { ...AWS_KEYS, sessionToken }
    for (const [action, method, end] of [['cancel', 'POST', '/stop'], ['retrieve', 'GET', '']] as const) {
      const names = `host;x-amz-content-sha256;x-amz-date${sessionToken === undefined ? '' : ';x-amz-security-token'}`
      t.strictSame(await requestOf(provider, action, id, { headers, credential, ...base !== undefined && { base } }), {
        origin,
        method,
        path: path + end,
        headers: {
          'x-amz-date': '20260102T030405Z',
          ...sessionToken !== undefined && { 'x-amz-security-token': sessionToken },
          'x-amz-content-sha256': EMPTY_HASH,
          authorization: `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/${region}/bedrock/aws4_request, SignedHeaders=${names}, Signature=${signatures[action]}`
        }
      }, `${action} of ${id}`)
    }
  }
})

t.test('bedrock says what to install', async t => {
  let loads = 0
  const cause = new Error('Cannot find package')
  const provider = defineBedrock({ sign: createSigner({ load: async () => { loads++; throw cause } }) })
  const upstream = await startUpstream(t)
  const app = await buildWithoutPauses(t, { defaultProvider: 'bedrock', forward: forwardToProviders({ providers: { bedrock: provider({ baseUrl: upstream.url }) } }) })
  const response = await cancel(app, { id: JOB, headers: { ...AWS_HEADERS, 'x-portkey-aws-region': 'us-east-1' } })
  t.equal(response.statusCode, 500)
  t.match(response.json(), { error: { code: 'internal_error', message: 'Internal error' } })
  t.equal(upstream.requests.length, 0)
  await t.rejects(async () => requestOf(provider(), 'cancel', ARN, { credential: AWS_KEYS }), { code: 'internal_error', message: 'Internal error', cause: { message: 'An optional package is missing. Run: npm install @smithy/signature-v4 @smithy/hash-node', cause } })
  t.equal(loads, 2, 'looked for again: it may have been installed')
})

t.test('bedrock: where a job is held', async t => {
  const at = (region: string, partition: string, suffix: string) => ({ id: `arn:${partition}:bedrock:${region}:123456789012:model-invocation-job/${JOB}`, region, origin: `https://bedrock.${region}.${suffix}` })
  const held = [
    // Every region of the endpoint rules of @aws-sdk/client-bedrock, by its kind.
    at('us-east-1', 'aws', 'amazonaws.com'), at('ap-southeast-2', 'aws', 'amazonaws.com'), at('il-central-1', 'aws', 'amazonaws.com'),
    at('cn-north-1', 'aws-cn', 'amazonaws.com.cn'), at('cn-northwest-1', 'aws-cn', 'amazonaws.com.cn'),
    at('us-gov-west-1', 'aws-us-gov', 'amazonaws.com'), at('eusc-de-east-1', 'aws-eusc', 'amazonaws.eu'),
    at('us-iso-east-1', 'aws-iso', 'c2s.ic.gov'), at('us-isob-east-1', 'aws-iso-b', 'sc2s.sgov.gov'),
    at('eu-isoe-west-1', 'aws-iso-e', 'cloud.adc-e.uk'), at('us-isof-south-1', 'aws-iso-f', 'csp.hci.ic.gov')
  ]
  for (const { id, region, origin } of held) {
    t.ok(bedrock().id?.test(id), id)
    const base = { origin, path: '' }
    t.strictSame(bedrock().locate({ batchId: id, headers: {}, hasBase: false }), { base, place: { job: id, region } }, id)
    t.strictSame(bedrock().locate({ batchId: encodeURIComponent(id).toLowerCase(), headers: {}, hasBase: false }), { base, place: { job: id, region } }, 'encoded twice')
    t.strictSame(bedrock().locate({ batchId: JOB, headers: { 'x-portkey-aws-region': region }, hasBase: false }), { base, place: { job: JOB, region } }, 'by header')
    t.strictSame(bedrock({ region }).locate({ batchId: JOB, headers: {}, hasBase: false }), { base, place: { job: JOB, region } }, 'by option')
    t.strictSame(bedrock({ region }).locate({ batchId: id, headers: {}, hasBase: false }), { base, place: { job: id, region } }, 'the option agrees')
  }
  const mismatch = { code: 'provider_mismatch', param: 'id', message: 'The batch id names the region \'us-east-1\', not \'eu-west-1\'.' }
  t.match(thrown(() => bedrock().locate({ batchId: ARN, headers: { 'x-portkey-aws-region': 'eu-west-1' }, hasBase: false })), mismatch)
  t.match(thrown(() => bedrock({ region: 'eu-west-1' }).locate({ batchId: encodeURIComponent(ARN), headers: {}, hasBase: true })), mismatch)
  t.match(thrown(() => bedrock().locate({ batchId: ARN.replace('us-east-1', 'cn-north-1'), headers: {}, hasBase: false })), { code: 'invalid_batch_id', param: 'id' })
  t.match(thrown(() => bedrock().locate({ batchId: ARN.replace('arn:aws:', 'arn:aws-cn:'), headers: {}, hasBase: false })), { code: 'invalid_batch_id', param: 'id' })
})

t.test('bedrock: the region is asked for where it is needed', async t => {
  const missing = { code: 'invalid_header', param: 'x-portkey-aws-region' }
  const noArn = { code: 'invalid_batch_id', param: 'id' }
  const locate = (options: BedrockOptions, headers: IncomingHttpHeaders, hasBase: boolean) => thrown(() => bedrock(options).locate({ batchId: JOB, headers, hasBase }))
  t.match(locate({}, {}, false), missing, 'for the host')
  t.match(locate({}, AWS_HEADERS, true), missing, 'for the signature')
  t.match(locate({ credentials: AWS_KEYS }, {}, true), noArn, 'for the signature of the server')
  t.match(locate({ apiKey: 'key' }, {}, false), noArn, 'for the host, with a key of the server')
  t.match(locate({}, {}, true), { base: undefined, place: { job: JOB, region: '' } }, 'not with an API key and another host')
  t.match(locate({}, { ...AWS_HEADERS, 'x-portkey-aws-auth-type': 'apiKey' }, true), { base: undefined, place: { job: JOB, region: '' } }, 'nor when the client says so')
  t.match(locate({ apiKey: 'key' }, AWS_HEADERS, true), { base: undefined, place: { job: JOB, region: '' } }, 'nor with an API key of the server')
  t.match(locate({}, { 'x-portkey-aws-role-arn': 'arn:aws:iam::1:role/a' }, false), { code: 'invalid_header', param: 'x-portkey-aws-role-arn', message: /option `credentials`/ })
  t.strictSame(await requestOf(bedrock(), 'retrieve', JOB, { credential: 'key', base: { origin: 'http://h', path: '/p' } }), { origin: 'http://h', method: 'GET', path: `/p/model-invocation-job/${JOB}`, headers: { authorization: 'Bearer key' } })
})

t.test('bedrock: the credentials of the client', async t => {
  const { clientCredential } = bedrock()
  const bearer = { authorization: 'Bearer key' }
  t.strictSame(clientCredential({}), undefined)
  t.strictSame(clientCredential({ authorization: 'Basic a:b c' }), undefined)
  t.strictSame(clientCredential(bearer), 'key')
  t.strictSame(clientCredential({ ...bearer, 'x-portkey-aws-auth-type': 'apiKey' }), 'key')
  t.strictSame(clientCredential({ ...bearer, 'x-portkey-aws-access-key-id': '', 'x-portkey-aws-region': 'us-east-1' }), 'key', 'an empty header says nothing')
  t.strictSame(clientCredential(AWS_HEADERS), { ...AWS_KEYS, sessionToken: undefined })
  t.strictSame(clientCredential({ ...AWS_HEADERS, ...bearer, 'x-portkey-aws-session-token': 's' }), { ...AWS_KEYS, sessionToken: 's' }, 'its own headers first')
  t.strictSame(clientCredential({ ...AWS_HEADERS, ...bearer, 'x-portkey-aws-auth-type': 'apiKey' }), 'key', 'unless it says so')
  t.strictSame(clientCredential({ ...AWS_HEADERS, 'x-portkey-aws-auth-type': 'apiKey' }), undefined)
  t.match(thrown(() => clientCredential({ ...bearer, 'x-portkey-aws-access-key-id': 'a' })), { code: 'invalid_header', param: 'x-portkey-aws-secret-access-key' })
  t.match(thrown(() => clientCredential({ ...bearer, 'x-portkey-aws-secret-access-key': 'a' })), { code: 'invalid_header', param: 'x-portkey-aws-access-key-id' })
  t.match(thrown(() => clientCredential({ ...bearer, 'x-portkey-aws-session-token': 'a' })), { code: 'invalid_header', param: 'x-portkey-aws-access-key-id' })
})

t.test('bedrock: the credentials of the server', async t => {
  t.equal(await settled(bedrock({ apiKey: 'key' }).serverCredential), 'key')
  t.strictSame(await settled(bedrock({ credentials: AWS_KEYS }).serverCredential), AWS_KEYS)
  t.strictSame(await settled(bedrock({ credentials: ({ batchId }) => ({ ...AWS_KEYS, sessionToken: batchId }) }).serverCredential), { ...AWS_KEYS, sessionToken: 'b' }, 'found by the call')
  t.strictSame(await settled(bedrock({ credentials: async () => undefined }).serverCredential), undefined)
  for (const wrong of [null, 'key', {}, { accessKeyId: 'a' }, { secretAccessKey: 'a' }, { ...AWS_KEYS, accessKeyId: '' }, { ...AWS_KEYS, sessionToken: 1 }]) {
    await t.rejects(settled(bedrock({ credentials: () => wrong as never }).serverCredential), { code: 'internal_error', message: 'Internal error', cause: { message: /^bedrock\(\{ credentials \}\) returned/ } })
    t.throws(() => bedrock({ credentials: wrong as never }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /^bedrock\(\{ credentials \}\) must/ })
  }
  t.throws(() => bedrock({ credentials: AWS_KEYS, apiKey: 'key' }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /exclude each other/ })
  for (const region of ['', 'US-EAST-1', 'us-east', 'us-east-1.evil.com', 'a/b']) t.throws(() => bedrock({ region }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /^bedrock\(\{ region \}\)/ })
  t.throws(() => bedrock({ apiKey: '' }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /^bedrock\(\{ apiKey \}\)/ })
})

t.test('bedrock: nothing bad leaves', async t => {
  const bad = (id: string) => ({ what: id, id, headers: { authorization: 'key' }, code: 'invalid_batch_id', param: 'id' })
  const header = (name: string, value: string) => ({ what: `${name}: ${value}`, id: JOB, headers: { ...AWS_HEADERS, 'x-portkey-aws-region': 'us-east-1', [name]: value }, code: 'invalid_header', param: name })
  await refusedCalls(t, 'bedrock', baseUrl => bedrock({ baseUrl }), [
    ...['a', 'ABCDEFGHIJ12', `${JOB}3`, `${JOB}/../x`, `x ${ARN}`, `${ARN}/x`, ARN.replace('us-east-1', 'us-east-1.evil.com'), ARN.replace('us-east-1', '..'), ARN.replace('us-east-1', ''),
      ARN.replace('123456789012', '1'), ARN.replace('bedrock', 's3'), ARN.replace('model-invocation-job', 'model'), ARN.replace('aws', 'aws-@'), ARN.replace(':us', '%3Aus'),
      encodeURIComponent(encodeURIComponent(ARN)), `arn%3A${JOB}`, 'arn%zz'].map(bad),
    header('x-portkey-aws-region', 'us-east-1.evil.com'), header('x-portkey-aws-region', 'evil'), header('x-portkey-aws-region', '127.0.0.1:9/?'),
    header('x-portkey-aws-access-key-id', 'a,b'), header('x-portkey-aws-secret-access-key', 'a b'), header('x-portkey-aws-session-token', 'a b'),
    { ...header('x-portkey-aws-auth-type', 'assumedRole'), says: /option `credentials`/ },
    { ...header('x-portkey-aws-role-arn', 'arn:aws:iam::1:role/a'), says: /option `credentials`/ },
    { what: 'half of the keys', id: ARN, headers: { 'x-portkey-aws-access-key-id': 'AKID' }, code: 'invalid_header', param: 'x-portkey-aws-secret-access-key' },
    { what: 'another region', id: ARN, headers: { ...AWS_HEADERS, 'x-portkey-aws-region': 'us-west-2' }, code: 'provider_mismatch', param: 'id' },
    { what: 'no region', id: JOB, headers: AWS_HEADERS, code: 'invalid_header', param: 'x-portkey-aws-region' },
    { what: 'no credentials', id: JOB, status: 401, code: 'missing_credentials', param: 'authorization' }
  ])
  await refusedCalls(t, 'bedrock', baseUrl => bedrock({ baseUrl, credentials: AWS_KEYS }),
    ['access-key-id', 'secret-access-key', 'session-token', 'region', 'auth-type', 'role-arn'].map(name => `x-portkey-aws-${name}`).map(name => ({ what: name, id: ARN, headers: { [name]: name.endsWith('region') ? 'us-east-1' : name.endsWith('type') ? 'apiKey' : 'abc' }, code: 'invalid_header', param: name, says: /the server configured/ })))
  await refusedCalls(t, 'bedrock', baseUrl => bedrock({ baseUrl, credentials: async () => undefined }), [{ what: 'the server finds none', id: ARN, headers: { authorization: 'key' }, status: 401, code: 'missing_credentials', param: 'authorization' }])
})

t.test('bedrock: every status of a job', async t => {
  const statuses = {
    Submitted: { status: 'validating', output_file_id: null },
    Validating: { status: 'validating', output_file_id: null },
    Scheduled: { status: 'validating', output_file_id: null },
    InProgress: { status: 'in_progress', output_file_id: 's3://out/results/' },
    Stopping: { status: 'cancelling', cancelling_at: 1785587400, output_file_id: 's3://out/results/' },
    Stopped: { status: 'cancelled', cancelled_at: 1785582000, output_file_id: 's3://out/results/' },
    Completed: { status: 'completed', completed_at: 1785582000, output_file_id: 's3://out/results/' },
    PartiallyCompleted: { status: 'completed', completed_at: 1785582000, output_file_id: 's3://out/results/' },
    Failed: { status: 'failed', failed_at: 1785582000, output_file_id: 's3://out/results/' },
    Expired: { status: 'expired', expired_at: 1785582000, output_file_id: null }
  }
  for (const [status, told] of Object.entries(statuses)) {
    const job = awsJob({ status, endTime: '2026-08-01T11:00:00Z' })
    const batch = batchIn(bedrock(), job, ARN)
    t.ok(isBatch(batch), status)
    t.strictSame(batch, {
      ...UNREPORTED,
      id: ARN,
      model: 'anthropic.claude-3-haiku-20240307-v1:0',
      input_file_id: 's3://in/batch.jsonl',
      completion_window: '24h',
      created_at: 1785578400,
      expires_at: 1785664800,
      request_counts: { total: 100, completed: 45, failed: 5 },
      metadata: { jobName: 'nightly' },
      ...told,
      provider_batch: job
    }, status)
  }
  for (const status of ['stopped', 'Resting', 'constructor', '', null, 1, undefined]) t.equal(batchIn(bedrock(), awsJob({ status }), ARN), undefined, `no status: ${String(status)}`)
  t.strictSame(batchIn(bedrock(), { status: 'Failed', message: 'Bad input.' }, ARN), { ...UNREPORTED, id: ARN, status: 'failed', errors: { object: 'list', data: [{ code: null, message: 'Bad input.', param: null, line: null }] }, provider_batch: { status: 'Failed', message: 'Bad input.' } }, 'little is told')
  t.match(batchIn(bedrock(), { status: 'InProgress', totalRecordCount: 7, inputDataConfig: { s3InputDataConfig: null }, outputDataConfig: null }, ARN), { request_counts: { total: 7, completed: 0, failed: 0 }, input_file_id: '', output_file_id: null })
  t.match(batchIn(bedrock(), { status: 'InProgress', totalRecordCount: '7' }, ARN), { request_counts: null })
  for (const body of [null, {}]) {
    t.equal(batchIn(bedrock(), body, ARN, 'cancel'), null)
    t.equal(batchIn(bedrock(), body, ARN), undefined)
  }
  for (const body of [undefined, [], 'Stopped', { status: 'success' }]) t.equal(batchIn(bedrock(), body, ARN, 'cancel'), undefined)
})

t.test('bedrock: the kind of an error', async t => {
  t.equal(bedrockErrorCode({ 'x-amzn-errortype': 'ConflictException:http://internal.amazon.com/coral/com.amazon.bedrock/' }), 'ConflictException')
  t.equal(bedrockErrorCode({ 'x-amzn-errortype': 'ThrottlingException' }), 'ThrottlingException')
  t.equal(bedrockErrorCode({ 'x-amzn-errortype': 'com.amazonaws.bedrock#ValidationException' }), 'ValidationException')
  t.equal(bedrockErrorCode({ 'x-amzn-errortype': ':' }), undefined)
  t.equal(bedrockErrorCode({}), undefined)
})

/* Vertex AI */

const { privateKey: PEM } = generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } })
const ACCOUNT = { client_email: 'cancel@my-project-1.iam.gserviceaccount.com', private_key: PEM }
const KEY_FILE = { type: 'service_account', project_id: 'other-project', private_key_id: 'id', ...ACCOUNT, token_uri: 'https://evil.example/token', universe_domain: 'evil.example' }
const NAME = 'projects/my-project-1/locations/us-central1/batchPredictionJobs/4567890123456789012'
const VERTEX_HEADERS = { 'x-portkey-vertex-project-id': 'my-project-1', 'x-portkey-vertex-region': 'us-central1' }

const googleError = (message: string, status: string) => ({ error: { code: 400, message, status } })

const vertexJob = (told: object) => ({
  name: 'projects/987654321/locations/us-central1/batchPredictionJobs/4567890123456789012',
  displayName: 'nightly',
  model: 'publishers/google/models/gemini-2.5-flash',
  inputConfig: { instancesFormat: 'jsonl', gcsSource: { uris: ['gs://in/a.jsonl', 'gs://in/b.jsonl'] } },
  outputConfig: { predictionsFormat: 'jsonl', gcsDestination: { outputUriPrefix: 'gs://out' } },
  state: 'JOB_STATE_CANCELLING',
  createTime: '2026-08-01T10:00:00.123456789Z',
  startTime: '2026-08-01T11:00:00.400Z',
  updateTime: '2026-08-01T12:30:00Z',
  labels: { team: 'a' },
  ...told
})

const vertexEnded = (state: string, as: string): Case => ({
  what: `it is ${state}`,
  cancel: { status: 400, body: googleError('The job is in no state to be cancelled.', 'FAILED_PRECONDITION') },
  reads: [{ body: vertexJob({ state: `JOB_STATE_${state}`, endTime: '2026-08-01T12:30:00Z', outputInfo: { gcsOutputDirectory: 'gs://out/prediction-1' } }) }],
  status: 409,
  answer: { error: { code: 'batch_not_cancellable' }, batch: { status: as, output_file_id: 'gs://out/prediction-1' } },
  responseHeaders: { 'x-should-retry': 'false' },
  requests: 2
})

t.test('vertex-ai', async t => {
  const path = '/base/projects/my-project-1/locations/us-central1/batchPredictionJobs/4567890123456789012'
  const headers = { authorization: 'Bearer ya29.token-1' }
  await conform(t, {
    name: 'vertex-ai',
    provider: baseUrl => vertex({ baseUrl }),
    base: '/base',
    id: NAME,
    headers,
    cancel: { method: 'POST', path: `${path}:cancel`, headers: { ...headers, 'content-type': 'application/json', 'content-length': '2' }, body: '{}' },
    retrieve: { method: 'GET', path, headers: { ...headers, 'content-type': undefined }, body: '' },
    cases: [
      { what: 'accepted', cancel: { body: {} }, reads: [{ body: vertexJob({}) }], status: 200, answer: { id: NAME, status: 'cancelling', created_at: 1785578400, in_progress_at: 1785582000, cancelling_at: null }, source: 'retrieved', requests: 2 },
      { what: 'accepted, and cancelled', cancel: { body: {} }, reads: [{ body: vertexJob({ state: 'JOB_STATE_CANCELLED', endTime: '2026-08-01T12:30:00Z', error: { code: 1, message: 'CANCELED' } }) }], status: 200, answer: { status: 'cancelled', cancelled_at: 1785587400, errors: null }, source: 'retrieved' },
      { what: 'accepted, but it had just succeeded', cancel: { body: {} }, reads: [{ body: vertexJob({ state: 'JOB_STATE_SUCCEEDED' }) }], status: 409, answer: { batch: { status: 'completed' } } },
      { what: 'a second cancel', cancel: { status: 400, body: googleError('Cannot cancel twice.', 'FAILED_PRECONDITION') }, reads: [{ body: vertexJob({}) }], status: 200, answer: { status: 'cancelling' }, source: 'retrieved', requests: 2 },
      { what: 'a second cancel, and the state lags', cancel: { status: 400, body: googleError('Cannot cancel twice.', 'FAILED_PRECONDITION') }, reads: [{ body: vertexJob({ state: 'JOB_STATE_RUNNING' }) }, { body: vertexJob({}) }], status: 200, answer: { status: 'cancelling' }, source: 'retrieved', requests: 3 },
      { what: 'by its number', id: '4567890123456789012', headers: VERTEX_HEADERS, cancel: { body: {} }, reads: [{ body: vertexJob({}) }], status: 200, answer: { id: '4567890123456789012', status: 'cancelling' } },
      vertexEnded('SUCCEEDED', 'completed'), vertexEnded('PARTIALLY_SUCCEEDED', 'completed'), vertexEnded('FAILED', 'failed'), vertexEnded('EXPIRED', 'expired'), vertexEnded('CANCELLED', 'cancelled'),
      { what: 'cancelled by the first try of a client that repeats', headers: { 'x-stainless-retry-count': '2' }, cancel: { status: 400, body: googleError('no', 'FAILED_PRECONDITION') }, reads: [{ body: vertexJob({ state: 'JOB_STATE_CANCELLED' }) }], status: 200, answer: { status: 'cancelled' } },
      { what: 'a bad token', cancel: { status: 401, body: { error: { code: 401, message: 'Request had invalid authentication credentials: ya29.token-1', status: 'UNAUTHENTICATED' } } }, status: 401, answer: { error: { message: 'Request had invalid authentication credentials: ***', code: 'UNAUTHENTICATED' } }, requests: 1 },
      ...common(googleError, vertexJob({ state: 'JOB_STATE_PENDING' }))
    ]
  })
})

t.test('vertex-ai: where a job is held', async t => {
  const hosts = { 'us-central1': 'us-central1-aiplatform', 'europe-west4': 'europe-west4-aiplatform', 'northamerica-northeast1': 'northamerica-northeast1-aiplatform', 'asia-northeast3': 'asia-northeast3-aiplatform', global: 'aiplatform', us: 'aiplatform.us.rep', eu: 'aiplatform.eu.rep' }
  for (const [region, host] of Object.entries(hosts)) {
    const origin = `https://${host}.googleapis.com`
    const name = `projects/my-project-1/locations/${region}/batchPredictionJobs/12`
    const path = `/v1/${name}`
    const held = { headers: { 'x-portkey-vertex-project-id': 'my-project-1', 'x-portkey-vertex-region': region }, credential: 'token' }
    t.ok(vertex().id?.test(name), name)
    t.strictSame(await requestOf(vertex(), 'cancel', '12', held), { origin, method: 'POST', path: `${path}:cancel`, headers: { authorization: 'Bearer token', 'content-type': 'application/json' }, body: '{}' })
    t.strictSame(await requestOf(vertex(), 'retrieve', name, { credential: 'token' }), { origin, method: 'GET', path, headers: { authorization: 'Bearer token' } })
    t.strictSame(await requestOf(vertex(), 'retrieve', name, held), { origin, method: 'GET', path, headers: { authorization: 'Bearer token' } }, 'both agree')
    t.strictSame(await requestOf(vertex({ project: 'my-project-1', region }), 'retrieve', '12', { credential: 'token' }), { origin, method: 'GET', path, headers: { authorization: 'Bearer token' } }, 'by options')
  }
  const path = async (options: VertexOptions, id: string, headers: IncomingHttpHeaders = {}) => (await requestOf(vertex(options), 'retrieve', id, { credential: 'token', headers })).path
  t.equal(await path({}, NAME.replace('my-project-1', '987654321')), '/v1/projects/987654321/locations/us-central1/batchPredictionJobs/4567890123456789012')
  t.equal(await path({}, NAME.replace('my-project-1', 'example.com:my-project')), '/v1/projects/example.com%3Amy-project/locations/us-central1/batchPredictionJobs/4567890123456789012')
  t.equal(await path({}, NAME.replace('my-project-1', '987654321'), VERTEX_HEADERS), `/v1/${NAME}`, 'Vertex AI itself names a job by the number of the project')
  t.equal(await path({ project: '987654321' }, NAME), `/v1/${NAME.replace('my-project-1', '987654321')}`, 'what the server chose is what is asked')

  const locate = (id: string, headers: IncomingHttpHeaders, options: VertexOptions = {}) => thrown(() => vertex(options).locate({ batchId: id, headers, hasBase: true }))
  t.match(locate(NAME, { 'x-portkey-vertex-project-id': 'other' }), { code: 'provider_mismatch', param: 'id', message: 'The batch id names the project \'my-project-1\', not \'other\'.' })
  t.match(locate(NAME.replace('my-project-1', '12'), { 'x-portkey-vertex-project-id': '13' }), { code: 'provider_mismatch', param: 'id' })
  t.match(locate(NAME, { 'x-portkey-vertex-region': 'us-east1' }), { code: 'provider_mismatch', param: 'id', message: 'The batch id names the region \'us-central1\', not \'us-east1\'.' })
  t.match(locate(NAME, {}, { project: 'other' }), { code: 'provider_mismatch', param: 'id' })
  t.match(locate(NAME, {}, { region: 'eu' }), { code: 'provider_mismatch', param: 'id' })
  t.match(locate('12', {}), { code: 'invalid_header', param: 'x-portkey-vertex-project-id' })
  t.match(locate('12', { 'x-portkey-vertex-project-id': 'p' }), { code: 'invalid_header', param: 'x-portkey-vertex-region' })
  t.match(locate('12', { 'x-portkey-vertex-region': 'eu' }), { code: 'invalid_header', param: 'x-portkey-vertex-project-id' })
})

t.test('vertex-ai: the credentials of the client', async t => {
  const { clientCredential } = vertex()
  const json = (key: unknown) => ({ 'x-portkey-vertex-service-account-json': typeof key === 'string' ? key : JSON.stringify(key), authorization: 'Bearer dummy' })
  t.equal(clientCredential({}), undefined)
  t.equal(clientCredential({ authorization: 'Bearer token' }), 'token')
  t.equal(clientCredential({ ...json(''), authorization: 'token' }), 'token')
  t.strictSame(clientCredential(json(KEY_FILE)), ACCOUNT, 'nothing else of it is used')
  for (const wrong of ['{', '[]', '"a"', 'null', {}, { ...KEY_FILE, type: 'external_account', credential_source: { file: '/etc/passwd' } }, { ...KEY_FILE, type: 'authorized_user' }, ACCOUNT,
    { ...KEY_FILE, client_email: undefined }, { ...KEY_FILE, client_email: 'nobody' }, { ...KEY_FILE, client_email: 1 }, { ...KEY_FILE, private_key: undefined }, { ...KEY_FILE, private_key: '/etc/key.pem' }]) {
    t.match(thrown(() => clientCredential(json(wrong))), { code: 'invalid_header', param: 'x-portkey-vertex-service-account-json', message: /^(?!.*PRIVATE)/s }, JSON.stringify(wrong).slice(0, 60))
  }
})

t.test('vertex-ai: the credentials of the server', async t => {
  t.equal(await settled(vertex({ apiKey: 'token' }).serverCredential), 'token')
  t.equal(await settled(vertex({ apiKey: async () => 'token' }).serverCredential), 'token')
  t.equal(vertex().serverCredential, undefined)
  t.strictSame(await settled(vertex({ serviceAccount: KEY_FILE }).serverCredential), ACCOUNT)
  t.strictSame(await settled(vertex({ serviceAccount: JSON.stringify(KEY_FILE) }).serverCredential), ACCOUNT)
  t.strictSame(await settled(vertex({ serviceAccount: async () => JSON.stringify(KEY_FILE) }).serverCredential), ACCOUNT)
  t.strictSame(await settled(vertex({ serviceAccount: ({ batchId }) => ({ ...KEY_FILE, client_email: `${batchId}@c` }) }).serverCredential), { ...ACCOUNT, client_email: 'b@c' })
  t.equal(await settled(vertex({ serviceAccount: () => undefined }).serverCredential), undefined)
  for (const wrong of ['{', null, 1, { ...KEY_FILE, type: 'external_account' }] as never[]) {
    await t.rejects(settled(vertex({ serviceAccount: () => wrong }).serverCredential), { code: 'internal_error', cause: { message: /^vertex\(\{ serviceAccount \}\) returned/ } })
    t.throws(() => vertex({ serviceAccount: wrong }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /^vertex\(\{ serviceAccount \}\) must/ })
  }
  for (const project of ['', 'A', 'a/b', '..', '-a']) t.throws(() => vertex({ project }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /^vertex\(\{ project \}\)/ })
  for (const region of ['', 'moon', 'us-central1.evil.com', 'us-central1/']) t.throws(() => vertex({ region }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /^vertex\(\{ region \}\)/ })
  t.throws(() => vertex({ serviceAccount: KEY_FILE, apiKey: 'token' }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /exclude each other/ })
  t.throws(() => vertex({ baseUrl: 'ftp://x' }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /^vertex\(\{ baseUrl \}\)/ })
})

t.test('vertex-ai: nothing bad leaves', async t => {
  const bad = (id: string) => ({ what: id, id, headers: { ...VERTEX_HEADERS, authorization: 'token' }, code: 'invalid_batch_id', param: 'id' })
  const header = (name: string, value: string) => ({ what: `${name}: ${value}`, id: '12', headers: { ...VERTEX_HEADERS, authorization: 'token', [name]: value }, code: 'invalid_header', param: name })
  await refusedCalls(t, 'vertex-ai', baseUrl => vertex({ baseUrl }), [
    ...['a', '12:cancel', '12/13', `${NAME}/x`, `/${NAME}`, '-1', '1'.repeat(21), NAME.replace('us-central1', '127.0.0.1:9'), NAME.replace('us-central1', 'moon'), NAME.replace('my-project-1', '..'),
      NAME.replace('my-project-1', 'a/b'), NAME.replace('my-project-1', ''), NAME.replace('batchPredictionJobs', 'customJobs')].map(bad),
    header('x-portkey-vertex-project-id', '../x'), header('x-portkey-vertex-project-id', 'a b'), header('x-portkey-vertex-region', '127.0.0.1:9911/ok/?'), header('x-portkey-vertex-region', 'us-central1.evil.com'),
    header('x-portkey-vertex-service-account-json', '{"type":"external_account"}'),
    { what: 'another project', id: NAME, headers: { 'x-portkey-vertex-project-id': 'other' }, code: 'provider_mismatch', param: 'id' },
    { what: 'no project', id: '12', code: 'invalid_header', param: 'x-portkey-vertex-project-id' },
    { what: 'no credentials', id: NAME, status: 401, code: 'missing_credentials', param: 'authorization' },
    { what: 'a key that cannot sign', id: NAME, headers: { 'x-portkey-vertex-service-account-json': JSON.stringify({ ...KEY_FILE, private_key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' }) }, status: 401, code: 'missing_credentials', param: 'authorization', says: /RSA/ }
  ])
  await refusedCalls(t, 'vertex-ai', baseUrl => vertex({ baseUrl, apiKey: 'server-token' }), [
    ['x-portkey-vertex-project-id', 'my-project-1'], ['x-portkey-vertex-region', 'us-central1'], ['x-portkey-vertex-service-account-json', JSON.stringify(KEY_FILE)]
  ].map(([name, value]) => ({ what: name as string, id: NAME, headers: { [name as string]: value as string }, code: 'invalid_header', param: name as string, says: /the server configured/ })))
})

t.test('vertex-ai: every state of a job', async t => {
  const ended = { endTime: '2026-08-01T12:30:00Z' }
  const states = {
    UNSPECIFIED: { status: 'validating' },
    QUEUED: { status: 'validating' },
    PENDING: { status: 'validating' },
    RUNNING: { status: 'in_progress' },
    UPDATING: { status: 'in_progress' },
    PAUSED: { status: 'in_progress' },
    SUCCEEDED: { status: 'completed', completed_at: 1785587400 },
    PARTIALLY_SUCCEEDED: { status: 'completed', completed_at: 1785587400 },
    FAILED: { status: 'failed', failed_at: 1785587400 },
    CANCELLING: { status: 'cancelling' },
    CANCELLED: { status: 'cancelled', cancelled_at: 1785587400 },
    EXPIRED: { status: 'expired', expired_at: 1785587400 }
  }
  for (const [state, told] of Object.entries(states)) {
    const job = vertexJob({ state: `JOB_STATE_${state}`, ...ended })
    const batch = batchIn(vertex(), job, NAME)
    t.ok(isBatch(batch), state)
    t.strictSame(batch, { ...UNREPORTED, id: NAME, model: 'publishers/google/models/gemini-2.5-flash', input_file_id: 'gs://in/a.jsonl', created_at: 1785578400, in_progress_at: 1785582000, metadata: { team: 'a' }, ...told, provider_batch: job }, state)
  }
  for (const state of ['RUNNING', 'JOB_STATE_RESTING', 'JOB_STATE_constructor', 'X_STATE_RUNNING', '', null, 3, undefined]) t.equal(batchIn(vertex(), vertexJob({ state }), NAME), undefined, `no state: ${String(state)}`)

  const part = (told: object) => batchIn(vertex(), { state: 'JOB_STATE_FAILED', ...told }, NAME)
  t.strictSame(part({}), { ...UNREPORTED, id: NAME, status: 'failed', provider_batch: { state: 'JOB_STATE_FAILED' } }, 'little is told')
  t.match(part({ error: { code: 3, message: 'Bad input.' } }), { errors: { object: 'list', data: [{ code: '3', message: 'Bad input.', param: null, line: null }] } })
  t.match(part({ error: { message: 'Bad input.' } }), { errors: { data: [{ code: null, message: 'Bad input.' }] } })
  t.match(part({ error: { code: 3 } }), { errors: null })
  t.match(part({ completionStats: { successfulCount: '4', failedCount: '1', incompleteCount: '-1' } }), { request_counts: { total: 5, completed: 4, failed: 1 } })
  t.match(part({ completionStats: { successfulCount: '4', incompleteCount: '3', successfulForecastPointCount: '99' } }), { request_counts: { total: 7, completed: 4, failed: 0 } })
  t.match(part({ completionStats: { incompleteCount: 3 } }), { request_counts: { total: 3, completed: 0, failed: 0 } })
  t.match(part({ completionStats: { failedCount: '2' } }), { request_counts: { total: 2, completed: 0, failed: 2 } })
  t.match(part({ inputConfig: { bigquerySource: { inputUri: 'bq://p.d.t' } }, outputInfo: { bigqueryOutputDataset: 'bq://p.d', bigqueryOutputTable: 'predictions_1' } }), { input_file_id: 'bq://p.d.t', output_file_id: 'bq://p.d.predictions_1' })
  t.match(part({ inputConfig: {}, outputInfo: { bigqueryOutputDataset: 'bq://p.d' } }), { input_file_id: '', output_file_id: 'bq://p.d' })
  t.match(part({ inputConfig: { gcsSource: { uris: [] } }, outputInfo: {}, labels: { a: 1 } }), { input_file_id: '', output_file_id: null, metadata: null })
  for (const body of [null, {}]) {
    t.equal(batchIn(vertex(), body, NAME, 'cancel'), null)
    t.equal(batchIn(vertex(), body, NAME), undefined)
  }
  for (const body of [undefined, [], 'x', { status: 'success' }]) t.equal(batchIn(vertex(), body, NAME, 'cancel'), undefined)
})

/* Gemini API */

const operation = (state: string, told: object = {}, more: object = {}) => ({
  name: 'batches/abc123xyz',
  metadata: {
    '@type': 'type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch',
    model: 'models/gemini-2.5-flash',
    displayName: 'nightly',
    state,
    createTime: '2026-08-01T10:00:00.123456789Z',
    updateTime: '2026-08-01T12:30:00Z',
    name: 'batches/abc123xyz',
    inputConfig: { fileName: 'files/in' },
    batchStats: { requestCount: '10', successfulRequestCount: '4', failedRequestCount: '1', pendingRequestCount: '5' },
    ...told
  },
  ...more
})

const googleEnded = (state: string, as: string): Case => ({
  what: `it is ${state}`,
  cancel: { status: 400, body: googleError('Operation is done.', 'FAILED_PRECONDITION') },
  reads: [{ body: operation(`BATCH_STATE_${state}`, { endTime: '2026-08-01T12:30:00Z', output: { responsesFile: 'files/out' } }, { done: true }) }],
  status: 409,
  answer: { error: { code: 'batch_not_cancellable' }, batch: { status: as, output_file_id: 'files/out' } },
  responseHeaders: { 'x-should-retry': 'false' },
  requests: 2
})

t.test('google', async t => {
  const headers = { 'x-goog-api-key': 'AIza-key-1', authorization: undefined }
  const cases: Case[] = [
    { what: 'accepted, and cancelled', cancel: { body: {} }, reads: [{ body: operation('BATCH_STATE_CANCELLED', { endTime: '2026-08-01T12:30:00Z' }, { done: true, error: { code: 13, message: 'CANCELLED' } }) }], status: 200, answer: { id: 'batches/abc123xyz', status: 'cancelled', cancelled_at: 1785587400, errors: null, request_counts: { total: 10, completed: 4, failed: 1 } }, source: 'retrieved', requests: 2 },
    { what: 'by the bare id', id: 'abc123xyz', cancel: { body: {} }, reads: [{ body: operation('BATCH_STATE_RUNNING') }], status: 200, answer: { id: 'abc123xyz', status: 'cancelling' }, source: 'assumed', requests: 2 },
    { what: 'accepted, but it had just succeeded', cancel: { body: {} }, reads: [{ body: operation('BATCH_STATE_SUCCEEDED', {}, { done: true, response: { responsesFile: 'files/out' } }) }], status: 409, answer: { batch: { status: 'completed', output_file_id: 'files/out' } } },
    googleEnded('SUCCEEDED', 'completed'), googleEnded('FAILED', 'failed'), googleEnded('EXPIRED', 'expired'), googleEnded('CANCELLED', 'cancelled'),
    { what: 'cancelled by the first try of a client that repeats', headers: { 'x-stainless-retry-count': '1' }, cancel: { status: 400, body: googleError('Operation is done.', 'FAILED_PRECONDITION') }, reads: [{ body: operation('BATCH_STATE_CANCELLED') }], status: 200, answer: { status: 'cancelled' } },
    // A 400, which a read could settle; but it, too, is refused.
    { what: 'a bad key', cancel: { status: 400, body: { error: { code: 400, message: 'API key not valid: AIza-key-1', status: 'INVALID_ARGUMENT', details: [{ reason: 'API_KEY_INVALID' }] } } }, reads: [{ status: 400, body: googleError('API key not valid.', 'INVALID_ARGUMENT') }], status: 400, answer: { error: { message: 'API key not valid: ***', code: 'INVALID_ARGUMENT' } }, requests: 2 },
    ...common(googleError, operation('BATCH_STATE_RUNNING'))
  ]
  await conform(t, {
    name: 'google',
    provider: baseUrl => google({ baseUrl }),
    base: '/v1beta',
    id: 'batches/abc123xyz',
    headers: { 'x-goog-api-key': 'AIza-key-1', authorization: 'Bearer dummy', 'x-portkey-forward-headers': 'x-goog-user-project', 'x-goog-user-project': 'other' },
    cancel: { method: 'POST', path: '/v1beta/batches/abc123xyz:cancel', headers: { ...headers, 'x-goog-user-project': undefined, 'content-type': 'application/json' }, body: '{}' },
    retrieve: { method: 'GET', path: '/v1beta/batches/abc123xyz', headers: { ...headers, 'content-type': undefined }, body: '' },
    cases
  })
})

t.test('google: what leaves, and with which key', async t => {
  const origin = 'https://generativelanguage.googleapis.com'
  for (const id of ['abc-1_2', 'batches/abc-1_2', 'batches%2Fabc-1_2', 'batches%2fabc-1_2']) {
    t.ok(google().id?.test(id), id)
    t.strictSame(await requestOf(google(), 'cancel', id, { credential: 'key' }), { origin, method: 'POST', path: '/v1beta/batches/abc-1_2:cancel', headers: { 'x-goog-api-key': 'key', 'content-type': 'application/json' }, body: '{}' })
    t.strictSame(await requestOf(google(), 'retrieve', id, { credential: 'key' }), { origin, method: 'GET', path: '/v1beta/batches/abc-1_2', headers: { 'x-goog-api-key': 'key' } })
  }
  const { clientCredential } = google()
  t.equal(clientCredential({}), undefined)
  t.equal(clientCredential({ authorization: 'Bearer a' }), 'a')
  t.equal(clientCredential({ authorization: 'Bearer a', 'x-goog-api-key': 'b' }), 'b')
  t.equal(clientCredential({ authorization: 'Bearer a', 'x-goog-api-key': '' }), 'a')
  t.equal(google({ apiKey: 'key' }).serverCredential, 'key')
  t.throws(() => google({ apiKey: 'a b' }), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: /^google\(\{ apiKey \}\)/ })
  await refusedCalls(t, 'google', baseUrl => google({ baseUrl }), [
    ...['batches/', 'batches/a/b', 'a/b', 'files/a', 'a:cancel', 'batches/../x', '../x', 'a?b', 'a%2Fb', 'batches%2F..'].map(id => ({ what: id, id, headers: { authorization: 'a' }, code: 'invalid_batch_id', param: 'id' })),
    { what: 'a key that no header carries', id: 'a', headers: { 'x-goog-api-key': 'a b' }, code: 'invalid_header', param: 'x-goog-api-key' },
    { what: 'no key', id: 'a', status: 401, code: 'missing_credentials', param: 'authorization' }
  ])
  await refusedCalls(t, 'google', baseUrl => google({ baseUrl, apiKey: 'server-key' }), [{ what: 'a key beside the server\'s', id: 'a', headers: { 'x-goog-api-key': 'mine' }, code: 'invalid_header', param: 'x-goog-api-key', says: /the server configured/ }])
})

t.test('google: every state of a batch', async t => {
  const states = {
    UNSPECIFIED: { status: 'validating' },
    PENDING: { status: 'validating' },
    RUNNING: { status: 'in_progress' },
    SUCCEEDED: { status: 'completed', completed_at: 1785587400 },
    FAILED: { status: 'failed', failed_at: 1785587400 },
    CANCELLED: { status: 'cancelled', cancelled_at: 1785587400 },
    EXPIRED: { status: 'expired', expired_at: 1785587400 }
  }
  for (const [state, told] of Object.entries(states)) {
    for (const kind of ['BATCH', 'JOB']) {
      const body = operation(`${kind}_STATE_${state}`, { endTime: '2026-08-01T12:30:00Z' })
      const batch = batchIn(google(), body, 'abc')
      t.ok(isBatch(batch), state)
      t.strictSame(batch, { ...UNREPORTED, id: 'abc', model: 'models/gemini-2.5-flash', input_file_id: 'files/in', created_at: 1785578400, request_counts: { total: 10, completed: 4, failed: 1 }, ...told, provider_batch: body }, state)
    }
  }
  for (const body of [undefined, null, [], 'x', {}, { name: 'batches/a' }, { metadata: null }, { metadata: {} }, { metadata: { state: 'BATCH_STATE_RESTING' } }, { metadata: { state: 'RUNNING' } }, { state: 'BATCH_STATE_RUNNING' }]) t.equal(batchIn(google(), body, 'abc'), undefined, JSON.stringify(body))
  t.strictSame(batchIn(google(), { metadata: { state: 'BATCH_STATE_PENDING' } }, 'abc'), { ...UNREPORTED, id: 'abc', status: 'validating', provider_batch: { metadata: { state: 'BATCH_STATE_PENDING' } } }, 'little is told')
  t.match(batchIn(google(), operation('BATCH_STATE_FAILED', { batchStats: { requestCount: '3' } }, { error: { code: 3, message: 'Bad input.' } }), 'abc'), { request_counts: { total: 3, completed: 0, failed: 0 }, errors: { object: 'list', data: [{ code: '3', message: 'Bad input.' }] } })
  t.match(batchIn(google(), operation('BATCH_STATE_RUNNING', { batchStats: { pendingRequestCount: '3' } }), 'abc'), { request_counts: null })
  for (const body of [null, {}]) t.equal(batchIn(google(), body, 'abc', 'cancel'), null)
  for (const body of [undefined, [], { status: 'success' }]) t.equal(batchIn(google(), body, 'abc', 'cancel'), undefined)
})
