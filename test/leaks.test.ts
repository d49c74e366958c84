import type { FastifyInstance } from 'fastify'
import t from 'tap'
import {
  BatchCancelError, bedrock, createBatchCanceller, forwardToProviders, openai, azureOpenAI, ProviderError, vertex,
  type BatchForwarder, type FastifyBatchCancelOptions, type Provider
} from '../lib/index.js'
import type { Client, Credentials, Headers } from './fixtures/fixture.js'
import { BEARER, make } from './fixtures/fixture.js'
import { FIXTURES, fixtureOf } from './fixtures/index.js'
import { keyFile, PEM } from './fixtures/vertex.js'
import { systemClock, type Clock } from '../lib/cancel/clock.js'
import { BATCH, build, cancel, withClock } from './support/app.js'
import { selectRows } from './support/covering.js'
import { catchAll } from './support/internet.js'
import { collectOutputs, LOG_LEVELS, setLogLevel, writtenForms } from './support/outputs.js'
import { startUpstream, type Recorded, type UpstreamResponse } from './support/upstream.js'

/*
 * A secret of its own in every place where one can stand, and a search of everything that comes out: responses, log
 * lines of every level, diagnostics messages, and errors with all that can be reached from them. Each two of provider,
 * place, form and way to call meet; `npm run test:exhaustive` makes every call.
 */

/** Pauses pass a hundred times faster; waits and time limits ten times, which a busy machine keeps, too. */
const FAST: Clock = {
  ...systemClock,
  setTimer: (ms, callback) => systemClock.setTimer(ms / 10, callback),
  setPause: (ms, callback) => systemClock.setTimer(ms / 100, callback)
}
const withFastClock = <T extends FastifyBatchCancelOptions>(options: T) => withClock(FAST, options) as T

/* What a provider repeats. */

/** A response that repeats values which the request had. */
type Repeat = (values: readonly string[], name: string) => UpstreamResponse

const allForms = (values: readonly string[]) => values.flatMap(writtenForms)
const words = (values: readonly string[]) => allForms(values).join(' ')

/** Values in headers, of which only printable ones of at most 1,024 characters are sent on. */
const inHeaders = (values: readonly string[], prefix: string) => Object.fromEntries(
  allForms(values).filter(form => /^[\x20-\x7e]+$/.test(form)).map((form, index) => [`${prefix}${index}`, form])
)

const REPEATS: Readonly<Record<string, Repeat>> = {
  'in every field of an error': values => ({
    status: 403,
    body: { error: Object.fromEntries(['message', 'type', 'param', 'code'].map(key => [key, words(values)])) }
  }),
  'as plain text': values => ({ status: 401, body: `No access with ${words(values)}.` }),
  'as JSON within JSON': values => ({ status: 422, body: { detail: [{ msg: JSON.stringify({ values }) }] } }),
  'as the code alone': values => ({ status: 400, body: { error: { message: 'No.', code: values[0] } } }),
  'in the code that a header has': values => ({ status: 400, headers: { 'x-amzn-errortype': values[0] as string } }),
  'in headers of an error': values => ({
    status: 429,
    headers: { ...inHeaders(values, 'x-ratelimit-'), 'x-request-id': values[0] as string, 'retry-after': '9999' }
  }),
  'with a 5xx': values => ({ status: 503, headers: inHeaders(values, 'x-ratelimit-'), body: { error: words(values) } }),
  'in a page': values => ({ body: `<html>${words(values)}</html>` }),
  'as another encoding': values => ({ headers: { 'content-encoding': values[0] as string } }),
  'in a redirect': values => ({
    status: 307,
    headers: { location: `https://x.example/?key=${encodeURIComponent(values[0] as string)}` }
  }),
  'in headers of a batch': (values, name) => ({
    headers: Object.fromEntries(['x-request-id', ...values.map((_, i) => `x-ratelimit-${i}`)]
      .map((header, i) => [header, values[Math.max(0, i - 1)] as string])),
    body: cancellingBody(name)
  })
}

/** Those with a credential of the server, which no batch may show to a client; its own a client knows. */
const SERVER_REPEATS: Readonly<Record<string, Repeat>> = {
  ...REPEATS,
  'in fields of a batch': (values, name) => {
    const known = values.filter(value => !value.includes('forwarded'))
    const body = JSON.stringify({ ...cancellingBody(name), x_values: known, [`x-${known[0]}`]: { at: `for ${known[0]}` } })
    return { headers: { 'content-type': 'application/json' }, body: body.replaceAll('/', '\\/') }
  }
}

function cancellingBody (name: string): object {
  const { responses: { statuses, body }, ids } = fixtureOf(name)
  return body(statuses.includes('cancelling') ? 'cancelling' : 'cancelled', ids.shown[0])
}

/** Upstream headers that carry a credential at some provider. */
const CREDENTIAL_HEADERS =
  [...new Set(FIXTURES.flatMap(({ credentials: { known } }) => known)), 'x-tenant-token'] as const

const FORWARDED = { 'x-portkey-forward-headers': 'X-Tenant-Token', 'x-tenant-token': 'Token forwarded-s3cret-value' }

/** The parts of a value that are secret by themselves. */
const secretParts = (value: string | string[]) => [
  String(value), ...String(value).split(/^[\w-]+ +/).slice(1), ...String(value).match(/(?<=Signature=)\w+/g) ?? []
].filter(part => part.length >= 8)

interface Caller {
  readonly name: string
  readonly server: string
  /** The server, and which of its clients. */
  readonly way: string
  readonly isServer: boolean
  readonly provider: (baseUrl: string) => Provider
  readonly headers: Headers
}

/** Each way to set a server up with what each client may send. */
function callersOf (name: string, { servers, clients }: Credentials): Caller[] {
  const complete = (client: Client) => client.fault === undefined && client.lacks?.(true) === undefined
  return Object.entries(servers).filter(([, { wire, isServer }]) => !isServer || wire !== undefined)
    .flatMap(([server, { isServer, decides = [], make }]) => {
      const usable = isServer || decides.length > 0 ? [{ headers: {} }] : clients.filter(complete)
      return usable.map((client, index) => ({
        name,
        server,
        way: `${server} ${index}`,
        isServer,
        provider: (baseUrl: string) => make({ baseUrl }),
        headers: { authorization: 'Bearer client-s3cret-1', ...client.headers, ...FORWARDED }
      }))
    })
}

/** What upstreams saw of one call that is a secret. */
const secretsOf = (requests: readonly Recorded[]) => requests.flatMap(({ headers }) => CREDENTIAL_HEADERS
  .filter(name => name === 'authorization' || String(headers[name]).includes('s3cret'))
  .flatMap(name => secretParts(headers[name] ?? '')))

/** A call of a caller, of which a provider repeats something. */
interface RepeatedCall {
  readonly caller: Caller
  readonly what: string
  readonly repeat: Repeat
  readonly via: 'route' | 'code'
}

const callsOf = (caller: Caller): RepeatedCall[] => Object.entries(caller.isServer ? SERVER_REPEATS : REPEATS)
  .flatMap(([what, repeat]) => (['route', 'code'] as const).map(via => ({ caller, what, repeat, via })))

const CALLERS = FIXTURES.flatMap(({ name, credentials }) => callersOf(name, credentials))

const REPEATED_CALLS = selectRows(CALLERS.flatMap(callsOf), {
  strength: 2,
  valuesOf: ({ caller: { name, way }, what, via }) => [name, way, what, via],
  kindOf: () => ''
})

t.test('what a provider repeats', async t => {
  const outputs = collectOutputs(t)
  const upstream = await startUpstream(t)
  const forwardTo = (provider: Provider) =>
    forwardToProviders({ providers: { [provider.name]: provider }, forwardHeaders: ['x-tenant-token'] })
  let calls = 0
  for (const { name, ids: { valid: [batchId] } } of FIXTURES) {
    const found: string[] = []
    const secrets = new Set<string>()
    const forwarders = new Map<Caller, BatchForwarder>()
    const apps = new Map<Caller, FastifyInstance>()
    for (const { caller, what, repeat, via } of REPEATED_CALLS.filter(call => call.caller.name === name)) {
      const forward = forwarders.get(caller) ?? forwardTo(caller.provider(upstream.url))
      forwarders.set(caller, forward)
      upstream.requests.length = 0
      upstream.answer = request => repeat(secretsOf([request]), name)
      if (via === 'route') {
        const app = apps.get(caller) ?? await build(t, withFastClock({ forward }), outputs.server)
        apps.set(caller, app)
        setLogLevel(app, LOG_LEVELS[calls % LOG_LEVELS.length] as string)
        // A client that retries by itself gets one attempt.
        const headers = { 'x-portkey-provider': name, ...caller.headers, 'x-stainless-retry-count': '0' }
        outputs.keepResponse(await cancel(app, { id: batchId, headers }))
      } else {
        const { retrieve } = createBatchCanceller(withFastClock({ forward }))
        const call = { provider: name, batchId, headers: caller.headers, log: outputs.log }
        await retrieve(call).then(outputs.keep, outputs.keep)
      }
      calls++
      if (upstream.requests.length === 0) found.push(`${caller.server}, ${what}: nothing was sent`)
      const sent = secretsOf(upstream.requests)
      for (const secret of sent) secrets.add(secret)
      found.push(...outputs.leaks(['s3cret', ...sent]).map(leak => `${caller.server}, ${what}, ${via}: ${leak}`))
    }
    t.strictSame(found.slice(0, 5), [], `${name}: ${found.length} leaks of ${secrets.size} secrets`)
  }
  t.comment(`${calls} calls`)
})

/* What functions of the server and of forwarders throw. */

/** Known to the call: the client sent it. */
const CLIENT = 'opaque-cl1ent-key'
const CLIENT_HEADERS = { authorization: `Bearer ${CLIENT}`, 'x-api-key': 'opaque-cl1ent-2' }

/** Known by its form alone. */
const TOKENS = [
  'sk-proj-s3cretkey1', 'gsk_s3cretkey2s3cret', 'eyJhbGciOiJ.s3cretbody.s3cretsig', 'ya29.s3crettoken',
  'https://user:s3cretpassword@proxy.example/', 'https://api.example/v1?key=s3cretquery', 'Bearer s3cretbearer'
]

/** Nobody can know that this is a secret: it must not stand in a text that anybody gets. */
const OPAQUE = 's3cret of the server that looks like nothing'

const request = { headers: { authorization: OPAQUE, 'x-vault-token': OPAQUE }, url: OPAQUE }

type Thrown = Record<string, unknown> & { readonly message?: string }
const thrownError = (members: Thrown, Type: new (message: string) => Error = Error) =>
  Object.assign(new Type(members.message ?? 'It failed.'), members)

/** What somebody else's function throws. */
const THROWN: Readonly<Record<string, () => unknown>> = {
  'a key of the client in the message': () => new Error(`Refused ${CLIENT}, ${JSON.stringify(CLIENT_HEADERS)}`),
  'tokens in the message': () => new Error(`Refused ${TOKENS.join(' ')}`),
  'a private key in the message': () => new Error(`Refused ${PEM}`),
  'a secret that the end of a long message cuts': () => new Error('x'.repeat(7990) + CLIENT),
  'the request of axios': () => thrownError({ config: request, request, toJSON: () => ({ config: request }) }),
  'the response of axios, with a status': () => thrownError({
    status: 403,
    config: request,
    request,
    response: { status: 403, headers: { 'set-cookie': OPAQUE }, config: request }
  }),
  'what the response of axios repeats': () => thrownError({
    response: {
      status: 401,
      data: { error: { message: `Bad ${CLIENT} or ${TOKENS[0]}`, code: CLIENT } },
      config: request
    }
  }),
  'the error of an SDK': () => thrownError({
    status: 400,
    request,
    error: { message: `Bad ${CLIENT} ${TOKENS[1]}`, type: CLIENT, param: CLIENT, code: TOKENS[0] },
    headers: { 'x-request-id': `req-${CLIENT}`, 'set-cookie': OPAQUE, authorization: OPAQUE }
  }),
  'headers of a fetch error': () => thrownError({
    status: 503, headers: new Headers({ 'x-request-id': TOKENS[0] as string, 'retry-after': '1', 'x-key': OPAQUE })
  }),
  'a cause': () => new Error('It failed.', { cause: thrownError({ config: request, message: `for ${CLIENT}` }) }),
  'a cause of a cause': () =>
    new Error('It failed.', { cause: new Error('It.', { cause: thrownError({ request, code: CLIENT }) }) }),
  'a network error with bytes': () => thrownError({
    code: 'ECONNRESET', data: Buffer.from(OPAQUE), socket: { request }, message: `reset after ${CLIENT}`
  }),
  'an error of the HTTP parser': () =>
    thrownError({ name: 'HTTPParserError', code: 'HPE_INVALID_CONSTANT', data: OPAQUE, message: 'Expected HTTP/' }),
  'an aggregate': () => new AggregateError(
    [thrownError({ config: request }), new Error(OPAQUE)],
    `All failed with ${CLIENT}`,
    { cause: thrownError({ request }) }
  ),
  'a name': () => thrownError({ name: `Refused ${CLIENT}` }),
  'our own error with a cause': () =>
    new BatchCancelError('missing_credentials', `No key for ${CLIENT}.`, { cause: thrownError({ config: request }) }),
  'our own error without a response': () =>
    new BatchCancelError('upstream_unreachable', `No response for ${CLIENT}.`, { cause: thrownError({ request }) }),
  'our own error of a provider': () => new ProviderError(
    409, { message: `Bad ${CLIENT}`, code: TOKENS[0] as string }, { 'x-request-id': CLIENT }, thrownError({ request })
  ),
  'a string': () => `Refused ${CLIENT} ${TOKENS.join(' ')}`,
  'an object': () => ({ authorization: OPAQUE, ...request }),
  nothing: () => undefined
}

type Options = Omit<FastifyBatchCancelOptions, 'forward'> & { readonly forward: BatchForwarder }

/** Where it is thrown; `later` rejects. */
const PLACES: Readonly<Record<string, (fail: () => never, baseUrl: string) => Options>> = {
  cancel: fail => ({ forward: { cancel: async () => fail() } }),
  'cancel, at once': fail => ({ forward: { cancel: fail } }),
  'the read after a cancel': fail => ({
    forward: { cancel: async () => null, retrieve: async () => fail() }
  }),
  'the read after no response': fail => ({
    forward: {
      cancel: async () => { throw Object.assign(new Error('reset'), { code: 'ECONNRESET' }) },
      retrieve: async () => fail()
    }
  }),
  prepare: fail => ({ forward: { cancel: async () => BATCH, prepare: fail } }),
  'prepare, later': fail => ({ forward: { cancel: async () => BATCH, prepare: async () => fail() } }),
  shareKey: fail => ({
    forward: { cancel: async () => BATCH, retrieve: async () => ({ ...BATCH, status: 'cancelled' }), shareKey: fail }
  }),
  'a read while a client waits': fail => ({ forward: { cancel: async () => BATCH, retrieve: async () => fail() } }),
  onCancelled: fail => ({ forward: { cancel: async () => BATCH }, onCancelled: fail }),
  'onCancelled, later': fail => ({ forward: { cancel: async () => BATCH }, onCancelled: async () => fail() }),
  allow: fail => ({ forward: { cancel: async () => BATCH }, allow: fail }),
  'allow, later': fail => ({ forward: { cancel: async () => BATCH }, allow: async () => fail() }),
  warm: fail => ({ forward: { cancel: async () => BATCH, warm: fail } }),
  'warm, later': fail => ({ forward: { cancel: async () => BATCH, warm: async () => fail() } }),
  apiKey: (fail, baseUrl) => served(openai({ baseUrl, apiKey: fail })),
  baseUrl: fail => served(openai({ baseUrl: async () => fail() })),
  credentials: (fail, baseUrl) => served(bedrock({ baseUrl, region: 'us-east-1', credentials: async () => fail() })),
  serviceAccount: (fail, baseUrl) =>
    served(vertex({ baseUrl, project: 'p', region: 'us-central1', serviceAccount: async () => fail() })),
  entraToken: (fail, baseUrl) => served(azureOpenAI({ baseUrl, entraToken: async () => fail() })),
  dispatcher: fail => ({
    forward: forwardToProviders({ providers: { p: openai() as Provider }, dispatcher: { dispatch: fail } as never })
  })
}

const served = (provider: unknown): Options =>
  ({ forward: forwardToProviders({ providers: { p: provider as Provider } }) })

const idFor = (place: string) => ({ credentials: 'abcdefghij12', serviceAccount: '12' })[place] ?? 'batch_1'

interface ThrowingCall {
  readonly place: string
  readonly what: string
  readonly via: 'route' | 'cancel' | 'retrieve'
}

const THROWING_CALLS: readonly ThrowingCall[] = Object.keys(PLACES).flatMap(place => Object.keys(THROWN).flatMap(what =>
  (['route', 'cancel', 'retrieve'] as const).map(via => ({ place, what, via }))))

t.test('what a function throws', async t => {
  const outputs = collectOutputs(t)
  const { url } = await startUpstream(t, () => ({ body: BATCH }))
  const calls = selectRows(THROWING_CALLS, {
    strength: 2,
    valuesOf: ({ place, what, via }) => [place, what, via],
    kindOf: () => ''
  })
  for (const [place, optionsFor] of Object.entries(PLACES)) {
    const found: string[] = []
    const isAtStart = place.startsWith('warm')
    const needles = [...isAtStart ? [] : ['cl1ent'], 's3cret', PEM.split('\n')[9] as string]
    for (const { what, via } of calls.filter(call => call.place === place)) {
      const fail = () => { throw THROWN[what]?.() }
      const options = optionsFor(fail, url)
      if (via === 'route') {
        const app = await build(t, withFastClock({ defaultProvider: 'p', ...options }), outputs.server)
        if (isAtStart) await app.listen({ port: 0 })
        outputs.keepResponse(await cancel(app, { id: idFor(place), headers: { ...CLIENT_HEADERS, prefer: 'wait=1' } }))
        await app.close()
      } else {
        const canceller = createBatchCanceller(withFastClock({ forward: options.forward }))
        const call = { provider: 'p', batchId: idFor(place), headers: CLIENT_HEADERS, log: outputs.log }
        await canceller[via](call).then(outputs.keep, outputs.keep)
      }
      found.push(...outputs.leaks(needles).map(leak => `${what}, ${via}: ${leak}`))
    }
    t.strictSame(found.slice(0, 5), [], `${place}: ${found.length} leaks`)
  }
})

/* What else repeats the credential of the server. */

t.test('what a dispatcher throws', async t => {
  const outputs = collectOutputs(t)
  const key = 'server-s3cret-key'
  for (const [what, dispatch] of Object.entries({
    'at once': (request: object) => { throw new Error(`No route for ${JSON.stringify(request)}`, { cause: request }) },
    'a network error': (request: object) => {
      const message = `Reset: ${encodeURIComponent(JSON.stringify(request))}`
      throw Object.assign(new Error(message), { code: 'ECONNRESET', request })
    },
    'in a cause': (request: object) => {
      throw new TypeError('fetch failed', { cause: new Error(`Reset: ${JSON.stringify(request)}`) })
    },
    'what is not an error': (request: object) => { throw JSON.stringify(request) }
  })) {
    const forward = forwardToProviders({
      providers: { p: openai({ apiKey: key }) },
      dispatcher: { dispatch } as never
    })
    const app = await build(t, withFastClock({ forward, defaultProvider: 'p' }), outputs.server)
    outputs.keepResponse(await cancel(app))
    const canceller = createBatchCanceller(withFastClock({ forward }))
    await canceller.cancel({ provider: 'p', batchId: 'b', log: outputs.log }).then(outputs.keep, outputs.keep)
    t.match(outputs.texts.join(), /\*\*\*/, `${what}: the log has the words`)
    t.strictSame(outputs.leaks(['s3cret']), [], what)
  }
})

t.test('what Google\'s token endpoint repeats', async t => {
  const outputs = collectOutputs(t)
  const secrets = new Set<string>()
  let status = 400
  let form = 0
  await catchAll(t, ({ path, body }) => {
    if (path !== '/token') return { status: 403, body: { error: 'No.' } }
    const assertion = new URLSearchParams(body).get('assertion') as string
    const parts = [assertion, assertion.split('.')[2] as string, body]
    for (const part of parts) secrets.add(part)
    // One form at a time, since long texts are cut.
    const text = parts.map(part => writtenForms(part)[form]).join(' ')
    return { status, body: { error: text, error_description: text, access_token: `not a token: ${text}` } }
  })
  const account = { project: 'p', region: 'us-central1', serviceAccount: keyFile('leaks') }
  const forward = forwardToProviders({ providers: { p: vertex(account) } })
  const app = await build(t, withFastClock({ forward, defaultProvider: 'p' }), outputs.server)
  const found: string[] = []
  for (status of [200, 400, 401, 429, 500]) {
    for (form = 0; form < writtenForms('').length; form++) {
      outputs.keepResponse(await cancel(app, { id: '12', headers: { 'x-stainless-retry-count': '0' } }))
      const canceller = createBatchCanceller(withFastClock({ forward }))
      await canceller.retrieve({ provider: 'p', batchId: '12', log: outputs.log }).then(outputs.keep, outputs.keep)
      t.ok(secrets.size > 0)
      found.push(...outputs.leaks([...secrets, PEM.split('\n')[9] as string]).map(leak => `${status}: ${leak}`))
      secrets.clear()
    }
  }
  t.strictSame(found.slice(0, 5), [], `${found.length} leaks`)
})

/* What is refused before anything is sent. */

/** Headers of a client that are refused, or that make no difference. */
const REFUSED: Readonly<Record<string, Headers>> = {
  'a provider that is a key': { 'x-portkey-provider': 'sk-s3cretkey' },
  'a provider that is a short key': { 'x-portkey-provider': 's3cret0123456789abcdef' },
  'a virtual key': { 'x-portkey-virtual-key': 'openai-s3cret' },
  'a config that is a key': { 'x-portkey-config': 's3cret-config' },
  'a broken config': { 'x-portkey-config': '{"api_key":"s3cret-key"' },
  'a config with targets': { 'x-portkey-config': '{"targets":[{"api_key":"s3cret-key"}]}' },
  'a config that is nested': { 'x-portkey-config': `{"api_key":${'['.repeat(2000)}"s3cret-key"${']'.repeat(2000)}}` },
  'a config with userinfo': {
    'x-portkey-config': '{"customHost":"https://u:s3cret-pass@x","apiKey":"s3cret-key"}'
  },
  'a host with userinfo': { 'x-portkey-custom-host': 'https://user:s3cret-pass@llm.example/v1' },
  'a host with a query': { 'x-portkey-custom-host': 'https://llm.example/v1?key=s3cret-query' },
  'headers to be forwarded that are values': { 'x-portkey-forward-headers': 's3cret value' },
  'a header twice': { authorization: 'Bearer s3cret-one, Bearer s3cret-two' },
  'a long credential': { authorization: `Bearer ${'s3cret'.repeat(4000)}` },
  'another scheme': { authorization: 'Basic dXNlcjpzM2NyZXQtcGFzcw==' }
}

t.test('what is refused', async t => {
  const outputs = collectOutputs(t)
  const fail = () => { throw Object.assign(new Error('Not allowed.'), { statusCode: 403 }) }
  for (const fixture of FIXTURES) {
    const { name, credentials: { accounts, modes, known }, ids, hosts } = fixture
    const own = [...Object.keys({ ...accounts, ...hosts.headers }), ...modes, ...known]
    const invalid = Object.fromEntries(own.map(header => [`an invalid ${header}`, { [header]: 'a s3cret é value' }]))
    const app = await build(t, withFastClock({
      forward: forwardToProviders({ providers: { [name]: make(fixture, {}) } }),
      allow: fail
    }), outputs.server)
    const rows = Object.entries({ ...REFUSED, ...invalid })
    for (const [what, headers] of rows) {
      const all = { 'x-portkey-provider': name, ...BEARER, ...hosts.headers, ...headers }
      const response = await cancel(app, { id: ids.valid[0], headers: all })
      outputs.keepResponse(response)
      if (response.statusCode < 400 || response.statusCode > 499) t.fail(`${name}, ${what}: ${response.statusCode}`)
      t.strictSame(outputs.leaks(['s3cret']), [], `${name}: ${what}`)
    }
  }
})

t.test('what is refused at registration', async t => {
  const wrong = (options: object) => () => openai(options as never)
  for (const [what, register] of Object.entries({
    'a key with Bearer': wrong({ apiKey: 'Bearer s3cret' }),
    'a key with a line break': wrong({ apiKey: 's3cret\n' }),
    'a key in a list': wrong({ apiKey: ['s3cret'] }),
    'a key under another name': wrong({ apikey: 's3cret' }),
    'a base URL with userinfo': wrong({ baseUrl: 'https://user:s3cret@llm.example' }),
    'a base URL with a query': wrong({ baseUrl: 'https://llm.example/?key=s3cret' }),
    'AWS keys without one': () => bedrock({ credentials: { accessKeyId: 's3cret' } as never }),
    'AWS keys beside a key': () =>
      bedrock({ apiKey: 's3cret', credentials: { accessKeyId: 's3cret', secretAccessKey: 's3cret' } }),
    'a region that is a key': () => bedrock({ region: 's3cret' }),
    'a token of Entra': () => azureOpenAI({ entraToken: 'Bearer s3cret' }),
    'a resource that is a URL': () => azureOpenAI({ resourceName: 'https://user:s3cret@x' }),
    'another kind of key file': () => vertex({ serviceAccount: { ...keyFile('s3cret'), type: 'external_account' } }),
    'a broken key file': () => vertex({ serviceAccount: '{"private_key":"s3cret' }),
    'a host with userinfo': () => forwardToProviders({ trustedHosts: ['https://user:s3cret@llm.example'] }),
    'a host with a query': () => forwardToProviders({ trustedHosts: ['llm.example?key=s3cret'] }),
    'a header with its value': () => forwardToProviders({ forwardHeaders: ['x-tenant: s3cret'] }),
    'a provider that is a key': () => forwardToProviders({ providers: { p: 's3cret' } as never })
  })) {
    let thrown: unknown
    try { register() } catch (error) { thrown = error }
    t.match(thrown, { code: 'FST_BATCH_CANCEL_INVALID_OPTION' }, what)
    t.notMatch((thrown as Error).message, 's3cret', what)
  }
})
