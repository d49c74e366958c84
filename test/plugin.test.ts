import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import batchCancel, { BatchCancelError, fastifyBatchCancel, forwardToProviders, openai, type Batch, type BatchCall, type FastifyBatchCancelOptions } from '../lib/index.js'
import { BATCH, batch, build, cancel } from './support/app.js'
import { breaches } from './support/document.js'

const forward = async () => BATCH

t.test('one line is enough', async t => {
  const app = await build(t, {})
  t.ok(app.hasPlugin('fastify-batch-cancel'))
  t.ok(app.hasRoute({ method: 'POST', url: '/v1/batches/:id/cancel' }))
  t.equal(fastifyBatchCancel, batchCancel)
})

t.test('answers with the batch of the hook, and says where it comes from', async t => {
  let seen: BatchCall | undefined
  let aborted: boolean | undefined
  const app = await build(t, { forward: async call => { seen = call; aborted = call.signal.aborted; return batch({ ...BATCH, extra: 1.5 } as Batch) } })
  const response = await cancel(app, { id: 'a/b c', headers: { 'x-portkey-provider': 'my-own', 'x-portkey-trace-id': 't-1' } })
  t.match(response, { statusCode: 200, headers: { 'x-portkey-provider': 'my-own', 'x-portkey-trace-id': 't-1', 'x-batch-source': 'provider', 'x-portkey-retry-attempt-count': '0', 'x-request-id': /^req-/ } })
  t.strictSame(response.json(), { ...BATCH, extra: 1.5 })
  t.strictSame(breaches(response), [])
  t.match(seen, { batchId: 'a/b c', provider: 'my-own', headers: { 'x-portkey-trace-id': 't-1' }, request: { method: 'POST' }, signal: AbortSignal })
  t.strictSame([aborted, seen?.signal.aborted], [false, true], 'the signal aborts when the operation is over')
})

t.test('each option that cannot work is refused at registration, in one sentence', async t => {
  const bad: Array<[unknown, string | RegExp]> = [
    [{ forward: 5 }, 'options.forward should be a function or an object with a function cancel.'],
    [{ forward: { retrieve: forward } }, 'options.forward should be a function or an object with a function cancel.'],
    [{ forward: { cancel: forward, retrieve: 5 } }, 'options.forward.retrieve should be a function.'],
    [{ forward: { cancel: forward, providers: {} } }, 'options.forward.providers should be a Map of providers by name, in 1 to 128 visible ASCII characters.'],
    [{ defaultProvider: '' }, 'options.defaultProvider should be the name of a provider.'],
    [{ defaultProvider: 'opnai' }, /^options\.defaultProvider should be one of openai, groq, /],
    [{ defaultProvider: 'fireworks-ai' }, 'options.defaultProvider should not be \'fireworks-ai\': Its only way to stop a batch is to delete the job and its record.'],
    [{ timeout: 0 }, 'options.timeout should be whole milliseconds from 1 to 2147483647.'],
    [{ timeout: '30' }, 'options.timeout should be whole milliseconds from 1 to 2147483647.'],
    [{ maxWait: -1 }, 'options.maxWait should be whole milliseconds from 0 to 2147483647.'],
    [{ forward: { cancel: forward, shareKey: 'k' } }, 'options.forward.shareKey should be a function.'],
    [{ forward: { cancel: forward, providers: new Map([['ü', {}]]) } }, 'options.forward.providers should be a Map of providers by name, in 1 to 128 visible ASCII characters.'],
    [{ onCancelled: true }, 'options.onCancelled should be a function.'],
    [{ defaultprovider: 'openai' }, 'options.defaultprovider is no option; these are: forward, defaultProvider, timeout, maxWait, routeOptions, onCancelled.'],
    [{ routeOptions: [] }, 'options.routeOptions should be an object.'],
    [{ routeOptions: { handler: forward } }, /^options\.routeOptions\.handler is no option; these are: onRequest, /],
    [{ routeOptions: { errorHandler: forward } }, /^options\.routeOptions\.errorHandler is no option/],
    [{ routeOptions: { onRequest: 'auth' } }, 'options.routeOptions.onRequest should be a function or an array of functions.'],
    [{ routeOptions: { preHandler: [forward, 'auth'] } }, 'options.routeOptions.preHandler should be a function or an array of functions.'],
    [{ routeOptions: { bodyLimit: 0 } }, 'options.routeOptions.bodyLimit should be a whole number of bytes from 1.'],
    [{ routeOptions: { logLevel: 1 } }, 'options.routeOptions.logLevel should be a string.'],
    [{ routeOptions: { schema: { response: {} } } }, /^options\.routeOptions\.schema\.response is no option/],
    [{ routeOptions: { schema: { tags: 'Batch' } } }, 'options.routeOptions.schema.tags should be an array of strings.'],
    [{ routeOptions: { schema: { security: ['bearer'] } } }, 'options.routeOptions.schema.security should be an array of objects of arrays of strings.'],
    [{ routeOptions: { schema: { hide: 'yes' } } }, 'options.routeOptions.schema.hide should be a boolean.']
  ]
  for (const [options, message] of bad) {
    const app = Fastify()
    await t.rejects(async () => { await app.register(batchCancel, options as FastifyBatchCancelOptions) }, { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: message as string }, JSON.stringify(options))
  }
})

t.test('each option of forwardToProviders and of a provider, too', async t => {
  for (const [make, message] of [
    [() => forwardToProviders({ providers: [] as never }), 'providers should be an object of providers by name.'],
    [() => forwardToProviders({ providers: { mine: {} as never } }), 'providers[\'mine\'] should be a provider, such as openai() makes one.'],
    [() => forwardToProviders({ trustedHosts: 'llm.example.com' as never }), 'trustedHosts should be an array of hosts.'],
    [() => forwardToProviders({ trustedHosts: ['ftp://llm.example.com'] }), /^trustedHosts should hold hosts such as/],
    [() => forwardToProviders({ trustedHosts: ['llm.example.com/v1'] }), /'llm.example.com\/v1' is neither\.$/],
    [() => forwardToProviders({ trustedHosts: [5 as never] }), /'5' is neither\.$/],
    [() => openai({ baseUrl: 'ftp://llm.example.com' }), /^openai\(\{ baseUrl \}\) should be a function or an http or https URL/],
    [() => openai({ baseUrl: 'https://key@llm.example.com' }), /^openai\(\{ baseUrl \}\)/],
    [() => openai({ baseUrl: 5 as never }), /^openai\(\{ baseUrl \}\)/],
    [() => openai({ apiKey: '' }), 'openai({ apiKey }) should be a function or a string of visible ASCII characters.'],
    [() => openai({ apiKey: 'two words' }), /^openai\(\{ apiKey \}\)/],
    [() => openai({ apiKey: 5 as never }), /^openai\(\{ apiKey \}\)/]
  ] as Array<[() => unknown, string | RegExp]>) t.throws(make, { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: message as string }, String(message))
})

t.test('the host stays as it is, and does not reach into the route', async t => {
  const hosts: Record<string, (app: FastifyInstance) => void> = {
    'an error handler': app => { app.setErrorHandler((error: Error, _request, reply) => reply.code(418).send({ host: error.message })) },
    'a JSON parser': app => {
      app.removeContentTypeParser('application/json')
      app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, _body, done) => done(null, { host: 'parsed' }))
    },
    'compilers that refuse our schemas': app => {
      app.setValidatorCompiler(({ schema }) => { if ('properties' in (schema as object)) throw new Error('no TypeBox here'); return () => true })
      app.setSerializerCompiler(() => { throw new Error('no JSON Schema here') })
    },
    'a formatter of schema errors': app => { app.setSchemaErrorFormatter(() => new Error('host')) },
    'a serializer of its own': app => { app.setReplySerializer(() => '"host"') },
    'a preSerialization hook': app => { app.addHook('preSerialization', async () => ({ host: true })) },
    'a schema of the same name': app => { app.addSchema({ $id: 'Batch', type: 'string' }) },
    'a decorator': app => { app.decorateRequest('batch', null) }
  }
  for (const [what, prepare] of Object.entries(hosts)) {
    const app = Fastify({ ajv: { customOptions: { removeAdditional: 'all', coerceTypes: 'array', useDefaults: true } } })
    t.teardown(() => app.close())
    prepare(app)
    let authorization: unknown
    await app.register(batchCancel, { prefix: '/llm', defaultProvider: 'x', forward: async ({ headers }) => { authorization = headers.authorization; return batch({ id: 'b', more: { deep: 1.25 } } as Partial<Batch>) } })

    const ok = await cancel(app, { prefix: '/llm', headers: { authorization: 'Bearer k', 'content-type': 'application/json' } })
    t.match(ok, { statusCode: 200, headers: { 'content-type': 'application/json; charset=utf-8' } }, what)
    t.match(ok.json(), { id: 'b', more: { deep: 1.25 } }, what)
    t.equal(authorization, 'Bearer k', what)
    const bad = await cancel(app, { id: '\u0001', prefix: '/llm' })
    t.match(bad.json(), { error: { code: 'invalid_batch_id' } }, what)
    t.strictSame([...breaches(ok), ...breaches(bad)], [], what)
  }

  const app = Fastify()
  t.teardown(() => app.close())
  hosts['an error handler']?.(app)
  hosts['a JSON parser']?.(app)
  await app.register(batchCancel, { forward })
  app.post('/host', async ({ body }) => body)
  app.post('/fails', async () => { throw new Error('mine') })
  t.strictSame((await app.inject({ method: 'POST', url: '/host', payload: { a: 1 } })).json(), { host: 'parsed' }, 'the host\'s parser still parses')
  t.match(await app.inject({ method: 'POST', url: '/fails' }), { statusCode: 418, body: '{"host":"mine"}' }, 'the host\'s error handler still handles')
  t.notOk(app.getSchema('fastify-batch-cancel/Batch'), 'no schema leaks')
})

t.test('two registrations live side by side, in one document', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'host', version: '1' }, components: { securitySchemes: { own: { type: 'http', scheme: 'basic' } } } } })
  await app.register(batchCancel, { prefix: '/a', forward: async () => batch({ id: 'a' }), defaultProvider: 'x' })
  await app.register(batchCancel, { prefix: '/b', forward: async () => batch({ id: 'b' }), defaultProvider: 'x', routeOptions: { schema: { operationId: 'cancelB', tags: ['Mine'], security: [{ own: [] }], summary: 'Stop', description: 'Stops.' } } })
  await app.register(batchCancel, { prefix: '/c', forward: async () => batch({ id: 'c' }), routeOptions: { schema: { hide: true } } })
  await app.ready()
  t.match((await cancel(app, { prefix: '/a' })).json(), { id: 'a' })
  t.match((await cancel(app, { prefix: '/b' })).json(), { id: 'b' })
  const { paths = {} } = JSON.parse(JSON.stringify(app.swagger()))
  t.strictSame(Object.keys(paths), ['/a/v1/batches/{id}/cancel', '/b/v1/batches/{id}/cancel'])
  t.match(paths['/a/v1/batches/{id}/cancel'].post, { operationId: 'cancelBatch', tags: ['Batch'] })
  t.match(paths['/b/v1/batches/{id}/cancel'].post, { operationId: 'cancelB', tags: ['Mine'], security: [{ own: [] }], summary: 'Stop', description: 'Stops.' })
})

t.test('the document asks for a provider only where there is no default', async t => {
  const parameterOf = async (options: FastifyBatchCancelOptions) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'host', version: '1' } } })
    await app.register(batchCancel, options)
    await app.ready()
    const { paths } = JSON.parse(JSON.stringify(app.swagger()))
    return paths['/v1/batches/{id}/cancel'].post.parameters.find(({ name }: { name: string }) => name === 'x-portkey-provider')
  }
  t.match(await parameterOf({}), { required: true, example: 'openai', schema: { enum: ['openai', 'groq'] } })
  t.match(await parameterOf({ defaultProvider: 'groq' }), { required: false, example: 'groq' })
  t.match(await parameterOf({ forward }), { required: true, example: 'openai', schema: { minLength: 1 } })
})

t.test('the host\'s hooks run, in their order, and their errors keep status and headers', async t => {
  const order: string[] = []
  const note = (name: string) => async () => { order.push(name) }
  const app = await build(t, {
    defaultProvider: 'x',
    forward: async () => { order.push('cancel'); return BATCH },
    routeOptions: { onRequest: note('onRequest'), preValidation: [note('preValidation')], preHandler: note('preHandler'), onSend: note('onSend'), onResponse: note('onResponse'), config: { mine: true }, logLevel: 'silent', bodyLimit: 10, constraints: {} }
  })
  await cancel(app)
  t.strictSame(order, ['onRequest', 'preValidation', 'preHandler', 'cancel', 'onSend', 'onResponse'])
  order.length = 0
  t.equal((await cancel(app, { id: '\u0001' })).statusCode, 400)
  t.notOk(order.includes('preHandler'), 'a preHandler sees only calls that can be carried out')
  t.match(await cancel(app, { payload: 'x'.repeat(11) }), { statusCode: 413 })

  const refusing = (refuse: (reply: { header: (name: string, value: string) => unknown, code: (status: number) => unknown }) => unknown) => build(t, { forward, routeOptions: { onRequest: async (_request, reply) => { throw refuse(reply) } } })
  for (const [refuse, expected] of [
    [() => Object.assign(new Error('Log in'), { statusCode: 401, code: 'AUTH' }), { statusCode: 401, error: { message: 'Log in', type: 'invalid_request_error', code: 'AUTH' } }],
    [reply => { reply.header('retry-after', '7'); return Object.assign(new Error('Slow down'), { statusCode: 429 }) }, { statusCode: 429, headers: { 'retry-after': '7' }, error: { message: 'Slow down', code: null } }],
    [reply => { reply.code(403); return new Error('Not you') }, { statusCode: 403, error: { message: 'Not you' } }],
    [() => Object.assign(new Error('Under pressure'), { statusCode: 503 }), { statusCode: 503, error: { message: 'Under pressure', type: 'server_error' } }],
    [() => new Error('password is hunter2'), { statusCode: 500, error: { message: 'Internal error', code: 'internal_error' } }],
    [() => Object.assign(new Error('odd'), { statusCode: 200 }), { statusCode: 500, error: { message: 'Internal error' } }],
    [() => null, { statusCode: 500, error: { message: 'Internal error' } }],
    [() => 'text', { statusCode: 500, error: { message: 'Internal error' } }],
    [() => new BatchCancelError('missing_credentials', 'No key'), { statusCode: 401, error: { message: 'No key', code: 'missing_credentials' } }]
  ] as Array<[Parameters<typeof refusing>[0], { statusCode: number, headers?: object, error: object }]>) {
    const response = await cancel(await refusing(refuse))
    const { error, ...expectedHead } = expected
    t.match(response, expectedHead, JSON.stringify(error))
    t.match(response.json(), { error })
    t.strictSame(breaches(response), [])
  }
})

t.test('an id of the host\'s that no header can carry is replaced by one of our own', async t => {
  const OWN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
  const idsOf = async (id: unknown, headers = {}) => {
    const app = await build(t, { defaultProvider: 'x', forward }, { genReqId: () => id as string })
    const [ok, bad] = [await cancel(app, { headers }), await cancel(app, { id: '\u0001', headers })]
    t.strictSame([ok.statusCode, bad.statusCode], [200, 400])
    t.strictSame([...breaches(ok), ...breaches(bad)], [])
    return [ok, bad].map(response => [response.headers['x-request-id'], response.headers['x-portkey-trace-id']])
  }
  for (const id of ['\n', 'a\r\nset-cookie: a=b', 'ü', 'a b', '', 'x'.repeat(129), 'x'.repeat(10_000), { a: 1 }, Object.create(null), Symbol('id'), null, undefined]) {
    for (const [requestId, traceId] of await idsOf(id)) {
      t.match(requestId, OWN)
      t.equal(traceId, requestId, 'one for both')
    }
  }
  for (const id of ['req-1', '~!x', 'x'.repeat(128), 7]) t.strictSame(await idsOf(id), [[String(id), String(id)], [String(id), String(id)]])
  for (const [requestId, traceId] of await idsOf('\n', { 'x-portkey-trace-id': 't-1' })) {
    t.match(requestId, OWN)
    t.equal(traceId, 't-1')
  }
})

t.test('onCancelled hears of every cancel that the provider accepted, and cannot break one', async t => {
  const heard: unknown[] = []
  const logged: string[] = []
  const logger = { level: 'error', stream: { write: (line: string) => { logged.push(JSON.parse(line).err.message) } } }
  let status: Batch['status'] | Error = 'cancelling'
  const app = await build(t, {
    defaultProvider: 'x',
    forward: {
      async cancel () { if (status instanceof Error) throw status; return batch({ status }) },
      retrieve: async () => batch({ status: 'cancelling' })
    },
    onCancelled: async (call, { id }) => { heard.push([call.batchId, id]); throw new Error('billing is down') }
  }, { logger })
  t.equal((await cancel(app)).statusCode, 200)
  t.strictSame(heard, [['batch_1', 'batch_1']])
  t.strictSame(logged, ['billing is down'])
  status = 'completed'
  t.equal((await cancel(app)).statusCode, 409)
  status = Object.assign(new Error('already'), { status: 409 })
  t.equal((await cancel(app)).statusCode, 200, 'it was cancelling already')
  t.equal(heard.length, 1)

  const quiet = await build(t, { defaultProvider: 'x', forward, onCancelled: ({ batchId }) => { heard.push(batchId) } }, { logger })
  t.equal((await cancel(quiet)).statusCode, 200)
  t.strictSame([heard.length, heard.at(-1), logged.length], [2, 'batch_1', 1])

  const sync = await build(t, { defaultProvider: 'x', forward, onCancelled: () => { throw new Error('at once') } }, { logger })
  t.equal((await cancel(sync)).statusCode, 200)
  t.strictSame(logged.at(-1), 'at once')
})

t.test('a forwarder of one\'s own that tells what it serves', async t => {
  const app = await build(t, { forward: { cancel: forward, providers: new Map([['x', { id: /^batch_/, headers: { 'x-tier': Type.Literal('a') } }]]) } })
  t.match((await cancel(app, { headers: { 'x-portkey-provider': 'x', 'x-tier': 'a' } })), { statusCode: 200 })
  t.match((await cancel(app, { headers: { 'x-portkey-provider': 'x', 'x-tier': 'b' } })).json(), { error: { code: 'invalid_header', message: 'Header \'x-tier\' is not valid.' } })
  t.match((await cancel(app, { id: 'job', headers: { 'x-portkey-provider': 'x' } })).json(), { error: { code: 'invalid_batch_id' } })
  t.match((await cancel(app, { headers: { 'x-portkey-provider': 'y' } })).json(), { error: { message: 'There is no provider \'y\' here; these are: x.' } })
  const untold = await build(t, { forward })
  t.match((await cancel(untold)).json(), { error: { code: 'missing_provider', message: 'Name the provider that holds the batch in the header x-portkey-provider.' } })
})

t.test('the types catch the mistakes people make', async t => {
  // @ts-expect-error a forwarder needs cancel
  await t.rejects(async () => { await Fastify().register(batchCancel, { forward: { retrieve: async () => BATCH } }) })
  // @ts-expect-error the handler is not the host's to set
  await t.rejects(async () => { await Fastify().register(batchCancel, { routeOptions: { handler: async () => BATCH } }) })
  // @ts-expect-error a batch has a status
  const wrong: FastifyBatchCancelOptions = { forward: async () => ({ id: 'b' }) }
  t.ok(wrong)
})
