import type { ChannelListener } from 'node:diagnostics_channel'
import type { IncomingHttpHeaders } from 'node:http'
import type { Http2Server } from 'node:http2'
import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import type { Static, TSchema } from '@sinclair/typebox'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  type FastifyTypeProvider,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerBase
} from 'fastify'
import OpenAI, { AzureOpenAI } from 'openai'
import t from 'tap'
import { Headers as UndiciHeaders } from 'undici'
import batchCancel, {
  azureOpenAI,
  BatchCancelError,
  bedrock,
  builtIn,
  forwardToProviders,
  openai,
  ProviderError,
  providerFactories,
  vertex,
  watsonx,
  type Batch,
  type BatchResult,
  type BatchCall,
  type BatchForwarder,
  type CallReport,
  type ERROR_STATUS,
  type ErrorCode,
  type FastifyBatchCancelOptions,
  type ProviderTraits
} from '../lib/index.js'
import sandbox from '../lib/sandbox/index.js'
import { forwarderContract } from '../lib/testing/index.js'
import type { components, operations, paths } from '../openapi/openapi.js'
import { isBatch, type BATCH_STATUSES, type BatchParams, type ErrorResponse } from '../schemas/index.js'
import { BATCH, batch, build, cancel } from './support/app.js'
import { operation } from './support/document.js'

/*
 * What the types say is checked by `npm run typecheck`: every mistake has its `@ts-expect-error`, which is an error
 * where
 * the mistake is let through. What tap runs are the same mistakes by people without types.
 */

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
/** Compiles where the value is of the type. */
const assignable = <To>(_from: To) => {}
/** Compiles where the two are one type. */
const same = <A, B>(_equal: Equal<A, B>) => {}
/** A value that only the compiler sees. */
const a = <T>() => undefined as T
/** Compiled, and never run. */
const compiled = (_make: () => unknown) => {}

type Documented = components['schemas']['Batch']
type DocumentedError = components['schemas']['ErrorResponse']
type FromSDK = OpenAI.Batches.Batch
type Operation = operations['cancelBatch']
type Responses = Operation['responses']
type Answer<S extends keyof Responses> = Responses[S]['content']['application/json']
type Header = Operation['parameters']['header']
type Forward = NonNullable<FastifyBatchCancelOptions['forward']>

/** Without room for unknown fields, in which a forgotten one would not be missed. */
type Closed<T> = T extends ReadonlyArray<infer I>
  ? Array<Closed<I>>
  : T extends object ? { [K in keyof T as string extends K ? unknown extends T[K] ? never : K : K]: Closed<T[K]> } : T
/** Without any `null`. */
type UpstreamResponse<T> = T extends object ? { [K in keyof T]: UpstreamResponse<Exclude<T[K], null>> } : T

const forward = async () => BATCH
const keys = { accessKeyId: 'AKIA', secretAccessKey: 'secret' }

t.test('a batch is one type: the document\'s, ours and the SDK\'s', async t => {
  assignable<Documented>(a<Batch>())
  assignable<Batch>(a<Documented>())
  same<Closed<Documented>, Closed<Batch>>(true)
  same<(typeof BATCH_STATUSES)[number], Documented['status']>(true)

  assignable<Batch>(a<FromSDK>())
  same<Exclude<keyof FromSDK, keyof Batch>, never>(true)
  same<Exclude<keyof Batch, keyof FromSDK>, 'provider_batch'>(true)
  same<FromSDK['status'], Batch['status']>(true)
  // @ts-expect-error what is not known is null, in OpenAI's own answers too; its SDK knows only absent
  assignable<FromSDK>(a<Batch>())
  assignable<FromSDK>(a<UpstreamResponse<Batch>>())
  // @ts-expect-error the same
  assignable<FromSDK>(a<Documented>())
  assignable<FromSDK>(a<UpstreamResponse<Closed<Documented>>>())
  // @ts-expect-error the document's batch has room for unknown fields; an interface, as the SDK's, has none
  assignable<Documented>(a<FromSDK>())
  assignable<Closed<Documented>>(a<FromSDK>())
  // @ts-expect-error null or absent: JSON has no undefined
  assignable<Batch>({ ...BATCH, usage: undefined })

  const refused = (wrong: Batch) => t.notOk(isBatch(wrong), JSON.stringify(wrong))
  t.ok(isBatch({ ...BATCH, errors: null, request_counts: null, usage: null, metadata: null } satisfies Batch))
  // @ts-expect-error another API's spelling
  refused({ ...BATCH, status: 'canceling' })
  // @ts-expect-error another API's batch
  refused({ ...BATCH, object: 'message_batch' })
  // @ts-expect-error times are seconds
  refused({ ...BATCH, created_at: '2024-04-23T17:46:40Z' })
  // @ts-expect-error a required field
  refused({ ...BATCH, endpoint: null })
  // @ts-expect-error all three counts, or none
  refused({ ...BATCH, request_counts: { total: 1, completed: 1 } })
  // @ts-expect-error metadata are strings
  refused({ ...BATCH, metadata: { tries: 3 } })
})

t.test('the operation of the document, to a client', async t => {
  same<paths['/v1/batches/{id}/cancel']['post'], Operation>(true)
  same<Answer<200>['status'], 'cancelling' | 'cancelled'>(true)
  assignable<Batch>(a<Answer<200>>())
  // @ts-expect-error a 200 has no other status
  assignable<Answer<200>>(a<Batch>())
  same<Answer<Exclude<keyof Responses, 200>>, DocumentedError>(true)
  assignable<DocumentedError>(a<ErrorResponse>())
  assignable<ErrorResponse>(a<DocumentedError>())
  same<Closed<DocumentedError>, Closed<ErrorResponse>>(true)
  assignable<keyof Responses>(a<(typeof ERROR_STATUS)[ErrorCode]>())

  same<BatchParams, Operation['parameters']['path']>(true)
  same<Header['x-portkey-provider'], keyof typeof providerFactories>(true)
  assignable<Operation['parameters']>({
    header: { 'x-portkey-provider': 'openai', prefer: 'wait=30' },
    path: { id: 'batch_abc123' }
  })
  assignable<Pick<Operation, 'requestBody'>>({})
  // @ts-expect-error a provider must be named
  assignable<Header>({})
  // @ts-expect-error there is none of that name
  assignable<Header>({ 'x-portkey-provider': 'opnai' })
  // @ts-expect-error known, and refused
  assignable<Header>({ 'x-portkey-provider': 'fireworks-ai' })
  // @ts-expect-error headers are strings
  assignable<Header>({ 'x-portkey-provider': 'openai', 'x-portkey-request-timeout': 1000 })
  // @ts-expect-error here its name is id
  assignable<Operation['parameters']['path']>({ batch_id: 'batch_abc123' })

  const statuses: Record<keyof Responses, true> = {
    200: true,
    400: true,
    401: true,
    403: true,
    404: true,
    409: true,
    413: true,
    415: true,
    429: true,
    500: true,
    502: true,
    503: true,
    504: true,
    '4XX': true,
    '5XX': true
  }
  t.strictSame(Object.keys(operation.responses), Object.keys(statuses))
  const ok = (await cancel(await build(t, { defaultProvider: 'x', forward }))).json<Answer<200>>()
  // @ts-expect-error what ended otherwise is no 200
  t.notOk(ok.status === 'completed')
  const { error, batch: ended } = (await cancel(await build(t, {
    defaultProvider: 'x',
    forward: async () => batch({ status: 'completed', output_file_id: 'file-2' })
  }))).json<Answer<409>>()
  t.match([error.code, error.param, ended?.output_file_id], ['batch_not_cancellable', null, 'file-2'])
})

t.test('hooks in every form', async t => {
  const client = { apiKey: 'key', maxRetries: 0, fetch: async () => Response.json(BATCH) }
  const sdk = new OpenAI(client)
  const azure = new AzureOpenAI({ ...client, endpoint: 'https://mine.openai.azure.com', apiVersion: '2024-10-21' })
  const url = `data:application/json,${encodeURIComponent(JSON.stringify(BATCH))}`
  const headers: IncomingHttpHeaders = { 'retry-after': '5', 'set-cookie': ['a=1'] }
  class Rows implements BatchForwarder {
    readonly #rows = new Map([[BATCH.id, BATCH]])
    readonly cancel = async ({ batchId }: BatchCall) => this.#rows.get(batchId) ?? null
    async retrieve () { return BATCH }
  }

  same<keyof BatchForwarder, 'cancel' | 'retrieve' | 'prepare' | 'warm' | 'close' | 'shareKey' | 'providers'>(true)
  same<keyof BatchCall, 'batchId' | 'provider' | 'headers' | 'request' | 'signal'>(true)
  same<Readonly<BatchCall>, BatchCall>(true)
  assignable<Forward>(async () => { throw Object.assign(new Error('No such batch'), { status: 404 }) })

  const forms: Record<string, Forward> = {
    'a function': forward,
    'a promise of null': () => Promise.resolve(null),
    'the SDK of OpenAI': {
      cancel: ({ batchId, signal }) => sdk.batches.cancel(batchId, { signal }),
      retrieve: ({ batchId, signal }) => sdk.batches.retrieve(batchId, { signal })
    },
    'the same, with headers': async ({ batchId, signal }) => {
      const { data, response } = await sdk.batches.cancel(batchId, { signal }).withResponse()
      return { batch: data, headers: response.headers }
    },
    'the same for Azure': {
      cancel: ({ batchId, signal }) => azure.batches.cancel(batchId, { signal }),
      retrieve: ({ batchId, signal }) => azure.batches.retrieve(batchId, { signal })
    },
    fetch: async ({ signal }) => {
      const response = await fetch(url, { signal })
      const body = await response.json()
      if (!isBatch(body)) throw new Error('No batch')
      return { batch: body, headers: response.headers }
    },
    'headers of node:http': async () => ({ batch: BATCH, headers }),
    'no headers': async () => ({ batch: BATCH, headers: null }),
    'headers of undici': async () => ({ batch: null, headers: new UndiciHeaders({ 'retry-after': '5' }) }),
    'headers as an object': {
      cancel: async () => ({ batch: null, headers: Object.fromEntries(new Headers({ 'retry-after': '5' })) }),
      retrieve: async () => ({ batch: BATCH })
    },
    'a class': new Rows(),
    'all parts': {
      cancel: async ({ request }) => { request?.log.debug('cancel'); return BATCH },
      retrieve: forward,
      shareKey: ({ headers, batchId }) => `${headers.authorization} ${batchId}`,
      providers: new Map<string, ProviderTraits>([
        ['x', { id: /^batch_/ }],
        ['y', { unsupported: 'it has no way to cancel a batch.' }]
      ])
    }
  }
  for (const [form, forward] of Object.entries(forms)) {
    t.equal(
      (await cancel(await build(t, { defaultProvider: 'x', forward }))).statusCode,
      200,
      form
    )
  }

  /** What only a call can tell, since registration sees a function. */
  const broken = async (forward: Forward) => t.match(
    (await cancel(await build(t, { defaultProvider: 'x', forward }))).json(),
    { error: { code: 'internal_error' } },
    String(forward)
  )
  // @ts-expect-error answers nothing
  await broken(async () => {})
  // @ts-expect-error a status is no batch
  await broken(async () => 'cancelled')
  // @ts-expect-error nor is whether it worked
  await broken(async () => true)
  // @ts-expect-error nor is what some gateways answer
  await broken(async () => ({ status: 'success' }))
  // @ts-expect-error nor is a part of one
  await broken(async () => ({ id: 'batch_1', object: 'batch', status: 'cancelling' } as const))
  // @ts-expect-error nor is a list
  await broken(async () => [BATCH])
  // @ts-expect-error null is for a batch that is not shown
  await broken(async () => ({ batch: undefined }))
  // @ts-expect-error an answer of the SDK, unopened
  await broken(({ batchId }) => sdk.batches.cancel(batchId).withResponse())
  // @ts-expect-error a response, unread
  await broken(() => fetch(url))
  // @ts-expect-error a method of the SDK takes an id
  await broken(sdk.batches.cancel)
  // @ts-expect-error in a call its name is batchId
  await broken(async ({ id }) => batch({ id: id.trim() }))
  // @ts-expect-error a class is not called
  await broken(class { async cancel () { return BATCH } })
  // @ts-expect-error makes a forwarder, and is none
  compiled(() => broken(forwardToProviders))

  // @ts-expect-error JSON may be anything: see isBatch
  assignable<BatchForwarder>({ cancel: async () => (await fetch(url)).json() })
  // @ts-expect-error not a promise
  assignable<BatchForwarder>({ cancel: () => null })
  // @ts-expect-error plain functions: no `this`
  assignable<BatchForwarder>({ async cancel (call) { return this.retrieve(call) }, retrieve: forward })
  // @ts-expect-error a call has no tenant
  assignable<BatchForwarder>({ cancel: async ({ tenant }: BatchCall & { tenant: string }) => batch({ id: tenant }) })
  // @ts-expect-error the headers are the request's
  assignable<BatchForwarder>({ async cancel ({ headers }) { headers['x-tenant'] = 'ann'; return BATCH } })
  // @ts-expect-error a read shows a batch
  assignable<BatchForwarder>({ cancel: forward, retrieve: async () => ({ batch: null }) })
  // @ts-expect-error what cannot be shown is an error
  assignable<BatchForwarder>({ cancel: forward, retrieve: async () => null })
  // @ts-expect-error a page of batches
  assignable<BatchForwarder>({ cancel: forward, retrieve: () => sdk.batches.list() })
  assignable<BatchForwarder>({ cancel: forward, shareKey: ({ headers }) => headers.authorization })
  // @ts-expect-error a header that came twice
  assignable<BatchForwarder>({ cancel: forward, shareKey: ({ headers }) => headers['x-tenant'] ?? '' })
  // @ts-expect-error a promise of one
  assignable<BatchForwarder>({ cancel: forward, shareKey: async () => 'key' })
  // @ts-expect-error names are strings
  assignable<BatchForwarder>({ cancel: forward, providers: new Map([[1, {}]]) })
  // @ts-expect-error a pattern is no string
  assignable<BatchForwarder>({ cancel: forward, providers: new Map([['x', { id: '^batch_' }]]) })
  // @ts-expect-error misspelt
  assignable<BatchForwarder>({ cancel: forward, retreive: forward })
  // @ts-expect-error misspelt
  assignable<BatchResult>({ batch: BATCH, header: headers })
  // @ts-expect-error headers are strings
  assignable<BatchResult>({ batch: BATCH, headers: { 'retry-after': 5 } })
  // @ts-expect-error headers by name
  assignable<BatchResult>({ batch: BATCH, headers: [['retry-after', '5']] })
  // @ts-expect-error only our own codes; others are a ProviderError's
  compiled(() => new BatchCancelError('teapot', 'No'))
  // @ts-expect-error details, of which the message is one
  compiled(() => new ProviderError(418, 'No'))
  // @ts-expect-error a call is what the client asked for
  assignable<Forward>(async call => { call.batchId = 'batch_2'; return null })
})

const compiledOptions = (options: FastifyBatchCancelOptions) => options

t.test('a mistake that both refuse, the types and the registration', async t => {
  const wanted = (message: string | RegExp) => ({ code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: message as string })
  const refused = (register: (app: FastifyInstance) => unknown, message: string | RegExp) =>
    t.rejects(async () => { await register(Fastify()) }, wanted(message), String(message))
  const cannot = (make: () => unknown, message: string | RegExp) => t.throws(make, wanted(message), String(message))

  // The names that the types know are those that registration tells.
  const named = <T>(path: string, names: Record<keyof T, true>, options: object) => refused(
    app => app.register(batchCancel, options),
    `Unknown option 'no' in ${path}. Valid options: ${Object.keys(names).join(', ')}.`
  )
  type RouteOptions = NonNullable<FastifyBatchCancelOptions['routeOptions']>
  await named<Omit<FastifyBatchCancelOptions, 'prefix'>>('options', {
    forward: true,
    canceller: true,
    retrieve: true,
    defaultProvider: true,
    timeout: true,
    maxWait: true,
    routeOptions: true,
    allow: true,
    portkeyConfig: true,
    onCancelled: true
  }, { no: 1 })
  await named<RouteOptions>('options.routeOptions', {
    onRequest: true,
    preParsing: true,
    preValidation: true,
    preHandler: true,
    onSend: true,
    onResponse: true,
    onError: true,
    onTimeout: true,
    onRequestAbort: true,
    config: true,
    constraints: true,
    logLevel: true,
    bodyLimit: true,
    handlerTimeout: true,
    schema: true
  }, { routeOptions: { no: 1 } })
  await named<NonNullable<RouteOptions['schema']>>(
    'options.routeOptions.schema',
    { tags: true, operationId: true, summary: true, description: true, security: true, hide: true, retrieve: true },
    { routeOptions: { schema: { no: 1 } } }
  )

  // @ts-expect-error misspelt
  await refused(app => app.register(batchCancel, { timeOut: 5000 }), /^Unknown option 'timeOut' in options\./)
  await refused(
    // @ts-expect-error misspelt, beside one that is not
    app => app.register(batchCancel, { forward, defaultprovider: 'x' }),
    /^Unknown option 'defaultprovider' in options\./
  )
  await refused(
    // @ts-expect-error an option of forwardToProviders
    app => app.register(batchCancel, { providers: { openai: openai() } }),
    /^Unknown option 'providers' in options\./
  )
  await refused(
    // @ts-expect-error one level too high
    app => app.register(batchCancel, { schema: { tags: ['Batches'] } }),
    /^Unknown option 'schema' in options\./
  )
  // @ts-expect-error text
  await refused(app => app.register(batchCancel, { timeout: '5000' }), /^options\.timeout must be whole milliseconds/)
  // @ts-expect-error text with a unit
  await refused(app => app.register(batchCancel, { maxWait: '10s' }), /^options\.maxWait must be whole milliseconds/)
  // @ts-expect-error off is 0
  await refused(app => app.register(batchCancel, { maxWait: false }), /^options\.maxWait must be whole milliseconds/)
  await refused(
    // @ts-expect-error a number
    app => app.register(batchCancel, { defaultProvider: 1 }),
    'options.defaultProvider must be the name of a provider, or a function of the call that returns one.'
  )
  await refused(
    // @ts-expect-error the provider itself
    app => app.register(batchCancel, { defaultProvider: openai() }),
    'options.defaultProvider must be the name of a provider, or a function of the call that returns one.'
  )
  await refused(
    // @ts-expect-error the name of a provider
    app => app.register(batchCancel, { forward: 'openai' }),
    'options.forward must be a function or an object with a function cancel.'
  )
  await refused(
    // @ts-expect-error a provider
    app => app.register(batchCancel, { forward: openai() }),
    'options.forward is a provider, not a forwarder: use forwardToProviders({ providers: { name: provider } }).'
  )
  await refused(
    // @ts-expect-error a list
    app => app.register(batchCancel, { forward: [forward] }),
    'options.forward must be a function or an object with a function cancel.'
  )
  await refused(
    // @ts-expect-error no cancel
    app => app.register(batchCancel, { forward: { retrieve: forward } }),
    'options.forward must be a function or an object with a function cancel.'
  )
  await refused(
    // @ts-expect-error called too early
    app => app.register(batchCancel, { forward: forward() }),
    'options.forward must be a function or an object with a function cancel.'
  )
  await refused(
    // @ts-expect-error the same
    app => app.register(batchCancel, { forward: { cancel: forward, retrieve: forward() } }),
    'options.forward.retrieve must be a function.'
  )
  await refused(
    // @ts-expect-error one key for all
    app => app.register(batchCancel, { forward: { cancel: forward, shareKey: 'key' } }),
    'options.forward.shareKey must be a function.'
  )
  await refused(
    // @ts-expect-error names alone
    app => app.register(batchCancel, { forward: { cancel: forward, providers: ['x'] } }),
    /^options\.forward\.providers must be a Map of provider traits by name .*, with at least one\.$/
  )
  await refused(
    // @ts-expect-error what forwardToProviders takes
    app => app.register(batchCancel, { forward: { cancel: forward, providers: { x: openai() } } }),
    /^options\.forward\.providers must be a Map of provider traits by name .*, with at least one\.$/
  )
  // @ts-expect-error the name of an event
  await refused(app => app.register(batchCancel, { onCancelled: 'billing' }), 'options.onCancelled must be a function.')
  await refused(
    // @ts-expect-error one function
    app => app.register(batchCancel, { onCancelled: [async () => {}] }),
    'options.onCancelled must be a function.'
  )
  await refused(
    // @ts-expect-error the contract is not the host's
    app => app.register(batchCancel, { routeOptions: { method: 'DELETE' } }),
    /^Unknown option 'method' in options\.routeOptions\./
  )
  await refused(
    // @ts-expect-error the same; there is prefix
    app => app.register(batchCancel, { routeOptions: { url: '/stop/:id' } }),
    /^Unknown option 'url' in options\.routeOptions\./
  )
  await refused(
    // @ts-expect-error the same; there is forward
    app => app.register(batchCancel, { routeOptions: { handler: forward } }),
    /^Unknown option 'handler' in options\.routeOptions\./
  )
  await refused(
    // @ts-expect-error the same
    app => app.register(batchCancel, { routeOptions: { schema: { body: { type: 'object' } } } }),
    /^Unknown option 'body' in options\.routeOptions\.schema\./
  )
  await refused(
    // @ts-expect-error the same
    app => app.register(batchCancel, { routeOptions: { schema: { tags: ['Batches'], response: {} } } }),
    /^Unknown option 'response' in options\.routeOptions\.schema\./
  )
  await refused(
    // @ts-expect-error misspelt
    app => app.register(batchCancel, { routeOptions: { schema: { operationID: 'stop' } } }),
    /^Unknown option 'operationID' in options\.routeOptions\.schema\./
  )
  await refused(
    // @ts-expect-error one tag
    app => app.register(batchCancel, { routeOptions: { schema: { tags: 'Batches' } } }),
    'options.routeOptions.schema.tags must be an array of strings.'
  )
  await refused(
    // @ts-expect-error the names of schemes
    app => app.register(batchCancel, { routeOptions: { schema: { security: ['bearer'] } } }),
    'options.routeOptions.schema.security must be an array of objects of arrays of strings.'
  )
  await refused(
    // @ts-expect-error text
    app => app.register(batchCancel, { routeOptions: { schema: { hide: 'true' } } }),
    'options.routeOptions.schema.hide must be a boolean.'
  )
  await refused(
    // @ts-expect-error the name of a decorator
    app => app.register(batchCancel, { routeOptions: { onRequest: 'authenticate' } }),
    'options.routeOptions.onRequest must be a function or an array of functions.'
  )
  await refused(
    // @ts-expect-error the same, among functions
    app => app.register(batchCancel, { routeOptions: { preHandler: [async () => {}, 'authenticate'] } }),
    'options.routeOptions.preHandler must be a function or an array of functions.'
  )
  await refused(
    // @ts-expect-error text with a unit
    app => app.register(batchCancel, { routeOptions: { bodyLimit: '1mb' } }),
    'options.routeOptions.bodyLimit must be a whole number of bytes from 1.'
  )
  await refused(
    // @ts-expect-error a number of pino's
    app => app.register(batchCancel, { routeOptions: { logLevel: 30 } }),
    'options.routeOptions.logLevel must be a string.'
  )

  cannot(
    // @ts-expect-error a name is no provider
    () => forwardToProviders({ providers: { openai: 'openai' } }),
    'forwardToProviders({ providers })[\'openai\'] must be a provider, such as openai() returns.'
  )
  cannot(
    // @ts-expect-error a factory, not called
    () => forwardToProviders({ providers: { openai } }),
    'forwardToProviders({ providers })[\'openai\'] is a factory: call it, as in openai().'
  )
  cannot(
    // @ts-expect-error there is none of that name
    () => forwardToProviders({ providers: { openai: builtIn['opnai'] } }),
    'forwardToProviders({ providers })[\'openai\'] must be a provider, such as openai() returns.'
  )
  cannot(
    // @ts-expect-error no names
    () => forwardToProviders({ providers: [openai()] }),
    'forwardToProviders({ providers }) must be an object of providers by name, with at least one.'
  )
  cannot(
    // @ts-expect-error one host
    () => forwardToProviders({ trustedHosts: 'llm.example.com' }),
    'forwardToProviders({ trustedHosts }) must be an array.'
  )
  cannot(
    // @ts-expect-error a pattern
    () => forwardToProviders({ trustedHosts: [/example\.com$/] }),
    /^forwardToProviders\(\{ trustedHosts \}\) has an invalid entry/
  )
  cannot(
    // @ts-expect-error misspelt
    () => forwardToProviders({ trustedHost: ['llm.example.com'] }),
    'Unknown option \'trustedHost\' in forwardToProviders(). Did you mean \'trustedHosts\'? Valid options: ' +
      'providers, trustedHosts, forwardHeaders, clientCredentials, dispatcher.'
  )
  cannot(
    // @ts-expect-error the spelling of OpenAI's SDK
    () => openai({ baseURL: 'http://vllm:8000/v1' }),
    'Unknown option \'baseURL\' in openai(). Did you mean \'baseUrl\'? Valid options: baseUrl, apiKey.'
  )
  for (const options of [
    // @ts-expect-error an unset variable
    compiledOptions({ forward: undefined }),
    // @ts-expect-error the same
    compiledOptions({ canceller: undefined }),
    // @ts-expect-error the same
    compiledOptions({ allow: undefined }),
    // @ts-expect-error the same
    compiledOptions({ portkeyConfig: undefined })
  ]) await refused(app => app.register(batchCancel, options), / is present but undefined: /)
  // @ts-expect-error an option without its name
  cannot(() => openai('sk-key'), 'openai() expects an object with these options: baseUrl, apiKey.')
  cannot(
    // @ts-expect-error not in credentials
    () => bedrock({ accessKeyId: 'AKIA', secretAccessKey: 'secret' }),
    'Unknown option \'accessKeyId\' in bedrock(). Valid options: baseUrl, apiKey, region, credentials.'
  )
  cannot(
    // @ts-expect-error misspelt
    () => azureOpenAI({ resource: 'mine' }),
    'Unknown option \'resource\' in azureOpenAI(). Valid options: baseUrl, apiKey, entraToken, ' +
      'resourceName, apiVersion.'
  )
  cannot(
    // @ts-expect-error a number
    () => openai({ apiKey: 5 }),
    'openai({ apiKey }) must be a function or the credential itself, in visible ASCII characters, without spaces, ' +
      'line breaks or \'Bearer \' before it.'
  )
  cannot(
    // @ts-expect-error a promise: what takes time is a function
    () => openai({ apiKey: Promise.resolve('sk-…') }),
    'openai({ apiKey }) must be a function or the credential itself, in visible ASCII characters, without spaces, ' +
      'line breaks or \'Bearer \' before it.'
  )
  cannot(
    // @ts-expect-error not as text
    () => openai({ baseUrl: new URL('http://vllm:8000/v1') }),
    /^openai\(\{ baseUrl \}\) must be a function or an http or https URL/
  )
  cannot(
    // @ts-expect-error no keys
    () => bedrock({ credentials: {} }),
    'bedrock({ credentials }) must be a function or { accessKeyId, secretAccessKey, sessionToken? }.'
  )
  // @ts-expect-error one of two
  cannot(() => bedrock({ credentials: { accessKeyId: 'AKIA' } }), /^bedrock\(\{ credentials \}\)/)
  cannot(
    // @ts-expect-error another SDK's spelling
    () => bedrock({ credentials: { access_key_id: 'AKIA', secret_access_key: 'secret' } }),
    /^bedrock\(\{ credentials \}\)/
  )
  // @ts-expect-error the name of a profile
  cannot(() => bedrock({ credentials: 'default' }), /^bedrock\(\{ credentials \}\)/)
  // @ts-expect-error a key file as bytes
  cannot(() => vertex({ serviceAccount: Buffer.from('{}') }), /^vertex\(\{ serviceAccount \}\)/)
  cannot(
    // @ts-expect-error a part of one
    () => vertex({ serviceAccount: { client_email: 'me@mine.iam.gserviceaccount.com' } }),
    /^vertex\(\{ serviceAccount \}\)/
  )
  cannot(
    // @ts-expect-error text, even `v1`
    () => azureOpenAI({ apiVersion: 1 }),
    'azureOpenAI({ apiVersion }) must be v1, preview or a date such as 2024-10-21.'
  )
  // @ts-expect-error text
  cannot(() => watsonx({ projectId: 5 }), 'watsonx({ projectId }) must be the id of a project.')
  cannot(
    // @ts-expect-error it is cancelled: each case needs its own
    () => forwarderContract({ forward, ids: { live: 'batch_1' } }),
    'setup.ids.live should be a function that returns the id of a new batch.'
  )
  cannot(
    // @ts-expect-error misspelt
    () => forwarderContract({ forward, ids: { live: () => 'batch_1', complete: 'batch_2' } }),
    /^Unknown option 'complete' in setup\.ids/
  )
  await t.rejects(
    // @ts-expect-error misspelt
    async () => { await Fastify().register(sandbox, { latancy: 400 }) },
    { message: /^Unknown option 'latancy' in sandbox options\. Valid options: / }
  )
  await t.rejects(
    // @ts-expect-error text
    async () => { await Fastify().register(sandbox, { latency: '400' }) },
    { message: /options\.latency should be a number of milliseconds/ }
  )
})

t.test('a mistake that only the types refuse', async t => {
  // @ts-expect-error a number
  compiled(() => openai({ apiKey: () => 5 }))
  // @ts-expect-error none is undefined
  compiled(() => openai({ apiKey: async () => null }))
  // @ts-expect-error it gets the call, not the request
  compiled(() => openai({ apiKey: async ({ ip }: FastifyRequest) => ip }))
  // @ts-expect-error the user is the request's
  compiled(() => openai({ apiKey: ({ user }) => user }))
  // @ts-expect-error one of two
  compiled(() => bedrock({ credentials: async () => ({ accessKeyId: 'AKIA' }) }))
  // @ts-expect-error a number
  compiled(() => Fastify().register(batchCancel, { prefix: 1 }))
  // @ts-expect-error the batch comes second
  compiled(() => Fastify().register(batchCancel, { onCancelled: (batch: Batch) => batch.usage }))
  // @ts-expect-error the same
  compiled(() => Fastify().register(batchCancel, { onCancelled: ({ usage }) => usage }))
  // @ts-expect-error no level
  compiled(() => Fastify().register(batchCancel, { routeOptions: { logLevel: 'loud' } }))
  compiled(() => Fastify().register(batchCancel, {
    // @ts-expect-error a hook of Fastify gets the request
    routeOptions: { onRequest: async ({ batchId }: BatchCall) => batchId }
  }))
  // @ts-expect-error a plugin is registered
  compiled(() => Fastify().register(batchCancel()))
  // @ts-expect-error whatever the host is
  compiled(() => Fastify({ http2: true }).register(batchCancel, { timeOut: 5000 }))
  t.pass('was compiled')
})

t.test('a mistake that only the registration refuses', async t => {
  const refused = (options: FastifyBatchCancelOptions, message: string | RegExp) => t.rejects(
    async () => { await Fastify().register(batchCancel, options) },
    { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message: message as string }
  )
  // The compiler looks for unknown names in literals alone.
  const prepared = { forward, timeOut: 5000 }
  await refused(prepared, /^Unknown option 'timeOut' in options\./)
  await refused({ ...prepared }, /^Unknown option 'timeOut' in options\./)
  await refused({ timeout: 0.5 }, /^options\.timeout must be whole milliseconds/)
  await refused({ maxWait: Infinity }, /^options\.maxWait must be whole milliseconds/)
  await refused({ defaultProvider: 'opnai' }, /^options\.defaultProvider must be one of openai, groq, /)
  t.throws(
    () => bedrock({ credentials: keys, apiKey: 'key' }),
    { message: 'bedrock({ credentials, apiKey }) exclude each other.' }
  )
})

t.test('what the README shows, in TypeScript and in every kind of host', async t => {
  const url = '/v1/batches/:id/cancel'
  /** Any host: its server, its logger and its type provider are its own. */
  async function serves<S extends RawServerBase, L extends FastifyBaseLogger, P extends FastifyTypeProvider> (
    app: FastifyInstance<S, RawRequestDefaultExpression<S>, RawReplyDefaultExpression<S>, L, P>,
    options: FastifyBatchCancelOptions = {}
  ) {
    t.teardown(() => app.close())
    await app.register(batchCancel, options)
    await app.ready()
    t.ok(app.hasRoute({ method: 'POST', url: (options.prefix ?? '') + url }))
  }
  interface TypeBox extends FastifyTypeProvider { validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown, serializer: unknown }
  interface Audited extends FastifyBaseLogger { audit?: (line: string) => void }
  const http2: FastifyInstance<Http2Server> = Fastify({ http2: true })
  await http2.register(batchCancel, { prefix: '/a', forward })
  await serves(http2, { forward })
  const typed = Fastify().withTypeProvider<TypeBox>()
  await typed.register(batchCancel, { prefix: '/a', forward })
  await serves(typed, { forward })
  const audited = Fastify({ loggerInstance: Fastify().log as Audited })
  await audited.register(batchCancel, { prefix: '/a', forward })
  await serves(audited, { forward })

  const tenants = new Map([['ann', { key: 'sk-ann', batches: new Set(['batch_abc123']) }]])
  const tenantOf = ({ request }: BatchCall) => tenants.get(String(request?.headers['x-tenant']))
  const authenticate = async ({ headers }: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (!tenants.has(String(
      headers['x-tenant']
    ))) {
      reply.code(401)
    }
  }
  const upstream = forwardToProviders({
    providers: {
      ...builtIn,
      openai: openai({ apiKey: call => tenantOf(call)?.key }),
      groq: providerFactories.groq({ apiKey: async ({ request }) => request?.ip }),
      'azure-openai': azureOpenAI({ resourceName: 'mine', entraToken: async () => 'token' }),
      // The type of fromNodeProviderChain().
      bedrock: bedrock({
        credentials: async (_of?: { callerClientConfig?: { region?: string } }) => ({ ...keys, expiration: new Date() })
      }),
      'my-server': openai({ baseUrl: 'http://llm.internal:8000/v1', apiKey: 'none' })
    },
    trustedHosts: ['llm.example.com', 'http://10.0.0.5:8000']
  })
  const app = Fastify({ routerOptions: { maxParamLength: 512 } })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'My API', version: '1.0.0' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
    },
    refResolver: { buildLocalReference: ({ $id }) => String($id) }
  })
  await app.register(rateLimit, { global: false })
  await app.register(sandbox, { prefix: '/sandbox/v1', latency: 400, concurrency: 3 })
  await app.register(batchCancel)
  await app.register(import('../lib/index.js'), { prefix: '/a', forward, routeOptions: { schema: { hide: true } } })
  const nested: FastifyPluginAsync = async app => {
    await app.register(batchCancel, () => ({
      forward,
      routeOptions: { onRequest: authenticate, schema: { hide: true } }
    }))
  }
  await app.register(nested, { prefix: '/b' })
  assignable<FastifyPluginAsync<FastifyBatchCancelOptions>>(batchCancel)
  await serves(app, {
    prefix: '/llm',
    forward: {
      ...upstream,
      async cancel (call) {
        if (!tenantOf(call)?.batches.has(call.batchId)) {
          throw Object.assign(new Error('Not your batch'), { statusCode: 403 })
        }
        return upstream.cancel(call)
      }
    },
    timeout: 10_000,
    maxWait: 0,
    defaultProvider: process.env['NOT_SET'],
    onCancelled: async ({ request, provider }, { id, usage }) => {
      request?.log.info({
        provider,
        id,
        tokens: usage?.total_tokens
      })
    },
    routeOptions: {
      onRequest: async request => {
        if (!tenants.has(String(request.headers['x-tenant']))) {
          throw Object.assign(new Error('Who are you?'), { statusCode: 401 })
        }
      },
      preValidation: (_request, _reply, done) => { done() },
      preHandler: [
        authenticate,
        async (request: FastifyRequest<{ Params: { id: string } }>) => { request.params.id.trim() },
        (request, _reply, done) => { request.params.id.trim(); done() }
      ],
      onSend: async (_request, _reply, payload) => payload,
      onResponse: [async function (request) { this.log.debug(request.id) }],
      config: { rateLimit: { max: 100 }, mine: true },
      constraints: {},
      logLevel: 'debug',
      bodyLimit: 1024,
      schema: {
        operationId: 'stop',
        tags: ['Batches'],
        summary: 'Stop',
        description: 'Stops.',
        security: [{ bearer: [] }],
        hide: false
      }
    }
  })
  for (const prefix of ['', '/a', '/b']) t.ok(app.hasRoute({ method: 'POST', url: prefix + url }), prefix)

  const rows = new Map<string, Batch>()
  const open = (status: Batch['status']) => { rows.set(status, batch({ id: status, status })); return status }
  const retrieve = async ({ batchId }: BatchCall) => rows.get(batchId) ??
    Promise.reject(Object.assign(new Error('No such batch'), { status: 404 }))
  t.ok(forwarderContract({
    forward: { cancel: retrieve, retrieve },
    ids: { live: () => open('in_progress'), completed: async () => open('completed'), missing: 'batch_none' }
  }).every(({ name, run }) => name !== '' && typeof run === 'function'))
  assignable<ChannelListener>(message => (message as CallReport).outcome?.trim())
  // @ts-expect-error a channel may be anybody's
  assignable<ChannelListener>(({ outcome }: CallReport) => outcome)
})
