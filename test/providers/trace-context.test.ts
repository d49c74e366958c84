import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { AsyncLocalStorage } from 'node:async_hooks'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createBatchCanceller, forwardToProviders, openai, type BatchCall } from '../../lib/index.js'
import { dispatchTraced, traceHeadersOf, type TraceHeaders } from '../../lib/providers/trace-context.js'
import { FIXTURES, fixtureOf } from '../fixtures/index.js'
import { BATCH, buildWithoutPauses, cancel } from '../support/app.js'
import { catchAll } from '../support/internet.js'
import { startUpstream } from '../support/upstream.js'

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const TRACESTATE = 'congo=t61rcWkgMzE,rojo=00f067aa0ba902b7'
const TRACE = { traceparent: TRACEPARENT, tracestate: TRACESTATE }
const UNTRACED = { traceparent: undefined, tracestate: undefined }

t.test('the trace of a call goes to every provider, from the route and from code', async t => {
  let name = ''
  const { requests } = await catchAll(t, () => {
    const { responses: { statuses, body }, ids } = fixtureOf(name)
    return { body: body(statuses.includes('cancelling') ? 'cancelling' : 'cancelled', ids.shown[0]) }
  })
  const canceller = createBatchCanceller({ forward: forwardToProviders() })
  t.teardown(() => canceller.close())
  const app = await buildWithoutPauses(t, { canceller, retrieve: true }, { routerOptions: { maxParamLength: 512 } })
  for (const { name: provider, ids, hosts } of FIXTURES) {
    name = provider
    const batchId = ids.valid[0]
    const headers = { 'x-portkey-provider': provider, authorization: 'Bearer client-key', ...hosts.headers, ...TRACE }
    for (const { what, run, method } of [
      { what: 'cancel', method: /POST|DELETE/, run: () => cancel(app, { id: batchId, headers }) },
      {
        what: 'retrieve',
        method: /GET/,
        run: () => app.inject({ url: `/v1/batches/${encodeURIComponent(batchId)}`, headers })
      },
      { what: 'cancel from code', method: /POST|DELETE/, run: () => canceller.cancel({ provider, batchId, headers }) }
    ]) {
      requests.length = 0
      await run()
      t.match(requests[0], { method, headers: TRACE }, `${provider}, ${what}`)
    }
  }
})

/** The headers with which an upstream sees a cancel. */
async function sentFor (t: Test, headers: Record<string, string>) {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const forward = forwardToProviders({
    providers: { openai: openai({ baseUrl: upstream.url, apiKey: 'sk-server' }) },
    forwardHeaders: ['x-team']
  })
  const app = await buildWithoutPauses(t, { defaultProvider: 'openai', forward })
  await cancel(app, { headers })
  return upstream.requests[0]?.headers
}

t.test('a malformed trace is not sent on, not even if it is to be forwarded', async t => {
  const named = { 'x-portkey-forward-headers': 'traceparent, tracestate, x-team', 'x-team': 'red' }
  t.match(await sentFor(t, { ...named, traceparent: 'client-value', tracestate: 'a=1' }), { ...UNTRACED, 'x-team': 'red' })
  const kept = { traceparent: TRACEPARENT, tracestate: undefined, 'x-team': 'red' }
  t.match(await sentFor(t, { ...named, traceparent: TRACEPARENT, tracestate: 'client-value' }), kept)
  t.throws(
    () => forwardToProviders({ forwardHeaders: ['traceparent'] }),
    { message: /^forwardToProviders\(\{ forwardHeaders \}\)/ }
  )
})

t.test('what is a valid traceparent', t => {
  const [, traceId, parentId] = TRACEPARENT.split('-')
  for (const { traceparent, isValid } of [
    { traceparent: TRACEPARENT, isValid: true },
    { traceparent: TRACEPARENT.replace(/01$/, '00'), isValid: true },
    { traceparent: `01-${traceId}-${parentId}-01`, isValid: true },
    { traceparent: `cc-${traceId}-${parentId}-01-what-comes-later`, isValid: true },
    { traceparent: `${TRACEPARENT}-what-comes-later`, isValid: false },
    { traceparent: `cc-${traceId}-${parentId}-01what`, isValid: false },
    { traceparent: `cc-${traceId}-${parentId}-01-${'x'.repeat(257)}`, isValid: false },
    { traceparent: `ff-${traceId}-${parentId}-01`, isValid: false },
    { traceparent: `00-${'0'.repeat(32)}-${parentId}-01`, isValid: false },
    { traceparent: `00-${traceId}-${'0'.repeat(16)}-01`, isValid: false },
    { traceparent: TRACEPARENT.toUpperCase(), isValid: false },
    { traceparent: `${TRACEPARENT}, ${TRACEPARENT}`, isValid: false },
    { traceparent: ` ${TRACEPARENT}`, isValid: false },
    { traceparent: `00-${traceId}-${parentId}`, isValid: false },
    { traceparent: '', isValid: false }
  ]) t.equal(traceHeadersOf({ traceparent }).traceparent, isValid ? traceparent : undefined, traceparent)
  t.strictSame(traceHeadersOf({ tracestate: TRACESTATE }), {}, 'a tracestate alone is of no use')
  t.end()
})

t.test('what is a valid tracestate', t => {
  const members = (count: number) => Array.from({ length: count }, (_, index) => `k${index}=v`).join()
  for (const { tracestate, isValid } of [
    { tracestate: TRACESTATE, isValid: true },
    { tracestate: 'a=1, b=2\t,,c=3 ', isValid: true },
    { tracestate: '0tenant@system=v', isValid: true },
    { tracestate: 'a_b-c*d/e=!"#$%&\'()*+-./:;<>?@[]^_`{|}~', isValid: true },
    { tracestate: `${'k'.repeat(256)}=${'v'.repeat(256)}`, isValid: true },
    { tracestate: members(32), isValid: true },
    { tracestate: members(33), isValid: false },
    { tracestate: `${'k'.repeat(257)}=v`, isValid: false },
    { tracestate: `k=${'v'.repeat(257)}`, isValid: false },
    { tracestate: 'a=1,a=2', isValid: false },
    { tracestate: 'a', isValid: false },
    { tracestate: 'a=', isValid: false },
    { tracestate: '=1', isValid: false },
    { tracestate: 'A=1', isValid: false },
    { tracestate: '0a=1', isValid: false },
    { tracestate: 'a=1=2', isValid: false },
    { tracestate: 'a=\u00fc', isValid: false },
    { tracestate: 'tenant@=v', isValid: false },
    { tracestate: `tenant@${'s'.repeat(15)}=v`, isValid: false }
  ]) {
    const sent = traceHeadersOf({ traceparent: TRACEPARENT, tracestate })
    t.strictSame(sent, { traceparent: TRACEPARENT, ...isValid && { tracestate } }, tracestate)
  }
  t.end()
})

t.test('no value makes a header that cannot be sent', async t => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (traceparent, tracestate) => {
    const sent = [traceHeadersOf({ traceparent, tracestate }), traceHeadersOf({ ...TRACE, tracestate })]
    return sent.flatMap(headers => Object.values(headers)).every(value => /^[\t\x20-\x7e]+$/.test(value))
  }))
  // Text that makes a careless pattern try every way to split it.
  t.strictSame(traceHeadersOf({ ...TRACE, tracestate: `a=${' '.repeat(100_000)}` }), { traceparent: TRACEPARENT })
})

t.test('the trace of one client does not keep it from sharing the reads of another', async t => {
  const forward = forwardToProviders()
  const keyFor = async (trace: object) => {
    const { signal } = new AbortController()
    const headers = { authorization: 'Bearer sk-client', ...trace }
    const call: BatchCall = { provider: 'openai', batchId: 'batch_1', headers, request: undefined, signal }
    await forward.prepare(call)
    return forward.shareKey(call)
  }
  t.type(await keyFor({}), 'string')
  t.equal(await keyFor({}), await keyFor(TRACE))
})

const CREATED = 'undici:request:create'

interface Created {
  readonly request: { readonly headers: string[], addHeader (name: string, value: string): void }
}

t.test('a tracer in this process has the last word', async t => {
  const own = '00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01'
  const traceparents = (values: string[]) => values.filter((_, index) => values[index - 1] === 'traceparent')
  for (const { what, tracer, traceparent } of [
    { what: 'no tracer', tracer: undefined, traceparent: TRACEPARENT },
    { what: 'a subscriber that adds nothing', tracer: () => {}, traceparent: TRACEPARENT },
    {
      what: 'a tracer',
      tracer: (message: unknown) => { (message as Created).request.addHeader('traceparent', own) },
      traceparent: own
    }
  ]) {
    if (tracer !== undefined) subscribe(CREATED, tracer)
    const created: string[][] = []
    const note = (message: unknown) => { created.push((message as Created).request.headers) }
    const sent = await sentFor(t, TRACE)
    t.equal(sent?.['traceparent'], traceparent, what)
    subscribe(CREATED, note)
    await sentFor(t, TRACE)
    unsubscribe(CREATED, note)
    t.strictSame(created.map(traceparents), [[traceparent]], `${what}: exactly one`)
    if (tracer !== undefined) unsubscribe(CREATED, tracer)
    t.notOk(channel(CREATED).hasSubscribers, `${what}: nothing is left`)
  }
})

t.test('the context of a call is that of its request', async t => {
  const store = new AsyncLocalStorage<string>()
  const seen: Array<string | undefined> = []
  const note = () => { seen.push(store.getStore()) }
  subscribe(CREATED, note)
  t.teardown(() => unsubscribe(CREATED, note))
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const forward = forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url, apiKey: 'sk-server' }) } })
  const canceller = createBatchCanceller({ forward })
  t.teardown(() => canceller.close())
  const contexts = ['first, with a new connection', 'second, with a connection that was used']
  for (const context of contexts) {
    await store.run(context, () => canceller.cancel({ provider: 'openai', batchId: 'batch_1' }))
  }
  t.strictSame(seen, contexts)
})

t.test('a dispatcher that throws leaves nothing behind', t => {
  const trace: TraceHeaders = traceHeadersOf(TRACE)
  const note = () => {}
  subscribe(CREATED, note)
  t.throws(() => dispatchTraced({}, trace, () => { throw new Error('no match') }), { message: 'no match' })
  unsubscribe(CREATED, note)
  t.notOk(channel(CREATED).hasSubscribers)
  t.end()
})
