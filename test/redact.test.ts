import fc from 'fast-check'
import t from 'tap'
import { redactError } from '../lib/index.js'
import { redactText } from '../lib/redact.js'
import { secretsIn } from '../lib/secrets.js'
import { runs } from './support/exhaustive.js'
import { wellKnownRsaKey } from './support/rsa-key.js'

t.test('what looks like a secret is masked', async t => {
  const privateKey = String(wellKnownRsaKey(2048).export({ type: 'pkcs8', format: 'pem' }))
  for (const { text, expected } of [
    { text: 'refused Bearer abc.DEF-123_x==', expected: 'refused Bearer ***' },
    { text: 'authorization: bearer abcdefgh, next', expected: 'authorization: bearer ***, next' },
    { text: 'Basic dXNlcjpwYXNz', expected: 'Basic ***' },
    { text: 'token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln!', expected: 'token ***!' },
    { text: 'ya29.a0AfH6SMBx-y', expected: '***' },
    { text: 'Incorrect API key sk-proj-abcdefgh12', expected: 'Incorrect API key ***' },
    { text: 'AKIAIOSFODNN7EXAMPLE is unknown', expected: '*** is unknown' },
    { text: 'gsk_abcdefgh12 or AIzaSyA-abcdefghijklmnopqrstuvwxyz01234', expected: '*** or ***' },
    { text: 'no proxy at http://user:pass@proxy:8080/', expected: 'no proxy at http://***@proxy:8080/' },
    { text: 'GET https://x.example/a?b=1&api_key=abc&c=2', expected: 'GET https://x.example/a?b=1&api_key=***&c=2' },
    { text: 'GET https://x.example/a?sig=abc', expected: 'GET https://x.example/a?sig=***' },
    { text: `key ${privateKey} end`, expected: 'key ***\n end' },
    { text: 'the bearer of bad news', expected: 'the bearer of bad news' },
    { text: 'a task-list of risk-free words', expected: 'a task-list of risk-free words' }
  ]) t.equal(redactText(text), expected, text.slice(0, 40))
})

t.test('the secrets of a client are found in its headers', async t => {
  t.strictSame(secretsIn({
    host: 'llm.example.com',
    authorization: 'Bearer opaque-token',
    'x-portkey-aws-secret-access-key': 'aws-secret-1',
    'x-portkey-config': '{"api_key":"config-key","provider":"openai","forward_headers":["X-Team"]}',
    'x-portkey-forward-headers': 'X-Tenant',
    'x-tenant': 'tenant-secret',
    'x-team': 'team-secret',
    cookie: ''
  }), ['Bearer opaque-token', 'opaque-token', 'aws-secret-1', 'tenant-secret', 'team-secret', '', 'config-key'])
  t.strictSame(secretsIn({ 'x-portkey-config': '{broken json' }), ['{broken json'])
  t.strictSame(secretsIn({ 'proxy-authorization': 'Basic dXNlcjpwYXNz' }), [
    'Basic dXNlcjpwYXNz', 'dXNlcjpwYXNz', 'user:pass', 'pass'
  ])
  const nested = JSON.stringify({ vertexServiceAccountJson: { private_key: 'pem', other: '{"deep":"value"}' } })
  t.strictSame(secretsIn({ 'x-portkey-config': nested }), ['pem', '{"deep":"value"}', 'value'])
  const long = 'a'.repeat(40)
  t.strictSame(secretsIn({ authorization: `AWS4 Signature=${long}` }), [
    `AWS4 Signature=${long}`, `Signature=${long}`, long
  ])
  t.strictSame(secretsIn({ 'x-portkey-config': `{"api_key":${'['.repeat(5000)}"key"${']'.repeat(5000)}}` }), [])
})

t.test('no secret is left in a redacted error, wherever it stood', async t => {
  const words = fc.string({ minLength: 8, maxLength: 40, unit: 'grapheme-ascii' })
    .map(word => word.replace(/[\s*]/g, '_'))
  fc.assert(fc.property(words, words, (first, second) => {
    const error: Error & { config?: object } = new Error(`call with ${first} failed`, {
      cause: Object.assign(new TypeError(`because of ${second}`), {
        code: first,
        response: { headers: { authorization: second } }
      })
    })
    error.config = { headers: { authorization: `Bearer ${first}` } }
    const text = JSON.stringify(redactError(error, [first, second].sort((a, b) => b.length - a.length)))
    return [first, second].every(secret => !text.includes(JSON.stringify(secret).slice(1, -1)))
  }), runs({ usual: 500, exhaustive: 1000 }))
  t.pass('1,000 errors')
})

t.test('what is not an error is redacted, too', async t => {
  t.strictSame(redactError('Bearer abcdefgh'), { type: 'string', message: 'Bearer ***' })
  t.strictSame(redactError({ a: 1 }), { type: 'Error', message: 'no message' })
  let deep: unknown = new Error('end')
  for (let i = 0; i < 20; i++) deep = new Error('deep', { cause: deep })
  t.equal(JSON.stringify(redactError(deep)).split('"message"').length - 1, 6, 'causes are followed five times')
  const long = redactError(new Error('x'.repeat(100_000)))
  t.ok(long.message.length < 8100)
  t.match(redactError(Object.assign(new Error('no'), { statusCode: 503, code: 'X' })), { statusCode: 503, code: 'X' })
})
