import type { IncomingHttpHeaders } from 'node:http'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import fc from 'fast-check'
import t from 'tap'
import type { BatchCancelError } from '../../lib/errors.js'
import { checkHeaders } from '../../lib/forwarder/check-call.js'

const SCHEMAS = {
  'x-digits': Type.String({ pattern: '^[0-9]+$', description: 'Digits.' }),
  'x-short': Type.String({ maxLength: 3 }),
  // A JSON pointer would have it escaped.
  'x~1': Type.Literal('a'),
  'x-never': Type.Never()
}

const NAMES = Object.keys(SCHEMAS) as Array<keyof typeof SCHEMAS>

/** The name of the header that is refused. */
function refusedIn (headers: IncomingHttpHeaders): string | null {
  try {
    checkHeaders(headers, SCHEMAS)
    return null
  } catch (error) {
    return (error as BatchCancelError).param
  }
}

t.test('the first header that is present and does not match its schema is refused', t => {
  const value = fc.oneof(fc.constantFrom('1', 'a', 'abcd', '', undefined), fc.string(), fc.constant(['1', 'abcd']))
  const anyHeaders = fc.dictionary(fc.constantFrom(...NAMES, 'x-other'), value)
  let refused = 0
  fc.assert(fc.property(anyHeaders, headers => {
    const expected = NAMES.find(name => {
      const value = headers[name]
      return typeof value === 'string' && value !== '' && !Value.Check(SCHEMAS[name], value)
    })
    refused += Number(expected !== undefined)
    return refusedIn(headers as IncomingHttpHeaders) === (expected ?? null)
  }), { numRuns: 500 })
  t.ok(refused > 50 && refused < 500, `${refused} of 500`)
  t.end()
})

t.test('the description of a header says what is expected', t => {
  t.throws(() => checkHeaders({ 'x-digits': 'a' }, SCHEMAS), { message: /x-digits.* is not valid\. Digits\.$/ })
  t.throws(() => checkHeaders({ 'x-short': 'abcd' }, SCHEMAS), { message: /x-short.* is not valid\.$/ })
  t.end()
})
