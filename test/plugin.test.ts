import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import batchCancel, {
  BatchCancelError,
  fastifyBatchCancel,
  type Batch,
  type BatchCall,
  type FastifyBatchCancelOptions
} from '../lib/index.js'
import { BATCH, batch, buildWithoutPauses, cancel } from './support/app.js'
import { violations } from './support/document.js'

const forward = async () => BATCH

t.test('one line registers the route', async t => {
  const app = await buildWithoutPauses(t, {})
  t.ok(app.hasPlugin('fastify-batch-cancel'))
  t.ok(app.hasRoute({ method: 'POST', url: '/v1/batches/:id/cancel' }))
  t.equal(fastifyBatchCancel, batchCancel)
})

t.test('returns the batch of the forwarder and where it comes from', async t => {
  let seen: BatchCall | undefined
  let aborted: boolean | undefined
  const app = await buildWithoutPauses(t, {
    forward: async call => {
      seen = call
      aborted = call.signal.aborted
      return batch({ id: call.batchId, extra: 1.5 } as Partial<Batch>)
    }
  })
  const response = await cancel(app, {
    id: 'a/b c',
    headers: { 'x-portkey-provider': 'my-own', 'x-portkey-trace-id': 't-1' }
  })
  t.match(response, {
    statusCode: 200,
    headers: {
      'x-portkey-provider': 'my-own',
      'x-portkey-trace-id': 't-1',
      'x-batch-source': 'provider',
      'x-portkey-retry-attempt-count': '0',
      'x-request-id': /^req-/
    }
  })
  t.strictSame(response.json(), { ...BATCH, id: 'a/b c', extra: 1.5 })
  t.strictSame(violations(response), [])
  t.match(seen, {
    batchId: 'a/b c',
    provider: 'my-own',
    headers: { 'x-portkey-trace-id': 't-1' },
    request: { method: 'POST' },
    signal: AbortSignal
  })
  t.strictSame([aborted, seen?.signal.aborted], [false, true], 'the signal aborts at the end of the call')
})

/** Without one of these, clients' tokens would go to the providers that clients name, or a rule would be dropped. */
const UNSET = ['forward', 'canceller', 'allow', 'portkeyConfig'].map((name): [unknown, RegExp] =>
  [{ [name]: undefined }, new RegExp(`^options\\.${name} is present but undefined: it must be [a-z].*\\. Leave it out`)])

t.test('each invalid option is refused at registration, in one sentence', async t => {
  const bad: Array<[unknown, string | RegExp]> = [
    [{ forward: 5 }, 'options.forward must be a function or an object with a function cancel.'],
    [{ forward: { retrieve: forward } }, 'options.forward must be a function or an object with a function cancel.'],
    [{ forward: { cancel: forward, retrieve: 5 } }, 'options.forward.retrieve must be a function.'],
    [
      { forward: { cancel: forward, providers: {} } },
      'options.forward.providers must be a Map of provider traits by name (1 to 128 visible ASCII characters), with at ' +
        'least one.'
    ],
    [
      { defaultProvider: '' },
      'options.defaultProvider must be the name of a provider, or a function of the call that returns one.'
    ],
    [{ defaultProvider: 'opnai' }, /^options\.defaultProvider must be one of openai, groq, .* Did you mean 'openai'\?$/],
    [{ defaultProvider: 'mine' }, /^options\.defaultProvider must be one of openai, [^?]*\.$/],
    [{ defaultProvider: 'azure' }, / Did you mean 'azure-openai'\?$/],
    [
      { defaultProvider: 'fireworks-ai' },
      'options.defaultProvider must not be \'fireworks-ai\': its only way to stop a batch is to delete the ' +
        'job and its record.'
    ],
    [{ timeout: 0 }, 'options.timeout must be whole milliseconds from 1 to 2147483647.'],
    [{ timeout: '30' }, 'options.timeout must be whole milliseconds from 1 to 2147483647.'],
    [{ maxWait: -1 }, 'options.maxWait must be whole milliseconds from 0 to 2147483647.'],
    [{ forward: { cancel: forward, shareKey: 'k' } }, 'options.forward.shareKey must be a function.'],
    [
      { forward: { cancel: forward, providers: new Map([['ü', {}]]) } },
      'options.forward.providers must be a Map of provider traits by name (1 to 128 visible ASCII characters), with at ' +
        'least one.'
    ],
    [{ forward: { cancel: forward, providers: new Map() } }, /, with at least one\.$/],
    [{ onCancelled: true }, 'options.onCancelled must be a function.'],
    [
      { defaultprovider: 'openai' },
      'Unknown option \'defaultprovider\' in options. Did you mean \'defaultProvider\'? Valid options: forward, ' +
        'canceller, retrieve, defaultProvider, timeout, maxWait, routeOptions, allow, portkeyConfig, onCancelled.'
    ],
    [{ routeOptions: [] }, 'options.routeOptions must be an object.'],
    [
      { routeOptions: { handler: forward } },
      /^Unknown option 'handler' in options\.routeOptions\. Valid options: onRequest, /
    ],
    [{ routeOptions: { errorHandler: forward } }, /^Unknown option 'errorHandler' in options\.routeOptions\./],
    [
      { routeOptions: { onRequest: 'auth' } },
      'options.routeOptions.onRequest must be a function or an array of functions.'
    ],
    [
      { routeOptions: { preHandler: [forward, 'auth'] } },
      'options.routeOptions.preHandler must be a function or an array of functions.'
    ],
    [{ routeOptions: { bodyLimit: 0 } }, 'options.routeOptions.bodyLimit must be a whole number of bytes from 1.'],
    [
      { routeOptions: { handlerTimeout: 0.5 } },
      'options.routeOptions.handlerTimeout must be whole milliseconds from 1 to 2147483647.'
    ],
    [
      { routeOptions: { preSerialization: forward } },
      'options.routeOptions.preSerialization would never be called, since batches are sent as the text that the ' +
        'provider wrote: use onSend.'
    ],
    [{ routeOptions: { logLevel: 1 } }, 'options.routeOptions.logLevel must be a string.'],
    [{ routeOptions: { schema: { response: {} } } }, /^Unknown option 'response' in options\.routeOptions\.schema\./],
    [{ routeOptions: { schema: { tags: 'Batch' } } }, 'options.routeOptions.schema.tags must be an array of strings.'],
    [
      { routeOptions: { schema: { security: ['bearer'] } } },
      'options.routeOptions.schema.security must be an array of objects of arrays of strings.'
    ],
    [{ routeOptions: { schema: { hide: 'yes' } } }, 'options.routeOptions.schema.hide must be a boolean.'],
    ...UNSET
  ]
  for (const [options, message] of bad) {
    const app = Fastify()
    await t.rejects(
      async () => { await app.register(batchCancel, options as FastifyBatchCancelOptions) },
      { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: message as string },
      JSON.stringify(options)
    )
  }
})

t.test('called in place of being registered, it says how to register it', async t => {
  const call = batchCancel as unknown as (...args: unknown[]) => Promise<void>
  for (const args of [[], [{ forward }], [null]]) {
    t.throws(() => call(...args), {
      code: 'FST_BATCH_CANCEL_INVALID_OPTION',
      message: 'batchCancel is a plugin, not a function that returns one: ' +
        'call app.register(batchCancel, options) instead of app.register(batchCancel(options)).'
    })
  }
})

t.test('the host is not changed, and does not change the route', async t => {
  const hosts: Record<string, (app: FastifyInstance) => void> = {
    'an error handler': app => {
      app.setErrorHandler((error: Error, _request, reply) => reply.code(418).send({ host: error.message }))
    },
    'a JSON parser': app => {
      app.removeContentTypeParser('application/json')
      app.addContentTypeParser(
        'application/json',
        { parseAs: 'string' },
        (_request, _body, done) => done(null, { host: 'parsed' })
      )
    },
    'compilers that refuse our schemas': app => {
      app.setValidatorCompiler(({ schema }) => {
        if ('properties' in (schema as object)) {
          throw new Error('no TypeBox here')
        } return () => true
      })
      app.setSerializerCompiler(() => { throw new Error('no JSON Schema here') })
    },
    'a serializer compiler that refuses our schemas': app => {
      app.setSerializerCompiler(() => { throw new Error('no JSON Schema here') })
    },
    'a validator compiler for JSON Schema': app => { app.setValidatorCompiler(() => () => true) },
    'a formatter of schema errors': app => { app.setSchemaErrorFormatter(() => new Error('host')) },
    'a serializer of its own': app => { app.setReplySerializer(() => '"host"') },
    'a preSerialization hook': app => { app.addHook('preSerialization', async () => ({ host: true })) },
    'a schema of the same name': app => { app.addSchema({ $id: 'Batch', type: 'string' }) },
    'a decorator': app => { app.decorateRequest('batch', null) }
  }
  for (const [what, prepare] of Object.entries(hosts)) {
    const app = Fastify({
      ajv: { customOptions: { removeAdditional: 'all', coerceTypes: 'array', useDefaults: true } }
    })
    t.teardown(() => app.close())
    prepare(app)
    let authorization: unknown
    await app.register(batchCancel, {
      prefix: '/llm',
      defaultProvider: 'x',
      forward: async ({ headers }) => {
        authorization = headers.authorization
        return batch({ more: { deep: 1.25 } } as Partial<Batch>)
      }
    })

    const ok = await cancel(app, {
      prefix: '/llm',
      headers: { authorization: 'Bearer k', 'content-type': 'application/json' }
    })
    t.match(ok, { statusCode: 200, headers: { 'content-type': 'application/json; charset=utf-8' } }, what)
    t.match(ok.json(), { id: 'batch_1', more: { deep: 1.25 } }, what)
    t.equal(authorization, 'Bearer k', what)
    const bad = await cancel(app, { id: '\u0001', prefix: '/llm' })
    t.match(bad.json(), { error: { code: 'invalid_batch_id' } }, what)
    t.strictSame([...violations(ok), ...violations(bad)], [], what)
  }

  const app = Fastify()
  t.teardown(() => app.close())
  hosts['an error handler']?.(app)
  hosts['a JSON parser']?.(app)
  await app.register(batchCancel, { forward })
  app.post('/host', async ({ body }) => body)
  app.post('/fails', async () => { throw new Error('mine') })
  t.strictSame(
    (await app.inject({ method: 'POST', url: '/host', payload: { a: 1 } })).json(),
    { host: 'parsed' },
    'the host\'s parser still parses'
  )
  t.match(
    await app.inject({ method: 'POST', url: '/fails' }),
    { statusCode: 418, body: '{"host":"mine"}' },
    'the host\'s error handler still handles'
  )
  t.strictSame(Object.keys(app.getSchemas()), [], 'no schema leaks')
})

t.test('two registrations live side by side, in one document', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'host', version: '1' },
      components: { securitySchemes: { own: { type: 'http', scheme: 'basic' } } }
    }
  })
  await app.register(batchCancel, { prefix: '/a', forward: async () => batch({ model: 'a' }), defaultProvider: 'x' })
  await app.register(batchCancel, {
    prefix: '/b',
    forward: async () => batch({ model: 'b' }),
    defaultProvider: 'x',
    routeOptions: {
      schema: {
        operationId: 'cancelB',
        tags: ['Mine'],
        security: [{ own: [] }],
        summary: 'Stop',
        description: 'Stops.'
      }
    }
  })
  await app.register(batchCancel, {
    prefix: '/c',
    forward: async () => batch({ model: 'c' }),
    routeOptions: { schema: { hide: true } }
  })
  await app.ready()
  t.match((await cancel(app, { prefix: '/a' })).json(), { model: 'a' })
  t.match((await cancel(app, { prefix: '/b' })).json(), { model: 'b' })
  const { paths = {} } = JSON.parse(JSON.stringify(app.swagger()))
  t.strictSame(Object.keys(paths), ['/a/v1/batches/{id}/cancel', '/b/v1/batches/{id}/cancel'])
  t.match(paths['/a/v1/batches/{id}/cancel'].post, { operationId: 'cancelBatch', tags: ['Batch'] })
  t.match(paths['/b/v1/batches/{id}/cancel'].post, {
    operationId: 'cancelB',
    tags: ['Mine'],
    security: [{ own: [] }],
    summary: 'Stop',
    description: 'Stops.'
  })
})

t.test('the document requires a provider only if there is no default', async t => {
  const parameterOf = async (options: FastifyBatchCancelOptions) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'host', version: '1' } } })
    await app.register(batchCancel, options)
    await app.ready()
    const { paths } = JSON.parse(JSON.stringify(app.swagger()))
    return paths['/v1/batches/{id}/cancel'].post.parameters.find(({ name }: { name: string }) =>
      name === 'x-portkey-provider')
  }
  t.match(await parameterOf({}), { required: true, example: 'openai', schema: { enum: ['openai', 'groq'] } })
  t.match(await parameterOf({ defaultProvider: 'groq' }), { required: false, example: 'groq' })
  t.match(await parameterOf({ defaultProvider: () => 'groq' }), {
    required: false,
    example: 'openai',
    description: 'The provider that holds the batch. Without it the server chooses the provider.'
  })
  t.match(await parameterOf({ forward }), { required: true, example: 'openai', schema: { minLength: 1 } })
})

t.test('the host\'s hooks run in their order, and their errors keep status and headers', async t => {
  const order: string[] = []
  const note = (name: string) => async () => { order.push(name) }
  const app = await buildWithoutPauses(t, {
    defaultProvider: 'x',
    forward: async () => { order.push('cancel'); return BATCH },
    routeOptions: {
      onRequest: note('onRequest'),
      preParsing: async (_request, _reply, payload) => { order.push('preParsing'); return payload },
      preValidation: [note('preValidation')],
      preHandler: note('preHandler'),
      onSend: note('onSend'),
      onResponse: note('onResponse'),
      onError: note('onError'),
      config: { mine: true },
      logLevel: 'silent',
      bodyLimit: 10,
      constraints: {}
    }
  })
  await cancel(app)
  t.strictSame(order, ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'cancel', 'onSend', 'onResponse'])
  order.length = 0
  t.equal((await cancel(app, { id: '\u0001' })).statusCode, 400)
  t.ok(order.includes('onError'))
  t.notOk(order.includes('preHandler'), 'a preHandler sees only calls that can be made')
  t.match(await cancel(app, { payload: 'x'.repeat(11) }), { statusCode: 413 })

  const refusing = (refuse: (reply: {
    header: (name: string, value: string) => unknown
    code: (status: number) => unknown
  }) => unknown) =>
    buildWithoutPauses(t, { forward, routeOptions: { onRequest: async (_request, reply) => { throw refuse(reply) } } })
  for (const { refuse, expected } of [
    {
      refuse: () => Object.assign(new Error('Log in'), { statusCode: 401, code: 'AUTH' }),
      expected: { statusCode: 401, error: { message: 'Log in', type: 'invalid_request_error', code: 'AUTH' } }
    },
    {
      refuse: reply => {
        reply.header('retry-after', '7')
        return Object.assign(new Error('Slow down'), { statusCode: 429 })
      },
      expected: { statusCode: 429, headers: { 'retry-after': '7' }, error: { message: 'Slow down', code: null } }
    },
    {
      refuse: reply => { reply.code(403); return new Error('Not you') },
      expected: { statusCode: 403, error: { message: 'Not you' } }
    },
    {
      refuse: () => Object.assign(new Error('Under pressure'), { statusCode: 503 }),
      expected: { statusCode: 503, error: { message: 'Under pressure', type: 'server_error' } }
    },
    {
      refuse: () => new Error('password is hunter2'),
      expected: { statusCode: 500, error: { message: 'Internal error', code: 'internal_error' } }
    },
    {
      refuse: () => Object.assign(new Error('odd'), { statusCode: 200 }),
      expected: { statusCode: 500, error: { message: 'Internal error' } }
    },
    { refuse: () => null, expected: { statusCode: 500, error: { message: 'Internal error' } } },
    { refuse: () => 'text', expected: { statusCode: 500, error: { message: 'Internal error' } } },
    {
      refuse: () => new BatchCancelError('missing_credentials', 'No key'),
      expected: { statusCode: 401, error: { message: 'No key', code: 'missing_credentials' } }
    }
  ] as Array<{
    refuse: Parameters<typeof refusing>[0]
    expected: { statusCode: number, headers?: object, error: object }
  }>) {
    const response = await cancel(await refusing(refuse))
    const { error, ...expectedHead } = expected
    t.match(response, expectedHead, JSON.stringify(error))
    t.match(response.json(), { error })
    t.strictSame(violations(response), [])
  }
})

t.test('a request id that no header can carry is replaced', async t => {
  const OWN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
  const idsOf = async (id: unknown, headers = {}) => {
    const app = await buildWithoutPauses(t, { defaultProvider: 'x', forward }, { genReqId: () => id as string })
    const [ok, bad] = [await cancel(app, { headers }), await cancel(app, { id: '\u0001', headers })]
    t.strictSame([ok.statusCode, bad.statusCode], [200, 400])
    t.strictSame([...violations(ok), ...violations(bad)], [])
    return [ok, bad].map(response => [response.headers['x-request-id'], response.headers['x-portkey-trace-id']])
  }
  for (const id of [
    '\n',
    'a\r\nset-cookie: a=b',
    'ü',
    'a b',
    '',
    'x'.repeat(129),
    'x'.repeat(10_000),
    { a: 1 },
    Object.create(null),
    Symbol('id'),
    null,
    undefined
  ]) {
    for (const [requestId, traceId] of await idsOf(id)) {
      t.match(requestId, OWN)
      t.equal(traceId, requestId, 'one for both')
    }
  }
  for (const id of ['req-1', '~!x', 'x'.repeat(128), 7]) {
    t.strictSame(await idsOf(id), [
      [String(id), String(id)],
      [String(id), String(id)]
    ])
  }
  for (const [requestId, traceId] of await idsOf('\n', { 'x-portkey-trace-id': 't-1' })) {
    t.match(requestId, OWN)
    t.equal(traceId, 't-1')
  }
})

t.test('onCancelled is called for every cancel that the provider accepted, and cannot break one', async t => {
  const heard: unknown[] = []
  const logged: string[] = []
  const logger = { level: 'error', stream: { write: (line: string) => { logged.push(JSON.parse(line).err.message) } } }
  let status: Batch['status'] | Error = 'cancelling'
  const app = await buildWithoutPauses(t, {
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

  const quiet = await buildWithoutPauses(t, {
    defaultProvider: 'x',
    forward,
    onCancelled: ({ batchId }) => { heard.push(batchId) }
  }, { logger })
  t.equal((await cancel(quiet)).statusCode, 200)
  t.strictSame([heard.length, heard.at(-1), logged.length], [2, 'batch_1', 1])

  const sync = await buildWithoutPauses(t, {
    defaultProvider: 'x',
    forward,
    onCancelled: () => { throw new Error('at once') }
  }, { logger })
  t.equal((await cancel(sync)).statusCode, 200)
  t.strictSame(logged.at(-1), 'at once')
})

t.test('a custom forwarder that lists the providers it serves', async t => {
  const app = await buildWithoutPauses(t, {
    forward: {
      cancel: forward,
      providers: new Map([['x', { id: /^batch_/, headers: { 'x-tier': Type.Literal('a') } }]])
    }
  })
  t.match((await cancel(app, { headers: { 'x-portkey-provider': 'x', 'x-tier': 'a' } })), { statusCode: 200 })
  t.match(
    (await cancel(app, { headers: { 'x-portkey-provider': 'x', 'x-tier': 'b' } })).json(),
    { error: { code: 'invalid_header', message: 'Header \'x-tier\' is not valid.' } }
  )
  t.match(
    (await cancel(app, { id: 'job', headers: { 'x-portkey-provider': 'x' } })).json(),
    { error: { code: 'invalid_batch_id' } }
  )
  t.match(
    (await cancel(app, { headers: { 'x-portkey-provider': 'y' } })).json(),
    { error: { message: 'Unknown provider \'y\'. Available providers: x.' } }
  )
  const unlisted = await buildWithoutPauses(t, { forward })
  t.match((await cancel(unlisted)).json(), {
    error: {
      code: 'missing_provider',
      message: 'Name the provider that holds the batch in the x-portkey-provider header.'
    }
  })
})
