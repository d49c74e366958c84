import t from 'tap'
import { createSigner, type Signer } from '../../lib/providers/sigv4.js'

const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const ORIGIN = 'https://bedrock.us-east-1.amazonaws.com'
const REQUEST = { method: 'GET', origin: ORIGIN, path: '/model-invocation-job/a' } as const
const SCOPE = { service: 'bedrock', region: 'us-east-1' }
const AT = Date.parse('2026-01-02T03:04:05Z')

t.test('a request is signed by AWS\'s own signer, without the host among the headers', async t => {
  const sign = createSigner({ now: () => AT })
  const headers = await sign(REQUEST, { ...KEYS, sessionToken: 'token' }, SCOPE)
  const names = ['authorization', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token']
  t.strictSame(Object.keys(headers).sort(), names)
  t.match(headers, {
    authorization: 'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/bedrock/aws4_request, ' +
      'SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=',
    'x-amz-date': '20260102T030405Z',
    'x-amz-security-token': 'token'
  })
  t.notOk(JSON.stringify(headers).includes(KEYS.secretAccessKey))
})

t.test('packages that are missing are named, and looked for again by the next request', async t => {
  const cause = new Error('Cannot find package')
  const signer: Signer = async () => ({ host: 'a', authorization: 'signed' })
  const results = [() => { throw cause }, () => { throw cause }, () => signer]
  let loads = 0
  const sign = createSigner({ load: async () => (results[loads++] as () => Signer)() })
  const error = {
    code: 'internal_error',
    message: 'Internal error',
    cause: {
      message: 'An optional package is missing. Run: npm install @smithy/signature-v4 @smithy/hash-node',
      cause
    }
  }
  await t.rejects(sign(REQUEST, KEYS, SCOPE), error)
  await t.rejects(sign(REQUEST, KEYS, SCOPE), error)
  t.strictSame(await sign(REQUEST, KEYS, SCOPE), { authorization: 'signed' })
  await sign(REQUEST, KEYS, SCOPE)
  t.equal(loads, 3, 'loaded once when it is there')
})
