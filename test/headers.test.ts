import t from 'tap'
import { pickResponseHeaders } from '../lib/headers.js'

const RATE_LIMITS = [
  'retry-after', 'retry-after-ms', 'x-should-retry',
  // The IETF's field, and its forerunners.
  'ratelimit', 'ratelimit-limit', 'x-ratelimit-remaining-requests',
  'anthropic-ratelimit-tokens-reset',
  // Mistral's, behind Kong.
  'ratelimitbysize-remaining', 'x-ratelimitbysize-limit-minute',
  'x-ms-ratelimit-remaining-resource'
]

/** The most common first. */
const REQUEST_IDS = [
  'x-request-id', 'request-id', 'x-amzn-requestid', 'apim-request-id', 'x-ms-request-id', 'mistral-correlation-id',
  'x-kong-request-id'
]

t.test('the headers of a provider that reach the client', t => {
  for (const name of RATE_LIMITS) {
    for (const sent of [name, name.toUpperCase()]) {
      t.strictSame(pickResponseHeaders({ [sent]: '1' }), { [name]: '1' }, sent)
    }
  }
  for (const name of ['set-cookie', 'content-encoding', 'connection', 'x-retry-after', 'ratelimits', 'xratelimit-a']) {
    t.strictSame(pickResponseHeaders({ [name]: '1' }), {}, name)
  }
  t.end()
})

t.test('a request id has one name', t => {
  for (const [index, name] of REQUEST_IDS.entries()) {
    const later = REQUEST_IDS.slice(index)
    for (const names of [later, later.toReversed()]) {
      const headers = Object.fromEntries(names.map(sent => [sent, `of ${sent}`]))
      t.strictSame(pickResponseHeaders(new Headers(headers)), { 'x-request-id': `of ${name}` })
      t.strictSame(pickResponseHeaders(headers), { 'x-request-id': `of ${name}` })
    }
  }
  t.end()
})

t.test('a value that could not be written is left out', t => {
  for (const value of ['', 'a\r\nb: c', 'ä', 'x'.repeat(1025), ['1', '2'], undefined]) {
    t.strictSame(pickResponseHeaders({ 'x-request-id': value as string }), {})
  }
  t.strictSame(pickResponseHeaders(undefined), {})
  t.end()
})
