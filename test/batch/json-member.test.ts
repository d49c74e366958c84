import fc from 'fast-check'
import t from 'tap'
import { jsonMember, setJsonMember } from '../../lib/batch/json-member.js'
import { runs } from '../support/exhaustive.js'

/** An object as JSON, with white space and keys that are escaped as any writer may. */
const objects = fc.tuple(
  fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { maxKeys: 5 }),
  fc.constantFrom(0, 1, '\t')
)

const withMember = (object: object, key: string, value: unknown) =>
  Object.fromEntries([...Object.entries(object).filter(([name]) => name !== key && name !== '__proto__'), [key, value]])

t.test('setJsonMember changes one member of the object itself, and nothing else', async t => {
  fc.assert(fc.property(objects, fc.jsonValue(), fc.string(), ([object, space], nested, value) => {
    const before = withMember({ ...object, nested: { status: nested, list: [{ status: 'inner' }] } }, 'status', nested)
    const text = JSON.stringify(before, undefined, space)
    const after = JSON.parse(setJsonMember(text, 'status', value))
    return JSON.stringify(after) === JSON.stringify({ ...JSON.parse(text), status: value })
  }), runs({ usual: 500, exhaustive: 2000 }))
  t.pass('2,000 objects')
})

t.test('jsonMember returns the text of a member', async t => {
  fc.assert(fc.property(objects, fc.jsonValue(), ([object, space], value) => {
    const text = JSON.stringify(withMember(object, 'batch', value), undefined, space)
    const member = jsonMember(text, 'batch')
    return member !== undefined && JSON.stringify(JSON.parse(member)) === JSON.stringify(value)
  }), runs({ usual: 500, exhaustive: 2000 }))
  t.pass('2,000 objects')
})

t.test('what parsing would change stays as it is', async t => {
  for (const { what, text, expected } of [
    {
      what: 'large integers and trailing zeros',
      text: '{"n":12345678901234567890,"status":"a","x":1.0}',
      expected: '{"n":12345678901234567890,"status":"b","x":1.0}'
    },
    { what: 'an escaped key', text: '{"\\u0073tatus":"a"}', expected: '{"\\u0073tatus":"b"}' },
    { what: 'a repeated key', text: '{"status":"a","status":{"a":[1]}}', expected: '{"status":"b","status":"b"}' },
    {
      what: 'a key in another object',
      text: '{"x":{"status":"a"},"status":1}',
      expected: '{"x":{"status":"a"},"status":"b"}'
    },
    { what: 'the key as a value', text: '{"x":"status","y":["status"]}', expected: '{"x":"status","y":["status"]}' },
    { what: 'white space', text: '{ "status" :\n[ 1 ] }', expected: '{ "status" :\n"b" }' },
    {
      what: 'quotes in strings',
      text: '{"x":"\\"status\\":\\"a\\"","status":null}',
      expected: '{"x":"\\"status\\":\\"a\\"","status":"b"}'
    }
  ]) t.equal(setJsonMember(text, 'status', 'b'), expected, what)
  t.equal(jsonMember('{"batch":{"id":12345678901234567890}}', 'batch'), '{"id":12345678901234567890}')
  t.equal(jsonMember('{"batch":1,"batch":2}', 'batch'), '2', 'the last one, as JSON.parse has it')
  t.equal(jsonMember('{"x":{"batch":1}}', 'batch'), undefined)
})
