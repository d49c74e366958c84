import fc from 'fast-check'
import t from 'tap'
import {
  batchErrors, endTimestamp, isEmptyBody, metadataOrNull, requestCounts, stringOrNull, unixSeconds
} from '../../lib/index.js'
import { parseTime } from '../../lib/providers/parse-fields.js'

const TIMES: ReadonlyArray<readonly [value: unknown, seconds: number | null]> = [
  [1772359200, 1772359200],
  [1772359200.5, 1772359201],
  ['1772359200', 1772359200],
  ['1772359200.4', 1772359200],
  // Milliseconds.
  [1772359200123, 1772359200],
  ['1772359200900', 1772359201],
  // ISO 8601, in UTC if it names no zone.
  ['2026-03-01T10:00:00Z', 1772359200],
  ['2026-03-01T10:00:00z', 1772359200],
  ['2026-03-01t10:00:00Z', 1772359200],
  ['2026-03-01T10:00:00', 1772359200],
  ['2026-03-01 10:00:00', 1772359200],
  ['2026-03-01 10:00:00Z', 1772359200],
  ['2026-03-01T10:00', 1772359200],
  ['2026-03-01T10:00:00.123456789Z', 1772359200],
  ['2026-03-01T10:00:00,5', 1772359201],
  ['2026-03-01T12:00:00+02:00', 1772359200],
  ['2026-03-01T12:00:00+0200', 1772359200],
  ['2026-03-01 05:00:00-05:00', 1772359200],
  ['2026-03-01', 1772323200],
  // Zero times, and times that are none.
  [0, null],
  ['0', null],
  [-1, null],
  ['-1', null],
  ['0001-01-01T00:00:00Z', null],
  ['1970-01-01T00:00:00Z', null],
  ['1970-12-31T23:59:59Z', null],
  [31_535_999, null],
  [31_536_000, 31_536_000],
  ['2026-13-01', null],
  ['2026-03-01T25:00:00Z', null],
  ['2026-03-01T10:00:00+2', null],
  ['10000-01-01', null],
  [1e20, null],
  ['9'.repeat(17), null],
  ['9'.repeat(400), null],
  ['not before step 3', null],
  ['pending 1', null],
  ['March 1, 2026', null],
  ['2026/03/01', null],
  ['20260301', null],
  ['soon', null],
  ['', null],
  [' 1772359200', null],
  ['1e9', null],
  ['0x10', null],
  [NaN, null],
  [Infinity, null],
  [true, null],
  [null, null],
  [undefined, null],
  [[1772359200], null],
  [{}, null],
  [new Date(0), null]
]

/** Runs in a zone that is not UTC, since a time without a zone must not depend on it. */
function inZone (zone: string, run: () => void): void {
  const own = process.env['TZ']
  process.env['TZ'] = zone
  try {
    run()
  } finally {
    if (own === undefined) delete process.env['TZ']
    else process.env['TZ'] = own
  }
}

for (const zone of ['UTC', 'America/New_York', 'Asia/Kolkata']) {
  t.test(`times in ${zone}`, async t => inZone(zone, () => {
    for (const [value, seconds] of TIMES) t.equal(unixSeconds(value), seconds, String(value))
  }))
}

t.test('only a time is read as one', async t => {
  const isTime = /^(?:\d{1,17}(?:\.\d{1,9})?|\d{4}-\d{2}-\d{2}(?:[Tt ].*)?)$/
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.date().map(String)), text =>
    parseTime(text) === null || isTime.test(text)))
  const dates = fc.date({ min: new Date('1971-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  fc.assert(fc.property(dates, date => parseTime(date.toISOString()) === date.getTime() / 1000))
  fc.assert(fc.property(fc.anything(), value => {
    const seconds = unixSeconds(value)
    return seconds === null || (Number.isInteger(seconds) && seconds >= 31_536_000)
  }))
})

t.test('the other readers', async t => {
  t.equal(stringOrNull('a'), 'a')
  for (const value of ['', null, undefined, 5, {}]) t.equal(stringOrNull(value), null)
  t.strictSame(requestCounts(3, 2, 1), { total: 3, completed: 2, failed: 1 })
  for (const value of ['3', null, undefined, 1.5]) t.equal(requestCounts(value, 2, 1), null)
  t.strictSame(metadataOrNull({ a: 'b' }), { a: 'b' })
  for (const value of [{ a: 1 }, { a: null }, [], null, 'a']) t.equal(metadataOrNull(value), null)
  t.ok(isEmptyBody(null) && isEmptyBody({}))
  for (const value of [undefined, [], { a: 1 }, '']) t.notOk(isEmptyBody(value))
  t.strictSame(endTimestamp('failed', 1772359200), { failed_at: 1772359200 })
  t.strictSame(endTimestamp('completed', 'soon'), { completed_at: null })
  t.strictSame(endTimestamp('cancelling', 1772359200), {})
  const error = { code: null, message: 'a', param: null, line: null }
  t.strictSame(batchErrors('a'), { object: 'list', data: [error] })
  t.strictSame(batchErrors(['a', null, 5, {}, '', { message: 'a' }])?.data, [error, error])
  t.strictSame(batchErrors({ data: ['a'] })?.data, [error])
  t.strictSame(batchErrors({ data: 'a', message: 'a' })?.data, [error])
  const coded = { code: 'c', param: 'p', line: 3 }
  t.strictSame(batchErrors(coded)?.data, [{ message: null, ...coded }])
  t.strictSame(batchErrors({ message: 'a', line: '3' })?.data, [error])
  for (const value of [null, undefined, '', [], {}, [null]]) t.equal(batchErrors(value), null)
})
