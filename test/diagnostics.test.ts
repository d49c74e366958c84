import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import t, { type Test } from 'tap'
import {
  BatchCancelError, CALL_CHANNEL, createBatchCanceller, ProviderError, type BatchForwarder, type CallMessage
} from '../lib/index.js'
import { BATCH, batch, build, buildWithoutPauses, cancel } from './support/app.js'

const calls = tracingChannel<unknown, CallMessage>(CALL_CHANNEL)

type Name = 'start' | 'end' | 'asyncStart' | 'asyncEnd' | 'error'

interface Event {
  readonly name: Name
  readonly message: CallMessage
  /** The message as it was then. */
  readonly then: CallMessage
}

/** Records what is published. */
function record (t: Test): Event[] {
  const events: Event[] = []
  const add = (name: Name) => (message: CallMessage) => { events.push({ name, message, then: { ...message } }) }
  const subscribers = {
    start: add('start'),
    end: add('end'),
    asyncStart: add('asyncStart'),
    asyncEnd: add('asyncEnd'),
    error: add('error')
  }
  calls.subscribe(subscribers)
  t.teardown(() => calls.unsubscribe(subscribers))
  return events
}

const namesOf = (events: readonly Event[]) => events.map(({ name }) => name)
const reportsOf = (events: readonly Event[]) => events.filter(({ name }) => name === 'asyncEnd').map(({ then }) => then)

const SUCCEEDED: readonly Name[] = ['start', 'end', 'asyncStart', 'asyncEnd']
const FAILED: readonly Name[] = ['start', 'end', 'error', 'asyncStart', 'asyncEnd']

t.test('every call of the route is reported, without a secret', async t => {
  const events = record(t)
  const results = [new ProviderError(503, { message: 'busy' }), BATCH]
  const app = await buildWithoutPauses(t, {
    forward: {
      async cancel () {
        const result = results.shift()
        if (result instanceof Error) throw result
        return result ?? { ...BATCH, status: 'completed' }
      },
      async retrieve () { return { ...BATCH, status: 'in_progress' } }
    },
    retrieve: true
  })
  const headers = { 'x-portkey-provider': 'x', authorization: 'Bearer secret' }
  await cancel(app, { headers })
  await cancel(app, { headers })
  await cancel(app)
  await cancel(app, { headers: { ...headers, 'content-type': 'garbage' }, payload: 'x' })
  await app.inject({ url: '/v1/batches/batch_1', headers })
  const call = { operation: 'cancel', batchId: 'batch_1', overdue: false, duration: Number }
  t.match(reportsOf(events), [
    { ...call, provider: 'x', outcome: 'cancelling', status: 200, attempts: 2, reads: 1 },
    { ...call, provider: 'x', outcome: 'batch_not_cancellable', status: 409, attempts: 1, reads: 0 },
    { ...call, provider: undefined, outcome: 'missing_provider', status: 400, attempts: 0, reads: 0 },
    { ...call, provider: 'x', outcome: 'FST_ERR_CTP_INVALID_MEDIA_TYPE', status: 415, attempts: 0, reads: 0 },
    { ...call, operation: 'retrieve', provider: 'x', outcome: 'in_progress', status: 200, attempts: 0, reads: 1 }
  ])
  t.equal(reportsOf(events).length, 5)
  t.notMatch(JSON.stringify(events), 'secret')
})

t.test('the events of one call have one message, in the order of a traced promise', async t => {
  const events = record(t)
  const app = await build(t, {
    forward: async ({ batchId }) => {
      if (batchId === 'batch_1') return BATCH
      throw new BatchCancelError('missing_credentials', 'The tenant has no key.')
    }
  })
  const headers = { 'x-portkey-provider': 'x' }
  for (const { what, request, names } of [
    { what: 'a success', request: { headers }, names: SUCCEEDED },
    { what: 'a failure', request: { headers, id: 'batch_2' }, names: FAILED },
    { what: 'a call without a provider', request: {}, names: FAILED },
    { what: 'a call with an id that is not valid', request: { headers, id: 'a\0' }, names: FAILED }
  ]) {
    events.length = 0
    await cancel(app, request)
    t.strictSame(namesOf(events), names, what)
    t.equal(new Set(events.map(({ message }) => message)).size, 1, what)
    t.strictSame(Object.keys(events[0]?.then ?? {}), ['operation', 'provider', 'batchId'], what)
    t.equal(events.find(({ name }) => name === 'error')?.then.error?.name, names === FAILED ? 'BatchCancelError' : undefined)
  }
})

t.test('a failed onSend hook does not end a call twice', async t => {
  const events = record(t)
  const app = await build(t, {
    defaultProvider: 'x',
    forward: async () => BATCH,
    routeOptions: { onSend: async (_request, { statusCode }) => { if (statusCode === 200) throw new Error('broken') } }
  })
  const { statusCode } = await cancel(app)
  t.equal(statusCode, 500)
  t.strictSame(namesOf(events), SUCCEEDED)
})

t.test('calls from code are reported as those of the route', async t => {
  const events = record(t)
  const canceller = createBatchCanceller({
    forward: {
      cancel: async ({ batchId }) => {
        if (batchId === 'batch_1') return BATCH
        throw new ProviderError(403, { message: 'not yours' })
      },
      providers: new Map([['x', {}], ['y', { unsupported: 'it cannot.' }]])
    }
  })
  const run = async (provider: string, batchId: string) => {
    await canceller.cancel({ provider, batchId }).catch(() => {})
  }
  await run('x', 'batch_1')
  await run('x', 'batch_2')
  await run('y', 'batch_1')
  await run('sk-0123456789', 'batch_1')
  await canceller.close()
  await run('x', 'batch_1')
  await t.rejects(canceller.cancel({ provider: 'x' } as never))
  const call = { operation: 'cancel', batchId: 'batch_1', overdue: false, reads: 0, duration: Number }
  t.match(reportsOf(events), [
    { ...call, provider: 'x', outcome: 'cancelling', status: 200, attempts: 1 },
    { ...call, provider: 'x', batchId: 'batch_2', outcome: null, status: 403, attempts: 1 },
    { ...call, provider: undefined, outcome: 'unsupported_provider', status: 400, attempts: 0 },
    { ...call, provider: undefined, outcome: 'unknown_provider', status: 400, attempts: 0 },
    { ...call, provider: 'x', outcome: 'FST_BATCH_CANCEL_CLOSED', status: 503, attempts: 0 }
  ])
  t.equal(reportsOf(events).length, 5, 'a mistake in the options is not a call')
  t.strictSame(namesOf(events), [...SUCCEEDED, ...FAILED, ...FAILED, ...FAILED, ...FAILED])
})

t.test('the work of a call runs in the stores that are bound to its start', async t => {
  const store = new AsyncLocalStorage<CallMessage>()
  calls.start.bindStore(store as AsyncLocalStorage<unknown>, message => message)
  t.teardown(() => calls.start.unbindStore(store as AsyncLocalStorage<unknown>))
  const seen: Array<CallMessage | undefined> = []
  const forward: BatchForwarder = {
    async cancel () {
      seen.push(store.getStore())
      return null
    },
    async retrieve () {
      seen.push(store.getStore())
      return BATCH
    }
  }
  const app = await build(t, { forward, defaultProvider: 'x' })
  await cancel(app)
  await createBatchCanceller({ forward }).cancel({ provider: 'x', batchId: 'batch_2' })
  t.match(seen, [{ batchId: 'batch_1' }, { batchId: 'batch_1' }, { batchId: 'batch_2' }, { batchId: 'batch_2' }])
  t.equal(store.getStore(), undefined)
})

t.test('a call that started before the first subscriber came is not reported', async t => {
  let events: Event[] = []
  const app = await build(t, {
    defaultProvider: 'x',
    forward: async () => {
      if (events.length === 0) events = record(t)
      return BATCH
    }
  })
  await cancel(app)
  t.strictSame(events, [])
  await cancel(app)
  t.strictSame(namesOf(events), SUCCEEDED)
})

t.test('an outcome is a status or a code, and never another text', async t => {
  const events = record(t)
  let code: string | null = null
  const app = await build(t, {
    defaultProvider: 'x',
    forward: async () => { throw new ProviderError(403, { message: 'no', code }) }
  })
  for (const { given, outcome = given } of [
    { given: 'rate_limit_exceeded' },
    { given: 'RESOURCE_EXHAUSTED' },
    { given: 'ThrottlingException' },
    { given: 'InvalidParameter.BatchNotFound' },
    { given: 'ERR_HTTP2_STREAM' },
    { given: '1210' },
    { given: null },
    { given: '', outcome: null },
    { given: '***', outcome: null },
    { given: 'no such batch', outcome: null },
    { given: 'sk-abcdefghijkl', outcome: null },
    { given: 'c1i2e3n4t5s6', outcome: null },
    { given: '0123456789', outcome: null },
    { given: 'hunter_two_hunter', outcome: null },
    { given: 'a_'.repeat(40) + 'a', outcome: null },
    { given: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln', outcome: null },
    { given: 'code\n', outcome: null }
  ]) {
    code = given
    events.length = 0
    await cancel(app, { headers: { authorization: 'Bearer hunter_two_hunter' } })
    t.strictSame(reportsOf(events).map(report => report.outcome), [outcome], String(given))
  }
})

t.test('an error is published with secrets masked', async t => {
  const events = record(t)
  const cause = Object.assign(new Error('401 for Bearer client-s3cret'), { headers: { authorization: 'client-s3cret' } })
  const app = await build(t, {
    defaultProvider: 'x',
    forward: async () => { throw new ProviderError(401, { message: 'wrong key client-s3cret' }, undefined, cause) }
  })
  await cancel(app, { headers: { authorization: 'Bearer client-s3cret' } })
  t.match(events.find(({ name }) => name === 'error')?.message, {
    error: { name: 'ProviderError', message: 'wrong key ***', stack: String, cause: { message: '401 for ***' } }
  })
  t.notMatch(JSON.stringify(events), 's3cret')
})

t.test('a batch that is cancelling for longer than its provider documents is overdue', async t => {
  const events = record(t)
  const TEN_MINUTES = 600
  const now = () => Math.floor(Date.now() / 1000)
  let shown = BATCH
  const app = await build(t, {
    forward: {
      cancel: async () => shown,
      providers: new Map([['slow', {}], ['x', { cancellingTime: TEN_MINUTES * 1000 }]])
    }
  })
  for (const { what, provider, since, overdue } of [
    { what: 'beyond the time', provider: 'x', since: now() - TEN_MINUTES - 60, overdue: true },
    { what: 'within the time', provider: 'x', since: now() - TEN_MINUTES + 60, overdue: false },
    { what: 'since an unknown time', provider: 'x', since: null, overdue: false },
    { what: 'since 0, which is no time', provider: 'x', since: 0, overdue: false },
    { what: 'at a provider that documents none', provider: 'slow', since: 1, overdue: false }
  ]) {
    events.length = 0
    shown = batch({ cancelling_at: since })
    await cancel(app, { headers: { 'x-portkey-provider': provider } })
    t.match(reportsOf(events), [{ overdue }], what)
  }
  events.length = 0
  shown = batch({ status: 'cancelled', cancelling_at: 1 })
  await cancel(app, { headers: { 'x-portkey-provider': 'x' } })
  t.match(reportsOf(events), [{ overdue: false }], 'a batch that was cancelled')
})
