import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import OpenAI, { toFile } from 'openai'
import t, { type Test } from 'tap'
import { forwardToProviders, openai, type Batch, type BatchCall, type BatchForwarder } from '../../lib/index.js'
import sandbox from '../../lib/sandbox/index.js'
import { checkHook, hookContract, HookContractBreach, type HookContractSetup } from '../../lib/testing/index.js'
import { batch } from '../support/app.js'

const TIMEOUT = 300

const ALL = [
  'accepted', 'repeated', 'retrieved', 'true', 'concurrent', 'shared', 'cancelling', 'completed', 'failed', 'expired', 'cancelled',
  'missing', 'unauthorized', 'rateLimited', 'headers', 'unavailable', 'lost', 'slow', 'signal'
]

const without = (...names: string[]) => ALL.filter(name => !names.includes(name))

/** The sandbox over real HTTP, with ids for what a network does: it loses an answer, or never gives one. */
async function openSandbox (t: Test) {
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  const losing = new Set<string>()
  const idOf = (url: string) => url.split('/')[3] as string
  app.addHook('onRequest', async ({ url, method }, reply) => {
    if (idOf(url) !== 'batch_validating' || method !== 'POST') return
    reply.hijack()
    await once(reply.raw, 'close')
  })
  app.addHook('onSend', async ({ url, method }, reply) => {
    if (method === 'POST' && losing.has(idOf(url))) reply.raw.destroy()
  })
  await app.register(sandbox, { prefix: '/v1', latency: 60_000 })
  const url = await app.listen({ port: 0 }) + '/v1'
  const sdk = new OpenAI({ apiKey: 'any', baseURL: url, maxRetries: 0 })

  async function live (): Promise<string> {
    const line = JSON.stringify({ custom_id: '1', method: 'POST', url: '/v1/chat/completions', body: { model: 'm', messages: [{ role: 'user', content: 'Hi' }] } })
    const file = await sdk.files.create({ purpose: 'batch', file: await toFile(Buffer.from(line), 'one.jsonl') })
    return (await sdk.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' })).id
  }

  const setup: Omit<HookContractSetup, 'forward'> = {
    timeout: 1000,
    rateLimitHeaders: { 'retry-after': '1', 'x-ratelimit-remaining-requests': '0' },
    ids: {
      live,
      cancelling: 'batch_cancelling',
      completed: 'batch_completed',
      failed: 'batch_failed',
      expired: 'batch_expired',
      cancelled: 'batch_cancelled',
      missing: 'batch_none',
      unauthorized: 'batch_unauthorized',
      rateLimited: 'batch_rate_limited',
      unavailable: 'batch_unavailable',
      async lost () {
        const id = await live()
        losing.add(id)
        return id
      },
      slow: 'batch_validating'
    }
  }
  return { url, sdk, setup }
}

t.test('forwardToProviders keeps the contract', async t => {
  const { url, setup } = await openSandbox(t)
  const forward = forwardToProviders({ providers: { sandbox: openai({ baseUrl: url }) } })
  const cases = hookContract({ ...setup, forward, headers: { 'x-portkey-provider': 'sandbox', authorization: 'Bearer any' } })
  t.strictSame(cases.map(({ name }) => name), ALL)
  for (const { name, run } of cases) await t.test(name, run)
})

t.test('the official SDK keeps the contract', async t => {
  const { sdk, setup } = await openSandbox(t)
  const cancel = ({ batchId, signal }: BatchCall) => sdk.batches.cancel(batchId, { signal })
  const retrieve = ({ batchId, signal }: BatchCall) => sdk.batches.retrieve(batchId, { signal })
  const cases = hookContract({ ...setup, forward: { cancel, retrieve } })
  t.strictSame(cases.map(({ name }) => name), without('shared'))
  for (const { name, run } of cases) await t.test(name, run)

  const alone = hookContract({ ...setup, forward: cancel, defaultProvider: 'openai' })
  t.strictSame(alone.map(({ name }) => name), without('shared', 'retrieved'))
  for (const { name, run } of alone) await t.test(`${name}, without retrieve`, run)
})

/** A provider in memory, strict about states. */
function createDesk () {
  const rows = new Map<string, Batch>()
  const asked: string[] = []
  const fault = (status: number, headers = {}) => Object.assign(new Error(`Status ${status}`), { status, headers })
  const faults: Record<string, Error> = { theirs: fault(403), limited: fault(429, { 'retry-after': '7', 'request-id': 'req_7' }), down: fault(503) }

  function open (status: Batch['status'], id = `batch_${rows.size}`): string {
    rows.set(id, batch({ id, status }))
    return id
  }

  function find (id: string): Batch {
    const row = rows.get(id)
    if (row === undefined) throw faults[id] ?? fault(404)
    return row
  }

  const hook = {
    async cancel ({ batchId: id, signal }: BatchCall): Promise<Batch | null> {
      asked.push(id)
      const row = find(id)
      if (id === 'slow') return await sleep(60_000, null, { signal })
      if (row.status !== 'in_progress') throw fault(409)
      rows.set(id, { ...row, status: 'cancelling', cancelling_at: row.created_at + 60 })
      if (id.startsWith('lost')) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' })
      return find(id)
    },
    async retrieve ({ batchId: id }: BatchCall): Promise<Batch> { return find(id) },
    shareKey: ({ batchId: id }: BatchCall) => id
  } satisfies BatchForwarder

  const ids: HookContractSetup['ids'] = {
    live: () => open('in_progress'),
    missing: 'none',
    unauthorized: 'theirs',
    rateLimited: async () => 'limited',
    unavailable: 'down',
    lost: () => open('in_progress', `lost_${rows.size}`),
    slow: () => open('in_progress', 'slow')
  }
  for (const status of ['cancelling', 'completed', 'failed', 'expired', 'cancelled'] as const) ids[status] = () => open(status)
  return { hook, rows, asked, setup: { ids, timeout: TIMEOUT, rateLimitHeaders: { 'retry-after': '7', 'request-id': 'req_7' } } }
}

type Desk = ReturnType<typeof createDesk>

t.test('a database keeps the contract, with and without showing the batch', async t => {
  const { hook, setup, asked, rows } = createDesk()
  t.strictSame(await checkHook({ ...setup, forward: hook }), [])
  t.strictSame(await checkHook({ ...setup, forward: { ...hook, async cancel (call) { await hook.cancel(call); return null } } }), [])
  t.strictSame(await checkHook({ ...setup, forward: { ...hook, cancel: async call => ({ batch: await hook.cancel(call) }) } }), [])
  t.strictSame(await checkHook({ ...setup, forward: hook.cancel }), [], 'a cancel alone')
  t.strictSame(asked.filter(id => !rows.has(id) && !['none', 'theirs', 'limited', 'down'].includes(id)), [], 'nothing but what was named')
  t.strictSame([...rows.values()].filter(({ id, status }) => status === 'in_progress' && id !== 'slow'), [], 'nothing is left running')
})

t.test('a provider that lags, or cancels at once and again, keeps the contract', async t => {
  const { hook, rows, setup } = createDesk()
  const seen = new Map<string, number>()
  const lagging: BatchForwarder = {
    cancel: hook.cancel,
    async retrieve (call) {
      const row = await hook.retrieve(call)
      const reads = (seen.get(row.id) ?? 0) + 1
      seen.set(row.id, row.status === 'cancelling' ? reads : 0)
      return row.status === 'cancelling' && reads < 2 ? { ...row, status: 'in_progress' } : row
    }
  }
  t.strictSame(await checkHook({ ids: { live: setup.ids.live }, timeout: TIMEOUT, forward: lagging }), [])

  const again: BatchForwarder = {
    ...hook,
    async cancel ({ batchId: id }) {
      rows.set(id, batch({ id, status: 'cancelled' }))
      return rows.get(id) as Batch
    }
  }
  t.strictSame(await checkHook({ ids: { live: setup.ids.live, cancelled: setup.ids.cancelled as string }, timeout: TIMEOUT, forward: again }), [])
})

const THROW = /let cancel throw the provider's error with its status as `status`/
const every = (names: readonly string[], sentence: RegExp) => Object.fromEntries(names.map(name => [name, sentence]))
const ACCEPTS = ['accepted', 'true', 'concurrent']

/** A hook that breaks its promise, and the cases that say so, each with its sentence. */
const BROKEN: ReadonlyArray<readonly [what: string, make: (desk: Desk) => HookContractSetup['forward'], breaches: Record<string, RegExp>]> = [
  ['answers undefined', ({ hook }) => ({ ...hook, async cancel (call) { await hook.cancel(call); return undefined as never } }),
    every(ACCEPTS, /^Cancel answered undefined, and the client got 500 internal_error; the promise is that .+: let cancel answer a batch in OpenAI's shape, alone or as \{ batch, headers \}, or null where .+\.$/)],
  ['answers success', ({ hook }) => ({ ...hook, async cancel (call) { return { ...await hook.cancel(call), status: 'success' } as never } }),
    every(ACCEPTS, /^Cancel answered an object that is no batch \(status is 'success'\), and the client got 500/)],
  ['answers text', ({ hook }) => async call => JSON.stringify(await hook.cancel(call)) as never,
    every(ACCEPTS, /^Cancel answered '\{"id":"batch_\d+",.+; the promise/)],
  ['throws an Error without a status for a 404', ({ hook, rows }) => ({ ...hook, async cancel (call) { if (call.batchId === 'none' && !rows.has('none')) throw new Error('no such batch'); return await hook.cancel(call) } }),
    { missing: /^Cancel threw 'Error: no such batch', which has no status .+ and the client got 500 internal_error; the promise is that no batch is a 404: let cancel throw the provider's error with its status/ }],
  ['throws text', ({ hook }) => ({ ...hook, async cancel (call) { if (call.batchId === 'theirs') throw 'no'; return await hook.cancel(call) } }), // eslint-disable-line no-throw-literal
    { unauthorized: /^Cancel threw 'no', which has no status/ }],
  ['swallows a 404', ({ hook }) => ({ ...hook, cancel: call => hook.cancel(call).catch(error => { if (error.status === 404) return null; throw error }) }),
    { missing: /^Cancel answered null, then retrieve threw a 404 \('Error: Status 404'\), and the client got 200 'cancelling'; .+ no batch is a 404/ }],
  ['shows a batch that ended as cancelling', ({ hook, rows }) => ({
    ...hook,
    cancel: call => hook.cancel(call).catch(error => { if (error.status === 409) return { ...rows.get(call.batchId) as Batch, status: 'cancelling' as const }; throw error })
  }), every(['completed', 'failed', 'expired', 'cancelled'], /^Cancel answered a batch that is 'cancelling', and the client got 200 'cancelling'; .+let cancel throw/)],
  ['loses the headers', ({ hook }) => ({ ...hook, cancel: call => hook.cancel(call).catch(error => { delete error.headers; throw error }) }),
    { headers: /^Cancel threw a 429 \('Error: Status 429'\) without retry-after, x-request-id; .+: put the response's headers on the error as `headers`/ }],
  ['hangs, whatever its signal says', ({ hook }) => ({ ...hook, cancel: async call => call.batchId === 'slow' ? await new Promise(() => {}) : await hook.cancel(call) }),
    { signal: /^Cancel did not answer within 1000 ms of the abort; .+: hand call.signal on to the client of the provider\.$/ }],
  ['answers for a provider that does not', ({ hook }) => ({ ...hook, cancel: async call => call.batchId === 'slow' ? null : await hook.cancel(call) }),
    { slow: /^Cancel answered null, then retrieve answered a batch that is 'in_progress', and the client got 200 'cancelling'; .+ never answer for the provider/ }],
  ['answers another id', ({ hook }) => ({ ...hook, async cancel (call) { return { ...await hook.cancel(call) as Batch, id: 'job-7' } } }),
    { true: /^The hook answered the batch 'job-7' for 'batch_\d+'; /, concurrent: /^Of 3 calls at the same time the one for 'batch_\d+' was answered with another batch; / }],
  ['keeps the call outside of it', ({ hook }) => {
    let current: BatchCall
    return { ...hook, async cancel (call) { current = call; await sleep(5); return await hook.cancel(current) } }
  }, { concurrent: /^Cancel threw a 409 .+: keep nothing of a call outside of it\.$|was answered with another batch/ }],
  ['tells milliseconds', ({ hook }) => ({ ...hook, async cancel (call) { return { ...await hook.cancel(call) as Batch, cancelling_at: 1_713_894_800_000 } } }),
    { true: /^The hook answered cancelling_at in milliseconds \(1713894800000\); / }],
  ['invents a time', ({ hook }) => ({ ...hook, async cancel (call) { return { ...await hook.cancel(call) as Batch, endpoint: '', created_at: 1_800_000_000 } } }),
    { true: /^The hook answered created_at '1800000000' after the cancel, and '1713894800' before it; .+ leave '', 0 or null/ }],
  ['changes the headers of the call', ({ hook }) => ({ ...hook, async cancel (call) { delete (call.headers as IncomingHttpHeaders).host; return await hook.cancel(call) } }),
    { accepted: /^Cancel changed call\.headers; .+: copy the headers first/ }],
  ['answers null, and has no retrieve', ({ hook }) => async call => { await hook.cancel(call); return null },
    { accepted: /^Cancel answered null, and there is no retrieve; .+: add a retrieve, or let cancel answer the batch\.$/ }],
  ['cannot read', ({ hook }) => ({ ...hook, retrieve: async () => { throw new TypeError('x is not a function') } }), {
    retrieved: /^Retrieve threw 'TypeError: x is not a function', which has no status .+; .+: let retrieve throw/,
    ...every(['repeated', 'cancelling', 'completed', 'failed', 'expired', 'cancelled'], /^Cancel threw a 409 .+, then retrieve threw 'TypeError: .+ and the client got 409 without a code; .+: let retrieve throw/),
    lost: /^Cancel threw 'Error: reset', which counts as upstream_unreachable, then retrieve threw .+ the client got 502 upstream_unreachable/
  }],
  ['reads null', ({ hook }) => ({ ...hook, retrieve: async () => null as never }), {
    retrieved: /^Retrieve answered null; .+: let retrieve answer a batch/,
    ...every(['repeated', 'cancelling', 'completed', 'failed', 'expired', 'cancelled', 'lost'], /, then retrieve answered null, and/)
  }],
  ['reads text', ({ hook }) => ({ ...hook, retrieve: async call => (await hook.retrieve(call)).status as never }), {
    retrieved: /^Retrieve answered 'in_progress'; .+: let retrieve answer a batch in OpenAI's shape, alone or as \{ batch, headers \}\.$/,
    ...every(['repeated', 'cancelling', 'completed', 'failed', 'expired', 'cancelled', 'lost'], /, then retrieve answered '/)
  }],
  ['cancels while it reads', ({ hook }) => ({ ...hook, async retrieve (call) { const row = await hook.retrieve(call); return row.status === 'in_progress' ? await hook.cancel(call) as Batch : row } }), {
    retrieved: /^Retrieve answered a batch that is 'cancelling'; .+: let retrieve do no more than read\.$/
  }],
  ['cancels twice', ({ hook }) => ({ ...hook, async cancel (call) { await hook.cancel(call); return await hook.cancel(call) } }),
    { accepted: /^Cancel threw a 409 .+, then retrieve answered a batch that is 'cancelling', and the client got 200 'cancelling'; the promise is that one cancel .+: send the cancel to the provider, once/ }],
  ['cancels nothing', ({ hook, rows }) => ({
    ...hook,
    async cancel (call) { const row = rows.get(call.batchId); return row?.status === 'in_progress' && row.id.startsWith('batch_') ? { ...row, status: 'cancelling' } : await hook.cancel(call) }
  }), { accepted: /^Cancel ended well, and retrieve still showed the batch as 'in_progress' after 300 ms; / }],
  ['takes a lost answer for a bug', ({ hook }) => ({ ...hook, cancel: call => hook.cancel(call).catch(error => { throw error.code === 'ECONNRESET' ? new Error('socket hang up') : error }) }),
    { lost: /^Cancel threw 'Error: socket hang up', which has no status and is no error of the network, and the client got 500/ }],
  ['takes every failure for a 500 without a status', ({ hook }) => ({ ...hook, cancel: call => hook.cancel(call).catch(error => { throw error.status >= 429 ? new Error('failed') : error }) }),
    { rateLimited: THROW, headers: /^Cancel threw 'Error: failed', .+ without retry-after, x-request-id/, unavailable: THROW }],
  ['shares one key', ({ hook }) => ({ ...hook, shareKey: () => 'key' }), { shared: /^ShareKey answered the same for different batches; / }],
  ['shares no text', ({ hook }) => ({ ...hook, shareKey: () => 7 as never }), { shared: /^ShareKey answered number; / }],
  ['fails to share', ({ hook }) => ({ ...hook, shareKey: () => { throw new Error('no key') } }), { shared: /^ShareKey threw Error: no key; / }]
]

t.test('a hook that breaks its promise is told so in one sentence, by the cases that are meant', async t => {
  await Promise.all(BROKEN.map(async ([what, make, expected]) => {
    const desk = createDesk()
    const breaches = await checkHook({ ...desk.setup, forward: make(desk) })
    t.strictSame(breaches.map(({ case: name }) => name).sort(), Object.keys(expected).sort(), what)
    for (const { case: name, message } of breaches) {
      t.match(message, expected[name] as RegExp, `${what}: ${name}`)
      t.match(message, /^[A-Z][^\n]+; the promise is that [^\n]+: [^\n]+[^.]\.$/, `${what}: ${name} is a sentence`)
    }
  }))
})

t.test('an id that is none of the route\'s never reaches the hook', async t => {
  const { hook, setup } = createDesk()
  const [breach] = await checkHook({ ...setup, ids: { live: setup.ids.live, missing: 'a\nb' }, forward: hook })
  t.match(breach, { case: 'missing', message: /^The hook was not called, and the client got 400 invalid_batch_id; / })
})

t.test('a case is a plain function, for any runner', async t => {
  const { hook, setup } = createDesk()
  const cases = hookContract({ ...setup, forward: { ...hook, cancel: async () => undefined as never } })
  const [first] = cases
  t.equal(first?.name, 'accepted')
  t.equal(first?.run.length, 0, 'it takes no context and no callback')
  const error = await first?.run().catch((thrown: unknown) => thrown)
  t.ok(error instanceof HookContractBreach)
  t.match(error, { name: 'HookContractBreach', case: 'accepted', message: first?.promise as string })
  t.strictSame(hookContract({ forward: hook.cancel, ids: { live: setup.ids.live } }).map(({ name }) => name), ['accepted', 'repeated', 'true', 'concurrent'], 'what is not given is not in the list')
  t.strictSame(hookContract({ forward: hook.cancel, ids: { live: setup.ids.live, rateLimited: 'limited' } }).map(({ name }) => name).slice(4), ['rateLimited'])
})

t.test('what the setup itself throws is no breach', async t => {
  const { hook } = createDesk()
  await t.rejects(checkHook({ forward: hook, ids: { live: () => { throw new Error('no batch today') } } }), { message: 'no batch today' })
})

t.test('a setup that cannot work is one sentence', async t => {
  const { hook, setup: { ids } } = createDesk()
  const cases: Array<[string, object, string]> = [
    ['no forward', { ids }, 'setup.forward should be a function or an object with a function cancel.'],
    ['no cancel', { forward: {}, ids }, 'options.forward should be a function or an object with a function cancel.'],
    ['no ids', { forward: hook }, 'setup.ids should be an object of ids.'],
    ['one live batch', { forward: hook, ids: { live: 'batch_1' } }, 'setup.ids.live should be a function that gives the id of a fresh batch.'],
    ['a slip of the pen', { forward: hook, ids: { ...ids, canceled: 'batch_1' } }, 'setup.ids.canceled is no part of it; these are: live, cancelling, completed, failed, expired, cancelled, missing, unauthorized, rateLimited, unavailable, lost, slow.'],
    ['another one', { forward: hook, ids, header: {} }, 'setup.header is no part of it; these are: forward, ids, defaultProvider, headers, rateLimitHeaders, timeout.'],
    ['no id', { forward: hook, ids: { ...ids, missing: '' } }, 'setup.ids.missing should be an id or a function that gives one.'],
    ['a number', { forward: hook, ids: { ...ids, missing: 7 } }, 'setup.ids.missing should be an id or a function that gives one.'],
    ['headers', { forward: hook, ids, headers: { a: 1 } }, 'setup.headers should be an object of strings.'],
    ['headers that reach nobody', { forward: hook, ids, rateLimitHeaders: { 'set-cookie': 'a' } }, 'setup.rateLimitHeaders should be an object of strings with a header that reaches the client, such as retry-after.'],
    ['no time', { forward: hook, ids, timeout: 0 }, 'options.timeout should be whole milliseconds from 1 to 2147483647.'],
    ['a provider that is not served', { forward: forwardToProviders(), ids, defaultProvider: 'x' }, 'options.defaultProvider should be one of ']
  ]
  for (const [what, setup, message] of cases) {
    t.throws(() => hookContract(setup as HookContractSetup), { code: 'FST_BATCH_CANCEL_INVALID_OPTION' }, what)
    try { hookContract(setup as HookContractSetup) } catch (error) { t.ok((error as Error).message.startsWith(message), `${what}: ${error}`) }
  }
})
