import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import t from 'tap'
import sandbox, { batchSandbox } from '../../lib/sandbox/index.js'
import { WINDOW_MS } from '../../lib/sandbox/job.js'
import { VALIDATING_MS } from '../../lib/sandbox/run-batch.js'
import { PREFIX, createClock, jsonl, lines, openApp } from '../support/sandbox-app.js'

t.test('the parsers, errors, unknown paths and document of the host stay as they are', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger)
  app.setErrorHandler((_error, _request, reply) => reply.code(418).send({ host: true }))
  app.register(sandbox, { prefix: PREFIX })
  app.post('/echo', async ({ body }) => body)
  await app.ready()
  t.same((await app.inject({ method: 'POST', url: '/echo', payload: { a: 1 } })).json(), { a: 1 })
  const headers = { 'content-type': 'application/json' }
  t.equal((await app.inject({ method: 'POST', url: '/echo', payload: '{', headers })).statusCode, 418)
  t.match((await app.inject('/nowhere')).json(), { statusCode: 404, error: 'Not Found' })
  t.same(Object.keys(app.swagger().paths ?? {}), ['/echo'])
  t.ok(app.hasPlugin('fastify-batch-cancel/sandbox'))
  t.equal(sandbox, batchSandbox)
})

t.test('errors of the hooks of the host keep their status', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const thrown: Record<string, (reply: { code (status: number): unknown }) => unknown> = {
    nothing: () => null,
    text: () => 'text',
    status: () => Object.assign(new Error('Not you'), { statusCode: 403 }),
    reply (reply) {
      reply.code(401)
      return new Error('Who?')
    }
  }
  app.addHook('onRequest', async ({ headers }, reply) => { throw thrown[String(headers['x-throw'])]?.(reply) })
  app.register(sandbox, { prefix: PREFIX })
  const serverError = 'The server had an error while processing your request.'
  const cases = [
    { name: 'nothing', status: 500, message: serverError, type: 'server_error' },
    { name: 'text', status: 500, message: serverError, type: 'server_error' },
    { name: 'status', status: 403, message: 'Not you', type: 'invalid_request_error' },
    { name: 'reply', status: 401, message: 'Who?', type: 'invalid_request_error' }
  ]
  for (const { name, status, message, type } of cases) {
    const response = await app.inject({ url: PREFIX + '/batches', headers: { 'x-throw': name } })
    t.equal(response.statusCode, status, name)
    t.same(response.json(), { error: { message, type, param: null, code: null } }, name)
  }
})

for (const prefix of [undefined, '/']) {
  t.test(`unknown paths stay the host's if the prefix is ${prefix}`, async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.setNotFoundHandler((_request, reply) => reply.code(404).send('host'))
    app.register(async scope => { scope.register(sandbox, prefix === undefined ? {} : { prefix }) })
    t.equal((await app.inject('/batches/batch_abc123')).json().id, 'batch_abc123')
    t.equal((await app.inject('/nowhere')).payload, 'host')
  })
}

t.test('options are checked at registration', async t => {
  const clock = 'options.clock should be an object with the functions now and sleep.'
  const latency = 'options.latency should be a number of milliseconds from 0 to 2147483647.'
  const concurrency = 'options.concurrency should be a whole number from 1.'
  const unknown = (name: string) =>
    `Unknown option '${name}' in sandbox options. Valid options: clock, latency, concurrency.`
  const cases: Array<{ options: object, message: string }> = [
    { options: { clock: null }, message: clock },
    { options: { clock: { now: Date.now } }, message: clock },
    { options: { latency: -1 }, message: latency },
    { options: { latency: '400' }, message: latency },
    { options: { latency: 2 ** 31 }, message: latency },
    { options: { latency: NaN }, message: latency },
    { options: { concurrency: 0 }, message: concurrency },
    { options: { concurrency: 1.5 }, message: concurrency },
    { options: { delay: 1 }, message: unknown('delay') },
    { options: { constructor: 1 }, message: unknown('constructor') }
  ]
  for (const { options, message } of cases) {
    const app = Fastify()
    const error = await app.register(sandbox, options).then(() => null, (error: unknown) => error)
    t.match(error, { code: 'FST_BATCH_SANDBOX_INVALID_OPTION' }, JSON.stringify(options))
    t.equal((error as Error).message, message)
    t.ok(error instanceof TypeError)
  }
})

t.test('an option that is undefined has its default', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const options = { clock: undefined, latency: undefined, concurrency: undefined } as object
  app.register(sandbox, { ...options, prefix: PREFIX, logLevel: 'error' })
  t.equal((await app.inject(PREFIX + '/batches/batch_abc123')).statusCode, 200)
})

t.test('no timer keeps the process alive', async t => {
  const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(sandbox)
  await app.ready()
  const before = timers()
  t.match((await app.inject({ method: 'POST', url: '/batches/batch_in_progress/cancel' })).json(), {
    status: 'cancelling'
  })
  t.equal(timers(), before)
})

t.test('nothing runs after close', async t => {
  const clock = createClock()
  let sleeps = 0
  const sleep = (ms: number) => {
    sleeps += 1
    return clock.sleep(ms)
  }
  const { app, create, upload } = await openApp(t, { clock: { now: clock.now, sleep } })
  await create(await upload(jsonl(lines(10))))
  await clock.advance(VALIDATING_MS)
  const before = sleeps
  t.equal(before, 4, 'it was running')
  await app.close()
  await clock.advance(WINDOW_MS)
  t.equal(sleeps, before)
})

t.test('an error of the clock is logged, and nothing else fails', async t => {
  const logged: string[] = []
  const app = Fastify({ logger: { level: 'error', stream: { write: (text) => { logged.push(text) } } } })
  t.teardown(() => app.close())
  app.register(sandbox, { clock: { now: Date.now, sleep: async () => { throw new Error('No time') } } })
  await app.inject({ method: 'POST', url: '/batches/batch_in_progress/cancel' })
  t.match(logged, [/No time/])
})
