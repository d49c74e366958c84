import { EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { QueueEvents } from 'bullmq'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { Batch } from '../../schemas/index.js'
import { batch as createBatch } from '../support/app.js'
import { copyExample } from '../support/code-blocks.js'
import { run, untilPrinted, WITHOUT_COVERAGE, type Program } from '../support/program.js'
import { skipWithoutRedis, startRedis, type Redis } from '../support/redis.js'
import { startUpstream, type Recorded, type Upstream, type UpstreamResponse } from '../support/upstream.js'

/* The example 'durable-queue' on a real Redis, while its worker, Redis and the provider die. */

const KEY = 'sk-key-that-must-not-be-stored'

/** Pauses shorter than in production. */
const SHORT_PAUSES = { MIN_BACKOFF_MS: '20', MAX_BACKOFF_MS: '200' }

/** Jobs of a worker that was killed are soon taken over. */
const SHORT_LOCK = { LOCK_MS: '1000' }

const COUNTS = { total: 100, completed: 45, failed: 5 }
const USAGE = {
  input_tokens: 4500,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 900,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 5400
}

type Status = Batch['status']

const batchOf = (id: string, status: Status) => createBatch({
  id,
  status,
  ...status !== 'in_progress' && status !== 'cancelling' && { request_counts: COUNTS, usage: USAGE }
})

interface Provider extends Upstream {
  readonly batches: Map<string, Status>
  /** Calls of these methods are carried out, and get no response. */
  readonly silent: Set<string>
}

const CANCELLABLE = new Set<Status | undefined>(['in_progress', 'cancelling'])

const problem = (status: number, message: string) => ({ status, body: { error: { message } } })

/** A provider that needs a moment for a cancel: the batch is `cancelled` from the first read on. */
async function startProvider (t: Test, batches: Record<string, Status>): Promise<Provider> {
  const upstream = await startUpstream(t, request => {
    const response = respond(request)
    return provider.silent.has(request.method) ? undefined : response
  })
  const provider = Object.assign(upstream, { batches: new Map(Object.entries(batches)), silent: new Set<string>() })

  function respond ({ method, path, headers }: Recorded): UpstreamResponse {
    const id = decodeURIComponent(path.split('/')[3] as string)
    const status = provider.batches.get(id)
    if (headers.authorization !== `Bearer ${KEY}`) return problem(401, 'Wrong key.')
    if (status === undefined) return problem(404, `No batch found with id '${id}'.`)
    if (method === 'POST' && !CANCELLABLE.has(status)) return problem(400, `Cannot cancel a batch that is ${status}.`)
    if (method === 'POST') provider.batches.set(id, 'cancelling')
    if (method === 'GET' && status === 'cancelling') provider.batches.set(id, 'cancelled')
    return { body: batchOf(id, provider.batches.get(id) as Status) }
  }

  return provider
}

const keyOf = ({ headers }: Recorded) => String(headers['idempotency-key'])

interface Setup {
  readonly app: FastifyInstance
  readonly redis: Redis
  readonly provider: Provider
  /** What gets the terminal batches. */
  readonly receiver: Upstream
  startWorker (env?: NodeJS.ProcessEnv): Program
  request (method: 'GET' | 'POST', path: string): Promise<{ status: number, headers: Headers, body: unknown }>
  /** Resolves once the queue has reported an event about a batch of OpenAI, now or earlier. */
  reported (event: 'completed' | 'delayed' | 'failed', id: string): Promise<void>
}

let setups = 0

async function setUp (t: Test, batches: Record<string, Status>): Promise<Setup> {
  const redis = await startRedis(t)
  const provider = await startProvider(t, batches)
  const receiver = await startUpstream(t, () => ({ status: 204 }))
  const example = await copyExample('durable-queue', `durable-queue-${setups++}`)

  Object.assign(process.env, { PORT: '0', LOG_LEVEL: 'silent', REDIS_URL: redis.url })
  const { app } = await import(new URL('app.js', example).href) as { app: FastifyInstance }
  t.teardown(() => app.close())
  const { QUEUE_NAME } = await import(new URL('queue.js', example).href) as { QUEUE_NAME: string }
  const events = new QueueEvents(QUEUE_NAME, { connection: { url: redis.url }, lastEventId: '0-0' })
  events.on('error', () => {})
  t.teardown(() => events.close())
  const reports = new EventEmitter().setMaxListeners(0)
  const seen = new Set<string>()
  for (const event of ['completed', 'delayed', 'failed'] as const) {
    events.on(event, ({ jobId }: { readonly jobId: string }) => {
      seen.add(`${event} ${jobId}`)
      reports.emit('report')
    })
  }

  const startWorker = (env: NodeJS.ProcessEnv = {}) =>
    run(t, process.execPath, [fileURLToPath(new URL('worker.js', example))], {
      ...WITHOUT_COVERAGE,
      REDIS_URL: redis.url,
      OPENAI_API_KEY: KEY,
      OPENAI_BASE_URL: `${provider.url}/v1`,
      GROQ_API_KEY: KEY,
      GROQ_BASE_URL: `${provider.url}/v1`,
      SETTLED_URL: receiver.url,
      ...SHORT_PAUSES,
      ...env
    })

  async function request (method: string, path: string) {
    const { port } = app.server.address() as AddressInfo
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method })
    return { status: response.status, headers: response.headers, body: await response.json() }
  }

  async function reported (event: 'completed' | 'delayed' | 'failed', id: string): Promise<void> {
    while (!seen.has(`${event} openai/${id}`)) await once(reports, 'report')
  }

  return { app, redis, provider, receiver, startWorker, request, reported }
}

const accept = async (t: Test, { request }: Setup, id: string) => {
  const url = `/cancels/openai/${id}`
  const { status, headers, body } = await request('POST', url)
  t.strictSame([status, headers.get('location'), body], [202, url, { url }], `${id} is accepted`)
}

const stateOf = async ({ request }: Setup, id: string) => (await request('GET', `/cancels/openai/${id}`)).body

const test = (name: string, body: (t: Test) => Promise<void>) =>
  t.test(name, { skip: skipWithoutRedis, timeout: 90_000 }, body)

test('every accepted cancel is settled, whatever dies in the middle', async t => {
  const live = Array.from({ length: 8 }, (_, index) => `batch_live_${index}`)
  const ended = { batch_completed: 'completed', batch_failed: 'failed', batch_expired: 'expired' } as const
  const ids = [...live, ...Object.keys(ended)]
  const setup = await setUp(t, { ...Object.fromEntries(live.map(id => [id, 'in_progress' as const])), ...ended })
  const { provider, receiver, redis, startWorker, request, reported } = setup
  for (const id of ids) await accept(t, setup, id)
  t.strictSame(await stateOf(setup, 'batch_live_0'), { state: 'pending', attempts: 0 })

  provider.silent.add('POST')
  const first = startWorker(SHORT_LOCK)
  for (const id of live) await provider.received(({ path }) => path === `/v1/batches/${id}/cancel`)
  first.child.kill('SIGKILL')
  t.equal(await first.ended, 'SIGKILL', 'the worker dies while cancels are in progress')

  await provider.stop()
  const second = startWorker(SHORT_LOCK)
  await Promise.all(ids.map(id => reported('delayed', id)))
  t.pass('the provider is down, and every job is tried again later')

  await redis.kill()
  t.match(await request('POST', '/cancels/openai/batch_late'), { status: 503 }, 'nothing is accepted without Redis')
  await redis.restart()
  provider.silent.clear()
  await provider.restart()
  receiver.answer = () => undefined
  const held = keyOf(await receiver.received(() => true))
  second.child.kill('SIGKILL')
  t.equal(await second.ended, 'SIGKILL', 'the next worker dies while it reports a batch')

  receiver.answer = () => ({ status: 204 })
  startWorker(SHORT_LOCK)
  await Promise.all(ids.map(id => reported('completed', id)))

  const settled = new Map(receiver.requests.map(report => [keyOf(report), JSON.parse(report.body)]))
  t.strictSame([...settled.keys()].sort(), ids.map(id => `openai/${id}`).sort(), 'each is reported, and nothing else')
  for (const id of ids) {
    const status = provider.batches.get(id) as Status
    t.equal(status, Object.hasOwn(ended, id) ? ended[id as keyof typeof ended] : 'cancelled')
    const { provider: name, batch } = settled.get(`openai/${id}`)
    t.match({ name, batch }, { name: 'openai', batch: batchOf(id, status) }, `${id} is reported with counts and usage`)
    t.match(await stateOf(setup, id), { state: 'settled', batch: { id, status, usage: USAGE } })
  }
  const again = receiver.requests.filter(report => keyOf(report) === held)
  t.ok(again.length > 1, 'what may not have been received is reported again, with the same key')
  t.equal(new Set(again.map(({ body }) => body)).size, 1, 'and is the same')

  const stored = await redis.contents()
  t.match(stored, 'openai/batch_live_0')
  t.notOk(stored.includes(KEY), 'no credential is stored')
})

test('the app closes while Redis is down', async t => {
  const { app, redis, request } = await setUp(t, {})
  await redis.kill()
  t.match(await request('POST', '/cancels/openai/batch_1'), {
    status: 503,
    body: { message: 'The queue is not available. Repeat the call.' }
  })
  t.match(await request('GET', '/cancels/openai/batch_1'), { status: 503 })
  await t.resolves(app.close())
  // Other clients of the test close better with it.
  await redis.restart()
})

test('a batch has one job at each provider', async t => {
  const id = 'batch:1~2'
  const setup = await setUp(t, { [id]: 'in_progress' })
  const { provider, receiver, startWorker, request } = setup
  const urls = ['openai', 'openai', 'groq'].map(name => `/cancels/${name}/${encodeURIComponent(id)}`)
  const accepted = await Promise.all(urls.map(url => request('POST', url)))
  t.strictSame(accepted.map(({ headers }) => headers.get('location')), urls)
  startWorker()
  await receiver.received(report => keyOf(report) === `openai/${encodeURIComponent(id)}`)
  await receiver.received(report => keyOf(report) === `groq/${encodeURIComponent(id)}`)
  t.equal(receiver.requests.length, 2)
  t.ok(provider.requests.every(({ path }) => path.startsWith(`/v1/batches/${encodeURIComponent(id)}`)))
})

test('what cannot succeed fails at once, until it is asked for again', async t => {
  const setup = await setUp(t, {})
  const { provider, receiver, startWorker, request, reported } = setup
  t.match(await request('POST', '/cancels/unknown/batch_1'), { status: 400 })
  t.match(await request('GET', '/cancels/openai/batch_1'), { status: 404 })

  await accept(t, setup, 'batch_1')
  startWorker()
  await reported('failed', 'batch_1')
  const state = { state: 'failed', attempts: 1, error: 'No batch found with id \'batch_1\'.' }
  t.strictSame(await stateOf(setup, 'batch_1'), state)
  t.equal(receiver.requests.length, 0)

  provider.batches.set('batch_1', 'in_progress')
  await accept(t, setup, 'batch_1')
  await reported('completed', 'batch_1')
  t.match(await stateOf(setup, 'batch_1'), { state: 'settled', batch: { status: 'cancelled' } })
  t.strictSame(receiver.requests.map(keyOf), ['openai/batch_1'])
})

test('a key that the provider refuses can be replaced', async t => {
  const setup = await setUp(t, { batch_1: 'in_progress' })
  const { startWorker, reported } = setup
  await accept(t, setup, 'batch_1')
  const worker = startWorker({ OPENAI_API_KEY: 'sk-key-that-is-not-valid' })
  await reported('delayed', 'batch_1')
  t.match(await stateOf(setup, 'batch_1'), { state: 'pending', error: 'Wrong key.' })
  worker.child.kill('SIGTERM')
  t.equal(await worker.ended, 0)
  startWorker()
  await reported('completed', 'batch_1')
})

test('it gives up after its time', async t => {
  const setup = await setUp(t, { batch_1: 'in_progress' })
  await accept(t, setup, 'batch_1')
  await setup.provider.stop()
  const worker = setup.startWorker({ RETRY_FOR_MS: '1' })
  await setup.reported('failed', 'batch_1')
  t.match(await stateOf(setup, 'batch_1'), { state: 'failed', error: /could not be reached/ })
  await untilPrinted(worker, /openai\/batch_1 gave up:/)
})

test('a receiver that fails gets the same batch later, and the provider is not asked again', async t => {
  const setup = await setUp(t, { batch_1: 'completed' })
  const { provider, receiver, startWorker, reported } = setup
  receiver.answer = () => ({ status: 503 })
  await accept(t, setup, 'batch_1')
  startWorker()
  await reported('delayed', 'batch_1')
  const { requests: { length } } = provider
  t.match(await stateOf(setup, 'batch_1'), { state: 'pending', batch: { status: 'completed' } })
  provider.batches.clear()
  receiver.answer = () => ({ status: 204 })
  await reported('completed', 'batch_1')
  t.equal(new Set(receiver.requests.map(({ body }) => body)).size, 1)
  t.equal(provider.requests.length, length)
})

test('SIGTERM ends waits, and their jobs go back to the queue', async t => {
  const setup = await setUp(t, { batch_1: 'in_progress' })
  const { provider, startWorker, reported } = setup
  await accept(t, setup, 'batch_1')
  provider.silent.add('GET')
  const worker = startWorker()
  await provider.received(({ method }) => method === 'GET')
  worker.child.kill('SIGTERM')
  t.equal(await worker.ended, 0)
  t.match(await stateOf(setup, 'batch_1'), { state: 'pending', error: String })
  t.equal(setup.receiver.requests.length, 0)

  provider.silent.clear()
  const next = startWorker({ SETTLED_URL: undefined })
  await reported('completed', 'batch_1')
  await untilPrinted(next, /openai\/batch_1 cancelled/)
})
