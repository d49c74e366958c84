import fc from 'fast-check'
import t, { type Test } from 'tap'
import { forwardToProviders, openai, type Provider } from '../../lib/index.js'
import { createMask } from '../../lib/mask.js'
import { secretsOf } from '../../lib/providers/credentials.js'
import { defineVertex } from '../../lib/providers/vertex.js'
import { BEARER, KEY } from '../fixtures/fixture.js'
import { keyFile, NAME, PEM } from '../fixtures/vertex.js'
import { buildWithoutPauses, cancel } from '../support/app.js'
import { runs } from '../support/exhaustive.js'
import { startUpstream, type UpstreamResponse } from '../support/upstream.js'

/* Some providers repeat the credential that they refuse; it may be the server's. */

interface Options {
  readonly id?: string
  readonly headers?: Record<string, string>
}

/** What the client gets if the provider refuses with this response. */
async function refusal (t: Test, provider: (baseUrl: string) => Provider, response: UpstreamResponse, { id, headers }: Options = {}) {
  const upstream = await startUpstream(t, () => ({ status: 403, ...response }))
  const forward = forwardToProviders({ providers: { p: provider(upstream.url) } })
  const server = { routerOptions: { maxParamLength: 512 } }
  const app = await buildWithoutPauses(t, { defaultProvider: 'p', forward }, server)
  return cancel(app, { ...id !== undefined && { id }, headers: { ...headers } })
}

/** As base64 has it: with characters that encoders of JSON escape. */
const AWKWARD = 'c2stc2VydmVy/a2V5+MTIzNDU2/Nzg5MA=='

t.test('a key is masked however JSON writes it', async t => {
  const provider = (baseUrl: string) => openai({ baseUrl, apiKey: AWKWARD }) as Provider
  const written = {
    'as it is': AWKWARD,
    'with escaped slashes, as PHP': AWKWARD.replaceAll('/', '\\/'),
    'with escaped plus signs, as .NET': AWKWARD.replaceAll('+', '\\u002B').replaceAll('=', '\\u003D'),
    'all escaped': Array.from(AWKWARD, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
  }
  for (const [what, text] of Object.entries(written)) {
    for (const body of [
      `{"error":{"message":"Incorrect API key provided: ${text}."}}`,
      `{"error":"Incorrect API key provided: ${text}."}`,
      `{"detail":[{"msg":"Incorrect API key provided: ${text}."}]}`,
      `"Incorrect API key provided: ${text}."`,
      JSON.stringify({ error: { message: `{"inner":"Incorrect API key provided: ${text}."}` } }),
      `Incorrect API key provided: ${text}.`
    ]) {
      const { error } = (await refusal(t, provider, { body })).json()
      t.match(error.message, /Incorrect API key provided: \*\*\*\./, `${what}: ${body}`)
    }
  }
})

t.test('every string of an error is masked', async t => {
  const text = `see ${KEY}`
  const response = await refusal(t, baseUrl => openai({ baseUrl }) as Provider, {
    headers: { 'x-ratelimit-key': KEY, 'x-request-id': `req-${KEY}` },
    body: { error: { message: text, type: text, param: text, code: text } }
  }, { headers: { ...BEARER } })
  t.match(response.json(), { error: { message: 'see ***', type: 'see ***', param: 'see ***', code: 'see ***' } })
  t.match(response.headers, { 'x-ratelimit-key': '***', 'x-request-id': 'req-***' })
  t.notMatch(response.body + JSON.stringify(response.headers), KEY)
})

t.test('the token that was exchanged for a credential is masked, too', async t => {
  const account = keyFile('cancel')
  const provider = (baseUrl: string) =>
    defineVertex({ accessToken: async () => 'ya29.exchanged-token' })({ baseUrl, serviceAccount: account }) as Provider
  const middle = PEM.split('\n')[4] as string
  const { error } = (await refusal(t, provider, {
    body: { error: `Token ya29.exchanged-token of ${account.client_email}, ${JSON.stringify(PEM)}` }
  }, { id: NAME })).json()
  t.equal(error.message, 'Token *** of ***, "***"')
  t.notMatch(error.message, middle)
})

t.test('a credential of the server that a batch repeats is masked, and nothing else of the batch is touched', async t => {
  const escaped = JSON.stringify(AWKWARD).slice(1, -1).replaceAll('/', '\\/')
  const json = (key: string) => '{"id":"batch_1","object":"batch","endpoint":"\\/v1\\/x","input_file_id":"f","status":' +
    '"cancelling","completion_window":"24h","created_at":1712345678,"big":12345678901234567890,' +
    `"metadata":{"${key}":"of ${key}","said":"\\"no\\""},"errors":null}`
  const batchOf = async (provider: (baseUrl: string) => Provider, body: string, headers = {}) =>
    (await refusal(t, provider, { status: 200, body }, { headers })).body
  const ofServer = (apiKey: string) => (baseUrl: string) => openai({ baseUrl, apiKey }) as Provider

  for (const key of [AWKWARD, escaped]) t.equal(await batchOf(ofServer(AWKWARD), json(key)), json('***'), key)
  t.equal(await batchOf(ofServer('12345678'), json('a')), json('a'), 'digits of a number')
  t.equal(await batchOf(ofServer(KEY), json('another')), json('another'))
  const ofClient = (baseUrl: string) => openai({ baseUrl }) as Provider
  t.equal(await batchOf(ofClient, json(KEY), { ...BEARER }), json(KEY), 'the client knows its own')
})

t.test('so are the values of forwarded headers', async t => {
  const headers = {
    ...BEARER,
    'x-portkey-forward-headers': 'x-tenant, x-short',
    'x-tenant': 'tenant-token-1',
    'x-short': 'red'
  }
  const provider = (baseUrl: string) => openai({ baseUrl }) as Provider
  const { error } = (await refusal(t, provider, { body: { error: 'tenant-token-1 is not red' } }, { headers })).json()
  t.equal(error.message, '*** is not red')
})

t.test('a secret that straddles the longest message', async t => {
  const provider = (baseUrl: string) => openai({ baseUrl }) as Provider
  const body = { error: { message: 'x'.repeat(3995) + KEY, code: 'c'.repeat(120) + KEY, type: 't'.repeat(500) } }
  const { error } = (await refusal(t, provider, { body }, { headers: { ...BEARER } })).json()
  t.equal(error.message, `${'x'.repeat(3995)}***`)
  t.equal(error.code, `${'c'.repeat(120)}***`)
  t.equal(error.type, 't'.repeat(128))
})

t.test('masking', async t => {
  const mask = createMask(['secret-key', 'secret-key-longer', 'short', undefined, 5, 'a.b*c(d)e$f'])
  t.equal(mask('secret-key-longer, secret-key, short'), '***, ***, short')
  t.equal(mask('a.b*c(d)e$f aXb*c(d)e$f'), '*** aXb*c(d)e$f')
  t.equal(createMask([])('text'), 'text')
  t.strictSame(secretsOf('key', { authorization: 'Bearer token' }, { 'x-a': 'b' }), ['key', 'Bearer token', 'b'])
  t.strictSame(secretsOf({ a: 'x', b: undefined }, {}), ['x'])

  const character = fc.oneof(fc.constantFrom(...'\\"/+\n\r\t\b\f\u0001ab'), fc.string({ minLength: 1, maxLength: 1 }))
  const secrets = fc.array(character, { minLength: 8, maxLength: 40 }).map(characters => characters.join(''))
  t.equal(mask(`${Buffer.from('user:secret-key').toString('base64')}.`), 'dXNlcjp***.')
  const odd = createMask(['~~~~????>>>>>'])
  t.equal(odd(Buffer.from('user:~~~~????>>>>>').toString('base64')), 'dXNlcjp***', 'with + and /')
  t.equal(odd(Buffer.from('user:~~~~????>>>>>').toString('base64url')), 'dXNlcjp***', 'with - and _')
  t.equal(mask(encodeURIComponent('a.b*c(d)e$f')), '***')
  t.equal(createMask(['a b/c d/e f'])('q=a+b%2Fc+d%2fe+f&'), 'q=***&', 'in a form')
  t.equal(mask('is secret-key', 5), 'is ***', 'a secret at the end is masked as a whole')
  t.equal(mask('is secret-key', 3), 'is ')
  t.equal(mask('is a secret-key', 2), 'is')
  const words = fc.stringMatching(/^[ a-z.,:]{0,40}$/)
  const escaped = (text: string) => JSON.stringify(text).slice(1, -1)
  fc.assert(fc.property(secrets, words, words, fc.nat(3), (secret, before, after, depth) => {
    let written = secret
    for (let level = 0; level < depth; level++) written = escaped(written)
    // What stands around it may complete another occurrence.
    fc.pre((before + written + after).split(written).length === 2)
    return createMask([secret])(before + written + after) === `${before}***${after}`
  }), runs({ usual: 500, exhaustive: 2000 }))
  fc.assert(fc.property(fc.string({ unit: 'binary' }), text => createMask(['not in there'])(text) === text))
})
