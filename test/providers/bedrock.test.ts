import type { IncomingHttpHeaders } from 'node:http'
import t from 'tap'
import { bedrock, forwardToProviders, type BedrockOptions } from '../../lib/index.js'
import { awsErrorCode } from '../../lib/providers/aws.js'
import { defineBedrock } from '../../lib/providers/bedrock.js'
import { createSigner } from '../../lib/providers/sigv4.js'
import { isBatch } from '../../schemas/index.js'
import { ARN, AWS_HEADERS, AWS_KEYS, awsJob, EMPTY_HASH, JOB } from '../fixtures/bedrock.js'
import { UNREPORTED } from '../fixtures/fixture.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { batchIn, found, located, requestOf, thrown } from '../support/provider.js'
import { refuseCalls } from '../support/refused.js'
import { startUpstream } from '../support/upstream.js'

const REGION = 'x-portkey-aws-region'

t.test('signs as AWS\'s own SDK does', async t => {
  /*
   * Recorded from @aws-sdk/client-bedrock 3.1164.0: StopModelInvocationJobCommand and GetModelInvocationJobCommand on
   * 2026-01-02T03:04:05Z, sent to a local server after they had been signed, without the SDK's own telemetry headers.
   */
  const recorded = [
    {
      id: '123456789012',
      region: 'us-east-1',
      origin: 'https://bedrock.us-east-1.amazonaws.com',
      path: '/model-invocation-job/123456789012',
      cancel: '7f38caa00605930107a28847e53d7575781b41d95aaf590a033b693588d9817e',
      retrieve: '33a4918b055ec6288e34f6c228a90a85fc4b28bf8d7b8c0750348c010be26bb2'
    },
    {
      id: ARN,
      region: 'us-east-1',
      sessionToken: 'session+/token==',
      origin: 'https://bedrock.us-east-1.amazonaws.com',
      path: '/model-invocation-job/' +
        'arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Amodel-invocation-job%2Fabcdefghij12',
      cancel: 'a93fa51694e28fce4f618e77a177281601f3c2c8ab15ed098186b83b5ad42148',
      retrieve: 'dce72a1b5a03d7e75ed25dac571d2d8b617d71d253336dc8f1a44e8b7a73d0e6'
    },
    {
      id: 'arn:aws-cn:bedrock:cn-north-1:123456789012:model-invocation-job/abcdefghij12',
      region: 'cn-north-1',
      origin: 'https://bedrock.cn-north-1.amazonaws.com.cn',
      path: '/model-invocation-job/' +
        'arn%3Aaws-cn%3Abedrock%3Acn-north-1%3A123456789012%3Amodel-invocation-job%2Fabcdefghij12',
      cancel: '92426236b7885850d846f8d2fad539877a00ba4ef3589a0028728a8b66e15792',
      retrieve: '8ad8c90911a3794cd675133fb5ecfe59cc2a94dff2767770022bc16eaf16c097'
    },
    {
      id: JOB,
      region: 'eu-west-1',
      base: { origin: 'http://127.0.0.1:8443', path: '/deep/base' },
      origin: 'http://127.0.0.1:8443',
      path: '/deep/base/model-invocation-job/abcdefghij12',
      cancel: '382dc479b21a3a991ef8bafbe6467dcb2e3861117d98bfd3453a6dc323a4d637',
      retrieve: 'c3b1a4b97f94a5cef4e46a1fcc014294511708d743e65d92eb6ac657f46eb019'
    }
  ]
  const provider = defineBedrock({ sign: createSigner({ now: () => Date.parse('2026-01-02T03:04:05Z') }) })()
  for (const { id, region, sessionToken, base, origin, path, ...signatures } of recorded) {
    const headers = { [REGION]: region }
    const credential = { ...AWS_KEYS, sessionToken }
    for (const [action, method, end] of [['cancel', 'POST', '/stop'], ['retrieve', 'GET', '']] as const) {
      const token = sessionToken === undefined ? '' : ';x-amz-security-token'
      const names = `host;x-amz-content-sha256;x-amz-date${token}`
      const request = await requestOf(provider, action, id, { headers, credential, ...base !== undefined && { base } })
      t.strictSame(request, {
        origin,
        method,
        path: path + end,
        headers: {
          'x-amz-date': '20260102T030405Z',
          ...sessionToken !== undefined && { 'x-amz-security-token': sessionToken },
          'x-amz-content-sha256': EMPTY_HASH,
          authorization: `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/${region}/bedrock/aws4_request, ` +
            `SignedHeaders=${names}, Signature=${signatures[action]}`
        }
      }, `${action} of ${id}`)
    }
  }
})

t.test('says what to install', async t => {
  let loads = 0
  const cause = new Error('Cannot find package')
  const sign = createSigner({ load: async () => { loads++; throw cause } })
  const factory = defineBedrock({ sign })
  const upstream = await startUpstream(t)
  const forward = forwardToProviders({ providers: { bedrock: factory({ baseUrl: upstream.url }) } })
  const app = await buildWithoutPauses(t, { defaultProvider: 'bedrock', forward })
  const response = await cancel(app, { id: JOB, headers: { ...AWS_HEADERS, [REGION]: 'us-east-1' } })
  t.equal(response.statusCode, 500)
  t.match(response.json(), { error: { code: 'internal_error', message: 'Internal error' } })
  t.equal(upstream.requests.length, 0)
  await t.rejects(requestOf(factory(), 'cancel', ARN, { credential: AWS_KEYS }), {
    code: 'internal_error',
    message: 'Internal error',
    cause: {
      message: 'An optional package is missing. Run: npm install @smithy/signature-v4 @smithy/hash-node',
      cause
    }
  })
  t.equal(loads, 2, 'looked for again: it may have been installed')
})

t.test('where a job is', async t => {
  const at = (region: string, partition: string, suffix: string) => ({
    id: `arn:${partition}:bedrock:${region}:123456789012:model-invocation-job/${JOB}`,
    region,
    origin: `https://bedrock.${region}.${suffix}`
  })
  const jobs = [
    // Every kind of region of the endpoint rules of @aws-sdk/client-bedrock.
    at('us-east-1', 'aws', 'amazonaws.com'),
    at('ap-southeast-2', 'aws', 'amazonaws.com'),
    at('il-central-1', 'aws', 'amazonaws.com'),
    at('cn-north-1', 'aws-cn', 'amazonaws.com.cn'),
    at('cn-northwest-1', 'aws-cn', 'amazonaws.com.cn'),
    at('us-gov-west-1', 'aws-us-gov', 'amazonaws.com'),
    at('eusc-de-east-1', 'aws-eusc', 'amazonaws.eu'),
    at('us-iso-east-1', 'aws-iso', 'c2s.ic.gov'),
    at('us-isob-east-1', 'aws-iso-b', 'sc2s.sgov.gov'),
    at('eu-isoe-west-1', 'aws-iso-e', 'cloud.adc-e.uk'),
    at('us-isof-south-1', 'aws-iso-f', 'csp.hci.ic.gov')
  ]
  for (const { id, region, origin } of jobs) {
    t.ok(bedrock().id?.test(id), id)
    t.ok(bedrock().ownsOrigin(origin), origin)
    const base = { origin, path: '' }
    const named = { base, place: { job: id, region } }
    const bare = { base, place: { job: JOB, region } }
    t.strictSame(located(bedrock(), id), named, id)
    t.strictSame(located(bedrock(), encodeURIComponent(id).toLowerCase()), named, 'encoded twice')
    t.strictSame(located(bedrock(), JOB, { [REGION]: region }), bare, 'by header')
    t.strictSame(located(bedrock({ region }), JOB), bare, 'by option')
    t.strictSame(located(bedrock({ region }), id), named, 'the option agrees')
  }
  const mismatch = {
    code: 'provider_mismatch',
    param: 'id',
    message: 'The batch id names the region \'us-east-1\', not \'eu-west-1\'.'
  }
  t.match(located(bedrock(), ARN, { [REGION]: 'eu-west-1' }), mismatch)
  t.match(located(bedrock({ region: 'eu-west-1' }), encodeURIComponent(ARN), {}, true), mismatch)
  const wrongPartition = { code: 'invalid_batch_id', param: 'id' }
  t.match(located(bedrock(), ARN.replace('us-east-1', 'cn-north-1')), wrongPartition)
  t.match(located(bedrock(), ARN.replace('arn:aws:', 'arn:aws-cn:')), wrongPartition)
  const others = [
    'http://bedrock.us-east-1.amazonaws.com', 'https://bedrock.us-east-1.amazonaws.com:444',
    'https://bedrock.amazonaws.com', 'https://bedrock.us-east-1.evil.com', 'https://x.bedrock.us-east-1.amazonaws.com'
  ]
  for (const origin of others) t.notOk(bedrock().ownsOrigin(origin), origin)
})

t.test('the region is required where it is needed', async t => {
  const missing = { code: 'invalid_header', param: REGION }
  const notArn = { code: 'invalid_batch_id', param: 'id' }
  const nowhere = { base: undefined, place: { job: JOB, region: '' } }
  const find = (options: BedrockOptions, headers: IncomingHttpHeaders, hasBase: boolean) =>
    located(bedrock(options), JOB, headers, hasBase)
  t.match(find({}, {}, false), missing, 'for the host')
  t.match(find({}, AWS_HEADERS, true), missing, 'for the signature')
  t.match(find({ credentials: AWS_KEYS }, {}, true), notArn, 'for the signature of the server')
  t.match(find({ apiKey: 'key' }, {}, false), notArn, 'for the host, with a key of the server')
  t.match(find({}, {}, true), nowhere, 'not with an API key and another host')
  t.match(find({}, { ...AWS_HEADERS, 'x-portkey-aws-auth-type': 'apiKey' }, true), nowhere, 'nor if the client says so')
  t.match(find({ apiKey: 'key' }, AWS_HEADERS, true), nowhere, 'nor with an API key of the server')
  const role = { code: 'invalid_header', param: 'x-portkey-aws-role-arn', message: /option `credentials`/ }
  t.match(find({}, { 'x-portkey-aws-role-arn': 'arn:aws:iam::1:role/a' }, false), role)
  const base = { origin: 'http://h', path: '/p' }
  t.strictSame(await requestOf(bedrock(), 'retrieve', JOB, { credential: 'key', base }), {
    origin: 'http://h',
    method: 'GET',
    path: `/p/model-invocation-job/${JOB}`,
    headers: { authorization: 'Bearer key' }
  })
})

t.test('the credentials of the client', async t => {
  const { clientCredential } = bedrock()
  const bearer = { authorization: 'Bearer key' }
  const apiKey = { 'x-portkey-aws-auth-type': 'apiKey' }
  const emptyKey = { 'x-portkey-aws-access-key-id': '', [REGION]: 'us-east-1' }
  t.strictSame(clientCredential({}), undefined)
  t.strictSame(clientCredential({ authorization: 'Basic a:b c' }), undefined)
  t.strictSame(clientCredential(bearer), 'key')
  t.strictSame(clientCredential({ ...bearer, ...apiKey }), 'key')
  t.strictSame(clientCredential({ ...bearer, ...emptyKey }), 'key', 'an empty header says nothing')
  t.strictSame(clientCredential(AWS_HEADERS), { ...AWS_KEYS, sessionToken: undefined })
  const session = { 'x-portkey-aws-session-token': 's' }
  t.strictSame(clientCredential({ ...AWS_HEADERS, ...bearer, ...session }), { ...AWS_KEYS, sessionToken: 's' })
  t.strictSame(clientCredential({ ...AWS_HEADERS, ...bearer, ...apiKey }), 'key', 'unless the client says so')
  t.strictSame(clientCredential({ ...AWS_HEADERS, ...apiKey }), undefined)
  for (const [name, missing] of [
    ['access-key-id', 'secret-access-key'],
    ['secret-access-key', 'access-key-id'],
    ['session-token', 'access-key-id']
  ]) {
    const half = { ...bearer, [`x-portkey-aws-${name}`]: 'a' }
    t.match(thrown(() => clientCredential(half)), { code: 'invalid_header', param: `x-portkey-aws-${missing}` })
  }
})

t.test('the credentials of the server', async t => {
  t.equal(await found(bedrock({ apiKey: 'key' }).serverCredential), 'key')
  t.strictSame(await found(bedrock({ credentials: AWS_KEYS }).serverCredential), AWS_KEYS)
  const byCall = bedrock({ credentials: ({ batchId }) => ({ ...AWS_KEYS, sessionToken: batchId }) })
  t.strictSame(await found(byCall.serverCredential), { ...AWS_KEYS, sessionToken: 'b' }, 'found by the call')
  t.strictSame(await found(bedrock({ credentials: async () => undefined }).serverCredential), undefined)
  const wrongs = [
    null, 'key', {}, { accessKeyId: 'a' }, { secretAccessKey: 'a' }, { ...AWS_KEYS, accessKeyId: '' },
    { ...AWS_KEYS, sessionToken: 1 }
  ]
  for (const wrong of wrongs) {
    await t.rejects(found(bedrock({ credentials: () => wrong as never }).serverCredential), {
      code: 'internal_error',
      message: 'Internal error',
      cause: { message: /^bedrock\(\{ credentials \}\) returned/ }
    })
    t.throws(() => bedrock({ credentials: wrong as never }), {
      code: 'FST_BATCH_CANCEL_INVALID_OPTION',
      message: /^bedrock\(\{ credentials \}\) must/
    })
  }
  t.throws(() => bedrock({ credentials: AWS_KEYS, apiKey: 'key' }), {
    code: 'FST_BATCH_CANCEL_INVALID_OPTION',
    message: 'bedrock({ credentials, apiKey }) exclude each other.'
  })
  for (const region of ['', 'US-EAST-1', 'us-east', 'us-east-1.evil.com', 'a/b']) {
    t.throws(() => bedrock({ region }), {
      code: 'FST_BATCH_CANCEL_INVALID_OPTION',
      message: /^bedrock\(\{ region \}\)/
    })
  }
  t.throws(() => bedrock({ apiKey: '' }), {
    code: 'FST_BATCH_CANCEL_INVALID_OPTION',
    message: /^bedrock\(\{ apiKey \}\)/
  })
})

t.test('a server that signs finds out at once what is not installed', async t => {
  const factory = defineBedrock({ sign: createSigner(), missing: names => names.slice(0, 1) })
  t.doesNotThrow(() => factory({ apiKey: 'key' }))
  t.throws(() => factory({ credentials: AWS_KEYS }), {
    code: 'FST_BATCH_CANCEL_INVALID_OPTION',
    message: 'bedrock({ credentials }) needs optional packages. Run: npm install @smithy/signature-v4'
  })
})

t.test('refused before anything is sent', async t => {
  const header = (name: string, value: string, says?: RegExp) => ({
    what: `${name}: ${value}`,
    id: JOB,
    headers: { ...AWS_HEADERS, [REGION]: 'us-east-1', [name]: value },
    code: 'invalid_header',
    param: name,
    ...says && { says }
  })
  await refuseCalls(t, 'bedrock', baseUrl => bedrock({ baseUrl }), [
    header(REGION, 'us-east-1.evil.com'),
    header(REGION, 'evil'),
    header(REGION, '127.0.0.1:9/?'),
    header('x-portkey-aws-access-key-id', 'a,b'),
    header('x-portkey-aws-access-key-id', 'a'.repeat(129)),
    header('x-portkey-aws-secret-access-key', 'a b'),
    header('x-portkey-aws-session-token', 'a b'),
    header('x-portkey-aws-auth-type', 'assumedRole', /option `credentials`/),
    header('x-portkey-aws-role-arn', 'arn:aws:iam::1:role/a', /option `credentials`/),
    {
      what: 'half of the keys',
      id: ARN,
      headers: { 'x-portkey-aws-access-key-id': 'AKID' },
      code: 'invalid_header',
      param: 'x-portkey-aws-secret-access-key'
    },
    {
      what: 'another region',
      id: ARN,
      headers: { ...AWS_HEADERS, [REGION]: 'us-west-2' },
      code: 'provider_mismatch',
      param: 'id'
    },
    { what: 'no region', id: JOB, headers: AWS_HEADERS, code: 'invalid_header', param: REGION },
    { what: 'no credentials', id: JOB, status: 401, code: 'missing_credentials', param: 'authorization' }
  ])
  const accounts = {
    'access-key-id': 'abc',
    'secret-access-key': 'abc',
    'session-token': 'abc',
    region: 'us-east-1',
    'auth-type': 'apiKey',
    'role-arn': 'abc'
  }
  await refuseCalls(t, 'bedrock', baseUrl => bedrock({ baseUrl, credentials: AWS_KEYS }),
    Object.entries(accounts).map(([name, value]) => ({
      what: name,
      id: ARN,
      headers: { [`x-portkey-aws-${name}`]: value },
      code: 'invalid_header',
      param: `x-portkey-aws-${name}`,
      says: /the server configured/
    })))
  await refuseCalls(t, 'bedrock', baseUrl => bedrock({ baseUrl, credentials: async () => undefined }), [{
    what: 'the server finds none',
    id: ARN,
    headers: { authorization: 'key' },
    status: 401,
    code: 'missing_credentials',
    param: 'authorization'
  }])
})

t.test('every status of a job', async t => {
  const output = 's3://out/results/'
  const statuses = {
    Submitted: { status: 'validating', output_file_id: null },
    Validating: { status: 'validating', output_file_id: null },
    Scheduled: { status: 'validating', output_file_id: null },
    InProgress: { status: 'in_progress', output_file_id: output },
    Stopping: { status: 'cancelling', cancelling_at: 1785587400, output_file_id: output },
    Stopped: { status: 'cancelled', cancelled_at: 1785582000, output_file_id: output },
    Completed: { status: 'completed', completed_at: 1785582000, output_file_id: output },
    PartiallyCompleted: { status: 'completed', completed_at: 1785582000, output_file_id: output },
    Failed: { status: 'failed', failed_at: 1785582000, output_file_id: output },
    Expired: { status: 'expired', expired_at: 1785582000, output_file_id: null }
  }
  for (const [status, fields] of Object.entries(statuses)) {
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
      ...fields,
      provider_batch: job
    }, status)
  }
  for (const status of ['stopped', 'Resting', 'constructor', '', null, 1, undefined]) {
    t.equal(batchIn(bedrock(), awsJob({ status }), ARN), undefined, `not a status: ${String(status)}`)
  }
  const little = { status: 'Failed', message: 'Bad input.' }
  t.strictSame(batchIn(bedrock(), little, ARN), {
    ...UNREPORTED,
    id: ARN,
    status: 'failed',
    errors: { object: 'list', data: [{ code: null, message: 'Bad input.', param: null, line: null }] },
    provider_batch: little
  }, 'little is reported')
  const counted = {
    status: 'InProgress',
    totalRecordCount: 7,
    inputDataConfig: { s3InputDataConfig: null },
    outputDataConfig: null
  }
  t.match(batchIn(bedrock(), counted, ARN), {
    request_counts: { total: 7, completed: 0, failed: 0 },
    input_file_id: '',
    output_file_id: null
  })
  t.match(batchIn(bedrock(), { status: 'InProgress', totalRecordCount: '7' }, ARN), { request_counts: null })
  for (const body of [null, {}]) {
    t.equal(batchIn(bedrock(), body, ARN, 'cancel'), null)
    t.equal(batchIn(bedrock(), body, ARN), undefined)
  }
  for (const body of [undefined, [], 'Stopped', { status: 'success' }]) {
    t.equal(batchIn(bedrock(), body, ARN, 'cancel'), undefined)
  }
})

t.test('the kind of an error', async t => {
  const code = (header: string) => awsErrorCode({ 'x-amzn-errortype': header })
  t.equal(code('ConflictException:http://internal.amazon.com/coral/com.amazon.bedrock/'), 'ConflictException')
  t.equal(code('ThrottlingException'), 'ThrottlingException')
  t.equal(code('com.amazonaws.bedrock#ValidationException'), 'ValidationException')
  t.equal(code(':'), undefined)
  t.equal(awsErrorCode({}), undefined)
})
