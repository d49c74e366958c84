import dns from 'node:dns'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc, { type Parameters } from 'fast-check'
import t, { type Test } from 'tap'
import {
  cancelIn, cancelOperation, document, operation, PATH, retrieveDocument, retrieveIn, retrieveOperation,
  type Document, type Documented
} from '../support/document.js'
import { ROOT } from '../support/root.js'
import { impossibleCalls, invalidCalls, invalidValues, validCalls } from './arbitraries.js'
import { requestsOf, violationsOf } from './requests.js'
import { readDeployment, startGateway, type Call, type Deployment, type Response, type Target } from './target.js'
import { openapiTypescript, redocly } from './tools.js'

/* Tests a local gateway, or the deployment that run.js names, against the committed OpenAPI documents. */

const RUNS = 3000
const DEPLOYMENT_RUNS = 200
const MAX_SEARCH_MS = 60_000

type Json = Record<string, any>

interface Artifacts {
  /** The document, relative to the root folder. */
  readonly file: string
  readonly document: Document
  readonly workflows: string
  /** Matches the files of its released versions. */
  readonly released: RegExp
}

const DEFAULT: Artifacts = {
  file: 'openapi/openapi.json',
  document,
  workflows: 'openapi/cancel.arazzo.yaml',
  released: /^\d+\.\d+\.\d+\.json$/
}

/** Of a registration with `retrieve: true`, once its document is generated. */
const WITH_RETRIEVE: Artifacts[] = retrieveDocument === undefined
  ? []
  : [{
      file: 'openapi/openapi.retrieve.json',
      document: retrieveDocument,
      workflows: 'openapi/retrieve.arazzo.yaml',
      released: /^\d+\.\d+\.\d+\.retrieve\.json$/
    }]

const ARTIFACTS = [DEFAULT, ...WITH_RETRIEVE]

/** An operation and the function that calls it. */
interface TestedOperation {
  readonly documented: Documented
  readonly send: (call: Call) => Promise<Response>
}

/** The operations of a document, as a target serves them. */
const operationsOf = (target: Target, cancel: Documented, retrieve: Documented | undefined): TestedOperation[] => [
  { documented: cancel, send: target.cancel },
  ...retrieve === undefined ? [] : [{ documented: retrieve, send: target.retrieve }]
]

const errorCode = ({ body }: Response): unknown => (JSON.parse(body) as Json)['error']?.code

interface Search {
  readonly name: string
  readonly calls: fc.Arbitrary<Call>
  /** What is wrong with a response, beyond the document. */
  readonly check: (response: Response, call: Call) => string[]
  readonly options?: Parameters<[Call]>
}

/** Searches for a call whose response violates the contract, and reports the smallest. */
async function search (t: Test, { documented, send }: TestedOperation, { name, calls, check, options = {} }: Search) {
  const statuses = new Map<number, number>()
  const property = fc.asyncProperty(calls, async call => {
    const response = await send(call)
    statuses.set(response.statusCode, (statuses.get(response.statusCode) ?? 0) + 1)
    const found = [...violationsOf(documented, response), ...check(response, call)]
    if (found.length > 0) throw new Error(found.join('\n'))
  })
  const limits = { numRuns: RUNS, interruptAfterTimeLimit: MAX_SEARCH_MS, markInterruptAsFailure: true }
  const result = await fc.check(property, { ...limits, ...options })
  const counts = [...statuses].sort().map(([status, count]) => `${status}: ${count}`).join(', ')
  t.notOk(result.failed, `${documented.operation.operationId}, ${name}: ${result.numRuns} calls (${counts})`, {
    call: result.counterexample,
    violation: (result.errorInstance as Error | undefined)?.message,
    replay: { seed: result.seed, path: result.counterexamplePath }
  })
}

type Change = (operation: Json, document: Json) => unknown

/** Writes one changed copy of the default document for each change. */
async function writeChanged (t: Test, changes: Readonly<Record<string, Change>>) {
  const folder = await mkdtemp(join(tmpdir(), 'contract-'))
  t.teardown(() => rm(folder, { recursive: true }))
  return Promise.all(Object.entries(changes).map(async ([name, change], index) => {
    const copy = structuredClone(document) as Json
    change(copy['paths'][PATH].post, copy)
    const file = join(folder, `${index}.json`)
    await writeFile(file, JSON.stringify(copy, null, 2))
    return [name, file] as const
  }))
}

const HEADER = { in: 'header', description: 'x', schema: { type: 'string' } }
const AUTHORIZATION = { ...HEADER, name: 'Authorization', required: false }
const NEW_HEADER = { ...HEADER, name: 'x-new', required: true }

/** Defects that the lint rules must find. */
const DEFECTS: Readonly<Record<string, Change>> = {
  'an Authorization parameter': ({ parameters }) => parameters.push(AUTHORIZATION),
  'no code samples': operation => { operation['x-codeSamples'] = [] },
  'no operationId': operation => delete operation['operationId'],
  'no summary': operation => delete operation['summary'],
  'no description': operation => delete operation['description'],
  'a response without an example': ({ responses }) => delete responses[404].content['application/json'].examples,
  'an example that its schema does not allow': ({ responses }) => {
    responses[404].content['application/json'].examples.not_found.value = {}
  },
  'a response without x-request-id': ({ responses }) => delete responses[413].headers['x-request-id'],
  'a range without x-request-id': ({ responses }) => delete responses['5XX'].headers['x-request-id'],
  'a 409 without x-should-retry': ({ responses }) => delete responses[409].headers['x-should-retry'],
  'a response without content': ({ responses }) => delete responses[413].content,
  'a response key that is not a status': ({ responses }) => { responses['20x'] = responses[200] },
  'a header name in upper case': ({ responses }) => {
    responses[413].headers['Retry-After'] = responses[429].headers['retry-after']
  },
  'a dangling reference': ({ responses }) => {
    responses[413].content['application/json'].schema = { $ref: '#/components/schemas/Nothing' }
  }
}

/** Changes that the comparison with a released document must report as breaking. */
const BREAKING_CHANGES: Readonly<Record<string, Change>> = {
  'a removed field': (_operation, { components }) => delete components.schemas.Batch.properties.output_file_id,
  'a field that is no longer required': (_operation, { components }) => components.schemas.Batch.required.pop(),
  'a new batch status': (_operation, { components }) => components.schemas.Batch.properties.status.enum.push('paused'),
  'a new required header': ({ parameters }) => parameters.push(NEW_HEADER),
  'a removed provider': ({ parameters }) => parameters[1].schema.enum.shift(),
  'a removed response': ({ responses }) => delete responses[409]
}

const lint = (file: string) => redocly('lint', file, '--config', 'openapi/redocly.yaml', '--lint-config', 'error')

const RELEASED = new URL('openapi/released/', ROOT)

async function lastRelease (pattern: RegExp): Promise<string> {
  const files = (await readdir(RELEASED)).filter(file => pattern.test(file))
  return files.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1) as string
}

const diff = (released: string, file: string) =>
  redocly('diff', `openapi/released/${released}`, file, '--config', 'openapi/diff.yaml')

/** Checks that no response header stopped being required, which the comparison of documents does not report. */
function checkRequiredHeaders (t: Test, before: Documented, after: Documented) {
  for (const [status, { headers }] of Object.entries(before.operation.responses)) {
    for (const name of Object.keys(headers).filter(name => headers[name]?.required === true)) {
      const required = after.operation.responses[status]?.headers[name]?.required
      t.equal(required, true, `${after.operation.operationId} ${status} still requires ${name}`)
    }
  }
}

function testDocuments () {
  t.test('lint', async t => {
    for (const file of ARTIFACTS.flatMap(({ file, workflows }) => [file, workflows])) {
      // The text is not printed if there are warnings.
      t.match((await lint(file)).output, /Woohoo! Your API description is valid\. 🎉$/, file)
    }
    const defects = await writeChanged(t, DEFECTS)
    await Promise.all(defects.map(async ([name, file]) => t.notOk((await lint(file)).passed, `finds ${name}`)))
  })

  t.test('diff', async t => {
    for (const { file, document, released } of ARTIFACTS) {
      const last = await lastRelease(released)
      const { passed, output } = await diff(last, file)
      t.ok(passed, `no breaking change since ${last}`, { output })
      const before = JSON.parse(await readFile(new URL(last, RELEASED), 'utf8')) as Document
      checkRequiredHeaders(t, cancelIn(before), cancelIn(document))
      const [retrieveBefore, retrieve] = [retrieveIn(before), retrieveIn(document)]
      if (retrieveBefore !== undefined) checkRequiredHeaders(t, retrieveBefore, retrieve as Documented)
    }
    const last = await lastRelease(DEFAULT.released)
    const changes = await writeChanged(t, BREAKING_CHANGES)
    await Promise.all(changes.map(async ([name, file]) => t.notOk((await diff(last, file)).passed, `finds ${name}`)))
  })

  t.test('types', async t => {
    for (const { file } of ARTIFACTS) {
      const { passed, output } = await openapiTypescript(file, '--check')
      t.ok(passed, `the types of ${file} are up to date; npm run types writes them`, { output })
    }
  })
}

function testWorkflows () {
  for (const { workflows } of ARTIFACTS) {
    t.test(`respect ${workflows}`, async t => {
      const { url } = await startGateway(t)
      const { passed, output } = await redocly('respect', workflows, '-S', `api=${url}`)
      t.ok(passed, 'every workflow passes', { output: output.slice(output.indexOf('Failed tests info')) })
      const count = (await readFile(new URL(workflows, ROOT), 'utf8')).match(/^ {2}- workflowId: /gm)?.length
      t.match(output, `Workflows: ${count} passed, ${count} total`, 'and none is skipped')
    })
  }
}

const providerHeader = (provider: string) => ({ 'x-portkey-provider': provider })

/** A call, and the response that it must get. */
interface Row {
  readonly name: string
  /** Default: `batch_abc123`. */
  readonly id?: string
  /** Default: `sandbox`. */
  readonly provider?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly status: number
  /** The code of the error. */
  readonly code?: string
  /** The status of the returned batch, or of the batch beside an error. */
  readonly batch?: string
  /** Expected response headers. */
  readonly returns?: Readonly<Record<string, string | RegExp>>
}

const accepted = (id: string): Row => ({
  name: id,
  id,
  status: 200,
  batch: 'cancelling',
  returns: { 'x-batch-source': 'provider', 'x-portkey-retry-attempt-count': '0' }
})

const notCancellable = (id: string, batch: string): Row => ({
  name: id,
  id,
  status: 409,
  code: 'batch_not_cancellable',
  batch,
  returns: { 'x-should-retry': 'false' }
})

const retrieved = (id: string, batch: string): Row => ({
  name: id,
  id,
  status: 200,
  batch,
  returns: { 'x-batch-source': 'retrieved' }
})

const invalidId = (name: string, id: string): Row => ({ name, id, status: 400, code: 'invalid_batch_id' })

/** Errors that both operations report in the same way. */
const COMMON_ROWS: readonly Row[] = [
  {
    name: 'batch_rate_limited',
    id: 'batch_rate_limited',
    status: 429,
    code: 'rate_limit_exceeded',
    returns: { 'retry-after': /^\d+$/ }
  },
  { name: 'batch_unavailable', id: 'batch_unavailable', status: 503, code: 'upstream_error' },
  { name: 'batch_unauthorized', id: 'batch_unauthorized', status: 401, code: 'invalid_api_key' },
  { name: 'an unknown id', id: 'batch_unknown', status: 404, code: 'batch_not_found' },
  invalidId('an id with a slash', 'batch/abc123'),
  { name: 'an id of 512 characters', id: 'b'.repeat(512), status: 404, code: 'batch_not_found' },
  invalidId('an id of 513 characters', 'b'.repeat(513)),
  invalidId('the id .', '.'),
  invalidId('the id ..', '..'),
  invalidId('an id with a control character', 'batch\nabc123'),
  {
    name: 'an id that does not match the provider\'s grammar',
    provider: 'bedrock',
    status: 400,
    code: 'invalid_batch_id'
  },
  {
    name: 'an id of another project',
    id: 'projects/p/locations/us-central1/batchPredictionJobs/1',
    provider: 'vertex-ai',
    headers: { 'x-portkey-vertex-project-id': 'other' },
    status: 400,
    code: 'provider_mismatch'
  },
  { name: 'no provider', provider: '', status: 400, code: 'missing_provider' },
  { name: 'an unknown provider', provider: 'unknown', status: 400, code: 'unknown_provider' },
  { name: 'an unsupported provider', provider: 'deepseek', status: 400, code: 'unsupported_provider' },
  {
    name: 'a timeout that is not a number',
    headers: { 'x-portkey-request-timeout': 'soon' },
    status: 400,
    code: 'invalid_header'
  },
  { name: 'a config that is not JSON', headers: { 'x-portkey-config': '{' }, status: 400, code: 'invalid_header' },
  {
    name: 'a host that is not trusted',
    provider: 'openai',
    headers: { 'x-portkey-custom-host': 'https://llm.example.com/v1' },
    status: 400,
    code: 'invalid_header'
  },
  { name: 'no credential', provider: 'openai', status: 401, code: 'missing_credentials' }
]

const MAX_BODY_BYTES = 1024 * 1024

const CANCEL_ROWS: readonly Row[] = [
  ...COMMON_ROWS,
  accepted('batch_abc123'),
  accepted('batch_validating'),
  accepted('batch_finalizing'),
  accepted('batch_cancelling'),
  {
    name: 'batch_in_progress, with a wait',
    id: 'batch_in_progress',
    headers: { prefer: 'wait=30' },
    status: 200,
    batch: 'cancelled',
    returns: { 'preference-applied': 'wait=30', 'x-batch-source': 'retrieved' }
  },
  notCancellable('batch_completed', 'completed'),
  notCancellable('batch_failed', 'failed'),
  notCancellable('batch_expired', 'expired'),
  notCancellable('batch_cancelled', 'cancelled'),
  {
    name: 'a rate limit after three attempts',
    id: 'batch_rate_limited',
    status: 429,
    code: 'rate_limit_exceeded',
    returns: { 'x-portkey-retry-attempt-count': '2' }
  },
  {
    name: 'a client timeout',
    id: 'batch_unavailable',
    headers: { 'x-portkey-request-timeout': '100' },
    status: 504,
    code: 'upstream_timeout'
  },
  invalidId('an empty id', ''),
  {
    name: 'a Content-Type that is not a media type',
    headers: { 'content-type': 'json' },
    body: '{}',
    status: 415,
    code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE'
  },
  {
    name: 'a body over the limit',
    headers: { 'content-type': 'application/json' },
    body: ' '.repeat(MAX_BODY_BYTES + 1),
    status: 413,
    code: 'FST_ERR_CTP_BODY_TOO_LARGE'
  }
]

/** The seeded batches of the sandbox, unchanged, before any cancel. */
const RETRIEVE_ROWS: readonly Row[] = [
  ...COMMON_ROWS,
  retrieved('batch_abc123', 'in_progress'),
  retrieved('batch_cancelling', 'cancelling'),
  retrieved('batch_in_progress', 'in_progress'),
  retrieved('batch_completed', 'completed'),
  retrieved('batch_failed', 'failed'),
  retrieved('batch_expired', 'expired'),
  retrieved('batch_cancelled', 'cancelled'),
  {
    name: 'batch_completed, with a wait that ends immediately',
    id: 'batch_completed',
    headers: { prefer: 'wait=30' },
    status: 200,
    batch: 'completed',
    returns: { 'preference-applied': 'wait=30' }
  }
]

async function checkRow (t: Test, { documented, send }: TestedOperation, row: Row) {
  const { name, id = 'batch_abc123', provider = 'sandbox', headers, body, status, code, batch, returns = {} } = row
  const response = await send({ id, headers: { ...providerHeader(provider), ...headers }, body })
  const json = JSON.parse(response.body) as Json
  const returned = (json['error'] === undefined ? json : json['batch']) as Json | undefined
  t.strictSame(violationsOf(documented, response), [], `${name}: as documented`)
  t.strictSame([response.statusCode, errorCode(response), returned?.['status']], [status, code, batch], name)
  t.match(response.headers, returns, `${name}: headers`)
  if (batch !== undefined) t.equal(returned?.['id'], id, `${name}: the requested batch`)
}

/** Each table has a gateway of its own, because a cancel changes the batches of the sandbox. */
function testTable (name: string, rows: readonly Row[], select: (target: Target) => TestedOperation) {
  t.test(`responses of ${name}`, async t => {
    const target = await startGateway(t)
    await Promise.all(rows.map(row => checkRow(t, select(target), row)))
  })
}

function testResponses () {
  testTable('the cancel', CANCEL_ROWS, ({ cancel }) => ({ documented: cancelOperation, send: cancel }))
  const documented = retrieveOperation
  if (documented !== undefined) {
    testTable('the retrieval', RETRIEVE_ROWS, ({ retrieve }) => ({ documented, send: retrieve }))
  }

  t.test('every batch of the sandbox is in the table', async t => {
    const target = await startGateway(t)
    const page = JSON.parse((await target.get('/sandbox/v1/batches?limit=100')).body) as { data: Array<{ id: string }> }
    const tested = new Set(CANCEL_ROWS.map(({ id }) => id))
    t.ok(page.data.length > 0)
    t.strictSame(page.data.map(({ id }) => id).filter(id => !tested.has(id)), [])
  })

  t.test('a repeated cancel', async t => {
    const target = await startGateway(t)
    const cancel = () => target.cancel({ id: 'batch_abc123', headers: providerHeader('sandbox') })
    const [first, second] = [await cancel(), await cancel()]
    t.strictSame([first, second].flatMap(response => violationsOf(cancelOperation, response)), [])
    t.strictSame([second.statusCode, second.body], [200, first.body], 'the same response')
    const { cancelling } = operation.responses[200]?.content['application/json'].examples as Json
    t.strictSame(JSON.parse(first.body), cancelling.value, 'which is the documented example')
  })

  t.test('the gateway serves its document: the committed one, with the sandbox', async t => {
    const served = JSON.parse((await (await startGateway(t)).get('/openapi.json')).body) as Json
    t.strictSame(served, withSandbox(retrieveDocument ?? document))
  })
}

/** The document that the gateway must serve. */
function withSandbox (document: Document): Document {
  const copy = structuredClone(document) as Document & { servers: object[] }
  for (const { parameters } of Object.values(copy.paths).flatMap(item => Object.values(item))) {
    const provider = parameters.find(({ name }) => name === 'x-portkey-provider') as Json
    provider['example'] = 'sandbox'
    provider['schema'].enum.unshift('sandbox')
  }
  copy.servers = [{ url: '/', description: 'This gateway' }]
  return copy
}

/** Makes every DNS lookup fail, so that no request leaves this machine; returns the names that were looked up. */
function blockDns (t: Test): string[] {
  const names: string[] = []
  const { lookup } = dns
  t.teardown(() => { dns.lookup = lookup })
  dns.lookup = ((name: string, ...rest: unknown[]) => {
    names.push(name)
    const done = rest.at(-1) as (error: Error) => void
    process.nextTick(done, Object.assign(new Error(`No lookup of ${name} in tests`), { code: 'ENOTFOUND' }))
  }) as typeof dns.lookup
  return names
}

/** Error codes that a call which the document allows must never get. */
const CODES_OF_INVALID_CALLS = ['missing_provider', 'unknown_provider', 'unsupported_provider', 'invalid_batch_id']

function checkValid (response: Response, { headers }: Call): string[] {
  const code = errorCode(response)
  if (CODES_OF_INVALID_CALLS.includes(String(code))) return [`${code}: ${response.body}`]
  const isClientTimeout = JSON.stringify(headers).includes('timeout') && response.statusCode === 504
  return response.statusCode >= 500 && !isClientTimeout ? [`${response.statusCode}: ${response.body}`] : []
}

const check400 = ({ statusCode, body }: Response) => statusCode === 400 ? [] : [`${statusCode}: ${body}`]

const check4xx = ({ statusCode, body }: Response) =>
  statusCode >= 400 && statusCode < 500 ? [] : [`${statusCode}: ${body}`]

function testRequests () {
  t.test('requests', async t => {
    const target = await startGateway(t)
    const names = blockDns(t)
    const served = JSON.parse((await target.get('/openapi.json')).body) as Document
    for (const tested of operationsOf(target, cancelIn(served), retrieveIn(served))) {
      const requests = requestsOf(tested.documented)
      await search(t, tested, { name: 'valid calls', calls: validCalls(requests, 'sandbox'), check: checkValid })
      await search(t, tested, { name: 'invalid calls', calls: invalidCalls(requests, 'sandbox'), check: check400 })
      await search(t, tested, { name: 'impossible calls', calls: impossibleCalls(requests), check: check400 })
      await testInvalidHeaders(t, tested)
    }
    t.strictSame(names, [], 'nothing left this machine')
  })
}

/** Every provider with headers of its own accepts one of these ids. */
const IDS = ['123456789012', 'batch_abc123']

/** Checks that at least one provider rejects every invalid header, and names it. No call has a credential. */
async function testInvalidHeaders (t: Test, { documented, send }: TestedOperation) {
  const requests = requestsOf(documented)
  for (const parameter of requests.parameters.values()) {
    if (parameter.name === 'id' || parameter.name === 'x-portkey-provider') continue
    const values = invalidValues(parameter, requests)
    if (values === undefined) continue
    const isRejected = ({ statusCode, body }: Response) =>
      statusCode === 400 && (JSON.parse(body) as Json)['error'].param === parameter.name
    const found: string[] = []
    for (const value of fc.sample(values, 5)) {
      const responses = await Promise.all(requests.providers.flatMap(provider => IDS.map(id =>
        send({ id, headers: { ...providerHeader(provider), [parameter.name]: value } }))))
      found.push(...responses.flatMap(response => violationsOf(documented, response)))
      if (!responses.some(isRejected)) found.push(`no provider rejects ${value}`)
    }
    t.strictSame(found, [], `${documented.operation.operationId}: an invalid ${parameter.name} is rejected`)
  }
}

/** Only the ids that the caller named are sent in a form that can be carried out; all other ids are impossible. */
function testDeployment ({ target, provider, ids, withRetrieve }: Deployment) {
  const own = provider === undefined ? {} : providerHeader(provider)
  const fixed = new Set(Object.keys(target.headers))
  const withoutFixed = (headers: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(headers).filter(([name]) => !fixed.has(name)))

  t.test('impossible calls', async t => {
    for (const tested of operationsOf(target, cancelOperation, withRetrieve ? retrieveOperation : undefined)) {
      const calls = impossibleCalls(requestsOf(tested.documented), provider)
        .map(({ headers = {}, ...call }) => ({ ...call, headers: withoutFixed(headers) }))
      const options = { numRuns: DEPLOYMENT_RUNS }
      await search(t, tested, { name: 'impossible calls', calls, check: check4xx, options })
    }
  })

  t.test('the named batches', async t => {
    if (ids.length === 0) t.comment('No --id: nothing was cancelled.')
    for (const id of ids) {
      if (withRetrieve) await testNamedRetrieval(t, target, { id, headers: own })
      await testNamedCancel(t, target, { id, headers: own })
      if (withRetrieve) await testNamedRetrieval(t, target, { id, headers: own })
    }
  })
}

function checkDocumented (t: Test, documented: Documented, name: string, response: Response) {
  const { status = errorCode(response) } = JSON.parse(response.body) as Json
  t.strictSame(violationsOf(documented, response), [], `${name}: ${response.statusCode} ${status}`)
}

const idOf = ({ body }: Response): unknown => (JSON.parse(body) as Json)['id']

async function testNamedCancel (t: Test, { cancel }: Target, call: Call) {
  const { id } = call
  const invalid = await cancel({ id, headers: { ...call.headers, 'x-portkey-request-timeout': 'soon' } })
  checkDocumented(t, cancelOperation, `${id} with an invalid header`, invalid)
  t.strictSame(check4xx(invalid), [], `${id}: an invalid header is rejected`)
  const first = await cancel(call)
  checkDocumented(t, cancelOperation, id, first)
  const second = await cancel(call)
  checkDocumented(t, cancelOperation, `${id}, repeated`, second)
  if (first.statusCode !== 200) return
  t.equal(idOf(first), id, `${id}: the requested batch`)
  t.ok([200, 409].includes(second.statusCode), `${id}: a repeated cancel succeeds, unless the batch has ended`)
}

async function testNamedRetrieval (t: Test, { retrieve }: Target, call: Call) {
  const response = await retrieve(call)
  checkDocumented(t, retrieveOperation as Documented, `${call.id}, retrieved`, response)
  if (response.statusCode === 200) t.equal(idOf(response), call.id, `${call.id}: the requested batch`)
}

const deployment = readDeployment(process.env)
if (deployment === undefined) {
  testDocuments()
  testWorkflows()
  testResponses()
  testRequests()
} else {
  testDeployment(deployment)
}
