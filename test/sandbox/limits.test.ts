import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { createFileStore } from '../../lib/sandbox/files.js'
import {
  MAX_BATCHES, MAX_FILES, MAX_FILE_BYTES, MAX_LINE_BYTES, MAX_LIVE_INPUT_BYTES, MAX_LIVE_OUTPUT_BYTES, MAX_OUTPUT_BYTES,
  MAX_STORED_BYTES
} from '../../lib/sandbox/limits.js'
import { FINALIZING_MS, VALIDATING_MS } from '../../lib/sandbox/run-batch.js'
import { jsonl, line, lines, openApp } from '../support/sandbox-app.js'

const HOUR_MS = 60 * 60 * 1000
const MODERATIONS = '/v1/moderations'

/** Requests of 8 KiB whose responses have more than 1 MiB. */
const moderations = (count: number) => {
  const body = { input: Array(2_048).fill('x') }
  return jsonl(Array.from({ length: count }, (_, index) => line(`r${index}`, { url: MODERATIONS, body })))
}

/** A file of nearly the largest size, of lines of nearly the largest size. */
const largeFile = () => {
  const padding = 'x'.repeat(MAX_LINE_BYTES - 500)
  return jsonl(Array.from({ length: MAX_FILE_BYTES / MAX_LINE_BYTES }, (_, index) => line(`r${index}`, { padding })))
}

t.test('the number and the bytes of files are bounded', async t => {
  const file = (bytes: number) =>
    ({ filename: 'x', purpose: 'batch' as const, createdAt: 1, content: Buffer.alloc(bytes) })
  const many = createFileStore()
  const permanent = many.add({ ...file(1), id: 'file-seed' })
  const first = many.add(file(1))
  for (let count = 1; count < MAX_FILES; count++) many.add(file(1))
  t.ok(many.find(first.id))
  many.add(file(1))
  t.notOk(many.find(first.id), 'the oldest is removed')
  t.equal(many.list().length, MAX_FILES + 1)
  t.same(many.list().at(-1), permanent, 'but never a seed')

  const large = createFileStore()
  const half = large.add(file(MAX_STORED_BYTES / 2))
  large.add(file(MAX_STORED_BYTES / 2))
  t.ok(large.find(half.id))
  large.add(file(1))
  t.notOk(large.find(half.id))
  t.equal(large.list().length, 2)
})

t.test('the number of batches is bounded, and the error says when to retry', async t => {
  const { clock, upload, create, call, retrieve } = await openApp(t)
  const fileId = await upload(line('a'))
  const ids: string[] = []
  for (let count = 0; count < MAX_BATCHES; count++) ids.push((await create(fileId)).json().id)
  const refused = await create(fileId)
  t.equal(refused.status, 429)
  t.match(refused.json(), {
    error: {
      message: 'The sandbox runs at most 500 batches with 64 MiB of input at a time. Try again in 2 seconds.',
      type: 'requests',
      code: 'rate_limit_exceeded'
    }
  })
  t.equal(refused.headers['retry-after'], '2')

  await clock.advance(1_000)
  t.match(await create(fileId), { status: 429, headers: { 'retry-after': '1' } })
  await clock.advance(1_000)
  t.equal((await create(fileId)).status, 200, 'there is room at the time that the error named')
  t.equal((await call('GET', `/batches/${ids[0]}`)).status, 404, 'the oldest that has ended is removed')
  t.match(await retrieve(String(ids[1])), { status: 'completed' })
  t.match(await retrieve('batch_abc123'), { status: 'in_progress' }, 'but never a seed')
})

t.test('the bytes of live batches are bounded, and the error says when to retry', async t => {
  const { clock, upload, create } = await openApp(t, { latency: 10_000, concurrency: 4 })
  const fileId = await upload(largeFile())
  for (let bytes = 0; bytes < MAX_LIVE_INPUT_BYTES; bytes += MAX_FILE_BYTES) {
    t.equal((await create(fileId)).status, 200)
  }
  const refused = await create(fileId)
  t.equal(refused.status, 429)
  t.equal(refused.headers['retry-after'], '11', 'the shortest possible time, while the batches are validating')

  await clock.advance(VALIDATING_MS)
  // 16 requests, four at a time.
  const left = 4 * 10_000 + FINALIZING_MS
  t.match(await create(fileId), { status: 429, headers: { 'retry-after': String(Math.ceil(left / 1000)) } })
  await clock.advance(left - 1)
  t.match(await create(fileId), { status: 429, headers: { 'retry-after': '1' } })
  await clock.advance(1)
  t.equal((await create(fileId)).status, 200)
})

t.test('a cancelled batch makes room at the time that the error names', async t => {
  const { clock, upload, create, cancel } = await openApp(t, { latency: 10_000, concurrency: 1 })
  const fileId = await upload(jsonl(lines(100)))
  const ids: string[] = []
  for (let count = 0; count < MAX_BATCHES; count++) ids.push((await create(fileId)).json().id)
  await clock.advance(VALIDATING_MS)
  t.match(await create(fileId), { status: 429, headers: { 'retry-after': '1001' } })
  await cancel(String(ids[0]))
  t.match(await create(fileId), { status: 429, headers: { 'retry-after': '13' } })
  await clock.advance(13_000)
  t.equal((await create(fileId)).status, 200)
})

t.test('the responses of one batch are bounded', async t => {
  const { clock, upload, create, retrieve, rows, call } = await openApp(t)
  const { id } = (await create(await upload(moderations(70)), MODERATIONS)).json()
  await clock.advance(HOUR_MS)
  const { status, request_counts: counts, output_file_id: output, error_file_id: errors } = await retrieve(id)
  t.equal(status, 'completed')
  t.equal(Number(counts?.completed) + Number(counts?.failed), 70)
  t.ok(Number(counts?.failed) > 0)
  const { bytes } = (await call('GET', `/files/${output}`)).json()
  t.ok(bytes > MAX_OUTPUT_BYTES && bytes < MAX_OUTPUT_BYTES + 2 * MAX_LINE_BYTES)
  t.match((await rows(errors))[0].response, {
    status_code: 400,
    body: {
      error: {
        message: 'The sandbox cannot store more responses. Send fewer or smaller requests, or try again later.',
        code: 'output_limit_exceeded'
      }
    }
  })
})

t.test('the responses of all live batches together are bounded, until one ends', async t => {
  const { clock, upload, create, retrieve, call } = await openApp(t, { concurrency: 100 })
  const fileId = await upload(moderations(34))
  const ids: string[] = []
  for (let count = 0; count < 3; count++) ids.push((await create(fileId, MODERATIONS)).json().id)
  await clock.advance(HOUR_MS)
  let bytes = 0
  let failed = 0
  for (const id of ids) {
    const batch = await retrieve(id)
    t.equal(batch.status, 'completed')
    bytes += (await call('GET', `/files/${batch.output_file_id}`)).json().bytes
    failed += Number(batch.request_counts?.failed)
  }
  t.ok(bytes > MAX_LIVE_OUTPUT_BYTES && bytes < MAX_LIVE_OUTPUT_BYTES + 2 * MAX_LINE_BYTES)
  t.ok(failed > 0)

  const { id } = (await create(fileId, MODERATIONS)).json()
  await clock.advance(HOUR_MS)
  t.match(await retrieve(id), { request_counts: { completed: 34, failed: 0 } }, 'the limit counts live batches only')
})

t.test('other requests are served while a large input is validated', async t => {
  const { clock, upload, create, retrieve } = await openApp(t)
  const { id } = (await create(await upload(largeFile()))).json()
  const advanced = clock.advance(VALIDATING_MS)
  await clock.reached(VALIDATING_MS)
  let turns = 0
  for (; (await retrieve(id)).status === 'validating'; turns++) await setImmediate()
  t.ok(turns > 20, `a request was served in each of ${turns} turns of the event loop`)
  await advanced
  t.equal((await retrieve(id)).status, 'in_progress')
})

t.test('other requests are served while many batches run large requests, and the batches take turns', async t => {
  const { clock, upload, create, retrieve, call } = await openApp(t)
  const fileId = await upload(moderations(1))
  const ids: string[] = []
  for (let count = 0; count < 60; count++) ids.push((await create(fileId, MODERATIONS)).json().id)
  const advanced = clock.advance(VALIDATING_MS + 400)
  await clock.reached(VALIDATING_MS + 400)

  const completed = async () => {
    const { data } = (await call('GET', '/batches?limit=60')).json()
    return data.reverse().map((batch: { request_counts: { completed: number } }) => batch.request_counts.completed)
  }
  const counts: number[] = await completed()
  const done = counts.filter(count => count === 1).length
  t.ok(done > 0 && done < 60, `${done} of 60 batches were done when another request was served`)
  t.same(counts, ids.map((_, index) => index < done ? 1 : 0), 'first come, first served')

  await advanced
  t.notOk((await completed()).includes(0))
  await clock.advance(FINALIZING_MS)
  t.match(await retrieve(String(ids.at(-1))), { status: 'completed' })
})

t.test('a line of 16 MiB of brackets is never parsed, nor is anything nested deeply', async t => {
  const { clock, upload, create, retrieve } = await openApp(t)
  const parse = t.capture(JSON, 'parse', JSON.parse)
  const brackets = '['.repeat(MAX_LINE_BYTES - 1) + '\n'
  for (const content of ['['.repeat(MAX_FILE_BYTES - 1), brackets.repeat(15)]) {
    const { id } = (await create(await upload(content))).json()
    await clock.advance(VALIDATING_MS)
    const { status, errors } = await retrieve(id)
    t.equal(status, 'failed')
    t.match(errors?.data?.[0], { line: 1, code: /^(line_too_long|invalid_json_line)$/ })
  }
  const parsed = parse().map(({ args }) => String(args[0]))
  t.ok(parsed.length > 0)
  t.same(parsed.filter(text => text.startsWith('[[')), [])
})
