import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import OpenAI, { toFile } from 'openai'
import t, { type Test } from 'tap'
import { forwardToProviders, openai, type Batch, type BatchCall, type BatchForwarder } from '../../lib/index.js'
import sandbox from '../../lib/sandbox/index.js'
import { checkForwarder, forwarderContract, ForwarderContractError } from '../../lib/testing/index.js'
import type { ForwarderContractSetup } from '../../lib/testing/index.js'
import { batch } from '../support/app.js'

const TIMEOUT_MS = 300

const ALL = [
  'accepted', 'repeated', 'retrieved', 'accurate', 'concurrent', 'shared', 'cancelling', 'completed', 'failed',
  'expired', 'cancelled', 'missing', 'unauthorized', 'rateLimited', 'headers', 'unavailable', 'lost', 'slow', 'signal'
]

const without = (...names: string[]) => ALL.filter(name => !names.includes(name))

/** The sandbox over real HTTP, with ids whose response is lost or never comes. */
async function openSandbox (t: Test) {
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  const lost = new Set<string>()
  const idOf = (url: string) => url.split('/')[3] as string
  app.addHook('onRequest', async ({ url, method }, reply) => {
    if (idOf(url) !== 'batch_validating' || method !== 'POST') return
    reply.hijack()
    await once(reply.raw, 'close')
  })
  app.addHook('onSend', async ({ url, method }, reply) => {
    if (method === 'POST' && lost.has(idOf(url))) reply.raw.destroy()
  })
  await app.register(sandbox, { prefix: '/v1', latency: 60_000 })
  const url = await app.listen({ port: 0 }) + '/v1'
  const sdk = new OpenAI({ apiKey: 'any', baseURL: url, maxRetries: 0 })

  async function live (): Promise<string> {
    const endpoint = '/v1/chat/completions'
    const body = { model: 'm', messages: [{ role: 'user', content: 'Hi' }] }
    const line = JSON.stringify({ custom_id: '1', method: 'POST', url: endpoint, body })
    const file = await sdk.files.create({ purpose: 'batch', file: await toFile(Buffer.from(line), 'one.jsonl') })
    return (await sdk.batches.create({ input_file_id: file.id, endpoint, completion_window: '24h' })).id
  }

  const setup: Omit<ForwarderContractSetup, 'forward'> = {
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
        lost.add(id)
        return id
      },
      slow: 'batch_validating'
    }
  }
  return { url, sdk, setup }
}

t.test('forwardToProviders fulfils the contract', async t => {
  const { url, setup } = await openSandbox(t)
  const forward = forwardToProviders({ providers: { sandbox: openai({ baseUrl: url }) } })
  const headers = { 'x-portkey-provider': 'sandbox', authorization: 'Bearer any' }
  const cases = forwarderContract({ ...setup, forward, headers })
  t.strictSame(cases.map(({ name }) => name), ALL)
  for (const { name, run } of cases) await t.test(name, run)
})

t.test('the official SDK as the forwarder fulfils the contract', async t => {
  const { sdk, setup } = await openSandbox(t)
  const cancel = ({ batchId, signal }: BatchCall) => sdk.batches.cancel(batchId, { signal })
  const retrieve = ({ batchId, signal }: BatchCall) => sdk.batches.retrieve(batchId, { signal })
  const cases = forwarderContract({ ...setup, forward: { cancel, retrieve } })
  t.strictSame(cases.map(({ name }) => name), without('shared'))
  for (const { name, run } of cases) await t.test(name, run)

  const cancelOnly = forwarderContract({ ...setup, forward: cancel, defaultProvider: 'openai' })
  t.strictSame(cancelOnly.map(({ name }) => name), without('shared', 'retrieved'))
  for (const { name, run } of cancelOnly) await t.test(`${name}, without retrieve`, run)
})

/** A provider in memory that is strict about the status of a batch, and a forwarder to it. */
function createProvider () {
  const batches = new Map<string, Batch>()
  const requested: string[] = []
  const errorOf = (status: number, headers = {}) =>
    Object.assign(new Error(`Status ${status}`), { status, headers })
  const errors: Record<string, Error> = {
    foreign: errorOf(403),
    limited: errorOf(429, { 'retry-after': '7', 'request-id': 'req_7' }),
    down: errorOf(503)
  }

  function create (status: Batch['status'], id = `batch_${batches.size}`): string {
    batches.set(id, batch({ id, status }))
    return id
  }

  function find (id: string): Batch {
    const found = batches.get(id)
    if (found === undefined) throw errors[id] ?? errorOf(404)
    return found
  }

  const forwarder = {
    async cancel ({ batchId: id, signal }: BatchCall): Promise<Batch | null> {
      requested.push(id)
      const found = find(id)
      if (id === 'slow') return await sleep(60_000, null, { signal })
      if (found.status !== 'in_progress') throw errorOf(409)
      batches.set(id, { ...found, status: 'cancelling', cancelling_at: found.created_at + 60 })
      if (id.startsWith('lost')) throw Object.assign(new Error('reset'), { code: 'ECONNRESET' })
      return find(id)
    },
    async retrieve ({ batchId: id }: BatchCall): Promise<Batch> { return find(id) },
    shareKey: ({ batchId: id }: BatchCall) => id
  } satisfies BatchForwarder

  const ids: ForwarderContractSetup['ids'] = {
    live: () => create('in_progress'),
    missing: 'none',
    unauthorized: 'foreign',
    rateLimited: async () => 'limited',
    unavailable: 'down',
    lost: () => create('in_progress', `lost_${batches.size}`),
    slow: () => create('in_progress', 'slow')
  }
  for (const status of ['cancelling', 'completed', 'failed', 'expired', 'cancelled'] as const) {
    ids[status] = () => create(status)
  }
  const setup = { ids, timeout: TIMEOUT_MS, rateLimitHeaders: { 'retry-after': '7', 'request-id': 'req_7' } }
  return { forwarder, batches, requested, setup }
}

type Provider = ReturnType<typeof createProvider>

t.test('a forwarder to a database fulfils the contract, whether or not it returns the batch', async t => {
  const { forwarder, setup, requested, batches } = createProvider()
  const { cancel } = forwarder
  t.strictSame(await checkForwarder({ ...setup, forward: forwarder }), [])
  t.strictSame(await checkForwarder({
    ...setup,
    forward: {
      ...forwarder,
      async cancel (call) {
        await cancel(call)
        return null
      }
    }
  }), [], 'it returns null')
  t.strictSame(await checkForwarder({
    ...setup,
    forward: { ...forwarder, cancel: async call => ({ batch: await cancel(call) }) }
  }), [], 'it returns the batch with headers')
  t.strictSame(await checkForwarder({ ...setup, forward: cancel }), [], 'it has only a cancel')
  t.strictSame(await checkForwarder({ ...setup, forward: { ...forwarder, shareKey: () => undefined as never } }), [],
    'it shares nothing')

  const known = ['none', 'foreign', 'limited', 'down']
  t.strictSame(requested.filter(id => !batches.has(id) && !known.includes(id)), [], 'only the given ids are used')
  const running = [...batches.values()].filter(({ id, status }) => status === 'in_progress' && id !== 'slow')
  t.strictSame(running, [], 'no batch is left running')
})

t.test('a provider that lags, or that cancels at once and repeatedly, fulfils the contract', async t => {
  const { forwarder, batches, setup: { ids } } = createProvider()
  const readCounts = new Map<string, number>()
  const lagging: BatchForwarder = {
    cancel: forwarder.cancel,
    async retrieve (call) {
      const found = await forwarder.retrieve(call)
      const reads = (readCounts.get(found.id) ?? 0) + 1
      readCounts.set(found.id, found.status === 'cancelling' ? reads : 0)
      return found.status === 'cancelling' && reads < 2 ? { ...found, status: 'in_progress' } : found
    }
  }
  t.strictSame(await checkForwarder({ ids: { live: ids.live }, timeout: TIMEOUT_MS, forward: lagging }), [])

  const repeatable: BatchForwarder = {
    ...forwarder,
    async cancel ({ batchId: id }) {
      batches.set(id, batch({ id, status: 'cancelled' }))
      return batches.get(id) as Batch
    }
  }
  t.strictSame(await checkForwarder({
    ids: { live: ids.live, cancelled: ids.cancelled as string },
    timeout: TIMEOUT_MS,
    forward: repeatable
  }), [])
})

const THROW_STATUS = /let cancel throw the provider's error with its status as `status`/
const all = (names: readonly string[], message: RegExp) => Object.fromEntries(names.map(name => [name, message]))
const CANCELS = ['accepted', 'accurate', 'concurrent']
const RESOLVED_BY_READING = ['repeated', 'cancelling', 'completed', 'failed', 'expired', 'cancelled']

interface BrokenForwarder {
  /** What it does. */
  readonly name: string
  readonly create: (provider: Provider) => ForwarderContractSetup['forward']
  /** The cases that fail, and their messages. */
  readonly errors: Record<string, RegExp>
}

const BROKEN: readonly BrokenForwarder[] = [
  {
    name: 'returns undefined',
    create: ({ forwarder }) => ({
      ...forwarder,
      async cancel (call) {
        await forwarder.cancel(call)
        return undefined as never
      }
    }),
    errors: all(CANCELS, new RegExp('^cancel returned undefined(, then retrieve returned .+)?, and the client got (200|409|500) .+; expected: .+' +
      'To fix it, let cancel return a batch in OpenAI\'s shape, alone or as \\{ batch, headers \\}, or null if .+\\.$'))
  },
  {
    name: 'returns success',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: async call => ({ ...await forwarder.cancel(call), status: 'success' } as never)
    }),
    errors: all(CANCELS,
      /^cancel returned an object that is not a valid batch \(status is 'success'\)(, then retrieve returned .+)?, and the client got /)
  },
  {
    name: 'returns text',
    create: ({ forwarder }) => async call => JSON.stringify(await forwarder.cancel(call)) as never,
    errors: all(CANCELS, /^cancel returned '\{"id":"batch_\d+",.+; expected/)
  },
  {
    name: 'throws an Error without a status for a 404',
    create: ({ forwarder, batches }) => ({
      ...forwarder,
      async cancel (call) {
        if (call.batchId === 'none' && !batches.has('none')) throw new Error('no such batch')
        return await forwarder.cancel(call)
      }
    }),
    errors: {
      missing: new RegExp('^cancel threw \'Error: no such batch\', which has no status .+ ' +
        'and the client got 500 internal_error; expected: a missing batch is a 404. ' +
        'To fix it, let cancel throw the provider\'s error with its status')
    }
  },
  {
    name: 'throws text',
    create: ({ forwarder }) => ({
      ...forwarder,
      async cancel (call) {
        if (call.batchId === 'foreign') throw 'no' // eslint-disable-line no-throw-literal
        return await forwarder.cancel(call)
      }
    }),
    errors: { unauthorized: /^cancel threw 'no', which has no status/ }
  },
  {
    name: 'swallows a 404',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: call => forwarder.cancel(call).catch(error => {
        if (error.status === 404) return null
        throw error
      })
    }),
    errors: {
      missing: new RegExp('^cancel returned null, then retrieve threw a 404 \\(\'Error: Status 404\'\\), ' +
        'and the client got 200 \'cancelling\'; .+ a missing batch is a 404')
    }
  },
  {
    name: 'shows a batch that has ended as cancelling',
    create: ({ forwarder, batches }) => ({
      ...forwarder,
      cancel: call => forwarder.cancel(call).catch(error => {
        if (error.status === 409) return { ...batches.get(call.batchId) as Batch, status: 'cancelling' as const }
        throw error
      })
    }),
    errors: all(['completed', 'failed', 'expired', 'cancelled'],
      /^cancel returned a batch with status 'cancelling', and the client got 200 'cancelling'; .+let cancel throw/)
  },
  {
    name: 'loses the headers',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: call => forwarder.cancel(call).catch(error => {
        delete error.headers
        throw error
      })
    }),
    errors: {
      headers: new RegExp('^cancel threw a 429 \\(\'Error: Status 429\'\\) without retry-after, x-request-id; .+' +
        'To fix it, set the headers of the response as `headers` on the error')
    }
  },
  {
    name: 'hangs even though its signal aborted',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: async call => call.batchId === 'slow' ? await new Promise(() => {}) : await forwarder.cancel(call)
    }),
    errors: {
      signal: new RegExp('^cancel did not return within 1000 ms of the abort; .+' +
        'To fix it, pass call.signal to the provider\'s client\\.$')
    }
  },
  {
    name: 'returns a result in place of a provider that does not respond',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: async call => call.batchId === 'slow' ? null : await forwarder.cancel(call)
    }),
    errors: {
      slow: new RegExp('^cancel returned null, then retrieve returned a batch with status \'in_progress\', ' +
        'and the client got 200 \'cancelling\'; .+ never return a result of its own')
    }
  },
  {
    name: 'returns another id',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: async call => ({ ...await forwarder.cancel(call) as Batch, id: 'job-7' })
    }),
    errors: all(['accepted', 'accurate', 'concurrent'], new RegExp(
      '^cancel returned another batch \\(id is \'job-7\', but the call is for \'batch_\\w+\'\\).+' +
      'To fix it, let cancel return the batch with the id of the call\\.$'
    ))
  },
  {
    name: 'returns a BigInt',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: async call => ({ ...await forwarder.cancel(call) as Batch, total: 1n })
    }),
    errors: all(['accepted', 'accurate', 'concurrent'], new RegExp(
      '^cancel returned a batch that JSON cannot express \\(\'Do not know how to serialize a BigInt\'\\).+' +
      'To fix it, let cancel return values that JSON has, such as strings in place of BigInts\\.$'
    ))
  },
  {
    name: 'keeps the call outside of it',
    create ({ forwarder }) {
      let current: BatchCall
      return {
        ...forwarder,
        async cancel (call) {
          current = call
          await sleep(5)
          return await forwarder.cancel(current)
        }
      }
    },
    errors: {
      concurrent: new RegExp('^cancel (threw a 409 .+To fix it, keep no state of a call outside of it|' +
        'returned another batch .+To fix it, let cancel return the batch with the id of the call)\\.$')
    }
  },
  {
    name: 'reports milliseconds',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: async call => ({ ...await forwarder.cancel(call) as Batch, cancelling_at: 1_713_894_800_000 })
    }),
    errors: { accurate: /^the forwarder returned cancelling_at in milliseconds \(1713894800000\); / }
  },
  {
    name: 'invents a time',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: async call => ({ ...await forwarder.cancel(call) as Batch, endpoint: '', created_at: 1_800_000_000 })
    }),
    errors: {
      accurate: new RegExp('^the forwarder returned created_at \'1800000000\' after the cancel, ' +
        'and \'1713894800\' before it; .+ use \'\', 0 or null')
    }
  },
  {
    name: 'changes the headers of the call',
    create: ({ forwarder }) => ({
      ...forwarder,
      async cancel (call) {
        delete (call.headers as IncomingHttpHeaders).host
        return await forwarder.cancel(call)
      }
    }),
    errors: { accepted: /^cancel changed call\.headers; .+To fix it, copy the headers before you change them/ }
  },
  {
    name: 'returns null and has no retrieve',
    create: ({ forwarder }) => async call => {
      await forwarder.cancel(call)
      return null
    },
    errors: {
      accepted: new RegExp('^cancel returned null, and there is no retrieve; .+' +
        'To fix it, add a retrieve, or let cancel return the batch\\.$')
    }
  },
  {
    name: 'cannot read',
    create: ({ forwarder }) => ({
      ...forwarder,
      retrieve: async () => { throw new TypeError('x is not a function') }
    }),
    errors: {
      retrieved: new RegExp('^retrieve threw \'TypeError: x is not a function\', which has no status .+; .+' +
        'To fix it, let retrieve throw'),
      ...all(RESOLVED_BY_READING, new RegExp('^cancel threw a 409 .+, then retrieve threw \'TypeError: .+ ' +
        'and the client got 409 without a code; .+To fix it, let retrieve throw')),
      lost: new RegExp('^cancel threw \'Error: reset\', which counts as upstream_unreachable, then retrieve threw .+ ' +
        'the client got 502 upstream_unreachable')
    }
  },
  {
    name: 'reads null',
    create: ({ forwarder }) => ({ ...forwarder, retrieve: async () => null as never }),
    errors: {
      retrieved: /^retrieve returned null; .+To fix it, let retrieve return a batch/,
      ...all([...RESOLVED_BY_READING, 'lost'], /, then retrieve returned null, and/)
    }
  },
  {
    name: 'reads another batch',
    create: ({ forwarder }) => ({
      ...forwarder,
      retrieve: async call => ({ ...await forwarder.retrieve(call), id: 'job-7' })
    }),
    errors: {
      retrieved: /^retrieve returned another batch \(id is 'job-7', but the call is for 'batch_\d+'\)/,
      ...all([...RESOLVED_BY_READING, 'lost'], /, then retrieve returned another batch /)
    }
  },
  {
    name: 'reads text',
    create: ({ forwarder }) => ({
      ...forwarder,
      retrieve: async call => (await forwarder.retrieve(call)).status as never
    }),
    errors: {
      retrieved: new RegExp('^retrieve returned \'in_progress\'; .+' +
        'To fix it, let retrieve return a batch in OpenAI\'s shape, alone or as \\{ batch, headers \\}\\.$'),
      ...all([...RESOLVED_BY_READING, 'lost'], /, then retrieve returned '/)
    }
  },
  {
    name: 'cancels while it reads',
    create: ({ forwarder }) => ({
      ...forwarder,
      async retrieve (call) {
        const found = await forwarder.retrieve(call)
        return found.status === 'in_progress' ? await forwarder.cancel(call) as Batch : found
      }
    }),
    errors: {
      retrieved: new RegExp('^retrieve returned a batch with status \'cancelling\'; .+' +
        'To fix it, let retrieve only read the batch\\.$')
    }
  },
  {
    name: 'cancels twice',
    create: ({ forwarder }) => ({
      ...forwarder,
      async cancel (call) {
        await forwarder.cancel(call)
        return await forwarder.cancel(call)
      }
    }),
    errors: {
      accepted: new RegExp('^cancel threw a 409 .+, then retrieve returned a batch with status \'cancelling\', ' +
        'and the client got 200 \'cancelling\'; expected: one cancel .+To fix it, send the cancel to the provider once')
    }
  },
  {
    name: 'cancels nothing',
    create: ({ forwarder, batches }) => ({
      ...forwarder,
      async cancel (call) {
        const found = batches.get(call.batchId)
        const isLive = found?.status === 'in_progress' && found.id.startsWith('batch_')
        return isLive ? { ...found, status: 'cancelling' } : await forwarder.cancel(call)
      }
    }),
    errors: { accepted: /^cancel succeeded, and retrieve still showed the batch as 'in_progress' after 300 ms; / }
  },
  {
    name: 'takes a lost response for a bug',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: call => forwarder.cancel(call).catch(error => {
        throw error.code === 'ECONNRESET' ? new Error('socket hang up') : error
      })
    }),
    errors: {
      lost: new RegExp('^cancel threw \'Error: socket hang up\', which has no status and is not a network error, ' +
        'and the client got 500')
    }
  },
  {
    name: 'replaces every failure with an error without a status',
    create: ({ forwarder }) => ({
      ...forwarder,
      cancel: call => forwarder.cancel(call).catch(error => { throw error.status >= 429 ? new Error('failed') : error })
    }),
    errors: {
      rateLimited: THROW_STATUS,
      headers: /^cancel threw 'Error: failed', .+ without retry-after, x-request-id/,
      unavailable: THROW_STATUS
    }
  },
  {
    name: 'shares one key among all calls',
    create: ({ forwarder }) => ({ ...forwarder, shareKey: () => 'key' }),
    errors: { shared: /^shareKey returned the same key for different batches; / }
  },
  {
    name: 'shares a key that is not a string',
    create: ({ forwarder }) => ({ ...forwarder, shareKey: () => 7 as never }),
    errors: { shared: /^shareKey returned a number; / }
  },
  {
    name: 'fails to create a key',
    create: ({ forwarder }) => ({ ...forwarder, shareKey: () => { throw new Error('no key') } }),
    errors: { shared: /^shareKey threw Error: no key; / }
  }
]

/** So many forwarders are tried at once: with all of them, the event loop of a busy machine is late by seconds. */
const AT_ONCE = 8

t.test('a broken promise is reported with what happened, what is expected and how to fix it', async t => {
  const check = async ({ name, create, errors: expected }: typeof BROKEN[number]) => {
    const provider = createProvider()
    const errors = await checkForwarder({ ...provider.setup, forward: create(provider) })
    t.strictSame(errors.map(error => error.case).sort(), Object.keys(expected).sort(), name)
    for (const error of errors) {
      t.match(error.message, expected[error.case] as RegExp, `${name}: ${error.case}`)
      const format = /^[^\n]+[^.]; expected: [^\n]+[^.]\. To fix it, [^\n]+[^.]\.$/
      t.match(error.message, format, `${name}: the format of ${error.case}`)
    }
  }
  const left = BROKEN.values()
  const checkNext = async (): Promise<void> => { for (const row of left) await check(row) }
  await Promise.all(Array.from({ length: AT_ONCE }, checkNext))
})

t.test('an id that the route rejects never reaches the forwarder', async t => {
  const { forwarder, setup } = createProvider()
  const ids = { live: setup.ids.live, missing: 'a\nb' }
  const [error] = await checkForwarder({ ...setup, ids, forward: forwarder })
  t.match(error, {
    case: 'missing',
    message: /^the forwarder was not called, and the client got 400 invalid_batch_id; /
  })
})

t.test('a case is a plain function for any test runner', async t => {
  const { forwarder, setup: { ids, ...setup } } = createProvider()
  const namesOf = (setup: ForwarderContractSetup) => forwarderContract(setup).map(({ name }) => name)
  const forward = { ...forwarder, cancel: async () => undefined as never }
  const [first] = forwarderContract({ ...setup, ids, forward })
  t.equal(first?.name, 'accepted')
  t.equal(first?.run.length, 0, 'it takes no context and no callback')
  const error = await first?.run().catch((thrown: unknown) => thrown)
  t.ok(error instanceof ForwarderContractError)
  t.match(error, { name: 'ForwarderContractError', case: 'accepted', message: first?.promise as string })
  t.strictSame(namesOf({ forward: forwarder.cancel, ids: { live: ids.live } }),
    ['accepted', 'repeated', 'accurate', 'concurrent'], 'cases without an id are left out')
  t.strictSame(namesOf({ forward: forwarder.cancel, ids: { live: ids.live, rateLimited: 'limited' } }).slice(4),
    ['rateLimited'])
})

t.test('an error of the setup itself is thrown as it is', async t => {
  const { forwarder } = createProvider()
  const live = () => { throw new Error('no batch today') }
  await t.rejects(checkForwarder({ forward: forwarder, ids: { live } }), { message: 'no batch today' })
})

t.test('an invalid setup is refused with one sentence', async t => {
  const { forwarder, setup: { ids } } = createProvider()
  const cases: Array<{ name: string, setup: object, message: string }> = [
    {
      name: 'no forwarder',
      setup: { ids },
      message: 'setup.forward should be a function or an object with a function cancel.'
    },
    {
      name: 'a forwarder without cancel',
      setup: { forward: {}, ids },
      message: 'options.forward must be a function or an object with a function cancel.'
    },
    { name: 'no ids', setup: { forward: forwarder }, message: 'setup.ids should be an object of ids.' },
    {
      name: 'a constant id of a live batch',
      setup: { forward: forwarder, ids: { live: 'batch_1' } },
      message: 'setup.ids.live should be a function that returns the id of a new batch.'
    },
    {
      name: 'a misspelt id',
      setup: { forward: forwarder, ids: { ...ids, canceled: 'batch_1' } },
      message: 'Unknown option \'canceled\' in setup.ids. Valid options: live, cancelling, completed, failed, ' +
        'expired, cancelled, missing, unauthorized, rateLimited, unavailable, lost, slow.'
    },
    {
      name: 'a misspelt option',
      setup: { forward: forwarder, ids, header: {} },
      message: 'Unknown option \'header\' in setup. Valid options: forward, ids, defaultProvider, headers, ' +
        'rateLimitHeaders, timeout.'
    },
    {
      name: 'an empty id',
      setup: { forward: forwarder, ids: { ...ids, missing: '' } },
      message: 'setup.ids.missing should be an id or a function that returns one.'
    },
    {
      name: 'a number as an id',
      setup: { forward: forwarder, ids: { ...ids, missing: 7 } },
      message: 'setup.ids.missing should be an id or a function that returns one.'
    },
    {
      name: 'a number as a header',
      setup: { forward: forwarder, ids, headers: { a: 1 } },
      message: 'setup.headers should be an object of strings.'
    },
    {
      name: 'headers that are never passed on',
      setup: { forward: forwarder, ids, rateLimitHeaders: { 'set-cookie': 'a' } },
      message: 'setup.rateLimitHeaders should be an object of strings with at least one header that is passed on to ' +
        'the client, such as retry-after.'
    },
    {
      name: 'no time',
      setup: { forward: forwarder, ids, timeout: 0 },
      message: 'options.timeout must be whole milliseconds from 1 to 2147483647.'
    },
    {
      name: 'a provider that is not served',
      setup: { forward: forwardToProviders(), ids, defaultProvider: 'x' },
      message: 'options.defaultProvider must be one of '
    }
  ]
  for (const { name, setup, message } of cases) {
    const create = () => forwarderContract(setup as ForwarderContractSetup)
    t.throws(create, { code: 'FST_BATCH_CANCEL_INVALID_OPTION' }, name)
    try {
      create()
    } catch (error) {
      t.ok((error as Error).message.startsWith(message), `${name}: ${error}`)
    }
  }
})
