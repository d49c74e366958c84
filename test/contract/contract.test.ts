import dns from 'node:dns'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc, { type Parameters } from 'fast-check'
import t, { type Test } from 'tap'
import { document, operation, PATH } from '../support/document.js'
import { allowedCalls, impossibleCalls, refused, refusedCalls } from './arbitraries.js'
import { breaches, requestsOf, type Requests } from './document.js'
import { readDeployment, startGateway, type Answer, type Call, type Deployment, type Place } from './place.js'
import { openapiTypescript, redocly, ROOT } from './tools.js'

/* What the document promises, held against a gateway of our own, or against the deployment that run.mjs names. */

const RUNS = 3000
const RUNS_AT_A_DEPLOYMENT = 200

type Json = Record<string, any>

const codeOf = ({ body }: Answer): unknown => (JSON.parse(body) as Json)['error']?.code

/** Looks for a call whose answer is not as it should be, and shows the smallest. */
async function search (t: Test, name: string, place: Place, calls: fc.Arbitrary<Call>, faults: (answer: Answer, call: Call) => string[], options: Parameters<[Call]> = {}) {
  const statuses = new Map<number, number>()
  const property = fc.asyncProperty(calls, async call => {
    const answer = await place.cancel(call)
    statuses.set(answer.statusCode, (statuses.get(answer.statusCode) ?? 0) + 1)
    const found = [...breaches(answer), ...faults(answer, call)]
    if (found.length > 0) throw new Error(found.join('\n'))
  })
  const { failed, counterexample, seed, counterexamplePath, errorInstance, numRuns } = await fc.check(property, { numRuns: RUNS, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true, ...options })
  t.notOk(failed, `${name}: ${numRuns} calls (${[...statuses].sort().map(([status, times]) => `${status}: ${times}`).join(', ')})`, {
    call: counterexample,
    breach: (errorInstance as Error | undefined)?.message,
    again: { seed, path: counterexamplePath }
  })
}

/** The document, changed by `change`, in a file of its own. */
async function changed (t: Test, changes: Readonly<Record<string, (operation: Json, document: Json) => unknown>>): Promise<Array<[name: string, file: string]>> {
  const folder = await mkdtemp(join(tmpdir(), 'contract-'))
  t.teardown(() => rm(folder, { recursive: true }))
  return Promise.all(Object.entries(changes).map(async ([name, change], index) => {
    const copy = structuredClone(document) as Json
    change(copy['paths'][PATH].post, copy)
    const file = join(folder, `${index}.json`)
    await writeFile(file, JSON.stringify(copy, null, 2))
    return [name, file]
  }))
}

const lint = async (...files: string[]) => redocly('lint', ...files, '--config', 'openapi/redocly.yaml', '--lint-config', 'error')

function testDocument () {
  t.test('lint', async t => {
    for (const file of ['openapi/openapi.json', 'openapi/cancel.arazzo.yaml']) {
      const { said } = await lint(file)
      // A warning is one too many.
      t.match(said, /Woohoo! Your API description is valid\. 🎉$/, file)
    }
    const defects = await changed(t, {
      'an Authorization parameter': ({ parameters }) => parameters.push({ name: 'Authorization', in: 'header', required: false, description: 'x', schema: { type: 'string' } }),
      'no code samples': operation => { operation['x-codeSamples'] = [] },
      'no operationId': operation => delete operation['operationId'],
      'no summary': operation => delete operation['summary'],
      'no description': operation => delete operation['description'],
      'a response without an example': ({ responses }) => delete responses[404].content['application/json'].examples,
      'an example that the schema refuses': ({ responses }) => { responses[404].content['application/json'].examples.missing.value = {} },
      'a response without x-request-id': ({ responses }) => delete responses[413].headers['x-request-id'],
      'a range without x-request-id': ({ responses }) => delete responses['5XX'].headers['x-request-id'],
      'a 409 without x-should-retry': ({ responses }) => delete responses[409].headers['x-should-retry'],
      'a response without a body': ({ responses }) => delete responses[413].content,
      'a response that is under no status': ({ responses }) => { responses['20x'] = responses[200] },
      'a header in capitals': ({ responses }) => { responses[413].headers['Retry-After'] = responses[429].headers['retry-after'] },
      'a reference to nothing': ({ responses }) => { responses[413].content['application/json'].schema = { $ref: '#/components/schemas/Nothing' } }
    })
    await Promise.all(defects.map(async ([name, file]) => t.notOk((await lint(file)).passed, `finds ${name}`)))
  })

  t.test('diff', async t => {
    const released = new URL('../../openapi/released/', import.meta.url)
    const last = (await readdir(released)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1) as string
    const diff = (file: string) => redocly('diff', `openapi/released/${last}`, file, '--config', 'openapi/diff.yaml')
    const { passed, said } = await diff('openapi/openapi.json')
    t.ok(passed, `nothing breaks since ${last}`, { said })

    const before = JSON.parse(await readFile(new URL(last, released), 'utf8')) as typeof document
    for (const [status, { headers }] of Object.entries(before.paths[PATH]?.post.responses as Json)) {
      for (const name of Object.keys(headers).filter(name => headers[name].required === true)) {
        t.equal((operation.responses[status]?.headers[name] as Json | undefined)?.['required'], true, `${status} still promises ${name}`)
      }
    }
    const breaks = await changed(t, {
      'a field less': (_operation, { components }) => delete components.schemas.Batch.properties.output_file_id,
      'a field that need not be there': (_operation, { components }) => components.schemas.Batch.required.pop(),
      'a new status of a batch': (_operation, { components }) => components.schemas.Batch.properties.status.enum.push('paused'),
      'a new required header': ({ parameters }) => parameters.push({ name: 'x-new', in: 'header', required: true, description: 'x', schema: { type: 'string' } }),
      'a provider less': ({ parameters }) => parameters[1].schema.enum.shift(),
      'a status less': ({ responses }) => delete responses[409]
    })
    await Promise.all(breaks.map(async ([name, file]) => t.notOk((await diff(file)).passed, `finds ${name}`)))
  })

  t.test('types', async t => {
    const { passed, said } = await openapiTypescript('--check')
    t.ok(passed, 'openapi.d.ts is that of openapi.json: npm run --prefix test/contract types writes it', { said })
  })
}

function testWorkflows () {
  t.test('respect', async t => {
    const { url } = await startGateway(t)
    const { passed, said } = await redocly('respect', 'openapi/cancel.arazzo.yaml', '-S', `api=${url}`)
    t.ok(passed, 'every workflow', { said: said.slice(said.indexOf('Failed tests info')) })
    const workflows = (await readFile(join(ROOT, 'openapi/cancel.arazzo.yaml'), 'utf8')).match(/^ {2}- workflowId: /gm)?.length
    t.match(said, `Workflows: ${workflows} passed, ${workflows} total`, 'and none was left out')
  })
}

interface Row extends Partial<Call> {
  readonly status: number
  /** The code of an error, or the status of a batch. */
  readonly as: string | null
  /** The status of the batch beside an error. */
  readonly batch?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly told?: Readonly<Record<string, string | RegExp>>
}

const named = (provider: string) => ({ 'x-portkey-provider': provider })
const CANCELLED = { status: 200, as: 'cancelling', told: { 'x-batch-source': 'provider', 'x-portkey-retry-attempt-count': '0' } } as const
const ENDED = { status: 409, as: 'batch_not_cancellable', told: { 'x-should-retry': 'false' } } as const
const REFUSED_ID = { status: 400, as: 'invalid_batch_id' } as const

/** One call for each id of the sandbox, and for each way to be refused. */
const TABLE: Readonly<Record<string, Row>> = {
  batch_abc123: CANCELLED,
  batch_validating: CANCELLED,
  batch_finalizing: CANCELLED,
  batch_cancelling: CANCELLED,
  batch_in_progress: { status: 200, as: 'cancelled', headers: { prefer: 'wait=30' }, told: { 'preference-applied': 'wait=30', 'x-batch-source': 'retrieved' } },
  batch_completed: { ...ENDED, batch: 'completed' },
  batch_failed: { ...ENDED, batch: 'failed' },
  batch_expired: { ...ENDED, batch: 'expired' },
  batch_cancelled: { ...ENDED, batch: 'cancelled' },
  batch_rate_limited: { status: 429, as: 'rate_limit_exceeded', told: { 'retry-after': /^\d+$/, 'x-portkey-retry-attempt-count': '2' } },
  batch_unavailable: { status: 503, as: 'upstream_error' },
  batch_unauthorized: { status: 401, as: 'invalid_api_key' },
  'a client that does not wait': { id: 'batch_unavailable', headers: { 'x-portkey-request-timeout': '100' }, status: 504, as: 'upstream_timeout' },

  'an id that nobody has': { id: 'batch_nobodys', status: 404, as: 'batch_not_found' },
  'an id with a slash': { id: 'batch/abc123', status: 404, as: 'batch_not_found' },
  'no provider': { headers: named(''), status: 400, as: 'missing_provider' },
  'a provider that nobody knows': { headers: named('nobody'), status: 400, as: 'unknown_provider' },
  'a provider without a cancel': { headers: named('deepseek'), status: 400, as: 'unsupported_provider' },
  'no id': { id: '', ...REFUSED_ID },
  'the id .': { id: '.', ...REFUSED_ID },
  'the id ..': { id: '..', ...REFUSED_ID },
  'an id with a control character': { id: 'batch\nabc123', ...REFUSED_ID },
  'an id of 512 characters': { id: 'b'.repeat(512), status: 404, as: 'batch_not_found' },
  'an id of 513 characters': { id: 'b'.repeat(513), ...REFUSED_ID },
  'an id of another grammar': { id: 'batch_abc123', headers: named('bedrock'), ...REFUSED_ID },
  'an id of another project': { id: 'projects/p/locations/us-central1/batchPredictionJobs/1', headers: { ...named('vertex-ai'), 'x-portkey-vertex-project-id': 'other' }, status: 400, as: 'provider_mismatch' },
  'a time that is none': { headers: { 'x-portkey-request-timeout': 'soon' }, status: 400, as: 'invalid_header' },
  'a config that is no JSON': { headers: { 'x-portkey-config': '{' }, status: 400, as: 'invalid_header' },
  'a host that is not trusted': { headers: { ...named('openai'), 'x-portkey-custom-host': 'https://llm.example.com/v1' }, status: 400, as: 'invalid_header' },
  'no credential': { headers: named('openai'), status: 401, as: 'missing_credentials' },
  'a content type that is none': { headers: { 'content-type': 'json' }, status: 415, as: 'FST_ERR_CTP_INVALID_MEDIA_TYPE', body: '{}' },
  'a body that is too large': { headers: { 'content-type': 'application/json' }, status: 413, as: 'FST_ERR_CTP_BODY_TOO_LARGE', body: ' '.repeat(1024 * 1024 + 1) }
}

function testAnswers () {
  t.test('answers', async t => {
    const place = await startGateway(t)
    const page = JSON.parse((await place.get('/sandbox/v1/batches?limit=100')).body) as { data: Array<{ id: string }> }
    t.strictSame(page.data.map(({ id }) => id).filter(id => TABLE[id] === undefined), [], 'every batch of the sandbox is in the table')
    await Promise.all(Object.entries(TABLE).map(async ([name, { id = name.startsWith('batch_') ? name : 'batch_abc123', headers, body, status, as, batch, told = {} }]) => {
      const answer = await place.cancel({ id, headers: { ...named('sandbox'), ...headers }, body })
      const json = JSON.parse(answer.body) as Json
      t.strictSame(breaches(answer), [], `${name}: as documented`)
      t.match({ status: answer.statusCode, as: json['error'] === undefined ? json['status'] : json['error'].code, batch: json['batch']?.status, told: answer.headers }, { status, as, batch, told }, `${name}: ${status} ${as}`)
      if (batch !== undefined || status === 200) t.equal((json['batch'] ?? json)['id'], id, `${name}: the batch that was asked for`)
    }))
  })

  t.test('repeated', async t => {
    const place = await startGateway(t)
    const again = () => place.cancel({ id: 'batch_abc123', headers: named('sandbox') })
    const [first, second] = [await again(), await again()]
    t.strictSame([...breaches(first), ...breaches(second)], [])
    t.strictSame([second.statusCode, second.body], [200, first.body], 'the same answer')
    t.strictSame(JSON.parse(first.body), (operation.responses[200]?.content['application/json'].examples as Json)['cancelling'].value, 'which is the documented one')
  })

  t.test('the document that the gateway serves', async t => {
    const served = JSON.parse((await (await startGateway(t)).get('/openapi.json')).body) as Json
    const expected = structuredClone(document) as Json
    const [id, provider] = expected['paths'][PATH].post.parameters
    expected['paths'][PATH].post.parameters.splice(0, 2, id, { ...provider, example: 'sandbox', schema: { ...provider.schema, enum: ['sandbox', ...provider.schema.enum] } })
    expected['servers'] = [{ url: '/', description: 'This gateway' }]
    t.strictSame(served, expected, 'is the committed one, with the sandbox')
  })
}

/** What keeps a request from leaving for another machine: there is no name that is found. */
function stayHere (t: Test): string[] {
  const names: string[] = []
  const { lookup } = dns
  t.teardown(() => { dns.lookup = lookup })
  dns.lookup = ((name: string, ...rest: unknown[]) => {
    names.push(name)
    const done = rest.at(-1) as (error: Error) => void
    process.nextTick(done, Object.assign(new Error(`${name} is not looked up in a test`), { code: 'ENOTFOUND' }))
  }) as typeof dns.lookup
  return names
}

/** The errors of our own for what a call got wrong; never those of a call that the document allows. */
const NOT_OF_AN_ALLOWED_CALL = ['missing_provider', 'unknown_provider', 'unsupported_provider', 'invalid_batch_id']

function testRequests () {
  t.test('requests', async t => {
    const place = await startGateway(t)
    const names = stayHere(t)
    const requests = requestsOf(JSON.parse((await place.get('/openapi.json')).body))

    await search(t, 'what the document allows', place, allowedCalls(requests, 'sandbox'), (answer, { headers }) => {
      const code = codeOf(answer)
      if (NOT_OF_AN_ALLOWED_CALL.includes(String(code))) return [`${code}: ${answer.body}`]
      // A client that does not wait gets a 504; a batch that is not reached is none of ours.
      const impatient = JSON.stringify(headers).includes('timeout') && answer.statusCode === 504
      return answer.statusCode >= 500 && !impatient ? [`${answer.statusCode}: ${answer.body}`] : []
    })

    await search(t, 'what it refuses', place, refusedCalls(requests, 'sandbox'), answer => answer.statusCode === 400 ? [] : [`${answer.statusCode}: ${answer.body}`])

    await search(t, 'what can be carried out nowhere', place, impossibleCalls(requests), answer => answer.statusCode === 400 ? [] : [`${answer.statusCode}: ${answer.body}`])

    await testMalformed(t, place, requests)
    t.strictSame(names, [], 'nothing left this machine')
  })
}

/** An id that every provider with headers of its own takes. */
const DIGITS = '123456789012'

/** Each header with a grammar is refused, by name, by a provider that reads it. There are no credentials. */
async function testMalformed (t: Test, place: Place, requests: Requests) {
  for (const parameter of [...requests.parameters.values()].filter(({ in: where, name }) => where === 'header' && name !== 'x-portkey-provider')) {
    const values = refused(parameter, requests)
    if (values === undefined) continue
    const found: string[] = []
    for (const value of fc.sample(values, 5)) {
      const answers = await Promise.all(requests.providers.map(provider => place.cancel({ id: DIGITS, headers: { ...named(provider), [parameter.name]: value } })))
      found.push(...answers.flatMap(breaches))
      if (!answers.some(({ statusCode, body }) => statusCode === 400 && (JSON.parse(body) as Json)['error'].param === parameter.name)) found.push(`nobody refuses ${value}`)
    }
    t.strictSame(found, [], `${parameter.name} is refused when it is malformed`)
  }
}

/** Only ids that the caller named are sent in a form that could be carried out: all others are impossible. */
function testDeployment ({ place, provider, ids }: Deployment) {
  const own = provider === undefined ? {} : named(provider)
  const documented = (t: Test, name: string, answer: Answer) => {
    t.strictSame(breaches(answer), [], `${name}: ${answer.statusCode} ${(JSON.parse(answer.body) as Json)['status'] ?? codeOf(answer)}`)
  }

  t.test('what cannot be carried out', async t => {
    const requests = requestsOf(document)
    const theirs = new Set(Object.keys(place.headers))
    const calls = impossibleCalls(requests, provider).map(({ headers = {}, ...call }) =>
      ({ ...call, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !theirs.has(name))) }))
    await search(t, 'impossible calls', place, calls, ({ statusCode, body }) => statusCode >= 400 && statusCode < 500 ? [] : [`${statusCode}: ${body}`], { numRuns: RUNS_AT_A_DEPLOYMENT })
  })

  t.test('the batches that were named', async t => {
    if (ids.length === 0) t.comment('No --id: nothing was cancelled.')
    for (const id of ids) {
      const malformed = await place.cancel({ id, headers: { ...own, 'x-portkey-request-timeout': 'soon' } })
      documented(t, `${id} with a malformed header`, malformed)
      t.ok(malformed.statusCode >= 400 && malformed.statusCode < 500, `${id}: a malformed header is refused`)
      const first = await place.cancel({ id, headers: own })
      documented(t, id, first)
      const second = await place.cancel({ id, headers: own })
      documented(t, `${id} again`, second)
      if (first.statusCode === 200) t.equal((JSON.parse(first.body) as Json)['id'], id, `${id}: the batch that was asked for`)
      if (first.statusCode === 200) t.ok([200, 409].includes(second.statusCode), `${id}: a repeated cancel is no error, or tells that the batch has ended`)
    }
  })
}

const deployment = readDeployment(process.env)
if (deployment === undefined) {
  testDocument()
  testWorkflows()
  testAnswers()
  testRequests()
} else {
  testDeployment(deployment)
}
