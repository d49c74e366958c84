import { once } from 'node:events'
import t from 'tap'
import { MockAgent } from 'undici'
import { defineProvider, del, forwardToProviders, get, UNRECOGNIZED, vertex } from '../../lib/index.js'
import { TOKEN_TIMEOUT_MS } from '../../lib/limits.js'
import { keyFile, NAME } from '../fixtures/vertex.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { catchAll } from '../support/internet.js'
import { startUpstream } from '../support/upstream.js'

/* A credential that has to be exchanged goes out as the request to the provider does. */

const LONG_IDS = { routerOptions: { maxParamLength: 512 } }
const TOKEN_ORIGIN = 'https://oauth2.googleapis.com'
const PROVIDER_ORIGIN = 'https://us-central1-aiplatform.googleapis.com'

const JOB = { name: NAME, state: 'JOB_STATE_CANCELLING' }

t.test('the dispatcher of the operator sends the exchange, too', async t => {
  const internet = await catchAll(t, () => ({ status: 500 }))
  const agent = new MockAgent()
  t.teardown(() => agent.close())
  agent.disableNetConnect()
  agent.get(TOKEN_ORIGIN).intercept({ method: 'POST', path: '/token' }).reply(200, { access_token: 'of-agent' })
  const provider = agent.get(PROVIDER_ORIGIN)
  const headers = { authorization: 'Bearer of-agent' }
  provider.intercept({ method: 'POST', path: `/v1/${NAME}:cancel`, headers }).reply(200, {})
  provider.intercept({ method: 'GET', path: `/v1/${NAME}` }).reply(200, JOB).persist()

  const forward = forwardToProviders({
    providers: { 'vertex-ai': vertex({ serviceAccount: keyFile('dispatcher') }) },
    dispatcher: agent
  })
  const app = await buildWithoutPauses(t, { forward, defaultProvider: 'vertex-ai' }, LONG_IDS)
  const response = await cancel(app, { id: NAME })
  t.match([response.statusCode, response.json()], [200, { status: 'cancelling' }])
  t.strictSame(internet.contacts, [], 'and nothing else does')
})

t.test('neither does the fetch of the process', async t => {
  const internet = await catchAll(t, ({ path }) => ({ body: path === '/token' ? { access_token: 'a' } : JOB }))
  t.intercept(globalThis, 'fetch', { value: () => { throw new Error('A proxy of the environment') } })
  const forward = forwardToProviders({ providers: { 'vertex-ai': vertex({ serviceAccount: keyFile('fetch') }) } })
  const app = await buildWithoutPauses(t, { forward, defaultProvider: 'vertex-ai' }, LONG_IDS)
  t.equal((await cancel(app, { id: NAME })).statusCode, 200)
  t.strictSame(internet.contacts.slice(0, 2), [TOKEN_ORIGIN, PROVIDER_ORIGIN])
})

t.test('an exchange ends after its time, and its connection is closed', async t => {
  let endTime = () => {}
  const { setTimeout } = globalThis
  const setTimer = (callback: () => void, ms: number) => {
    if (ms !== TOKEN_TIMEOUT_MS) return setTimeout(callback, ms)
    endTime = callback
    return undefined
  }
  t.intercept(globalThis, 'setTimeout', { value: setTimer })
  const closed: Array<Promise<unknown>> = []
  const upstream = await startUpstream(t, (_request, { req }) => { closed.push(once(req.socket, 'close')) })
  const mine = defineProvider({
    name: 'mine',
    baseUrl: upstream.url,
    auth: {
      sets: ['authorization'],
      fromClient: () => 'credential',
      async toHeaders (_credential, _request, send) {
        const request = { method: 'POST', path: '/exchange', headers: { 'x-a': 'b' }, body: 'c' } as const
        return { authorization: (await send(upstream.url, request)).text }
      }
    },
    id: { pattern: /^\d+$/, description: 'a number' },
    cancel: del('/{id}'),
    retrieve: get('/{id}'),
    read: () => UNRECOGNIZED
  })
  const forward = forwardToProviders({ providers: { mine: mine() } })
  const signal = new AbortController().signal
  const response = forward.cancel({ provider: 'mine', batchId: '1', headers: {}, request: undefined, signal })
  const { headers, ...exchange } = await upstream.received(() => true)
  t.strictSame(exchange, { method: 'POST', path: '/exchange', body: 'c' })
  t.match(headers, { 'x-a': 'b', 'accept-encoding': 'identity', 'user-agent': 'fastify-batch-cancel' })
  endTime()
  await t.rejects(response, { name: 'AbortError' })
  await closed[0]
})
