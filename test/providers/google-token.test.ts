import crypto, { createPrivateKey, generateKeyPairSync, randomBytes, verify, type KeyObject } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { JWT } from 'google-auth-library'
import t from 'tap'
import { BatchCancelError } from '../../lib/errors.js'
import {
  MAX_CACHED_TOKENS, MAX_RESPONSE_BYTES, MAX_TOKEN_EXCHANGES, TOKEN_EXPIRY_MARGIN_MS
} from '../../lib/limits.js'
import {
  createTokens, type ExchangeToken, type ServiceAccount, type TokensOptions
} from '../../lib/providers/google-token.js'
import { createUpstream } from '../../lib/providers/http-client.js'
import type { SendRequest } from '../../lib/providers/provider.js'
import { PEM as privateKey, PUBLIC_PEM as publicKey } from '../fixtures/vertex.js'
import { catchAll } from '../support/internet.js'
import { wellKnownRsaKey } from '../support/rsa-key.js'

const ACCOUNT: ServiceAccount = { client_email: 'robot@project.iam.gserviceaccount.com', private_key: privateKey }
const HOUR_MS = 3_600_000

const upstream = createUpstream()
t.teardown(() => upstream.close())

/** Over HTTP, as the forwarder sends. */
const overHttp: SendRequest = (origin, request) => upstream(origin, request, origin, () => () => {})
const sends = (body: object): SendRequest => async () => ({ status: 200, text: JSON.stringify(body) })
const sendsNothing: SendRequest = async () => { throw new Error('Nothing is to be sent') }

/** What returns the access token of an account. */
function tokens (options: TokensOptions = {}, send = overHttp) {
  const accessToken = createTokens(options)
  return (account: ServiceAccount) => accessToken(account, send)
}

/* The exchange, with a server of the test in the place of every host. */

t.test('a signature is exchanged at Google\'s own endpoint', async t => {
  const internet = await catchAll(t, () => ({ body: { access_token: 'ya29.token', expires_in: 3599 } }))
  const keyFile = { ...ACCOUNT, token_uri: 'https://evil.example/token', universe_domain: 'evil.example' }
  t.equal(await tokens()(keyFile), 'ya29.token')
  t.strictSame(internet.contacts, ['https://oauth2.googleapis.com'])
  t.match(internet.requests, [{ method: 'POST', path: '/token', headers: { host: 'oauth2.googleapis.com' } }])
})

/** What a form contains, with its assertion decoded. */
function decode (body: string) {
  const { assertion = '', ...form } = Object.fromEntries(new URLSearchParams(body))
  const [header = '', claims = '', signature = ''] = assertion.split('.')
  const valid = verify('RSA-SHA256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url'))
  const parse = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
  return { form, header: parse(header), claims: parse(claims), valid }
}

t.test('it is the request that google-auth-library makes', async t => {
  const at = 1_700_000_000_000
  const internet = await catchAll(t, () => ({ body: { access_token: 'ya29.token', expires_in: 3599 } }))
  t.intercept(Date, 'now', { value: () => at })
  await tokens()(ACCOUNT)
  t.intercept(Date.prototype, 'getTime', { value: () => at })
  const library = new JWT({
    email: ACCOUNT.client_email,
    key: ACCOUNT.private_key,
    scopes: ['https://www.googleapis.com/auth/cloud-platform'],
    transporterOptions: { fetchImplementation: (...args: Parameters<typeof fetch>) => fetch(...args) }
  })
  await library.authorize()

  const [ours, theirs] = internet.requests.map(({ body }) => decode(body))
  t.ok(ours?.valid)
  t.strictSame(ours, theirs)
  const [a, b] = internet.requests
  t.strictSame([a?.method, a?.path, a?.headers['content-type']], [b?.method, b?.path, b?.headers['content-type']])
})

interface Failure {
  readonly what: string
  readonly status?: number
  readonly body: unknown
  readonly error: Readonly<Record<string, unknown>>
}

const FAILURES: readonly Failure[] = [
  {
    what: 'a refusal',
    status: 400,
    body: { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' },
    error: {
      statusCode: 401,
      message: 'No access token for the service account: Invalid JWT Signature.',
      details: { code: 'invalid_grant' }
    }
  },
  {
    what: 'a refusal without a reason',
    status: 403,
    body: {},
    error: {
      statusCode: 401,
      message: 'No access token for the service account: Google\'s token endpoint returned 403.',
      details: { code: null }
    }
  },
  {
    what: 'a rate limit',
    status: 429,
    body: { error: 'rate_limit' },
    error: { statusCode: 429, message: /: rate_limit$/, details: { code: 'rate_limit' } }
  },
  { what: 'a failure', status: 503, body: 'oh', error: { code: 'upstream_unreachable', outcome: 'retryable' } },
  { what: 'no content', status: 204, body: '', error: { code: 'upstream_unreachable', outcome: 'retryable' } },
  { what: 'no token', body: { id_token: 'x' }, error: { code: 'upstream_unreachable', outcome: 'retryable' } },
  { what: 'a token that no header can carry', body: { access_token: 'a b' }, error: { code: 'upstream_unreachable' } },
  { what: 'no JSON', body: '<html>', error: { code: 'upstream_unreachable' } },
  { what: 'no object', body: '[]', error: { code: 'upstream_unreachable' } },
  { what: 'nothing', body: '', error: { code: 'upstream_unreachable' } },
  {
    what: 'too much',
    body: ' '.repeat(MAX_RESPONSE_BYTES + 1),
    error: { code: 'upstream_unreachable', cause: { message: /more than 1048576 bytes/ } }
  }
]

for (const { what, status = 200, body, error: properties } of FAILURES) {
  t.test(`Google returns no token: ${what}`, async t => {
    const error = properties as unknown as Error
    const internet = await catchAll(t, () => ({ status, body }))
    const accessToken = tokens()
    await t.rejects(accessToken(ACCOUNT), error as unknown as Error)
    await t.rejects(accessToken(ACCOUNT), error as unknown as Error, 'a failure is not cached')
    t.equal(internet.requests.length, 2)
  })
}

t.test('a redirect is not followed', async t => {
  const location = 'https://evil.example/token'
  const internet = await catchAll(t, () => ({ status: 307, headers: { location } }))
  await t.rejects(tokens()(ACCOUNT), { code: 'upstream_unreachable', outcome: 'retryable' })
  t.strictSame(internet.contacts, ['https://oauth2.googleapis.com'])
})

t.test('an endpoint that cannot be reached', async t => {
  let assertion = ''
  for (const { failure, reason } of [
    { failure: () => new Error('connect ECONNREFUSED'), reason: 'connect ECONNREFUSED' },
    { failure: () => new TypeError('fetch failed', { cause: new Error('reset') }), reason: 'reset' },
    {
      failure: () => new DOMException('The call is over', 'AbortError'),
      reason: 'no response within 10000 milliseconds'
    },
    { failure: () => new Error(`No route for ${assertion}`), reason: 'No route for ***' }
  ]) {
    const send: SendRequest = async (_origin, { body }) => {
      assertion = new URLSearchParams(body).get('assertion') as string
      throw failure()
    }
    const message = `Google's token endpoint did not return a token: ${reason}`
    await t.rejects(tokens({}, send)(ACCOUNT), { code: 'upstream_unreachable', outcome: 'retryable', cause: { message } })
  }
})

t.test('an endpoint to which too many calls are in progress', async t => {
  const busy = new BatchCancelError('upstream_busy', 'Too many.', { headers: { 'retry-after': '1' } })
  const error = await tokens({}, async () => { throw busy })(ACCOUNT).catch((error: unknown) => error)
  t.equal(error, busy)
})

for (const status of [400, 429, 500]) {
  t.test(`no error has the assertion or the key in it: ${status}`, async t => {
    let assertion = ''
    await catchAll(t, ({ body }) => {
      assertion = new URLSearchParams(body).get('assertion') as string
      return { status, body: { error: `bad ${assertion}`, error_description: `Unknown assertion ${assertion}` } }
    })
    const error = await tokens()(ACCOUNT).catch((error: unknown) => error)
    t.ok(assertion.length > 300)
    const shown = inspect(error, { depth: Infinity, showHidden: true, maxStringLength: Infinity })
    t.notOk(shown.includes(assertion.slice(0, 100)))
    t.notOk(shown.includes(privateKey.slice(100, 160)))
  })
}

/* Keys. */

const INVALID_KEY = {
  code: 'missing_credentials',
  statusCode: 401,
  param: 'authorization',
  message: 'The private_key of the service account must be an RSA key of 2048 to 4096 bits in PEM form.'
}

const toPem = (key: KeyObject, type: 'pkcs1' | 'pkcs8') => String(key.export({ type, format: 'pem' }))

t.test('RSA keys of 2048 to 4096 bits sign, in both PEM forms', async t => {
  const keys = [
    privateKey,
    toPem(createPrivateKey(privateKey), 'pkcs1'),
    toPem(wellKnownRsaKey(3072), 'pkcs8'),
    toPem(wellKnownRsaKey(4096), 'pkcs8'),
    toPem(wellKnownRsaKey(4096), 'pkcs1'),
    privateKey.replaceAll('PRIVATE KEY', 'RSA PRIVATE KEY'),
    privateKey.replaceAll('\n', '\r\n'),
    `\n${privateKey}\n`
  ]
  const accessToken = tokens({}, sends({ access_token: 'a' }))
  for (const key of keys) t.equal(await accessToken({ ...ACCOUNT, private_key: key }), 'a')
})

/* DER by hand, since nobody generates such keys. */

const tlv = (tag: number, content: Buffer) => Buffer.concat([
  content.length < 0x80
    ? Buffer.of(tag, content.length)
    : content.length < 0x100
      ? Buffer.of(tag, 0x81, content.length)
      : Buffer.of(tag, 0x82, content.length >> 8, content.length & 0xff),
  content
])

const integer = (value: Buffer) => tlv(2, (value[0] as number) < 0x80 ? value : Buffer.concat([Buffer.of(0), value]))
const sequence = (...items: Buffer[]) => tlv(0x30, Buffer.concat(items))
const ZERO = Buffer.of(0)
const THREE = Buffer.of(3)

/** An odd number of so many bytes. */
function odd (bytes: number): Buffer {
  const number = randomBytes(bytes)
  number[0] = 0x80 | number[0] as number
  number[bytes - 1] = 1 | number[bytes - 1] as number
  return number
}

const pem = (der: Buffer) =>
  `-----BEGIN PRIVATE KEY-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`

const RSA = sequence(Buffer.from('06092a864886f70d0101010500', 'hex'))
const pkcs8 = (algorithm: Buffer, key: Buffer) => pem(sequence(integer(ZERO), algorithm, tlv(4, key)))
const rsa = (...numbers: Buffer[]) => pkcs8(RSA, sequence(...[ZERO, ...numbers].map(integer)))

const dsa = (bytes: number) => pkcs8(
  sequence(
    Buffer.from('06072a8648ce380401', 'hex'),
    sequence(integer(odd(bytes)), integer(odd(32)), integer(odd(bytes - 1)))
  ),
  integer(odd(bytes - 100))
)

const small = generateKeyPairSync('rsa', {
  modulusLength: 1024,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' }
}).privateKey

const curve = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' }
}).privateKey

const encrypted = String(
  createPrivateKey(privateKey).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })
)

const USELESS: Readonly<Record<string, string>> = {
  nothing: '',
  'a public key': publicKey,
  'a key of 1024 bits': small,
  'a key of 8192 bits': rsa(odd(1024), THREE, odd(8), odd(8), odd(8), odd(8), odd(8), odd(8)),
  'a key of 9600 bits and little else': rsa(odd(1200), THREE, THREE, THREE, THREE, THREE, THREE, THREE),
  'a key of an elliptic curve': curve,
  'a large DSA key': dsa(1000),
  'an encrypted key': encrypted,
  'two keys': privateKey + dsa(300),
  'a key after another': dsa(300) + privateKey,
  'half a key': privateKey.slice(0, 800),
  'half a key with its end': pem(Buffer.from(privateKey.slice(28, 800), 'base64')),
  'a key that is too long': `${' '.repeat(4096)}${privateKey}`,
  'a key that cannot sign': rsa(odd(512), THREE, odd(1000), ZERO, ZERO, ZERO, ZERO, ZERO)
}

for (const [what, key] of Object.entries(USELESS)) {
  t.test(`a private key that is refused before anything is sent: ${what}`, async t => {
    await t.rejects(tokens({}, sendsNothing)({ ...ACCOUNT, private_key: key }), INVALID_KEY)
  })
}

t.test('any text instead of a key is refused', async t => {
  const text = fc.oneof(
    fc.string({ maxLength: 5000 }),
    fc.base64String({ maxLength: 5000 })
      .map(base64 => `-----BEGIN PRIVATE KEY-----\n${base64}\n-----END PRIVATE KEY-----`),
    fc.uint8Array({ maxLength: 3000 }).map(bytes => pem(Buffer.from(bytes))),
    fc.tuple(fc.nat(privateKey.length), fc.string({ minLength: 1, maxLength: 20 }))
      .map(([at, inserted]) => `${privateKey.slice(0, at)}#${inserted}${privateKey.slice(at)}`)
  )
  await fc.assert(fc.asyncProperty(text, async key => {
    await t.rejects(tokens({}, sendsNothing)({ ...ACCOUNT, private_key: key }), INVALID_KEY)
  }))
})

t.test('the event loop goes on while a key signs', async t => {
  let turns = 0
  const count = () => { turns++; next = setImmediate(count) }
  let next = setImmediate(count)
  t.teardown(() => clearImmediate(next))
  // Nothing but the signature waits for anything: without it, all of this is done within one turn.
  await tokens({ exchange: async () => ({ access_token: 'a' }) })(ACCOUNT)
  t.equal(turns, 0)
  await tokens({}, sends({ access_token: 'a' }))(ACCOUNT)
  t.ok(turns > 0, `${turns} turns`)
})

t.test('OpenSSL gets no key that it would need long for', async t => {
  const { createPrivateKey } = crypto
  const parsed: unknown[] = []
  const count = (key: crypto.PrivateKeyInput) => { parsed.push(key); return createPrivateKey(key) }
  t.intercept(crypto, 'createPrivateKey', { value: count })
  syncBuiltinESMExports()
  t.teardown(syncBuiltinESMExports)
  const large = ['a key of 8192 bits', 'a key of 9600 bits and little else', 'a large DSA key', 'a key that is too long']
  for (const key of large) {
    await t.rejects(tokens({}, sendsNothing)({ ...ACCOUNT, private_key: USELESS[key] as string }), { code: INVALID_KEY.code })
  }
  t.strictSame(parsed, [])
  await t.rejects(tokens({}, sendsNothing)({ ...ACCOUNT, private_key: USELESS['a key that cannot sign'] as string }))
  t.equal(parsed.length, 1, 'of a length that is allowed')
})

/* The cache. */

t.test('how long a token is used does not follow the wall clock', async t => {
  const date = Date.now
  let offset = 0
  t.intercept(Date, 'now', { value: () => date() + offset })
  let count = 0
  const accessToken = tokens({ exchange: async () => ({ access_token: `a${++count}`, expires_in: 3600 }) })
  t.equal(await accessToken(ACCOUNT), 'a1')
  offset = 2 * HOUR_MS
  t.equal(await accessToken(ACCOUNT), 'a1')
})

t.test('tokens are cached by the whole credential, until shortly before they expire', async t => {
  let now = 1_000_000
  const exchanged: string[] = []
  const exchange: ExchangeToken = async ({ client_email: email }) =>
    ({ access_token: `${email}-${exchanged.push(email)}`, expires_in: HOUR_MS / 1000 })
  const accessToken = tokens({ exchange, now: () => now })
  const account = { client_email: 'a@b', private_key: 'key' }
  t.strictSame(await Promise.all([accessToken(account), accessToken(account)]), ['a@b-1', 'a@b-1'], 'one exchange')
  t.equal(await accessToken({ ...account, client_email: 'b@c' }), 'b@c-2')
  t.equal(await accessToken({ ...account, private_key: 'another' }), 'a@b-3', 'another key has another token')
  now += HOUR_MS - TOKEN_EXPIRY_MARGIN_MS - 1
  t.equal(await accessToken(account), 'a@b-1')
  now += 1
  t.equal(await accessToken(account), 'a@b-4')
})

t.test('a token without an expiry is not cached', async t => {
  for (const expiry of [undefined, null, NaN, 'soon', 0]) {
    let count = 0
    const accessToken = tokens({ exchange: async () => ({ access_token: `t${++count}`, expires_in: expiry }) })
    t.strictSame([await accessToken(ACCOUNT), await accessToken(ACCOUNT)], ['t1', 't2'])
  }
})

t.test('a bounded number of tokens is cached', async t => {
  const exchanged: string[] = []
  const accessToken = tokens({
    exchange: async ({ client_email: email }) => {
      exchanged.push(email)
      return { access_token: email, expires_in: Infinity }
    }
  })
  const use = (n: number) => accessToken({ ...ACCOUNT, client_email: `${n}@a` })
  for (let n = 0; n < MAX_CACHED_TOKENS; n++) await use(n)
  await use(0)
  t.equal(exchanged.length, MAX_CACHED_TOKENS)
  await use(MAX_CACHED_TOKENS)
  await use(0)
  t.equal(exchanged.length, MAX_CACHED_TOKENS + 1, 'what was used lately is kept')
  await use(1)
  t.equal(exchanged.length, MAX_CACHED_TOKENS + 2, 'what was not is forgotten')
})

t.test('a bounded number of exchanges is in progress, and cached tokens need none', async t => {
  let finish = () => {}
  const finished = new Promise<void>(resolve => { finish = resolve })
  let wait: Promise<void> = Promise.resolve()
  const accessToken = tokens({
    exchange: async ({ client_email: email }) => {
      await wait
      return { access_token: email, expires_in: Infinity }
    }
  })
  const use = (n: number) => accessToken({ ...ACCOUNT, client_email: `${n}@a` })
  await use(0)
  wait = finished
  const pending = Array.from({ length: MAX_TOKEN_EXCHANGES }, (_, n) => use(n + 1))
  const busy = {
    code: 'upstream_busy',
    statusCode: 503,
    outcome: 'retryable',
    headers: { 'retry-after': '1' },
    message: 'Too many access tokens are being requested. Nothing was sent; try again later.'
  }
  await t.rejects(use(1000), busy)
  t.equal(await use(0), '0@a')
  finish()
  await Promise.all([...pending, use(1)])
  t.equal(await use(1000), '1000@a')
})
