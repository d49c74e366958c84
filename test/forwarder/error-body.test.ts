import fc from 'fast-check'
import t from 'tap'
import { boundDetails, findErrorDetails, parseErrorBody } from '../../lib/forwarder/error-body.js'

t.test('the shapes in which providers send errors', async t => {
  const uuid = { detail: [{ type: 'uuid_parsing', loc: ['path', 'id'], msg: 'Not a UUID' }] }
  const rows: ReadonlyArray<readonly [body: unknown, details: object | undefined]> = [
    [{ error: { message: 'm', type: 't', param: 'p', code: 'c' } }, { message: 'm', type: 't', param: 'p', code: 'c' }],
    [{ error: { code: 404, message: 'm', status: 'NOT_FOUND' } }, { message: 'm', code: 'NOT_FOUND' }],
    [[{ error: { message: 'm' } }], { message: 'm' }],
    ['  m ', { message: 'm' }],
    [{ error: 'm', code: 'c' }, { message: 'm', code: 'c' }],
    [{ detail: { error: 'm' } }, { message: 'm' }],
    [uuid, { message: 'Not a UUID', type: 'uuid_parsing' }],
    // Mistral.
    [{ object: 'error', message: uuid, type: 'invalid_request_error', param: null, code: null },
      { message: 'Not a UUID', type: 'uuid_parsing' }],
    [{ message: { message: 'm' }, type: 't', code: 'c' }, { message: 'm', type: 't', code: 'c' }],
    // AWS.
    [{ __type: 'com.amazon.coral.validate#ValidationException', message: 'm' },
      { message: 'm', code: 'ValidationException' }],
    [{ __type: 'ThrottlingException', Message: 'm' }, { message: 'm', code: 'ThrottlingException' }],
    [{ __type: 'A', code: 'B', message: 'm' }, { message: 'm', code: 'B' }],
    [{ errors: [{ code: 'c', message: 'm' }] }, { message: 'm', code: 'c' }],
    [{ title: 'm', status: 403 }, { message: 'm' }],
    [{ error: '' }, undefined],
    [{ message: [] }, undefined],
    [{ a: 'm' }, undefined],
    [' ', undefined],
    [[], undefined],
    [null, undefined],
    [5, undefined],
    [{ error: { error: { error: { error: { error: 'too deep' } } } } }, undefined]
  ]
  for (const [body, details] of rows) {
    if (details === undefined) t.equal(parseErrorBody(body), undefined, JSON.stringify(body))
    else t.match(parseErrorBody(body), details, JSON.stringify(body))
  }
})

t.test('details are bounded', async t => {
  const [type, param, code] = ['t'.repeat(500), 'p'.repeat(500), 'c'.repeat(500_013)]
  const body = { error: { message: 'm'.repeat(5000), type, param, code } }
  t.strictSame(parseErrorBody(body), {
    message: 'm'.repeat(4000),
    type: 't'.repeat(128),
    param: 'p'.repeat(128),
    code: 'c'.repeat(128)
  })
  t.equal(findErrorDetails(body)?.message.length, 5000)
  t.strictSame(boundDetails({ message: 'm', code: null }), { message: 'm', code: null })
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 7 }), value => {
    const details = parseErrorBody(value)
    return details === undefined || (details.message.length <= 4000 && (details.code?.length ?? 0) <= 128)
  }))
})
