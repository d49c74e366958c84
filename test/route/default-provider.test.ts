import t from 'tap'
import { createBatchCanceller, type DefaultProvider, type FastifyBatchCancelOptions } from '../../lib/index.js'
import { batch, buildWithoutPauses, cancel } from '../support/app.js'
import { violations } from '../support/document.js'

const PROVIDERS = new Map([['openai', {}], ['anthropic', {}], ['openrouter', { unsupported: 'it has no cancel.' }]])

/** Returns the name of the provider as the metadata of a batch. */
const forward: FastifyBatchCancelOptions['forward'] = {
  cancel: async ({ batchId, provider }) => batch({ id: batchId, metadata: { provider } }),
  providers: PROVIDERS
}

const NOTHING: unknown = undefined

const byId: DefaultProvider = ({ batchId }) => batchId.startsWith('msgbatch_') ? 'anthropic' : 'openai'

t.test('the provider by the id, the headers or the request', async t => {
  for (const { what, defaultProvider, request, provider } of [
    { what: 'the id', defaultProvider: byId, request: { id: 'msgbatch_1' }, provider: 'anthropic' },
    { what: 'another id', defaultProvider: byId, request: { id: 'batch_1' }, provider: 'openai' },
    {
      what: 'a promise, by the user of an onRequest hook',
      defaultProvider: async ({ request }: { request: unknown }) => (request as { user: string }).user,
      request: { headers: { 'x-user': 'anthropic' } },
      provider: 'anthropic'
    },
    {
      what: 'the headers, with x-portkey-config merged in',
      defaultProvider: ({ headers }) => String(headers['x-portkey-own']),
      request: { headers: { 'x-portkey-config': '{"own":"anthropic"}' } },
      provider: 'anthropic'
    },
    {
      what: 'the client\'s own choice comes first',
      defaultProvider: () => { throw new Error('not called') },
      request: { headers: { 'x-portkey-provider': 'anthropic' } },
      provider: 'anthropic'
    }
  ] as Array<{ what: string, defaultProvider: DefaultProvider, request: object, provider: string }>) {
    const app = await buildWithoutPauses(t, {
      defaultProvider,
      forward,
      routeOptions: { onRequest: async request => { Object.assign(request, { user: request.headers['x-user'] }) } }
    })
    const response = await cancel(app, request)
    t.match(response, { statusCode: 200, headers: { 'x-portkey-provider': provider } }, what)
    t.match(response.json(), { metadata: { provider } }, what)
  }
})

interface WrongRow {
  what: string
  find: () => unknown
  request?: object
  status: number
  error: object
  /** A part of the log. */
  logged?: string
}

t.test('what goes wrong, before anything is sent', async t => {
  const refused = Object.assign(new Error('Your plan has no batches.'), { statusCode: 402, code: 'PLAN' })
  const internal = { status: 500, error: { message: 'Internal error', code: 'internal_error' } }
  for (const { what, find, request, status, error, logged } of [
    { what: 'no provider for this call', find: () => undefined, status: 400, error: { code: 'missing_provider' } },
    { what: 'an error of the host', find: () => { throw refused }, status: 402, error: { message: refused.message } },
    { what: 'a rejection', find: async () => { throw refused }, status: 402, error: { code: 'PLAN' } },
    { what: 'any other error', find: () => { throw new Error('db down') }, ...internal, logged: 'db down' },
    // Fastify takes an error that is missing for none.
    { what: 'a rejection without a reason', find: () => Promise.reject(NOTHING), ...internal },
    { what: 'null', find: () => null, ...internal, logged: 'returned something else than a name' },
    {
      what: 'a provider that is not served',
      find: () => 'antropic',
      ...internal,
      logged: 'returned \'antropic\', but must be one of openai, anthropic. Did you mean \'anthropic\'?'
    },
    {
      what: 'one that cannot cancel',
      find: () => 'openrouter',
      ...internal,
      logged: 'must not be \'openrouter\': it has no cancel.'
    },
    {
      what: 'an id that no batch has',
      find: () => { throw new Error('not called') },
      request: { id: '\u0001' },
      status: 400,
      error: { code: 'invalid_batch_id' }
    },
    {
      what: 'a config that is not valid',
      find: () => { throw new Error('not called') },
      request: { headers: { 'x-portkey-config': '{' } },
      status: 400,
      error: { code: 'invalid_header' }
    }
  ] as WrongRow[]) {
    const lines: string[] = []
    const logger = { level: 'info', stream: { write: (line: string) => { lines.push(line) } } }
    const app = await buildWithoutPauses(t, { defaultProvider: find as DefaultProvider, forward }, { logger })
    const response = await cancel(app, request)
    t.equal(response.statusCode, status, what)
    t.match(response.json(), { error }, what)
    t.strictSame(violations(response), [], what)
    const messages = lines.map(line => JSON.parse(line)).map(({ err }) => `${err?.stack} ${err?.message}`).join('\n')
    t.ok(messages.includes(logged ?? ''), what)
  }
})

t.test('calls from code', async t => {
  const seen: unknown[] = []
  const canceller = createBatchCanceller({
    forward,
    defaultProvider: call => { seen.push(call); return call.batchId === 'none' ? undefined : byId(call) }
  })
  t.match(await canceller.cancel({ batchId: 'msgbatch_1', headers: { 'X-Own': 'a' } }), {
    batch: { metadata: { provider: 'anthropic' } }
  })
  t.match(await canceller.cancel({ batchId: 'msgbatch_1', provider: 'openai' }), {
    batch: { metadata: { provider: 'openai' } }
  })
  t.strictSame(seen, [{ batchId: 'msgbatch_1', headers: { 'x-own': 'a' }, request: undefined }])
  await t.rejects(canceller.cancel({ batchId: 'none' }), { code: 'missing_provider' })
  await t.rejects(canceller.cancel({} as never), { message: 'cancel({ batchId }) is required.' })

  const fixed = createBatchCanceller({ forward, defaultProvider: 'anthropic' })
  t.match(await fixed.cancel({ batchId: 'b' }), { batch: { metadata: { provider: 'anthropic' } } })
  t.throws(() => createBatchCanceller({ forward, defaultProvider: 'antropic' }), {
    message: 'createBatchCanceller({ defaultProvider }) must be one of openai, anthropic. Did you mean \'anthropic\'?'
  })
  await t.rejects(createBatchCanceller({ forward }).cancel({ batchId: 'b' }), {
    message: 'cancel({ provider, batchId }) are both required.'
  })
})

t.test('the route has the default of its canceller, and its own comes first', async t => {
  const canceller = createBatchCanceller({ forward, defaultProvider: byId })
  const app = await buildWithoutPauses(t, { canceller })
  t.match((await cancel(app, { id: 'msgbatch_1' })).json(), { metadata: { provider: 'anthropic' } })
  const own = await buildWithoutPauses(t, { canceller, defaultProvider: 'openai' })
  t.match((await cancel(own, { id: 'msgbatch_1' })).json(), { metadata: { provider: 'openai' } })
})
