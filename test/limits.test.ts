import t from 'tap'
import * as limits from '../lib/limits.js'

t.test('every limit is a positive whole number, and its name says of what', async t => {
  const unit = /^(MIN|MAX)_[A-Z_]+|_MS$/
  for (const [name, value] of Object.entries(limits)) {
    t.ok(Number.isInteger(value) && value > 0, name)
    t.match(name, unit)
  }
})

t.test('limits fit together', async t => {
  const {
    MAX_RESPONSE_BYTES, MAX_RESPONSE_CHUNKS, MAX_RESPONSE_HEADER_BYTES, MAX_RESPONSE_WIRE_BYTES, MIN_RSA_BITS,
    MAX_RSA_BITS, MAX_PRIVATE_KEY_CHARACTERS, TOKEN_EXPIRY_MARGIN_MS, TOKEN_TIMEOUT_MS
  } = limits
  const chunkFraming = '100\r\n\r\n'.length * MAX_RESPONSE_CHUNKS
  const largest = MAX_RESPONSE_BYTES + chunkFraming + 2 * MAX_RESPONSE_HEADER_BYTES
  t.ok(MAX_RESPONSE_WIRE_BYTES > largest, 'the largest response fits')
  t.ok(MIN_RSA_BITS < MAX_RSA_BITS)
  // PKCS #8 has about 4.6 bytes for each byte of the modulus, and base64 four characters for three bytes.
  t.ok(MAX_PRIVATE_KEY_CHARACTERS > MAX_RSA_BITS / 8 * 4.6 * 4 / 3 * 1.03, 'the largest key fits')
  t.ok(TOKEN_EXPIRY_MARGIN_MS > 10 * TOKEN_TIMEOUT_MS, 'a token outlives its call')
})
