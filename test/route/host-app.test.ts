import { once } from 'node:events'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import rateLimit, { type RateLimitPluginOptions } from '@fastify/rate-limit'
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { Ajv2020 } from 'ajv/dist/2020.js'
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions
} from 'fastify'
import fp from 'fastify-plugin'
import t, { type Test } from 'tap'
import batchCancel, { forwardToProviders, openai, type FastifyBatchCancelOptions } from '../../lib/index.js'
import { NAMED_SCHEMAS } from '../../schemas/index.js'
import { BATCH, batch, cancel } from '../support/app.js'
import { violations } from '../support/document.js'
import { startUpstream } from '../support/upstream.js'

type Json = string | number | boolean | null | Json[] | Tree
interface Tree { [key: string]: Json }
interface Document extends Tree {
  openapi: string
  paths: { [path: string]: { [method: string]: Tree } }
  components: { schemas: { [name: string]: Tree }, securitySchemes: Tree }
}

const forward = async () => BATCH
const SUFFIX = '/v1/batches/{id}/cancel'
const BEARER = { authorization: 'Bearer of-the-app' }
const secured: FastifyBatchCancelOptions = {
  forward,
  defaultProvider: 'x',
  routeOptions: { schema: { security: [{ bearer: [] }] } }
}

/** The app's own schemas have the names of ours. */
const LOT = { type: 'object', required: ['lot'], properties: { lot: { type: 'integer' } } }
const PROBLEM = { type: 'object', required: ['problem'], properties: { problem: { type: 'string' } } }

interface Host {
  server?: FastifyServerOptions
  version?: string
  refResolver?: FastifyDynamicSwaggerOptions['refResolver']
  /** Which of the app's schemas has an `$id`; the other one is only in its document. */
  shared?: 'Batch' | 'ErrorResponse'
  /** How the plugin comes into the app; `null` for the app without it. */
  register?: ((app: FastifyInstance) => unknown) | null
  /** Whether the plugin is there before the other routes. */
  first?: boolean
  ui?: boolean
}

/** An app as people have it: a document and a page, bearer auth, and manners of its own for errors, 404s and bodies. */
async function existing (
  t: Test,
  {
    server,
    version = '3.1.0',
    refResolver,
    shared = 'Batch',
    register = app => app.register(batchCancel, secured),
    first = false,
    ui = false
  }: Host = {}
): Promise<FastifyInstance> {
  const app = Fastify({ forceCloseConnections: true, ...server })
  t.teardown(() => app.close())
  const own = { Batch: LOT, ErrorResponse: PROBLEM }
  const owned = shared === 'Batch' ? 'ErrorResponse' : 'Batch'
  await app.register(swagger, {
    ...refResolver !== undefined && { refResolver },
    openapi: {
      openapi: version,
      info: { title: 'Lots', version: '1.0.0' },
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
        schemas: { [owned]: structuredClone(own[owned]) as object },
        responses: {
          Forbidden: {
            description: 'In the document only.',
            content: { 'application/json': { schema: { $ref: `#/components/schemas/${owned}` } } }
          }
        }
      }
    }
  })
  if (ui) await app.register(swaggerUi, { routePrefix: '/docs' })
  app.addSchema({ $id: shared, ...own[shared] })
  app.addHook('onRequest', async (request, reply) => {
    if (request.url.startsWith('/docs') || request.headers.authorization === BEARER.authorization) return
    reply.header('www-authenticate', 'Bearer realm="lots"')
    throw Object.assign(new Error('Who are you?'), { statusCode: 401, code: 'APP_UNAUTHORIZED' })
  })
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => reply.code(error.statusCode ?? 500)
    .type('application/problem+json')
    .send({ problem: error.message }))
  app.setNotFoundHandler((request, reply) => { reply.code(404).send({ problem: `No ${request.url}` }) })
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    (_request, body, done) => done(null, { parsed: 'by the app', length: body.length })
  )
  const routes = () => {
    app.get('/lots/:id', {
      schema: {
        operationId: 'getLot',
        security: [{ bearer: [] }],
        params: { type: 'object', properties: { id: { type: 'integer' } } },
        response: { 200: { description: 'It.', content: { 'application/json': { schema: { $ref: `${shared}#` } } } } }
      }
    }, async ({ params }) => ({ lot: (params as { id: number }).id, problem: 'p', hidden: true }))
    app.post('/lots', {
      schema: {
        operationId: 'addLot',
        body: { type: 'object', required: ['parsed'], properties: { parsed: { type: 'string' } } }
      }
    }, async ({ body }) => body)
    app.get('/broken', { schema: { operationId: 'break' } }, async () => { throw new Error('broken') })
  }
  if (!first) routes()
  await register?.(app)
  if (first) routes()
  await app.ready()
  return app
}

const documentOf = (app: FastifyInstance): Document => JSON.parse(JSON.stringify(app.swagger()))
const oursIn = ({ paths }: Document) => Object.entries(paths).filter(([path]) => path.endsWith(SUFFIX))
  .map(([path, item]) => [path, item['post'] as Tree] as const)

const at = (document: Json, ref: string) => ref.slice(2).split('/')
  .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  .reduce<Json | undefined>(
    (node, key) => typeof node === 'object' && node !== null ? (node as Tree)[key] : undefined,
    document
  )

function * nodesOf (node: Json): Generator<Tree> {
  if (typeof node !== 'object' || node === null) return
  if (!Array.isArray(node)) yield node
  for (const child of Object.values(node)) yield * nodesOf(child)
}

/** A part of the document with what it refers to in place. */
function whole (document: Document, node: Json): Json {
  if (typeof node !== 'object' || node === null) return node
  if (Array.isArray(node)) return node.map(item => whole(document, item))
  if (typeof node['$ref'] === 'string') return whole(document, at(document, node['$ref']) ?? 'dead')
  return Object.fromEntries(Object.entries(node).filter(([key]) => key !== 'title')
    .map(([key, value]) => [key, whole(document, value)]))
}

/** Shared, since it compiles its meta-schema once. */
const ajv = new Ajv2020({ strict: false, validateFormats: false })
let documents = 0

/** What makes a document invalid. */
function faultsOf (document: Document): string[] {
  const found: string[] = []
  const nodes = [...nodesOf(document)]
  for (const { $ref } of nodes) {
    if (typeof $ref === 'string' && at(document, $ref) === undefined) {
      found.push(`dead ${$ref}`)
    }
  }
  for (const group of Object.values(document.components)) {
    for (const name of Object.keys(
      group
    )) {
      if (!/^[\w.-]+$/.test(name)) {
        found.push(`name ${name}`)
      }
    }
  }
  const operations = Object.values(document.paths).flatMap(item => Object.values(item))
  const ids = operations.map(({ operationId }) => operationId).filter(id => id !== undefined)
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`twice ${String(id)}`)
  for (const { security = [] } of operations) {
    for (const name of (security as Tree[]).flatMap(item =>
      Object.keys(item))) {
      if (document.components.securitySchemes[name] === undefined) {
        found.push(`scheme ${name}`)
      }
    }
  }
  for (const [path, item] of Object.entries(document.paths)) {
    const named = [...path.matchAll(/\{(.+?)\}/g)].map(([, name]) => name)
    for (const { parameters = [] } of Object.values(item)) {
      for (const {
        name
      } of (parameters as Tree[]).filter(parameter =>
          parameter['in'] === 'path')) {
        if (!named.includes(String(name))) {
          found.push(`parameter ${String(name)}`)
        }
      }
    }
  }
  if (document.openapi.startsWith('3.0')) {
    for (const { type, examples, const: only } of nodes) {
      if (type === 'null' || Array.isArray(type) ||
      Array.isArray(examples) ||
      only !== undefined) {
        found.push(`not of 3.0: ${JSON.stringify({ type, examples, const: only })}`)
      }
    }
  } else if (found.length === 0) {
    const key = `document-${documents++}`
    ajv.addSchema(document, key)
    for (const name of Object.keys(document.components.schemas)) {
      if (ajv.getSchema(
      `${key}#/components/schemas/${name}`
      ) === undefined) {
        found.push(`schema ${name}`)
      }
    }
  }
  return [...new Set(found)]
}

/** What an answer has that the app's own document does not allow. */
function strays (
  document: Document,
  operation: Tree,
  { statusCode, body }: { statusCode: number, body: string }
): string {
  const response = (operation['responses'] as {
    [status: string]: { content: { 'application/json': { schema: Tree } } }
  })[statusCode]
  if (response === undefined) return `${statusCode} is not documented`
  const dead = faultsOf(document)[0]
  if (dead !== undefined) return dead
  return ajv.validate(
    whole(document, response.content['application/json'].schema) as Tree,
    JSON.parse(body)
  )
    ? ''
    : ajv.errorsText()
}

const styles: Record<string, FastifyDynamicSwaggerOptions['refResolver']> = {
  'the default of @fastify/swagger': undefined,
  'the one in the README of @fastify/swagger': {
    buildLocalReference: (json, _baseUri, _fragment, i) => String(json.$id || `my-fragment-${i}`)
  },
  'by $id': { buildLocalReference: ({ $id }) => String($id) }
}

t.test('the operation is in the document and the page of the app, whose own schemas stay its own', async t => {
  for (const [style, refResolver] of Object.entries(styles)) {
    for (const shared of ['Batch', 'ErrorResponse'] as const) {
      for (const version of ['3.1.0', '3.0.3']) {
        const before = documentOf(await existing(t, { refResolver, shared, version, register: null }))
        for (const first of version === '3.1.0' ? [false, true] : [false]) {
          const what = `${style}, ${version}, ${shared} with an $id, ${first ? 'before' : 'after'} the other routes`
          const app = await existing(t, { refResolver, shared, version, first })
          const document = documentOf(app)
          t.strictSame(faultsOf(document), [], what)
          const [[path, operation] = []] = oursIn(document)
          t.equal(path, SUFFIX, what)
          t.match(operation, { operationId: 'cancelBatch', security: [{ bearer: [] }] }, what)
          for (const place of ['/lots/{id}', '/lots', '/broken']) {
            t.strictSame(
              whole(document, document.paths[place] as Tree),
              whole(before, before.paths[place] as Tree),
            `${place}: ${what}`
            )
          }
          const owned = shared === 'Batch' ? 'ErrorResponse' : 'Batch'
          t.strictSame(
            document.components.schemas[owned],
            before.components.schemas[owned],
            `${owned} is the app's: ${what}`
          )
          if (version === '3.0.3' || first) continue
          for (const answer of [
            await cancel(app, { headers: BEARER }),
            await cancel(app),
            await cancel(app, { headers: BEARER, id: '\u0001' })
          ]) {
            t.equal(strays(document, operation as Tree, answer), '', `${answer.statusCode}: ${what}`)
          }
        }
      }
    }
  }
})

t.test('names by title are whole, too, where the app has none of ours', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Lots', version: '1' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
    },
    refResolver: { buildLocalReference: ({ title, $id }) => String(title ?? $id) }
  })
  app.addSchema({ $id: 'Lot', ...LOT })
  await app.register(batchCancel, secured)
  await app.ready()
  const document = documentOf(app)
  t.strictSame(faultsOf(document), [])
  t.strictSame(
    Object.keys(document.components.schemas).sort(),
    ['Batch', 'BatchError', 'BatchRequestCounts', 'ErrorResponse', 'Lot']
  )
})

t.test('the page', async t => {
  const app = await existing(t, { ui: true })
  t.match(await app.inject('/docs/'), { statusCode: 200, headers: { 'content-type': /html/ } })
  t.strictSame((await app.inject('/docs/json')).json(), documentOf(app))
  t.match((await app.inject('/docs/yaml')).body, `${SUFFIX}:`)
})

t.test('every way to register it', async t => {
  const child = (wrap: (plugin: (app: FastifyInstance) => Promise<void>) => (app: FastifyInstance) => Promise<void>) => (app: FastifyInstance) =>
    app.register(wrap(async inner => { await inner.register(batchCancel, secured) }), { prefix: '/inner' })
  const other = {
    ...secured,
    prefix: '/b',
    routeOptions: { schema: { security: [{ bearer: [] }], operationId: 'cancelOther' } }
  }
  const ways: Array<{ what: string, register: (app: FastifyInstance) => unknown, prefixes: string[] }> = [
    { what: 'awaited', register: app => app.register(batchCancel, secured), prefixes: [''] },
    { what: 'not awaited', register: app => { app.register(batchCancel, secured) }, prefixes: [''] },
    {
      what: 'with a prefix',
      register: app => app.register(batchCancel, { ...secured, prefix: '/llm' }),
      prefixes: ['/llm']
    },
    {
      what: 'with a prefix that has a parameter',
      register: app => app.register(batchCancel, { ...secured, prefix: '/tenants/:tenant' }),
      prefixes: ['/tenants/{tenant}']
    },
    { what: 'in a child', register: child(plugin => plugin), prefixes: ['/inner'] },
    { what: 'in a plugin that fastify-plugin wraps', register: child(plugin => fp(plugin)), prefixes: [''] },
    {
      what: 'in an encapsulated one',
      register: child(plugin => fp(plugin, { encapsulate: true })),
      prefixes: ['/inner']
    },
    {
      what: 'twice',
      register: async app => {
        await app.register(batchCancel, { ...secured, prefix: '/a' })
        await app.register(batchCancel, other)
      },
      prefixes: ['/a', '/b']
    },
    {
      what: 'twice, in the other order, not awaited',
      register: app => { app.register(batchCancel, other); app.register(batchCancel, { ...secured, prefix: '/a' }) },
      prefixes: ['/b', '/a']
    },
    {
      what: 'the promise of the module',
      register: app => app.register(import('../../lib/index.js'), secured),
      prefixes: ['']
    },
    // The types of Fastify know only the promise of a module.
    {
      what: 'the module',
      register: async app => {
        await app.register(
          await import('../../lib/index.js') as unknown as typeof batchCancel,
          secured
        )
      },
      prefixes: ['']
    },
    { what: 'options as a function', register: app => app.register(batchCancel, () => secured), prefixes: [''] },
    {
      what: 'in after()',
      register: app => { app.after(() => { app.register(batchCancel, secured) }) },
      prefixes: ['']
    },
    {
      what: 'beside the schemas of ours that the app uses itself',
      register: async app => {
        for (const schema of NAMED_SCHEMAS) app.addSchema(schema)
        await app.register(batchCancel, secured)
        app.get('/v1/batches/:id', {
          schema: {
            operationId: 'getBatch',
            response: {
              200: {
                description: 'It.',
                content: { 'application/json': { schema: { $ref: `${NAMED_SCHEMAS[0].$id}#` } } }
              }
            }
          }
        }, forward)
      },
      prefixes: ['']
    }
  ]
  for (const { what, register, prefixes } of ways) {
    for (const first of [false, true]) {
      await t.test(`${what}, ${first ? 'before' : 'after'} the other routes`, async t => {
        const app = await existing(t, { register, first })
        const document = documentOf(app)
        t.strictSame(faultsOf(document), [])
        t.strictSame(oursIn(document).map(([path]) => path), prefixes.map(prefix => prefix + SUFFIX))
        for (const template of prefixes) {
          const prefix = template.replace('{tenant}', 'ann')
          const answer = await cancel(app, { prefix, headers: BEARER })
          t.match(answer, { statusCode: 200 })
          t.strictSame(answer.json(), BATCH)
          t.strictSame(violations(await cancel(app, { prefix, headers: BEARER, id: '\u0001' })), [])
          t.match(await cancel(app, { prefix }), {
            statusCode: 401,
            headers: { 'www-authenticate': 'Bearer realm="lots"' }
          })
        }
      })
    }
  }
})

t.test('the other routes answer as they did', async t => {
  const requests = [
    { url: '/lots/5' },
    { url: '/lots/five' },
    { url: '/lots/5', headers: {} },
    { url: '/broken' },
    { url: '/none' },
    { url: '/v1/batches/b/cancel' },
    { url: '/v1/batches/b' },
    { method: 'POST', url: '/lots', payload: '{not JSON', headers: { ...BEARER, 'content-type': 'application/json' } },
    { method: 'POST', url: '/lots', payload: '', headers: { ...BEARER, 'content-type': 'application/json' } },
    { method: 'POST', url: '/lots', payload: 'text', headers: { ...BEARER, 'content-type': 'text/plain' } },
    {
      method: 'POST',
      url: '/lots',
      payload: 'a=1',
      headers: { ...BEARER, 'content-type': 'application/x-www-form-urlencoded' }
    },
    { method: 'HEAD', url: '/lots/5' },
    { method: 'OPTIONS', url: '/v1/batches/b/cancel' }
  ] as const
  const answersOf = async (app: FastifyInstance) => {
    const answers = []
    for (const request of requests) {
      const { statusCode, headers: { date, ...headers }, body } = await app.inject({ headers: BEARER, ...request })
      answers.push([request.url, statusCode, headers, body])
    }
    return answers
  }
  const before = await answersOf(await existing(t, { register: null }))
  t.match(before.map(([, statusCode]) => statusCode), [200, 400, 401, 500, 404, 404, 404, 200, 200, 400, 415, 200, 404])
  for (const first of [false, true]) t.strictSame(await answersOf(await existing(t, { first })), before)
})

t.test('without encapsulation of Fastify the app stays as it is, too', async t => {
  const META = { fastify: '5.x', name: 'fastify-batch-cancel', encapsulate: true }
  const prefixed = { ...secured, prefix: '/llm', logLevel: 'silent' } as const
  for (const { what, register } of [
    { what: 'fp(batchCancel)', register: (app: FastifyInstance) => app.register(fp(batchCancel), prefixed) },
    {
      what: 'called by a plugin of the app',
      register: (app: FastifyInstance) =>
        app.register(async inner => { await batchCancel(inner, secured) }, { prefix: '/llm' })
    }
  ]) {
    await t.test(what, async t => {
      // fastify-plugin marks the function itself, for the whole process.
      t.teardown(() => { fp(batchCancel, META) })
      const app = await existing(t, { register })
      const added = await app.inject({ method: 'POST', url: '/lots', payload: { a: 1 }, headers: BEARER })
      t.strictSame(added.json(), { parsed: 'by the app', length: 7 })
      t.strictSame((await app.inject({ url: '/broken', headers: BEARER })).json(), { problem: 'broken' })
      t.match(await cancel(app, { prefix: '/llm', headers: BEARER }), { statusCode: 200 })
    })
  }
})

t.test('nothing is sent to a provider for whom the app does not know; its own token never is', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH }))
  const known = ({ headers }: FastifyRequest) => headers.authorization === BEARER.authorization
  const unknown = Object.assign(new Error('Who are you?'), { statusCode: 401, code: 'APP_UNAUTHORIZED' })
  const expected = {
    error: { message: 'Who are you?', type: 'invalid_request_error', param: null, code: 'APP_UNAUTHORIZED' }
  }
  const guards: Record<string, [guard: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>, body: object]> = {
    'a header and an error': [
      async (_request, reply) => { reply.header('www-authenticate', 'Bearer'); throw unknown },
      expected
    ],
    'an error that is sent': [
      async (_request, reply) => reply.code(401).header('www-authenticate', 'Bearer').send(unknown),
      expected
    ],
    'a code and an error without one': [
      async (_request, reply) => {
        reply.code(401).header('www-authenticate', 'Bearer')
        throw new Error('Who are you?')
      },
      { error: { ...expected.error, code: null } }
    ],
    'an error with headers': [
      async () => {
        throw Object.assign(new Error('Who are you?'), {
          statusCode: 401,
          code: 'APP_UNAUTHORIZED',
          headers: { 'www-authenticate': 'Bearer' }
        })
      },
      expected
    ],
    'an error with a status, as http-errors has it': [
      async (_request, reply) => {
        reply.header('www-authenticate', 'Bearer')
        throw Object.assign(new Error('Who are you?'), { status: 401 })
      },
      { error: { ...expected.error, code: null } }
    ],
    'an answer of its own': [
      async (_request, reply) => reply.code(401).header('www-authenticate', 'Bearer').send({ mine: true }),
      { mine: true }
    ]
  }
  for (const [what, [guard, body]] of Object.entries(guards)) {
    for (const place of ['everywhere', 'routeOptions.onRequest', 'routeOptions.preHandler'] as const) {
      const app = Fastify()
      t.teardown(() => app.close())
      const check = async (request: FastifyRequest, reply: FastifyReply) =>
        known(request) ? undefined : await guard(request, reply)
      if (place === 'everywhere') app.addHook('onRequest', check)
      await app.register(batchCancel, {
        forward: forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url, apiKey: 'sk-server' }) } }),
        defaultProvider: 'openai',
        routeOptions: place === 'everywhere' ? {} : { [place.slice('routeOptions.'.length)]: check }
      })
      const sent = upstream.requests.length
      for (const headers of [
        {},
        { authorization: 'Bearer other' },
        { 'x-portkey-config': '{"api_key":"of-the-app"}' }
      ]) {
        const answer = await cancel(app, { headers })
        t.match(answer, { statusCode: 401, headers: { 'www-authenticate': 'Bearer' } }, `${what} ${place}`)
        t.strictSame(answer.json(), body, `${what} ${place}`)
        if (what !== 'an answer of its own') t.strictSame(violations(answer), [], `${what} ${place}`)
      }
      t.equal(upstream.requests.length, sent, `${what} ${place}`)
      t.equal((await cancel(app, { headers: BEARER })).statusCode, 200, `${what} ${place}`)
      t.strictSame(
        upstream.requests.slice(sent).map(({ headers }) => headers.authorization),
        ['Bearer sk-server'],
        `${what} ${place}`
      )
    }
  }
})

t.test('whatever a hook of the app throws keeps the contract', async t => {
  const thrown: Array<{ error: unknown, statusCode: number, expected: object }> = [
    {
      error: Object.assign(new Error('No'), { statusCode: 403, code: 42 }),
      statusCode: 403,
      expected: { message: 'No' }
    },
    { error: Object.assign(new Error('No'), { status: 403 }), statusCode: 403, expected: { message: 'No' } },
    { error: Object.assign(new Error('No'), { statusCode: '403' }), statusCode: 403, expected: { message: 'No' } },
    { error: { statusCode: 403, error: 'Forbidden', message: 'No' }, statusCode: 403, expected: { message: 'No' } },
    { error: { statusCode: 403 }, statusCode: 403, expected: { message: /^(?!undefined)./ } },
    {
      error: Object.assign(new Error('dup key'), { code: 11000 }),
      statusCode: 500,
      expected: { message: 'Internal error', code: 'internal_error' }
    }
  ]
  for (const hook of ['onRequest', 'preHandler'] as const) {
    for (const { error, statusCode, expected } of thrown) {
      const app = Fastify()
      t.teardown(() => app.close())
      app.addHook(hook, async () => { throw error })
      await app.register(batchCancel, { forward, defaultProvider: 'x' })
      const answer = await cancel(app)
      t.equal(answer.statusCode, statusCode, `${hook} ${JSON.stringify(error)}`)
      t.match(answer.json(), { error: expected }, `${hook} ${JSON.stringify(error)}`)
      t.strictSame(violations(answer), [], `${hook} ${JSON.stringify(error)}`)
    }
  }
})

t.test('@fastify/rate-limit', async t => {
  const labels = (prefix: string) => ({
    [`${prefix}ratelimit-limit`]: '2',
    [`${prefix}ratelimit-remaining`]: '0',
    [`${prefix}ratelimit-reset`]: /^\d+$/,
    'retry-after': /^\d+$/
  })
  const limit: RateLimitPluginOptions = { max: 2, timeWindow: 60_000 }
  const cases: Array<[what: string, options: RateLimitPluginOptions, routeOptions: FastifyBatchCancelOptions['routeOptions'], status: number, headers: object, message: string]> = [
    ['as it comes', limit, {}, 429, labels('x-'), 'Rate limit exceeded, retry in 1 minute'],
    [
      'with headers of the draft',
      { ...limit, enableDraftSpec: true },
      {},
      429,
      labels(''),
      'Rate limit exceeded, retry in 1 minute'
    ],
    [
      'in preHandler',
      { ...limit, hook: 'preHandler' },
      {},
      429,
      labels('x-'),
      'Rate limit exceeded, retry in 1 minute'
    ],
    [
      'in preHandler, after those of the route',
      { ...limit, hook: 'preHandler' },
      { preHandler: async () => {} },
      429,
      labels('x-'),
      'Rate limit exceeded, retry in 1 minute'
    ],
    [
      'with an object for an error',
      {
        ...limit,
        errorResponseBuilder: (_request, { statusCode, max }) => ({
          statusCode,
          error: 'Too Many Requests',
          message: `Only ${max}`
        })
      },
      {},
      429,
      labels('x-'),
      'Only 2'
    ],
    [
      'with an error of its own',
      {
        ...limit,
        errorResponseBuilder: (_request, { statusCode }) => Object.assign(new Error('Slow down'), { statusCode })
      },
      {},
      429,
      labels('x-'),
      'Slow down'
    ],
    ['with a ban', { ...limit, ban: 0 }, {}, 403, labels('x-'), 'Rate limit exceeded, retry in 1 minute'],
    [
      'for the route alone',
      { ...limit, global: false },
      { config: { rateLimit: limit } },
      429,
      labels('x-'),
      'Rate limit exceeded, retry in 1 minute'
    ]
  ]
  for (const [what, options, routeOptions, status, headers, message] of cases) {
    await t.test(what, async t => {
      let asked = 0
      const app = await existing(t, {
        register: async app => {
          await app.register(rateLimit, options)
          await app.register(batchCancel, {
            ...secured,
            forward: async () => { asked++; return BATCH },
            routeOptions: { ...secured.routeOptions, ...routeOptions }
          })
          app.get('/limited', async () => 'fine')
        }
      })
      for (const remaining of ['1', '0']) {
        const answer = await cancel(app, { headers: BEARER })
        t.match(answer, {
          statusCode: 200,
          headers: { [what.includes('draft') ? 'ratelimit-remaining' : 'x-ratelimit-remaining']: remaining }
        })
        t.strictSame(violations(answer), [])
      }
      const answer = await cancel(app, { headers: BEARER })
      t.match(answer, { statusCode: status, headers })
      t.match(answer.json(), { error: { message, type: 'invalid_request_error', param: null, code: null } })
      t.strictSame(violations(answer), [])
      const document = documentOf(app)
      t.equal(strays(document, oursIn(document)[0]?.[1] as Tree, answer), '')
      t.equal(asked, 2, 'nothing was sent')
      if (options.global === false) {
        return t.match(await app.inject({ url: '/limited', headers: BEARER }), { statusCode: 200 })
      }
      t.match(
        await app.inject({ url: '/limited', headers: BEARER }),
        { statusCode: status, headers: { 'content-type': /^application\/problem\+json/ } },
        'the app\'s own routes keep their shape'
      )
    })
  }
})

/** What compilers that know one kind of schema see in a schema of theirs. */
class Shape<T> {
  readonly parse: (value: unknown) => T
  constructor (parse: (value: unknown) => T) { this.parse = parse }
}

const shapeOf = (schema: unknown) => {
  if (!(schema instanceof Shape)) throw new Error(`Invalid schema passed: ${JSON.stringify(schema)}`)
  return schema as Shape<unknown>
}

t.test('compilers and a document that know only schemas with a parse function', async t => {
  const query = new Shape(value => {
    const n = Number((value as { n: string }).n)
    if (Number.isNaN(n)) throw new Error('n is no number')
    return { n }
  })
  const answer = new Shape(value => ({ n: (value as { n: number }).n }))
  for (const first of [false, true]) {
    const app = Fastify()
    t.teardown(() => app.close())
    app.setValidatorCompiler(({ schema }) => {
      const shape = shapeOf(schema)
      return data => { try { return { value: shape.parse(data) } } catch (error) { return { error: error as Error } } }
    })
    app.setSerializerCompiler(({ schema }) => {
      const shape = shapeOf(schema)
      return data => JSON.stringify(shape.parse(data))
    })
    app.setSchemaErrorFormatter(() => new Error('of the app'))
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: { title: 'Shapes', version: '1' },
        components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
      },
      transform: ({ schema, url }) => {
        for (const part of Object.values(schema?.response ?? {})) shapeOf(part)
        return { schema: { operationId: String(schema?.operationId) }, url }
      }
    })
    const routes = () => app.get(
      '/shaped',
      { schema: { operationId: 'shaped', querystring: query, response: { 200: answer } } },
      async ({ query }) => ({ ...query as object, hidden: true })
    )
    if (!first) routes()
    await app.register(batchCancel, secured)
    if (first) routes()
    await app.ready()
    const document = documentOf(app)
    t.strictSame(faultsOf(document), [])
    t.match(oursIn(document), [
      [SUFFIX, { operationId: 'cancelBatch', responses: { 200: { content: {} }, 409: { content: {} } } }]
    ])
    for (const { request, status } of [
      { request: {}, status: 200 },
      { request: { id: '\u0001' }, status: 400 },
      { request: { payload: '{', headers: { 'content-type': 'application/json' } }, status: 200 }
    ] as const) {
      const answer = await cancel(app, request)
      t.equal(answer.statusCode, status)
      t.strictSame(violations(answer), [])
    }
    t.strictSame((await app.inject('/shaped?n=5')).json(), { n: 5 })
    t.match(await app.inject('/shaped?n=x'), { statusCode: 400, body: /n is no number/ })
  }
})

t.test('hooks of the app run around the route, in their order', async t => {
  const names = [
    'onRequest',
    'preParsing',
    'preValidation',
    'preHandler',
    'preSerialization',
    'onError',
    'onSend',
    'onResponse'
  ] as const
  for (const { what, id, expected } of [
    {
      what: 'a 200',
      id: 'batch_1',
      expected: [
        'onRequest',
        'preParsing',
        'preValidation',
        'preHandler',
        'route preHandler',
        'the call of ann',
        'onSend',
        'route onSend',
        'onResponse',
        'route onResponse'
      ]
    },
    {
      what: 'a 400',
      id: '\u0001',
      expected: ['onRequest', 'onError', 'onSend', 'route onSend', 'onResponse', 'route onResponse']
    }
  ] as const) {
    const seen: string[] = []
    const app = Fastify()
    t.teardown(() => app.close())
    app.decorateRequest('user', '')
    for (const name of names) {
      // A hook of two parameters that is asynchronous suits every name.
      (app as unknown as {
        addHook: (name: string, hook: (request: FastifyRequest & {
          user: string
        }, reply: FastifyReply) => Promise<void>) => void
      }).addHook(name, async (request, reply) => {
        seen.push(name)
        if (name === 'onRequest') request.user = 'ann'
        if (name === 'onSend') reply.header('x-app', 'here')
      })
    }
    app.addHook('onSend', async (_request, _reply, payload) => String(payload).replace('}', ',"added":true}'))
    await app.register(batchCancel, {
      defaultProvider: 'x',
      forward: async ({ request }) => {
        seen.push(
        `the call of ${(request as FastifyRequest & { user: string }).user}`
        ); return BATCH
      },
      routeOptions: {
        preHandler: (_request, _reply, done) => { seen.push('route preHandler'); done() },
        onSend: [async () => { seen.push('route onSend') }],
        onResponse: async () => { seen.push('route onResponse') }
      }
    })
    const answer = await cancel(app, { id, payload: {} })
    t.strictSame(seen, expected, what)
    t.match(answer, {
      headers: { 'x-app': 'here', 'content-length': String(answer.rawPayload.length) },
      body: /"added":true/
    }, what)
    t.strictSame(violations(answer), [], what)
  }
})

t.test('what a hook of the app does to the options of routes stays in that app', async t => {
  const statuses = async (change: (response: Record<string, unknown>) => void) => {
    const app = Fastify()
    t.teardown(() => app.close())
    let seen: string[] = []
    app.addHook('onRoute', ({ schema }) => {
      const response = schema?.response as Record<string, unknown>
      seen = Object.keys(response)
      change(response)
    })
    await app.register(batchCancel, { forward })
    await app.ready()
    return seen
  }
  const before = await statuses(() => {})
  await statuses(response => { response['418'] = { description: 'The app\'s', type: 'null' } })
  t.strictSame(await statuses(() => {}), before)
})

t.test('options of the server', async t => {
  const cases: Array<[what: string, server: FastifyServerOptions, request: Parameters<typeof cancel>[1] & {
    url?: string
  }, expected: object]> = [
    [
      'genReqId',
      { genReqId: () => 'mine' },
      {},
      { statusCode: 200, headers: { 'x-request-id': 'mine', 'x-portkey-trace-id': 'mine' } }
    ],
    [
      'requestIdHeader',
      { requestIdHeader: 'x-request-id' },
      { headers: { 'x-request-id': 'of-the-client' } },
      { statusCode: 200, headers: { 'x-request-id': 'of-the-client' } }
    ],
    [
      'requestIdHeader of another name, absent',
      { requestIdHeader: 'x-correlation-id', genReqId: () => 'mine' },
      {},
      { statusCode: 200, headers: { 'x-request-id': 'mine' } }
    ],
    [
      'an id, and a trace of the client',
      { genReqId: () => 'mine' },
      { headers: { 'x-portkey-trace-id': 't' } },
      { headers: { 'x-request-id': 'mine', 'x-portkey-trace-id': 't' } }
    ],
    [
      'ignoreTrailingSlash',
      { routerOptions: { ignoreTrailingSlash: true } },
      { url: '/v1/batches/batch_1/cancel/' },
      { statusCode: 200 }
    ],
    [
      'ignoreDuplicateSlashes',
      { routerOptions: { ignoreDuplicateSlashes: true } },
      { url: '//v1//batches/batch_1//cancel' },
      { statusCode: 200 }
    ],
    [
      'caseSensitive: the id keeps its case',
      { routerOptions: { caseSensitive: false } },
      { url: '/V1/Batches/Batch_ABC/Cancel' },
      { statusCode: 200, headers: { 'x-asked': 'Batch_ABC' } }
    ],
    ['maxParamLength', { routerOptions: { maxParamLength: 512 } }, { id: 'b'.repeat(512) }, { statusCode: 200 }],
    ['a query', {}, { url: '/v1/batches/batch_1/cancel?beta=true' }, { statusCode: 200 }],
    [
      'rewriteUrl',
      { rewriteUrl: ({ url = '' }) => url.replace('/api', '') },
      { url: '/api/v1/batches/batch_1/cancel' },
      { statusCode: 200 }
    ],
    ['exposeHeadRoutes: there is no HEAD', { exposeHeadRoutes: true }, { method: 'HEAD' }, { statusCode: 404 }],
    [
      'bodyLimit',
      { bodyLimit: 8 },
      { payload: { more: 'than eight' } },
      { statusCode: 413, body: /"code":"FST_ERR_CTP_BODY_TOO_LARGE"/ }
    ],
    ['a body within bodyLimit', { bodyLimit: 8 }, { payload: {} }, { statusCode: 200 }],
    [
      'ajv',
      {
        ajv: {
          customOptions: {
            removeAdditional: 'all',
            coerceTypes: 'array',
            useDefaults: true,
            allErrors: true,
            strict: true
          }
        }
      },
      { headers: { 'x-stainless-retry-count': '0', 'x-own': 'kept' }, payload: { any: 1 } },
      { statusCode: 200, headers: { 'x-kept': 'kept' } }
    ],
    [
      'trustProxy and no logging',
      { trustProxy: true, logger: { level: 'silent' } },
      { headers: { 'x-forwarded-for': '1.2.3.4' } },
      { statusCode: 200 }
    ],
    ['handlerTimeout', { handlerTimeout: 60_000 }, {}, { statusCode: 200 }],
    [
      'onProtoPoisoning: bodies are not parsed',
      { onProtoPoisoning: 'error' },
      { payload: '{"__proto__":1}', headers: { 'content-type': 'application/json' } },
      { statusCode: 200 }
    ]
  ]
  for (const [what, server, request, expected] of cases) {
    const app = Fastify(server)
    t.teardown(() => app.close())
    await app.register(batchCancel, {
      defaultProvider: 'x',
      forward: async ({ batchId, headers }) => ({
        batch: batch({ id: batchId }),
        ...headers['x-own'] !== undefined && { headers: { 'x-ratelimit-own': String(headers['x-own']) } }
      }),
      routeOptions: {
        onSend: async ({ params, headers }, reply) => {
          reply.headers({
            'x-asked': (params as { id: string }).id.replaceAll(/[^\x20-\x7e]/g, ''),
            ...headers['x-own'] !== undefined && { 'x-kept': headers['x-own'] }
          })
        }
      }
    })
    const answer = await cancel(app, request)
    t.match(answer, expected, what)
    if (answer.statusCode !== 404) t.strictSame(violations(answer), [], what)
  }
})

t.test('exposeHeadRoutes of the server and of the document add no operation of ours', async t => {
  const app = Fastify({ exposeHeadRoutes: true })
  t.teardown(() => app.close())
  await app.register(swagger, {
    exposeHeadRoutes: true,
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Heads', version: '1' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
    }
  })
  app.get('/lots', { schema: { operationId: 'lots' } }, async () => [])
  await app.register(batchCancel, secured)
  await app.ready()
  const document = documentOf(app)
  t.strictSame(faultsOf(document), [])
  t.strictSame(
    Object.entries(document.paths).map(([path, item]) => [path, ...Object.keys(item)]),
    [['/lots', 'get', 'head'], [SUFFIX, 'post']]
  )
})

t.test('over a socket, with all of it', async t => {
  const app = await existing(t, {
    ui: true,
    server: { requestIdHeader: 'x-request-id', bodyLimit: 16 },
    register: async app => {
      await app.register(rateLimit, { max: 4, timeWindow: 60_000 })
      await app.register(batchCancel, { ...secured, prefix: '/llm' })
    }
  })
  const origin = await app.listen({ port: 0 })
  const post = async (headers: Record<string, string>, body?: string) => {
    const response = await fetch(
      `${origin}/llm/v1/batches/batch_1/cancel`,
      { method: 'POST', headers, ...body !== undefined && { body } }
    )
    return { statusCode: response.status, headers: Object.fromEntries(response.headers), body: await response.text() }
  }
  const answers = [
    await post({ ...BEARER, 'x-request-id': 'r-1' }),
    await post({ ...BEARER, 'content-type': 'application/json' }, '{}'),
    await post({ ...BEARER, 'content-type': 'text/plain' }, 'much more than the limit is'),
    await post({}),
    await post(BEARER),
    await post(BEARER)
  ]
  t.strictSame(answers.map(({ statusCode }) => statusCode), [200, 200, 413, 401, 200, 429])
  for (const answer of answers) t.strictSame(violations(answer), [])
  t.match(answers[0], { headers: { 'x-request-id': 'r-1', 'x-ratelimit-remaining': '3' } })
  t.match(answers[3], { headers: { 'www-authenticate': 'Bearer realm="lots"' } })
  t.match(answers[5], { headers: { 'retry-after': /^\d+$/, 'x-ratelimit-limit': '4', 'x-ratelimit-remaining': '0' } })
  t.match(
    await (await fetch(`${origin}/docs/json`)).json(),
    { paths: { [`/llm${SUFFIX}`]: { post: { security: [{ bearer: [] }] } } } }
  )
})

t.test('over HTTP/2', async t => {
  const upstream = await startUpstream(t, () => ({ body: BATCH, headers: { 'retry-after': '5' } }))
  const app = Fastify({ http2: true, bodyLimit: 64 })
  t.teardown(() => app.close())
  app.addHook('onRequest', async ({ headers }, reply) => {
    if (headers.authorization === BEARER.authorization) return
    reply.header('www-authenticate', 'Bearer')
    throw Object.assign(new Error('Who are you?'), { statusCode: 401 })
  })
  await app.register(batchCancel, {
    defaultProvider: 'openai',
    forward: forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url, apiKey: 'sk-server' }) } })
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const client = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => client.close())
  const post = async (headers: Record<string, string>, body?: string) => {
    const stream = client.request({ ':method': 'POST', ':path': '/v1/batches/batch_1/cancel', ...headers })
    stream.end(body)
    const [{ ':status': statusCode, ...received }] = await once(stream, 'response') as [IncomingHttpHeaders]
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    return { statusCode: Number(statusCode), headers: received, body: Buffer.concat(chunks).toString() }
  }
  const answers = await Promise.all([
    post(BEARER),
    post({ ...BEARER, 'content-type': 'application/json' }, '{}'),
    post({}),
    post({ ...BEARER, 'x-portkey-forward-headers': ':path, :authority' }),
    post({ ...BEARER, 'content-type': 'text/plain' }, 'x'.repeat(64))
  ])
  t.strictSame(answers.map(({ statusCode }) => statusCode), [200, 200, 401, 400, 200])
  for (const answer of answers) t.strictSame(violations(answer), [])
  t.match(answers[2], { headers: { 'www-authenticate': 'Bearer' }, body: /Who are you\?/ })
  t.match(answers[0], { headers: { 'retry-after': '5' }, body: JSON.stringify(BATCH) })
  t.equal(upstream.requests.length, 3)
  for (const { headers } of upstream.requests) {
    t.strictSame([
      headers.authorization,
      Object.keys(headers).filter(name => name.startsWith(':'))
    ], ['Bearer sk-server', []])
  }
})
