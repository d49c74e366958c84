import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { kClock, systemClock, type Clock } from '../../lib/cancel/clock.js'
import {
  BatchCancelError, createBatchCanceller, FST_BATCH_CANCEL_CLOSED, forwardToProviders, openai, ProviderError,
  type Batch, type BatchCall, type BatchCancellerOptions, type CallLog, type CallOptions
} from '../../lib/index.js'
import { BATCH, batch, build, cancel } from '../support/app.js'
import { manualClock } from '../support/manual-clock.js'
import { startUpstream } from '../support/upstream.js'

const CALL: CallOptions = { provider: 'x', batchId: 'batch_1' }

const withClock = (clock: Clock, options: BatchCancellerOptions) =>
  createBatchCanceller({ ...options, [kClock]: clock } as BatchCancellerOptions)

t.test('a cancel from code is resolved as over HTTP', async t => {
  const upstream = await startUpstream(t, ({ method }) => method === 'GET' ? { body: BATCH } : { status: 503 })
  const canceller = createBatchCanceller({
    forward: forwardToProviders({ providers: { openai: openai({ baseUrl: `${upstream.url}/v1` }) } })
  })
  t.teardown(() => canceller.close())
  const result = await canceller.cancel({
    provider: 'openai',
    batchId: 'batch_1',
    headers: { Authorization: 'Bearer sk-code', 'X-Portkey-OpenAI-Project': 'proj_1' }
  })
  t.strictSame(result, {
    batch: BATCH,
    json: JSON.stringify(BATCH),
    source: 'retrieved',
    accepted: true,
    attempts: 1,
    reads: 1,
    headers: {}
  })
  t.match(upstream.requests, [
    { method: 'POST', headers: { authorization: 'Bearer sk-code', 'openai-project': 'proj_1' } },
    { method: 'GET', headers: { authorization: 'Bearer sk-code' } }
  ])
})

t.test('errors are those of the route, and say how many requests were sent', async t => {
  let calls: BatchCall[] = []
  const rejected = Object.assign(new Error('no'), { status: 409 })
  const canceller = withClock(manualClock(), {
    forward: {
      async cancel (call) {
        calls.push(call)
        if (call.batchId === 'denied') throw Object.assign(new Error('not yours'), { status: 403 })
        throw rejected
      },
      retrieve: async () => batch({ status: 'completed', output_file_id: 'file-2' }),
      providers: new Map([['x', { id: /^\w+$/, idDescription: 'letters' }], ['y', { unsupported: 'it cannot.' }]])
    }
  })
  await t.rejects(canceller.cancel(CALL), {
    name: 'BatchCancelError',
    code: 'batch_not_cancellable',
    statusCode: 409,
    batch: { output_file_id: 'file-2' },
    attempts: 1,
    reads: 1
  })
  await t.rejects(
    canceller.cancel({ ...CALL, batchId: 'denied' }),
    { name: 'ProviderError', statusCode: 403, attempts: 1, reads: 0 }
  )
  t.strictSame(calls.map(({ request }) => request), [undefined, undefined])
  calls = []
  for (const { options, expected } of [
    { options: { ...CALL, provider: 'z' }, expected: { code: 'unknown_provider' } },
    { options: { ...CALL, provider: 'y' }, expected: { code: 'unsupported_provider' } },
    { options: { ...CALL, batchId: '..' }, expected: { code: 'invalid_batch_id' } },
    { options: { ...CALL, batchId: 'a b' }, expected: { code: 'invalid_batch_id', message: /expected letters\.$/ } },
    { options: { provider: 'x' }, expected: { message: 'cancel({ provider, batchId }) are both required.' } },
    {
      options: { ...CALL, wait: '5' },
      expected: { message: 'cancel({ wait }) must be whole milliseconds from 0 to 2147483647.' }
    },
    { options: { ...CALL, id: 'b' }, expected: { message: /^Unknown option 'id' in cancel\(\)\./ } },
    { options: 'batch_1', expected: { message: /^cancel\(\) expects an object with these options: provider, batchId/ } }
  ] as Array<{ options: CallOptions, expected: object }>) {
    await t.rejects(canceller.cancel(options), expected as Error, JSON.stringify(options))
  }
  t.strictSame(calls, [], 'nothing is sent')
})

t.test('wait: until the batch is terminal, or for as long as asked', async t => {
  const clock = manualClock()
  let reads = 0
  const canceller = withClock(clock, {
    forward: {
      cancel: async () => BATCH,
      retrieve: async () => batch({ status: ++reads < 3 ? 'cancelling' : 'cancelled', output_file_id: 'file-2' })
    },
    maxWait: 20_000
  })
  const waiting = canceller.cancel({ ...CALL, wait: 600_000 })
  await clock.advance(20_000)
  t.match(await waiting, {
    batch: { status: 'cancelled', output_file_id: 'file-2' },
    source: 'retrieved',
    accepted: true,
    reads: 0
  })

  reads = -100
  const capped = canceller.cancel({ ...CALL, wait: 600_000 })
  await clock.advance(20_000)
  t.match(await capped, { batch: { status: 'cancelling' } }, 'maxWait is the most')
  t.equal(clock.timers, 0)
})

t.test('retrieve: the batch as it is, or with wait when it is terminal', async t => {
  const clock = manualClock()
  const steps: Array<Batch['status'] | Error> = ['in_progress', 'in_progress', 'completed']
  const canceller = withClock(clock, {
    forward: {
      cancel: async () => BATCH,
      async retrieve () {
        const step = steps.shift() ?? Object.assign(new Error('No such batch'), { status: 404 })
        if (step instanceof Error) throw step
        return { batch: batch({ status: step }), headers: { 'x-request-id': 'req_1' } }
      }
    }
  })
  t.match(await canceller.retrieve(CALL), {
    batch: { status: 'in_progress' },
    source: 'retrieved',
    accepted: false,
    attempts: 0,
    reads: 1,
    headers: {
      'x-request-id': 'req_1'
    }
  })
  const waiting = canceller.retrieve({ ...CALL, wait: 5000 })
  await clock.advance(5000)
  t.match(await waiting, { batch: { status: 'completed' } }, 'any terminal status is a result')
  await t.rejects(canceller.retrieve(CALL), { name: 'ProviderError', statusCode: 404 })

  const blind = withClock(clock, { forward: async () => BATCH })
  await t.rejects(blind.retrieve(CALL), { code: 'internal_error' }, 'a forwarder that cannot read')
})

t.test('signal: the caller stops waiting, and a cancel that was sent is carried out', async t => {
  const clock = manualClock()
  let finish = (_batch: Batch) => {}
  let finished = false
  const canceller = withClock(clock, {
    forward: {
      async cancel () {
        const result = await new Promise<Batch>(resolve => { finish = resolve })
        finished = true
        return result
      },
      retrieve: async () => BATCH
    }
  })
  const controller = new AbortController()
  const cancelling = canceller.cancel({ ...CALL, signal: controller.signal })
  controller.abort(new Error('shutting down'))
  await t.rejects(cancelling, { code: 'upstream_timeout', outcome: 'unknown' })
  const closing = canceller.close()
  finish(BATCH)
  await closing
  t.equal(finished, true, 'close waits for the cancel')

  const other = withClock(clock, { forward: { cancel: async () => BATCH, retrieve: async () => BATCH } })
  const second = new AbortController()
  const waiting = other.cancel({ ...CALL, wait: 60_000, signal: second.signal })
  await clock.advance(1500)
  second.abort()
  t.match(await waiting, { batch: { status: 'cancelling' } }, 'a wait ends with the batch as it is')
  await t.rejects(other.cancel({ ...CALL, signal: AbortSignal.abort() }), { code: 'upstream_timeout' })
  t.equal(clock.timers, 0)
})

t.test('close ends waits at once, and refuses calls that come later', async t => {
  const clock = manualClock()
  let closed = 0
  const canceller = withClock(clock, {
    forward: { cancel: async () => BATCH, retrieve: async () => BATCH, close: () => { closed++ } }
  })
  const waiting = canceller.cancel({ ...CALL, wait: 600_000 })
  await clock.advance(1000)
  await canceller.close()
  t.match(await waiting, { batch: { status: 'cancelling' } })
  t.equal(closed, 1, 'the forwarder closes its connections')
  t.equal(clock.timers, 0)
  await t.rejects(canceller.cancel(CALL), new FST_BATCH_CANCEL_CLOSED())
})

t.test('close resolves when running cancels are done, and only then closes connections', async t => {
  const events: string[] = []
  let finish = () => {}
  const running = new Promise<void>(resolve => { finish = resolve })
  const canceller = createBatchCanceller({
    forward: {
      async cancel () {
        await running
        events.push('cancelled')
        return BATCH
      },
      retrieve: async () => { throw new Error('Nothing is read after closing.') },
      close: () => { events.push('connections closed') }
    }
  })
  const result = canceller.cancel({ ...CALL, wait: 600_000 })
  const closing = canceller.close().then(() => { events.push('closed') })
  // Whatever does not wait for the cancel is done by then.
  for (let turn = 0; turn < 10; turn++) await setImmediate()
  t.strictSame(events, [])
  finish()
  await closing
  t.strictSame(events, ['cancelled', 'connections closed', 'closed'])
  t.match(await result, { batch: BATCH }, 'a wait that would begin after closing does not')
})

t.test('a call that cannot be prepared in time was not sent', async t => {
  const clock = manualClock()
  const canceller = withClock(clock, {
    timeout: 1000,
    forward: { cancel: async () => BATCH, prepare: () => new Promise(() => {}) }
  })
  const refused = t.rejects(canceller.cancel(CALL), {
    code: 'upstream_timeout',
    message: 'The call could not be prepared in time. Nothing was sent; it is safe to repeat the call.',
    attempts: 0
  })
  await clock.run(1000)
  await refused
})

t.test('a batch that nothing shows has the headers of the response that accepted the cancel', async t => {
  const canceller = createBatchCanceller({
    forward: {
      cancel: async () => ({ batch: null, headers: { 'x-request-id': 'req-1' } }),
      retrieve: async () => { throw new ProviderError(403, { message: 'No.' }) }
    }
  })
  t.match(await canceller.cancel(CALL), { source: 'assumed', headers: { 'x-request-id': 'req-1' } })
})

t.test('one canceller for the route and for code', async t => {
  const reads: string[] = []
  const clock = manualClock()
  let status: Batch['status'] = 'cancelling'
  const canceller = withClock(clock, {
    forward: {
      cancel: async () => BATCH,
      async retrieve ({ batchId }) {
        reads.push(batchId)
        return batch({ status })
      },
      shareKey: ({ batchId }) => batchId
    }
  })
  const app = await build(t, { canceller, defaultProvider: 'x' })
  const response = cancel(app, { headers: { prefer: 'wait=60' } })
  const fromCode = canceller.cancel({ ...CALL, wait: 60_000 })
  await app.ready()
  await clock.advance(1500)
  status = 'cancelled'
  await clock.advance(60_000)
  t.match((await response).json(), { status: 'cancelled' })
  t.match(await fromCode, { batch: { status: 'cancelled' } })
  t.equal(reads.length, 2, 'they share a poller')
  await app.close()
  t.match(
    await canceller.cancel(CALL),
    { batch: { status: 'cancelling' } },
    'the app does not close a canceller of the host'
  )
  await canceller.close()
})

t.test('options of the canceller are checked', async t => {
  const forward = async () => BATCH
  for (const { options, message } of [
    {
      options: { forward: 5 },
      message: 'createBatchCanceller({ forward }) must be a function or an object with a function cancel.'
    },
    {
      options: {},
      message: 'createBatchCanceller({ forward }) must be a function or an object with a function cancel.'
    },
    {
      options: { forward: { cancel: forward, retreive: forward } },
      message: /^Unknown option 'retreive' in createBatchCanceller\(\{ forward \}\)\. Did you mean 'retrieve'\?/
    },
    {
      options: { forward, timeout: 0 },
      message: 'createBatchCanceller({ timeout }) must be whole milliseconds from 1 to 2147483647.'
    }
  ] as Array<{ options: BatchCancellerOptions, message: string }>) {
    t.throws(() => createBatchCanceller(options), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message }, String(message))
  }
  const canceller = createBatchCanceller({ forward })
  for (const { options, message } of [
    { options: { canceller: {} }, message: 'options.canceller must be made by createBatchCanceller().' },
    {
      options: { canceller, timeout: 5 },
      message: 'options.canceller, options.timeout exclude each other: set timeout in createBatchCanceller().'
    },
    { options: { forward, retrieve: true }, message: 'options.retrieve needs a forwarder with a retrieve function.' }
  ]) await t.rejects(build(t, options as never), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message }, message)
})

t.test('seconds in place of milliseconds cause a warning', async t => {
  const warnings: Array<Error & { code?: string }> = []
  const listen = (warning: Error) => { warnings.push(warning) }
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  const forward = async () => BATCH
  await build(t, { forward, timeout: 30, maxWait: 600 })
  createBatchCanceller({ forward, timeout: 1000, maxWait: 0 })
  createBatchCanceller({ forward })
  await setImmediate()
  const code = 'FST_BATCH_CANCEL_MILLISECONDS'
  t.match(warnings.filter(warning => warning.code === code), [
    {
      name: 'FastifyWarning',
      message: 'timeout is in milliseconds, and 30 of them are less than a second: write 30_000 for 30 seconds.'
    },
    { message: 'maxWait is in milliseconds, and 600 of them are less than a second: write 600_000 for 600 seconds.' }
  ])
  t.equal(warnings.filter(warning => warning.code === code).length, 2)
})

t.test('durations do not follow the wall clock', async t => {
  for (const jump of [-3_600_000, 3_600_000]) {
    const clock = manualClock()
    const start = clock.now()
    const canceller = withClock(clock, { forward: () => new Promise(() => {}), timeout: 3000 })
    const stalled = canceller.cancel(CALL).catch((error: BatchCancelError | ProviderError) => error)
    clock.setWallClock(jump)
    await clock.run(60_000)
    t.match(await stalled, { code: 'upstream_timeout' })
    t.ok(clock.now() - start <= 3000, `${clock.now() - start} ms, set by ${jump} ms`)

    const waiting = withClock(clock, { forward: { cancel: async () => BATCH, retrieve: async () => BATCH } })
    const before = clock.now()
    const waited = waiting.cancel({ ...CALL, wait: 4000 })
    await clock.advance(500)
    clock.setWallClock(jump)
    await clock.run(60_000)
    await waited
    t.equal(clock.now() - before, 4000, 'a wait')
  }
  const before = systemClock.now()
  const date = Date.now
  Date.now = () => date() - 3_600_000
  t.teardown(() => { Date.now = date })
  t.ok(systemClock.now() >= before, 'the clock of calls is monotonic')
  t.ok(Math.abs(systemClock.date() - Date.now()) < 1000, 'dates follow the wall clock')
})

t.test('log: a line for each call', async t => {
  const lines: object[] = []
  const line = (level: string) => (details: object, msg: string) => { lines.push({ level, msg, ...details }) }
  const clock = manualClock()
  const canceller = withClock(clock, {
    forward: {
      async cancel ({ batchId }) {
        await clock.sleep(250)
        if (batchId === 'batch_1') return BATCH
        throw new ProviderError(batchId === 'broken' ? 501 : 403, { message: 'no' })
      }
    }
  })
  const run = async (batchId: string, log: CallLog) => {
    const running = canceller.cancel({ ...CALL, batchId, log }).catch(() => {})
    await clock.advance(250)
    await running
  }
  const log = { info: line('info'), warn: line('warn'), error: line('error') }
  await run('batch_1', log)
  await run('denied', log)
  await run('broken', log)
  const call = { operation: 'cancel', provider: 'x', duration: 250 }
  t.match(lines, [
    { ...call, level: 'info', msg: 'the cancel succeeded', batchId: 'batch_1', outcome: 'cancelling', status: 200 },
    { ...call, level: 'info', msg: 'the batch was not cancelled', batchId: 'denied', outcome: null, status: 403 },
    { ...call, level: 'error', msg: 'the batch was not cancelled', outcome: 'upstream_error', status: 501 }
  ])
  t.equal(lines.length, 3)

  const { info: _info, ...withoutInfo } = log
  await run('batch_1', withoutInfo)
  await run('batch_1', { ...log, isLevelEnabled: level => level !== 'info' })
  await run('denied', withoutInfo)
  t.equal(lines.length, 3, 'but not for a level that the log does not have or write')
})
