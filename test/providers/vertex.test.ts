import type { IncomingHttpHeaders } from 'node:http'
import t from 'tap'
import { vertex, type VertexOptions } from '../../lib/index.js'
import { isBatch } from '../../schemas/index.js'
import { UNREPORTED } from '../fixtures/fixture.js'
import { keyFile, NAME, PEM, VERTEX_HEADERS, vertexJob } from '../fixtures/vertex.js'
import { batchIn, found, located, requestOf, thrown } from '../support/provider.js'
import { refuseCalls } from '../support/refused.js'

const PROJECT = 'x-portkey-vertex-project-id'
const REGION = 'x-portkey-vertex-region'
const SERVICE_ACCOUNT = 'x-portkey-vertex-service-account-json'
const KEY_FILE = keyFile('cancel')
const ACCOUNT = { client_email: KEY_FILE.client_email, private_key: PEM }

t.test('where a job is', async t => {
  const hosts = {
    'us-central1': 'us-central1-aiplatform',
    'europe-west4': 'europe-west4-aiplatform',
    'northamerica-northeast1': 'northamerica-northeast1-aiplatform',
    'asia-northeast3': 'asia-northeast3-aiplatform',
    global: 'aiplatform',
    us: 'aiplatform.us.rep',
    eu: 'aiplatform.eu.rep'
  }
  for (const [region, host] of Object.entries(hosts)) {
    const origin = `https://${host}.googleapis.com`
    const name = `projects/my-project-1/locations/${region}/batchPredictionJobs/12`
    const path = `/v1/${name}`
    const authorization = { authorization: 'Bearer token' }
    const named = { headers: { [PROJECT]: 'my-project-1', [REGION]: region }, credential: 'token' }
    const read = { origin, method: 'GET', path, headers: authorization }
    t.ok(vertex().id?.test(name), name)
    t.ok(vertex().ownsOrigin(origin), origin)
    t.strictSame(await requestOf(vertex(), 'cancel', '12', named), {
      origin,
      method: 'POST',
      path: `${path}:cancel`,
      headers: { ...authorization, 'content-type': 'application/json' },
      body: '{}'
    })
    t.strictSame(await requestOf(vertex(), 'retrieve', name, { credential: 'token' }), read)
    t.strictSame(await requestOf(vertex(), 'retrieve', name, named), read, 'both agree')
    const byOptions = vertex({ project: 'my-project-1', region })
    t.strictSame(await requestOf(byOptions, 'retrieve', '12', { credential: 'token' }), read, 'by options')
  }
  const path = async (options: VertexOptions, id: string, headers: IncomingHttpHeaders = {}) =>
    (await requestOf(vertex(options), 'retrieve', id, { credential: 'token', headers })).path
  const byNumber = NAME.replace('my-project-1', '987654321')
  t.equal(await path({}, byNumber), `/v1/${byNumber}`)
  const inDomain = NAME.replace('my-project-1', 'example.com:my-project')
  t.equal(await path({}, inDomain), `/v1/${inDomain.replace(':', '%3A')}`)
  t.equal(await path({}, byNumber, VERTEX_HEADERS), `/v1/${NAME}`, 'Vertex AI itself names a job by the number')
  t.equal(await path({ project: '987654321' }, NAME), `/v1/${byNumber}`, 'the option of the server is used')

  const find = (id: string, headers: IncomingHttpHeaders, options: VertexOptions = {}) =>
    located(vertex(options), id, headers, true)
  t.match(find(NAME, { [PROJECT]: 'other' }), {
    code: 'provider_mismatch',
    param: 'id',
    message: 'The batch id names the project \'my-project-1\', not \'other\'.'
  })
  const otherNumber = find(NAME.replace('my-project-1', '12'), { [PROJECT]: '13' })
  t.match(otherNumber, { code: 'provider_mismatch', param: 'id' })
  t.match(find(NAME, { [REGION]: 'us-east1' }), {
    code: 'provider_mismatch',
    param: 'id',
    message: 'The batch id names the region \'us-central1\', not \'us-east1\'.'
  })
  t.match(find(NAME, {}, { project: 'other' }), { code: 'provider_mismatch', param: 'id' })
  t.match(find(NAME, {}, { region: 'eu' }), { code: 'provider_mismatch', param: 'id' })
  t.match(find('12', {}), { code: 'invalid_header', param: PROJECT })
  t.match(find('12', { [PROJECT]: 'p' }), { code: 'invalid_header', param: REGION })
  t.match(find('12', { [REGION]: 'eu' }), { code: 'invalid_header', param: PROJECT })
  const others = [
    'https://googleapis.com', 'https://storage.googleapis.com', 'https://evil.com-aiplatform.googleapis.com',
    'https://aiplatform.evil.rep.googleapis.com'
  ]
  for (const origin of others) t.notOk(vertex().ownsOrigin(origin), origin)
})

t.test('the credentials of the client', async t => {
  const { clientCredential } = vertex()
  const json = (key: unknown) => ({
    [SERVICE_ACCOUNT]: typeof key === 'string' ? key : JSON.stringify(key),
    authorization: 'Bearer dummy'
  })
  t.equal(clientCredential({}), undefined)
  t.equal(clientCredential({ authorization: 'Bearer token' }), 'token')
  t.equal(clientCredential({ ...json(''), authorization: 'token' }), 'token')
  t.strictSame(clientCredential(json(KEY_FILE)), ACCOUNT, 'nothing else of it is used')
  const wrongs = [
    '{', '[]', '"a"', 'null', {},
    { ...KEY_FILE, type: 'external_account', credential_source: { file: '/etc/passwd' } },
    { ...KEY_FILE, type: 'authorized_user' },
    ACCOUNT,
    { ...KEY_FILE, client_email: undefined },
    { ...KEY_FILE, client_email: 'nobody' },
    { ...KEY_FILE, client_email: 1 },
    { ...KEY_FILE, private_key: undefined },
    { ...KEY_FILE, private_key: '/etc/key.pem' }
  ]
  for (const wrong of wrongs) {
    t.match(
      thrown(() => clientCredential(json(wrong))),
      { code: 'invalid_header', param: SERVICE_ACCOUNT, message: /^(?!.*PRIVATE)/s },
      JSON.stringify(wrong).slice(0, 60)
    )
  }
})

t.test('the credentials of the server', async t => {
  const credential = (options: VertexOptions) => found(vertex(options).serverCredential)
  t.equal(await credential({ apiKey: 'token' }), 'token')
  t.equal(await credential({ apiKey: async () => 'token' }), 'token')
  t.equal(vertex().serverCredential, undefined)
  t.strictSame(await credential({ serviceAccount: KEY_FILE }), ACCOUNT)
  t.strictSame(await credential({ serviceAccount: JSON.stringify(KEY_FILE) }), ACCOUNT)
  t.strictSame(await credential({ serviceAccount: async () => JSON.stringify(KEY_FILE) }), ACCOUNT)
  const byCall = ({ batchId }: { batchId: string }) => ({ ...KEY_FILE, client_email: `${batchId}@c` })
  t.strictSame(await credential({ serviceAccount: byCall }), { ...ACCOUNT, client_email: 'b@c' })
  t.equal(await credential({ serviceAccount: () => undefined }), undefined)
  for (const wrong of ['{', null, 1, { ...KEY_FILE, type: 'external_account' }] as never[]) {
    await t.rejects(credential({ serviceAccount: () => wrong }), {
      code: 'internal_error',
      cause: { message: /^vertex\(\{ serviceAccount \}\) returned/ }
    })
    t.throws(() => vertex({ serviceAccount: wrong }), {
      code: 'FST_BATCH_CANCEL_INVALID_OPTION',
      message: /^vertex\(\{ serviceAccount \}\) must/
    })
  }
  const invalid = (options: object, message: string | RegExp) =>
    t.throws(() => vertex(options), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: message as string })
  for (const project of ['', 'A', 'a/b', '..', '-a']) invalid({ project }, /^vertex\(\{ project \}\)/)
  for (const region of ['', 'moon', 'us-central1.evil.com', 'us-central1/']) {
    invalid({ region }, /^vertex\(\{ region \}\)/)
  }
  invalid({ serviceAccount: KEY_FILE, apiKey: 'token' }, 'vertex({ serviceAccount, apiKey }) exclude each other.')
  invalid({ baseUrl: 'ftp://x' }, /^vertex\(\{ baseUrl \}\)/)
})

t.test('refused before anything is sent', async t => {
  const header = (name: string, value: string) => ({
    what: `${name}: ${value.slice(0, 60)}`,
    id: '12',
    headers: { ...VERTEX_HEADERS, authorization: 'token', [name]: value },
    code: 'invalid_header',
    param: name
  })
  const noRsaKey = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
  await refuseCalls(t, 'vertex-ai', baseUrl => vertex({ baseUrl }), [
    header(PROJECT, '../x'),
    header(PROJECT, 'a b'),
    header(REGION, '127.0.0.1:9911/ok/?'),
    header(REGION, 'us-central1.evil.com'),
    header(SERVICE_ACCOUNT, '{"type":"external_account"}'),
    header(SERVICE_ACCOUNT, ' '.repeat(8193)),
    {
      what: 'another project',
      id: NAME,
      headers: { [PROJECT]: 'other' },
      code: 'provider_mismatch',
      param: 'id'
    },
    { what: 'no project', id: '12', code: 'invalid_header', param: PROJECT },
    { what: 'no credentials', id: NAME, status: 401, code: 'missing_credentials', param: 'authorization' },
    {
      what: 'a key that cannot sign',
      id: NAME,
      headers: { [SERVICE_ACCOUNT]: JSON.stringify({ ...KEY_FILE, private_key: noRsaKey }) },
      status: 401,
      code: 'missing_credentials',
      param: 'authorization',
      says: /RSA/
    }
  ])
  const accounts = { [PROJECT]: 'my-project-1', [REGION]: 'us-central1', [SERVICE_ACCOUNT]: JSON.stringify(KEY_FILE) }
  await refuseCalls(t, 'vertex-ai', baseUrl => vertex({ baseUrl, apiKey: 'server-token' }),
    Object.entries(accounts).map(([name, value]) => ({
      what: name,
      id: NAME,
      headers: { [name]: value },
      code: 'invalid_header',
      param: name,
      says: /the server configured/
    })))
})

t.test('every state of a job', async t => {
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
  for (const [state, fields] of Object.entries(states)) {
    const job = vertexJob({ state: `JOB_STATE_${state}`, ...ended })
    const batch = batchIn(vertex(), job, NAME)
    t.ok(isBatch(batch), state)
    t.strictSame(batch, {
      ...UNREPORTED,
      id: NAME,
      model: 'publishers/google/models/gemini-2.5-flash',
      input_file_id: 'gs://in/a.jsonl',
      created_at: 1785578400,
      in_progress_at: 1785582000,
      metadata: { team: 'a' },
      ...fields,
      provider_batch: job
    }, state)
  }
  for (const state of ['RUNNING', 'JOB_STATE_RESTING', 'JOB_STATE_constructor', 'X_STATE_RUNNING', '', null, 3]) {
    t.equal(batchIn(vertex(), vertexJob({ state }), NAME), undefined, `not a state: ${String(state)}`)
  }
  t.equal(batchIn(vertex(), vertexJob({ state: undefined }), NAME), undefined, 'no state')

  const part = (fields: object) => batchIn(vertex(), { state: 'JOB_STATE_FAILED', ...fields }, NAME)
  const little = { ...UNREPORTED, id: NAME, status: 'failed', provider_batch: { state: 'JOB_STATE_FAILED' } }
  t.strictSame(part({}), little, 'little is reported')
  const error = { code: '3', message: 'Bad input.', param: null, line: null }
  t.match(part({ error: { code: 3, message: 'Bad input.' } }), { errors: { object: 'list', data: [error] } })
  t.match(part({ error: { message: 'Bad input.' } }), { errors: { data: [{ code: null, message: 'Bad input.' }] } })
  t.match(part({ error: { code: 3 } }), { errors: null })
  const counts = (stats: object, total: number, completed: number, failed: number) =>
    t.match(part({ completionStats: stats }), { request_counts: { total, completed, failed } })
  counts({ successfulCount: '4', failedCount: '1', incompleteCount: '-1' }, 5, 4, 1)
  counts({ successfulCount: '4', incompleteCount: '3', successfulForecastPointCount: '99' }, 7, 4, 0)
  counts({ incompleteCount: 3 }, 3, 0, 0)
  counts({ failedCount: '2' }, 2, 0, 2)
  t.match(part({
    inputConfig: { bigquerySource: { inputUri: 'bq://p.d.t' } },
    outputInfo: { bigqueryOutputDataset: 'bq://p.d', bigqueryOutputTable: 'predictions_1' }
  }), { input_file_id: 'bq://p.d.t', output_file_id: 'bq://p.d.predictions_1' })
  t.match(part({ inputConfig: {}, outputInfo: { bigqueryOutputDataset: 'bq://p.d' } }), {
    input_file_id: '',
    output_file_id: 'bq://p.d'
  })
  t.match(part({ inputConfig: { gcsSource: { uris: [] } }, outputInfo: {}, labels: { a: 1 } }), {
    input_file_id: '',
    output_file_id: null,
    metadata: null
  })
  for (const body of [null, {}]) {
    t.equal(batchIn(vertex(), body, NAME, 'cancel'), null)
    t.equal(batchIn(vertex(), body, NAME), undefined)
  }
  for (const body of [undefined, [], 'x', { status: 'success' }]) {
    t.equal(batchIn(vertex(), body, NAME, 'cancel'), undefined)
  }
})
