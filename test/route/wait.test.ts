import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import { connect, type AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { systemClock } from '../../lib/cancel/clock.js'
import batchCancel, {
  createBatchCanceller, forwardToProviders, openai, type BatchCall, type BatchForwarder, type FastifyBatchCancelOptions
} from '../../lib/index.js'
import type { BatchStatus } from '../../schemas/index.js'
import { BATCH, batch, build, cancel, withClock } from '../support/app.js'
import { violations } from '../support/document.js'
import { manualClock, type ManualClock } from '../support/manual-clock.js'
import { startUpstream } from '../support/upstream.js'

/** An app over a batch that has one status after the other, the last one from then on, in virtual time. */
async function waiting (
  t: Test,
  statuses: BatchStatus[],
  options: FastifyBatchCancelOptions = {}
): Promise<{ app: FastifyInstance, clock: ManualClock, reads: () => number }> {
  const clock = manualClock()
  let reads = 0
  const forward: BatchForwarder = {
    cancel: async () => BATCH,
    async retrieve ({ signal }) {
      if (signal.aborted) throw new Error('a read of a wait that is over')
      return batch({
        status: statuses[Math.min(reads++, statuses.length - 1)] as BatchStatus,
        output_file_id: 'file-2'
      })
    }
  }
  return {
    app: await build(t, withClock(clock, { defaultProvider: 'x', forward, ...options })),
    clock,
    reads: () => reads
  }
}

const prefer = (wait: string, headers = {}) => ({ headers: { prefer: wait, ...headers } })

t.test('Prefer: wait returns the batch at its end', async t => {
  for (const { statuses, status, body, head } of [
    {
      statuses: ['cancelling', 'cancelled'],
      status: 200,
      body: { status: 'cancelled', output_file_id: 'file-2' },
      head: { 'x-batch-source': 'retrieved', 'preference-applied': 'wait=30', 'retry-after': undefined }
    },
    {
      statuses: ['completed'],
      status: 409,
      body: { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed', output_file_id: 'file-2' } },
      head: { 'x-should-retry': 'false', 'preference-applied': 'wait=30' }
    },
    { statuses: ['failed'], status: 409, body: { batch: { status: 'failed' } }, head: {} },
    {
      statuses: ['cancelling'],
      status: 200,
      body: { status: 'cancelling', output_file_id: 'file-2' },
      head: { 'x-batch-source': 'retrieved', 'retry-after': '15', 'preference-applied': 'wait=30' }
    },
    {
      statuses: ['in_progress'],
      status: 200,
      body: { status: 'cancelling', output_file_id: 'file-2' },
      head: { 'x-batch-source': 'assumed' }
    }
  ] as Array<{ statuses: BatchStatus[], status: number, body: object, head: object }>) {
    const { app, clock } = await waiting(t, statuses)
    const answer = cancel(app, prefer('wait=30'))
    await app.ready()
    await clock.advance(31_000)
    const response = await answer
    t.equal(response.statusCode, status, statuses.join())
    t.match(response.json(), body)
    t.match(response.headers, head)
    t.strictSame(violations(response), [])
    t.equal(clock.timers, 0)
  }
})

t.test('the grammar of Prefer', async t => {
  for (const { value, granted } of [
    { value: 'wait=3', granted: 3 }, {
      value: 'respond-async, wait=3',
      granted: 3
    }, { value: 'WAIT = "3"; x=1, foo', granted: 3 }, {
      value: 'wait=99999999999',
      granted: 600
    }, { value: 'wait="10"', granted: 10 }, { value: 'foo="a, b", wait=4', granted: 4 }, {
      value: 'foo="\\", wait=1", wait=4',
      granted: 4
    }, { value: ',, wait=3 ,', granted: 3 }, { value: 'wait=3; x="a, wait=1"', granted: 3 },
    // The first of its kind counts, whatever it says.
    { value: 'wait=3, wait=5', granted: 3 }, { value: 'wait=x, wait=5', granted: 0 }, {
      value: 'wait; x=1, wait=5',
      granted: 0
    }, { value: 'WAIT="", wait=5', granted: 0 },
    // What stands in quotes, ended or not, or after a semicolon is a part of another preference.
    { value: 'foo="a, wait=1, b"', granted: 0 }, { value: 'foo="wait=1"', granted: 0 }, {
      value: 'foo="a, wait=1',
      granted: 0
    }, {
      value: 'foo="\\", wait=1"',
      granted: 0
    }, { value: 'foo="a\\', granted: 0 }, { value: 'foo; wait=3', granted: 0 }, {
      value: 'foo; x=","; wait=3',
      granted: 0
    },
    { value: 'wait="3', granted: 0 }, { value: 'wait=3"', granted: 0 }, {
      value: 'wait="3"4',
      granted: 0
    }, { value: 'wait=3 4', granted: 0 },
    { value: `wait=3, ${'x'.repeat(1024)}`, granted: 0 },
    { value: 'wait=0', granted: 0 }, { value: 'wait=-1', granted: 0 }, {
      value: 'wait=1.5',
      granted: 0
    }, { value: 'wait', granted: 0 }, { value: 'wait=', granted: 0 }, {
      value: 'await=3',
      granted: 0
    }, { value: 'wait=3s', granted: 0 }, {
      value: 'return=minimal',
      granted: 0
    }
  ] as const) {
    const { app, clock } = await waiting(t, ['cancelling'])
    const answer = cancel(app, prefer(value))
    await app.ready()
    await clock.advance(700_000)
    const response = await answer
    t.equal(response.headers['preference-applied'], granted === 0 ? undefined : `wait=${granted}`, value)
    t.equal(response.statusCode, 200)
  }
})

t.test('a wait that is not granted', async t => {
  for (const { what, options, headers } of [
    { what: 'turned off', options: { maxWait: 0 }, headers: {} },
    { what: 'less than a second allowed', options: { maxWait: 999 }, headers: {} },
    { what: 'a forwarder that cannot read', options: { forward: async () => BATCH }, headers: {} }
  ] as Array<{ what: string, options: FastifyBatchCancelOptions, headers: object }>) {
    const { app, reads } = await waiting(t, ['cancelled'], options)
    const response = await cancel(app, prefer('wait=30', headers))
    t.match(response.json(), { status: 'cancelling' }, what)
    t.equal(response.headers['preference-applied'], undefined, what)
    t.equal(reads(), 0)
  }
  const ended = await waiting(t, [], {
    forward: { cancel: async () => batch({ status: 'cancelled' }), retrieve: async () => BATCH }
  })
  t.match(
    await cancel(ended.app, prefer('wait=30')),
    { statusCode: 200, headers: { 'preference-applied': 'wait=30', 'x-batch-source': 'provider' } },
    'there is nothing left to wait for'
  )
})

t.test('the first wait ends during a read, and the others get its result', async t => {
  const signals: AbortSignal[] = []
  const { app, clock } = await waiting(t, [], {
    forward: {
      cancel: async () => BATCH,
      async retrieve ({ signal }) {
        signals.push(signal)
        await clock.sleep(5000)
        signal.throwIfAborted()
        return batch({ status: 'cancelled', output_file_id: 'file-2' })
      },
      shareKey: () => 'one'
    }
  })
  const first = cancel(app, prefer('wait=3'))
  const second = cancel(app, prefer('wait=30'))
  await app.ready()
  await clock.advance(3000)
  t.match((await first).json(), { status: 'cancelling' }, 'the first wait is over')
  t.strictSame(signals.map(({ aborted }) => aborted), [false], 'its read goes on')
  await clock.advance(3000)
  t.match((await second).json(), { status: 'cancelled', output_file_id: 'file-2' })
  t.strictSame(signals.map(({ aborted }) => aborted), [true], 'and the call of the poller ends with the last wait')
  t.equal(clock.timers, 0)

  const third = cancel(app, prefer('wait=3'))
  await clock.advance(3000)
  t.match(await third, { statusCode: 200 })
  t.equal(signals[1]?.aborted, true, 'no wait is left: the read is aborted')
  await clock.advance(3000)
})

t.test('the client\'s own time-out ends a wait with the batch as it is', async t => {
  const { app, clock } = await waiting(t, ['cancelling'])
  const answer = cancel(app, prefer('wait=30', { 'x-portkey-request-timeout': '2500' }))
  await app.ready()
  await clock.advance(2500)
  t.match(await answer, { statusCode: 200, headers: { 'preference-applied': 'wait=2', 'retry-after': '2' } })

  const slow = await waiting(t, ['cancelled'], {
    forward: {
      cancel: async () => { await slow.clock.sleep(5000); return BATCH },
      retrieve: async () => batch({ status: 'cancelled' })
    }
  })
  const late = cancel(slow.app, prefer('wait=3'))
  await slow.app.ready()
  await slow.clock.advance(6000)
  t.match(await late, {
    statusCode: 200,
    headers: { 'x-batch-source': 'provider', 'preference-applied': 'wait=3' }
  }, 'a cancel that took longer than the wait')
})

t.test('a shareKey that throws, or returns no string, does not fail the call', async t => {
  const bug = () => { throw new Error('bug') }
  for (const shareKey of [bug, async () => bug(), async () => 'key', () => 7] as unknown[]) {
    const { app, clock } = await waiting(t, ['cancelled'], {
      forward: {
        cancel: async () => BATCH,
        retrieve: async () => batch({ status: 'cancelled' }),
        shareKey: shareKey as () => string
      }
    })
    const answer = cancel(app, prefer('wait=5'))
    await app.ready()
    await clock.advance(5000)
    t.match((await answer).json(), { status: 'cancelled' })
  }
})

t.test('waits of other credentials, accounts, hosts and batches are never shared', async t => {
  const upstream = await startUpstream(t, ({ method, path }) => ({
    body: batch({ id: path.split('/').at(method === 'GET' ? -1 : -2) as string, status: 'cancelling' })
  }))
  const clock = manualClock()
  const { headers: _headers, accountHeaders: _accountHeaders, ...bare } = openai()
  const options = withClock({ ...systemClock, setTimer: clock.setTimer }, {
    forward: forwardToProviders({
      providers: {
        openai: openai({ baseUrl: upstream.url }),
        other: openai({ baseUrl: `${upstream.url}/other` }),
        server: openai({ baseUrl: `${upstream.url}/server`, apiKey: 'sk-server' }),
        bare: { ...bare, baseUrl: `${upstream.url}/bare` }
      },
      trustedHosts: [upstream.url]
    })
  })
  const app = await build(t, options)
  const key = { authorization: 'Bearer a', 'x-portkey-provider': 'openai', prefer: 'wait=10' }
  const calls: Array<[string, Record<string, string>]> = [
    ['batch_1', key], ['batch_1', key], ['batch_1', { ...key, 'x-portkey-trace-id': 't', 'user-agent': 'b' }],
    ['batch_2', key],
    ['batch_1', { ...key, authorization: 'Bearer b' }],
    ['batch_1', { ...key, 'x-portkey-openai-organization': 'o' }],
    ['batch_1', { ...key, 'x-portkey-provider': 'other' }],
    ['batch_1', { ...key, 'x-portkey-custom-host': `${upstream.url}/custom` }],
    ['batch_1', { ...key, 'x-portkey-provider': 'server' }], [
      'batch_1',
      { ...key, 'x-portkey-provider': 'server', authorization: 'Bearer ignored' }
    ],
    ['batch_1', { ...key, 'x-portkey-provider': 'bare' }],
    ['batch_1', { ...key, 'x-portkey-forward-headers': 'x-tenant', 'x-tenant': 't' }]
  ]
  const answers = calls.map(([id, headers]) => cancel(app, { id, headers }))
  while (upstream.requests.length < calls.length) await new Promise(resolve => { setImmediate(resolve) })
  while (clock.timers < calls.length + 9) await new Promise(resolve => { setImmediate(resolve) })
  await clock.advance(1000)
  while (upstream.requests.length < calls.length + 9) await new Promise(resolve => { setImmediate(resolve) })
  await clock.advance(10_000)
  const reads = upstream.requests.filter(({ method }) => method === 'GET').slice(0, 9)
  t.equal(
    new Set(reads.map(({ path, headers }) => JSON.stringify([
      path,
      headers.authorization,
      headers['openai-organization'],
      headers['x-tenant']
    ]))).size,
    9,
    'twelve waits, nine pollers'
  )
  t.ok((await Promise.all(answers)).every(({ statusCode }) => statusCode === 200))

  const unshared = forwardToProviders()
  t.equal(unshared.shareKey({} as BatchCall), undefined, 'a call that was never sent is not shared')
})

/** Some turns of the event loop. */
async function turns (): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise(resolve => { setImmediate(resolve) })
}

/** Sends a cancel and hands out its socket. */
function send (app: FastifyInstance, headers = '') {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.write(`POST /v1/batches/batch_1/cancel HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n${headers}\r\n`)
  return socket
}

t.test('when the client disconnects the cancel is carried out and the wait stops', async t => {
  const { app, clock, reads } = await waiting(t, ['cancelling'])
  await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = send(app, 'prefer: wait=60\r\n')
  while (clock.timers < 2) await new Promise(resolve => { setImmediate(resolve) })
  await clock.advance(1000)
  t.equal(reads(), 1)
  socket.destroy()
  while (clock.timers > 0) await new Promise(resolve => { setImmediate(resolve) })
  await clock.advance(60_000)
  t.equal(reads(), 1)

  let finish = () => {}
  let heard = () => {}
  const done = new Promise<void>(resolve => { heard = resolve })
  const left = await waiting(t, ['cancelling'], {
    forward: {
      cancel: async () => { await new Promise<void>(resolve => { finish = resolve }); return BATCH },
      retrieve: async () => BATCH
    },
    onCancelled: () => heard()
  })
  await left.app.listen({ host: '127.0.0.1', port: 0 })
  const gone = send(left.app, 'prefer: wait=60\r\n')
  const [request] = await once(left.app.server, 'request')
  while (left.clock.timers === 0) await new Promise(resolve => { setImmediate(resolve) })
  gone.destroy()
  await once(request.socket, 'close')
  finish()
  await done
  t.equal(left.clock.timers, 0, 'no wait for a client that left')
})

t.test('an HTTP/2 client that left is not waited for, either', async t => {
  let finish = () => {}
  let begin = () => {}
  let heard = () => {}
  const begun = new Promise<void>(resolve => { begin = resolve })
  const done = new Promise<void>(resolve => { heard = resolve })
  const clock = manualClock()
  const app = Fastify({ http2: true })
  const options = withClock(clock, {
    defaultProvider: 'x',
    forward: {
      cancel: async () => { begin(); await new Promise<void>(resolve => { finish = resolve }); return BATCH },
      retrieve: async () => BATCH
    },
    onCancelled: () => heard()
  })
  await app.register(batchCancel, options)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  const stream = session.request({ ':method': 'POST', ':path': '/v1/batches/batch_1/cancel', prefer: 'wait=60' })
  stream.on('error', () => {})
  stream.end()
  const [request] = await once(app.server, 'request')
  await begun
  stream.close(constants.NGHTTP2_CANCEL)
  await once(request.stream, 'close')
  finish()
  await done
  t.equal(clock.timers, 0)
  session.destroy()
  await app.close()
})

t.test('the app closes: waits over a canceller that stays open end, and none begins', async t => {
  for (const held of [false, true]) {
    let finish = () => {}
    const finished = new Promise<void>(resolve => { finish = resolve })
    const canceller = createBatchCanceller({
      forward: {
        cancel: async () => { if (held) await finished; return BATCH },
        retrieve: async () => BATCH
      }
    })
    t.teardown(() => canceller.close())
    const app = await build(t, { defaultProvider: 'x', canceller }, { forceCloseConnections: 'idle' })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const client = send(app, 'prefer: wait=600\r\nconnection: close\r\n').setEncoding('utf8')
    await once(app.server, 'request')
    // The wait, or the cancel that is held, has begun by then.
    await turns()
    const response = once(client, 'data')
    const closing = app.close()
    await turns()
    finish()
    t.match((await response).join(), /^HTTP\/1\.1 200 [^]*"status":"cancelling"/, held ? 'none begins' : 'it ends')
    await closing
  }
})

t.test('the app closes: running cancels finish, waits end', async t => {
  const { app } = await waiting(t, ['cancelling'])
  const answer = cancel(app, prefer('wait=600'))
  await app.ready()
  await new Promise(resolve => { setImmediate(resolve) })
  await app.close()
  t.match(await answer, { statusCode: 200 }, 'with the batch as it is')
  t.match((await answer).json(), { status: 'cancelling' })

  let finish = () => {}
  let begin = () => {}
  let finished = false
  let closedConnections = false
  const begun = new Promise<void>(resolve => { begin = resolve })
  const slow = await build(t, {
    defaultProvider: 'x',
    forward: {
      async cancel () {
        begin()
        await new Promise<void>(resolve => { finish = resolve })
        finished = true
        return BATCH
      },
      close: () => { closedConnections = true }
    }
  })
  await slow.listen({ host: '127.0.0.1', port: 0 })
  const socket = send(slow)
  const [request] = await once(slow.server, 'request')
  await begun
  socket.destroy()
  await once(request.socket, 'close')
  const closing = slow.close()
  // Whatever does not wait for the cancel is done by then.
  await turns()
  t.equal(closedConnections, false)
  t.equal(finished, false)
  finish()
  await closing
  t.equal(finished, true, 'the cancel of a client that left, too')
  t.equal(closedConnections, true)
})
