import type { IncomingMessage } from 'node:http'
import { createOpenAI } from '@ai-sdk/openai'
import type { FastifyInstance } from 'fastify'
import OpenAI from 'openai'
import { Portkey } from 'portkey-ai'
import t, { type Test } from 'tap'
import { createGateway, originOf } from '../../gateway/gateway.js'
import { forwardToProviders, openai, type FastifyBatchCancelOptions } from '../../lib/index.js'
import { batch, build } from '../support/app.js'
import { startUpstream, type UpstreamResponse } from '../support/upstream.js'

/** What a client makes of an error. */
interface Failure {
  readonly status: number | undefined
  readonly code: unknown
  readonly message: string
  readonly header: (name: string) => string | null
  /** Whether the client thinks that the call may be repeated; where it says. */
  readonly mayRepeat?: boolean
}

/** A client, as its users have it: all options that are not needed are its own. */
interface Client {
  readonly cancel: (id: string) => PromiseLike<unknown>
  /** The status of a batch, as the provider says it. */
  readonly status: (id: string) => PromiseLike<string | undefined>
  /** What it makes of a batch. */
  readonly batch: (id: string, status: string) => object
  readonly failure: (error: unknown) => Failure
  /** The `x-stainless-retry-count` of so many requests for one call. */
  readonly counts: (requests: number) => Array<string | undefined>
  /** The message of an error of the envelope. */
  readonly message: (status: number, said: string) => string
}

type ClientName = 'openai' | 'portkey' | 'ai'

const CLIENTS: Readonly<Record<ClientName, (origin: string, provider: string) => Client>> = {
  openai (origin, provider) {
    const client = new OpenAI({
      apiKey: 'key',
      organization: null,
      project: null,
      baseURL: `${origin}/v1`,
      defaultHeaders: { 'x-portkey-provider': provider }
    })
    return {
      cancel: id => client.batches.cancel(id),
      status: async id => (await client.batches.retrieve(id)).status,
      batch: (id, status) => ({ id, object: 'batch', status, _request_id: /./ }),
      failure: failureOfOpenAI,
      counts: requests => Array.from({ length: requests }, (_, i) => String(i)),
      message: numbered
    }
  },
  // It is OpenAI's client inside, which it forbids to repeat.
  portkey (origin, provider) {
    const client = new Portkey({ apiKey: 'key', baseURL: `${origin}/v1`, provider })
    return {
      cancel: id => client.batches.cancel(id),
      status: async id => (await client.batches.retrieve(id)).status,
      batch: (id, status) => ({ id, object: 'batch', status }),
      failure: failureOfOpenAI,
      counts: requests => Array.from({ length: requests }, () => '0'),
      message: numbered
    }
  },
  ai (origin, provider) {
    const client = createOpenAI({
      apiKey: 'key',
      baseURL: `${origin}/v1`,
      headers: { 'x-portkey-provider': provider }
    }).experimental_batch()
    return {
      cancel: async batchId => await client.doCancelBatch?.({ batchId }),
      status: async batchId => (await client.doGetBatchStatus({ batchId })).rawStatus,
      // It has no place for the batch.
      batch: () => ({}),
      failure (error) {
        const { statusCode, data, message, responseHeaders, isRetryable } = error as {
          statusCode?: number,
          data?: { error: { code: unknown } },
          message: string,
          responseHeaders?: Record<string,
          string>,
          isRetryable: boolean
        }
        return {
          status: statusCode,
          code: data?.error.code,
          message,
          header: name => responseHeaders?.[name] ?? null,
          mayRepeat: isRetryable
        }
      },
      counts: requests => Array.from({ length: requests }),
      message: (_status, said) => said
    }
  }
}

const CLIENT_NAMES = Object.keys(CLIENTS) as ClientName[]

const numbered = (status: number, said: string) => `${status} ${said}`

function failureOfOpenAI (error: unknown): Failure {
  const { status, code, message, headers } = error as InstanceType<typeof OpenAI.APIError>
  return { status, code, message, header: name => headers?.get(name) ?? null }
}

/** An answer of the route, and what the clients make of it. */
interface Row {
  readonly what: string
  /** What the provider answers to a cancel; its connection breaks where it is left out. */
  readonly cancel?: UpstreamResponse
  /** What it answers to a read. Default: that the batch is in progress. */
  readonly read?: UpstreamResponse
  /** Default: the one that is served. */
  readonly provider?: string
  /** Other options than those that ask the provider. */
  readonly options?: FastifyBatchCancelOptions
  /** Of a 200 the status of the batch. */
  readonly batch?: string
  /** Of any other answer the status, code and message. */
  readonly error?: readonly [status: number, code: string | null, message: string]
  readonly headers?: Readonly<Record<string, string | null>>
  /** How many requests a client makes for one call. */
  readonly requests: Readonly<Record<ClientName, number>>
}

/** Nobody repeats the call. */
const ONCE = { openai: 1, portkey: 1, ai: 1 }
/** OpenAI's client repeats it by itself. Portkey's would, but not after a response with a trace id, as ours have. */
const THRICE = { openai: 3, portkey: 1, ai: 1 }

const errorBody = (message: string, code: string | null = null, type = 'invalid_request_error') => ({
  error: { message, type, param: null, code }
})

const LOST = 'so it is not known whether the batch was cancelled. It is safe to repeat the call.'

const ROWS: readonly Row[] = [
  {
    what: '200, cancelling',
    cancel: { headers: { 'x-request-id': 'req_1' }, body: batch({}) },
    batch: 'cancelling',
    requests: ONCE
  },
  {
    what: '200, cancelling already',
    cancel: { status: 409, body: errorBody('The batch is being cancelled.') },
    read: { body: batch({}) },
    batch: 'cancelling',
    requests: ONCE
  },
  {
    what: '409, final',
    cancel: { status: 409, body: errorBody('No.') },
    read: { body: batch({ status: 'completed' }) },
    error: [409, 'batch_not_cancellable', 'Cannot cancel a batch with status \'completed\'.'],
    headers: { 'x-should-retry': 'false', 'x-portkey-provider': 'openai' },
    requests: ONCE
  },
  {
    what: '400, unknown provider',
    provider: 'nobody',
    error: [400, 'unknown_provider', 'Unknown provider \'nobody\'. Available providers: openai.'],
    headers: { 'x-should-retry': null },
    requests: ONCE
  },
  {
    what: '400, of the provider',
    cancel: { status: 400, body: errorBody('Not now.', 'not_now') },
    error: [400, 'not_now', 'Not now.'],
    requests: ONCE
  },
  {
    what: '400, to be repeated',
    cancel: { status: 400, headers: { 'x-should-retry': 'true' }, body: errorBody('Not now.') },
    error: [400, null, 'Not now.'],
    headers: { 'x-should-retry': 'true' },
    requests: THRICE
  },
  {
    what: '401',
    cancel: { status: 401, body: errorBody('Incorrect API key provided.', 'invalid_api_key') },
    error: [401, 'invalid_api_key', 'Incorrect API key provided.'],
    requests: ONCE
  },
  {
    what: '404',
    cancel: { status: 404, body: errorBody('No batch found with id \'batch_1\'.') },
    error: [404, 'batch_not_found', 'No batch found with id \'batch_1\'.'],
    requests: ONCE
  },
  {
    what: '429',
    cancel: {
      status: 429,
      headers: { 'retry-after': '0', 'retry-after-ms': '2', 'x-ratelimit-remaining-requests': '0' },
      body: errorBody('Slow down.', 'rate_limit_exceeded', 'requests')
    },
    error: [429, 'rate_limit_exceeded', 'Slow down.'],
    headers: { 'retry-after': '0', 'retry-after-ms': '2', 'x-ratelimit-remaining-requests': '0' },
    requests: THRICE
  },
  {
    what: '429, not to be repeated',
    cancel: {
      status: 429,
      headers: { 'retry-after': '60', 'x-should-retry': 'false' },
      body: errorBody('Nothing is left.', 'insufficient_quota')
    },
    error: [429, 'insufficient_quota', 'Nothing is left.'],
    headers: { 'retry-after': '60', 'x-should-retry': 'false' },
    requests: ONCE
  },
  {
    what: '500, of the provider',
    cancel: { status: 500, body: errorBody('Oh.', null, 'server_error') },
    error: [500, 'upstream_error', 'Oh.'],
    requests: THRICE
  },
  {
    what: '503, of the provider',
    cancel: { status: 503, body: errorBody('Overloaded.', null, 'server_error') },
    error: [503, 'upstream_error', 'Overloaded.'],
    requests: THRICE
  },
  {
    what: '502, nobody answers',
    error: [502, 'upstream_unreachable', `The provider could not be reached, ${LOST}`],
    requests: THRICE
  },
  {
    what: '502, no batch',
    cancel: { body: '<html>' },
    error: [502, 'upstream_invalid_response', `The provider returned a response that is not a batch, ${LOST}`],
    requests: THRICE
  },
  {
    what: '504',
    options: { timeout: 20, forward: () => new Promise(() => {}) },
    error: [504, 'upstream_timeout', `The provider did not respond in time, ${LOST}`],
    requests: THRICE
  },
  {
    what: '500, a bug of the hook',
    options: { forward: async () => { throw new TypeError('secret') } },
    error: [500, 'internal_error', 'Internal error'],
    requests: THRICE
  }
]

/** Notes the `x-stainless-retry-count` of every request for the route. */
function watch (app: FastifyInstance): Array<string | undefined> {
  const counts: Array<string | undefined> = []
  app.server.on('request', ({ url = '', headers }: IncomingMessage) => {
    // The gateway asks its sandbox by HTTP, too.
    if (url.startsWith('/v1/')) counts.push(headers['x-stainless-retry-count'] as string | undefined)
  })
  return counts
}

/** Calls once and looks at what the client makes of the answer, and at the requests it took. */
async function call (t: Test, client: Client, id: string, seen: Array<string | undefined>, name: ClientName, {
  batch,
  error,
  headers = {},
  requests
}: Pick<Row, 'batch' | 'error' | 'headers' | 'requests'>): Promise<void> {
  const { cancel, failure, counts, message } = client
  if (error === undefined) {
    t.match(await cancel(id), client.batch(id, String(batch)))
  } else {
    const [status, code, said] = error
    const thrown = failure(await cancel(id).then(() => {
      throw new Error('The client reported no error.')
    }, (reason: unknown) => reason))
    t.strictSame({
      status: thrown.status,
      code: thrown.code,
      message: thrown.message
    }, { status, code, message: message(status, said) })
    for (const [header, value] of Object.entries(headers)) t.equal(thrown.header(header), value, header)
    t.match(thrown.header('x-request-id'), /./, 'a request id')
    if (thrown.mayRepeat !== undefined) {
      const mayRepeat = status === 409 || status === 429 || status >= 500
      t.equal(thrown.mayRepeat, mayRepeat, 'it says whether the call may be repeated')
    }
  }
  t.strictSame(seen.splice(0), counts(requests[name]), 'requests')
}

for (const name of CLIENT_NAMES) {
  t.test(`each answer of the route, as ${name} sees it`, async t => {
    for (const {
      what,
      cancel,
      read = { body: batch({ status: 'in_progress' }) },
      provider = 'openai',
      options,
      ...expected
    } of ROWS) {
      await t.test(what, async t => {
        const upstream = await startUpstream(t, ({ method }, response) => {
          const answer = method === 'GET' ? read : cancel
          if (answer === undefined) response.destroy()
          return answer
        })
        const app = await build(t, {
          forward: forwardToProviders({ providers: { openai: openai({ baseUrl: `${upstream.url}/v1` }) } }),
          // Clients wait as long as this header says: here not at all.
          routeOptions: {
            onSend: async (_request, reply) => {
              if (reply.statusCode >= 400 && !reply.hasHeader('retry-after-ms')) reply.header('retry-after-ms', '1')
            }
          },
          ...options
        })
        const seen = watch(app)
        const origin = await app.listen({ host: '127.0.0.1', port: 0 })
        await call(t, CLIENTS[name](origin, provider), 'batch_1', seen, name, expected)
      })
    }
  })

  t.test(`the gateway, as ${name} sees it`, async t => {
    const app = await createGateway({ logLevel: 'silent' })
    t.teardown(() => app.close())
    await app.listen({ host: '127.0.0.1', port: 0 })
    const client = CLIENTS[name](originOf(app), 'sandbox')
    const seen = watch(app)
    for (const [id, expected] of [
      ['batch_in_progress', { batch: 'cancelling' }],
      ['batch_cancelling', { batch: 'cancelling' }],
      [
        'batch_completed',
        { error: [409, 'batch_not_cancellable', 'Cannot cancel a batch with status \'completed\'.'] }
      ],
      ['batch_unauthorized', { error: [401, 'invalid_api_key', 'Incorrect API key provided.'] }],
      ['batch_nope', { error: [404, 'batch_not_found', 'No batch found with id \'batch_nope\'.'] }]
    ] as const) await call(t, client, id, seen, name, { ...expected, requests: ONCE })
  })

  t.test(`a cancel through the gateway, followed to its end by ${name}`, async t => {
    const app = await createGateway({ logLevel: 'silent' })
    t.teardown(() => app.close())
    await app.listen({ host: '127.0.0.1', port: 0 })
    const client = CLIENTS[name](originOf(app), 'sandbox')
    await client.cancel('batch_in_progress')
    const statuses = ['cancelling']
    while (statuses.at(-1) === 'cancelling') statuses.push(String(await client.status('batch_in_progress')))
    t.strictSame([...new Set(statuses)], ['cancelling', 'cancelled'])
  })
}

t.test('a config with one target, as Portkey\'s client sends it', async t => {
  const upstream = await startUpstream(t, () => ({ body: batch({}) }))
  const app = await build(t, {
    forward: forwardToProviders({ providers: { openai: openai({ baseUrl: `${upstream.url}/v1` }) } })
  })
  const client = new Portkey({
    apiKey: 'key',
    baseURL: `${await app.listen({ host: '127.0.0.1', port: 0 })}/v1`,
    config: { strategy: { mode: 'fallback' }, targets: [{ provider: 'openai', api_key: 'sk-target' }] }
  })
  t.match(await client.batches.cancel('batch_1'), { id: 'batch_1', status: 'cancelling' })
  t.match(upstream.requests.map(request => request.headers), [{ authorization: 'Bearer sk-target' }])
})
