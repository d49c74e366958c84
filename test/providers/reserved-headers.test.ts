import t from 'tap'
import { bearer, defineProvider, forwardToProviders, get, post, withHeaders } from '../../lib/index.js'
import { BATCH, build, cancel } from '../support/app.js'
import { startUpstream } from '../support/upstream.js'

t.test('a client cannot forward a header that the definition reserves or sets', async t => {
  const upstream = await startUpstream(t, () => ({ body: { ...BATCH, state: 'STOPPING' } }))
  const acme = defineProvider({
    name: 'acme',
    baseUrl: 'https://api.acme.example/v1',
    auth: bearer(),
    id: { pattern: /^batch_\d+$/, description: 'an id such as batch_1' },
    cancel: withHeaders(post('/jobs/{id}:cancel'), { 'x-acme-mode': 'batch' }),
    retrieve: get('/jobs/{id}'),
    reservedHeaders: ['x-acme-account'],
    status: ({ state }) => state === 'STOPPING' ? 'cancelling' : undefined,
    fields: () => ({})
  })
  const app = await build(t, { forward: forwardToProviders({ providers: { acme: acme({ baseUrl: upstream.url }) } }) })
  const response = await cancel(app, {
    headers: {
      'x-portkey-provider': 'acme',
      authorization: 'Bearer sk-client',
      'x-portkey-forward-headers': 'x-acme-account, x-acme-mode, x-team',
      'x-acme-mode': 'other',
      'x-acme-account': 'other',
      'x-team': 'a'
    }
  })
  t.equal(response.statusCode, 200, response.body)
  t.match(upstream.requests, [
    { headers: { 'x-team': 'a', 'x-acme-account': undefined, 'x-acme-mode': 'batch' } }
  ])
})
