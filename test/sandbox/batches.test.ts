import fc from 'fast-check'
import t, { type Test } from 'tap'
import { MAX_INPUT_ERRORS, MAX_LINE_BYTES, MAX_NESTING, MAX_REQUESTS } from '../../lib/sandbox/limits.js'
import { WINDOW_MS } from '../../lib/sandbox/job.js'
import { CANCELLING_MS, VALIDATING_MS } from '../../lib/sandbox/run-batch.js'
import { isBatch, type BatchStatus } from '../../schemas/batch.js'
import { runs } from '../support/exhaustive.js'
import { createClock, customIdsOf, jsonl, line, lines, openApp } from '../support/sandbox-app.js'

const HOUR_MS = 60 * 60 * 1000

t.test('batches are listed by page, newest first', async t => {
  const { call } = await openApp(t)
  const all = (await call('GET', '/batches')).json()
  t.match(all, { object: 'list', first_id: 'batch_validating', last_id: 'batch_abc123', has_more: false })
  t.equal(all.data.length, 9)
  const times: number[] = all.data.map((batch: { created_at: number }) => batch.created_at)
  t.same(times, [...new Set(times)].sort((a, b) => b - a), 'newest first')
  const some = (await call('GET', '/batches?limit=2&after=batch_validating')).json()
  t.match(some, { first_id: 'batch_in_progress', last_id: 'batch_finalizing', has_more: true })
  t.same((await call('GET', '/batches?after=batch_abc123')).json(), {
    object: 'list',
    data: [],
    first_id: null,
    last_id: null,
    has_more: false
  })
})

const nested = (levels: number) => line('a', { body: JSON.parse('['.repeat(levels - 1) + ']'.repeat(levels - 1)) })
const sized = (bytes: number) => line('a', { padding: 'x'.repeat(bytes - line('a', { padding: '' }).length) })

t.test('a batch with an invalid input fails', async t => {
  const { clock, create, upload, retrieve } = await openApp(t)
  const cases: Array<{ name: string, content: string, errors: object[] }> = [
    { name: 'an empty file', content: '', errors: [{ code: 'empty_file', param: null, line: null }] },
    { name: 'blank lines', content: '\n \r\n\n', errors: [{ code: 'empty_file' }] },
    {
      name: 'a line that is not JSON',
      content: jsonl([line('a'), '{"custom_id":']),
      errors: [{
        code: 'invalid_json_line',
        message: 'This line is not parseable as valid JSON.',
        param: null,
        line: 2
      }]
    },
    {
      name: 'JSON that is not an object',
      content: '[]\nnull\n',
      errors: [{ code: 'invalid_json_line', line: 1 }, { code: 'invalid_json_line', line: 2 }]
    },
    {
      name: 'missing fields',
      content: '\n{}',
      errors: ['custom_id', 'method', 'url'].map(param => ({
        code: 'missing_required_parameter',
        param,
        line: 2,
        message: `Missing required parameter: '${param}'.`
      }))
    },
    {
      name: 'a duplicate custom_id',
      content: jsonl([line('a'), line('b'), line('a')]),
      errors: [{ code: 'duplicate_custom_id', param: 'custom_id', line: 3 }]
    },
    {
      name: 'another method',
      content: line('a', { method: 'GET' }),
      errors: [{ code: 'invalid_method', param: 'method', line: 1 }]
    },
    {
      name: 'another URL',
      content: line('a', { url: '/v1/embeddings' }),
      errors: [{ code: 'url_mismatch', param: 'url', line: 1 }]
    },
    {
      name: 'too many requests',
      content: jsonl(Array(MAX_REQUESTS + 1).fill('{}')),
      errors: [{ code: 'too_many_tasks' }]
    },
    {
      name: 'errors on every line',
      content: '1\n'.repeat(MAX_INPUT_ERRORS + 50),
      errors: Array(MAX_INPUT_ERRORS).fill({ code: 'invalid_json_line' })
    },
    {
      name: 'many errors on a line',
      content: '{}\n'.repeat(MAX_INPUT_ERRORS),
      errors: Array(MAX_INPUT_ERRORS).fill({ code: 'missing_required_parameter' })
    },
    {
      name: 'a line that is too long',
      content: jsonl([sized(MAX_LINE_BYTES), sized(MAX_LINE_BYTES + 1)]),
      errors: [{
        code: 'line_too_long',
        message: 'This line is too long. The sandbox accepts lines of at most 1048576 bytes.',
        param: null,
        line: 2
      }]
    },
    {
      name: 'a line that is nested too deeply',
      content: jsonl([nested(MAX_NESTING), nested(MAX_NESTING + 1)]),
      errors: [{
        code: 'invalid_json_line',
        message: 'This line is nested too deeply. The sandbox accepts at most 128 levels.',
        param: null,
        line: 2
      }]
    }
  ]
  for (const { name, content, errors } of cases) {
    const { id } = (await create(await upload(content))).json()
    await clock.advance(VALIDATING_MS)
    const batch = await retrieve(id)
    t.ok(isBatch(batch), name)
    t.match(batch, {
      status: 'failed',
      failed_at: Number,
      in_progress_at: null,
      output_file_id: null,
      error_file_id: null,
      errors: { object: 'list', data: errors },
      request_counts: { total: 0 }
    }, name)
    t.equal(batch.errors?.data?.length, errors.length, name)
  }
})

t.test('brackets and quotes within a string do not count as nesting', async t => {
  const { clock, create, upload, retrieve } = await openApp(t)
  const contents = ['['.repeat(1_000), '\\"['.repeat(1_000), '{\\'.repeat(1_000)]
  const body = (content: string) => ({ model: 'm', messages: [{ role: 'user', content }] })
  const rows = contents.map((content, index) => line(`r${index}`, { body: body(content) }))
  const { id } = (await create(await upload(jsonl(rows)))).json()
  await clock.advance(HOUR_MS)
  t.match(await retrieve(id), { status: 'completed', request_counts: { total: 3, completed: 3, failed: 0 } })
})

t.test('a byte order mark and characters of several bytes are read correctly', async t => {
  const { clock, create, upload, retrieve, rows } = await openApp(t)
  const body = { model: 'm', messages: [{ role: 'user', content: 'Grüße, 世界 🌍' }] }
  const { id } = (await create(await upload('\ufeff' + jsonl([line('ä', { body }), line('🌍', { body })])))).json()
  await clock.advance(HOUR_MS)
  const output = await rows((await retrieve(id)).output_file_id)
  t.same(customIdsOf(output), ['ä', '🌍'])
  t.same(output.map(row => row.response.body.choices[0].message.content), Array(2).fill('Grüße, 世界 🌍'))
})

t.test('a batch may have as many requests as OpenAI allows', async t => {
  const { clock, create, upload, retrieve, cancel, rows } = await openApp(t)
  const { id } = (await create(await upload(jsonl(lines(MAX_REQUESTS))))).json()
  await clock.advance(VALIDATING_MS + 400)
  t.match(await retrieve(id), {
    status: 'in_progress',
    request_counts: { total: MAX_REQUESTS, completed: 3, failed: 0 }
  })
  await cancel(id)
  await clock.advance(400 + CANCELLING_MS)
  const { output_file_id: output, error_file_id: errors } = await retrieve(id)
  t.equal((await rows(output)).length, 6)
  t.equal((await rows(errors)).length, MAX_REQUESTS - 6)
})

t.test('a batch that is not done after 24 hours', async t => {
  const openWithSlowBatch = async (t: Test) => {
    const app = await openApp(t, { latency: 10 * HOUR_MS, concurrency: 1 })
    const { id } = (await app.create(await app.upload(jsonl(lines(4))))).json()
    return { ...app, id }
  }

  t.test('expires', async t => {
    const { clock, retrieve, rows, id } = await openWithSlowBatch(t)
    await clock.advance(WINDOW_MS - 1)
    t.match(await retrieve(id), { status: 'in_progress', request_counts: { total: 4, completed: 2, failed: 0 } })
    await clock.advance(1)
    const batch = await retrieve(id)
    t.ok(isBatch(batch))
    t.match(batch, {
      status: 'expired',
      expired_at: batch.expires_at,
      request_counts: { total: 4, completed: 2, failed: 0 }
    })
    t.same(customIdsOf(await rows(batch.output_file_id)), ['r0', 'r1'])
    t.match(await rows(batch.error_file_id),
      ['r2', 'r3'].map(id => ({ custom_id: id, response: null, error: { code: 'batch_expired' } })))
  })

  t.test('is cancelled if it was cancelled before', async t => {
    const { clock, retrieve, cancel, rows, id } = await openWithSlowBatch(t)
    await clock.advance(WINDOW_MS - HOUR_MS)
    await cancel(id)
    await clock.advance(HOUR_MS + CANCELLING_MS)
    const batch = await retrieve(id)
    t.match(batch, { status: 'cancelled', expired_at: null })
    t.match(await rows(batch.error_file_id),
      ['r2', 'r3'].map(id => ({ custom_id: id, error: { code: 'batch_cancelled' } })))
  })

  t.test('expires even if the clock jumps ahead', async t => {
    let jump = 0
    const clock = createClock()
    const { create, upload, retrieve } = await openApp(t, {
      clock: { now: () => clock.now() + jump, sleep: clock.sleep }
    })
    const { id } = (await create(await upload(line('a')))).json()
    jump = 2 * WINDOW_MS
    await clock.advance(VALIDATING_MS)
    t.match(await retrieve(id), { status: 'expired', output_file_id: null, error_file_id: /^file-/ })
  })

  t.test('is cancelled, with no row twice, if the cancel comes while its files are written', async t => {
    let jump = 0
    const clock = createClock()
    const { create, upload, retrieve, cancel, rows } = await openApp(t, {
      clock: { now: () => clock.now() + jump, sleep: async (ms) => { if (ms > 0) await clock.sleep(ms) } }
    })
    const { id } = (await create(await upload(jsonl(lines(MAX_REQUESTS))))).json()
    await clock.advance(VALIDATING_MS)
    jump = 2 * WINDOW_MS
    const advanced = clock.advance(400)
    await clock.reached(VALIDATING_MS + 400)
    t.equal((await retrieve(id)).status, 'in_progress', 'the files are still being written')
    t.match(await cancel(id), { status: 'cancelling' })
    await advanced
    await clock.advance(CANCELLING_MS)
    const batch = await retrieve(id)
    t.match(batch, { status: 'cancelled', expired_at: null })
    const unrun = (await rows(batch.error_file_id)).map(row => row.error.code)
    t.same(unrun, Array(MAX_REQUESTS - 3).fill('batch_cancelled'))
  })
})

/** The statuses that may be seen after each status. */
const LATER: Record<BatchStatus, BatchStatus[]> = {
  validating: ['validating', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled'],
  in_progress: ['in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled'],
  finalizing: ['finalizing', 'completed', 'cancelling', 'cancelled'],
  cancelling: ['cancelling', 'cancelled'],
  completed: ['completed'],
  expired: ['expired'],
  cancelled: ['cancelled'],
  failed: ['failed']
}
const CANCELLABLE: BatchStatus[] = ['validating', 'in_progress', 'finalizing', 'cancelling']

t.test('the fields of a batch are consistent at every moment, whatever happens to it', async t => {
  const ms = fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.constantFrom(HOUR_MS, 11 * HOUR_MS))
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ advance: ms }) },
    { weight: 1, arbitrary: fc.constant({ cancel: true as const }) }
  )

  await fc.assert(fc.asyncProperty(
    fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
    fc.constantFrom(0, 1, 400, 2_500, 9 * HOUR_MS),
    fc.integer({ min: 1, max: 4 }),
    fc.array(step, { maxLength: 12 }),
    async (valid, latency, concurrency, steps) => {
      const { app, clock, create, upload, retrieve, call, rows } = await openApp(t, { latency, concurrency })
      // Four characters are a token: each request that completes uses one, and its response another one.
      const messages = [{ role: 'user', content: 'four' }]
      const input = valid.map((isValid, index) =>
        line(`r${index}`, { body: { ...(isValid ? { model: 'm' } : {}), messages } }))
      let last = (await create(await upload(jsonl(input)))).json()
      let accepted = false

      const check = async () => {
        const batch = await retrieve(last.id)
        const { total, completed, failed } = batch.request_counts ?? { total: NaN, completed: NaN, failed: NaN }
        const before = last.request_counts
        const isConsistent = isBatch(batch) && LATER[last.status as BatchStatus].includes(batch.status) &&
          completed + failed <= total &&
          completed >= before.completed && failed >= before.failed && total >= before.total &&
          batch.usage?.input_tokens === completed && batch.usage.output_tokens === completed &&
          batch.usage.total_tokens === 2 * completed &&
          (!CANCELLABLE.includes(batch.status) || (batch.output_file_id === null && batch.error_file_id === null))
        if (!isConsistent) throw new Error(`${JSON.stringify(last)} became ${JSON.stringify(batch)}`)
        last = batch
        return batch
      }

      for (const step of steps) {
        if ('advance' in step) {
          await clock.advance(step.advance)
        } else {
          const { status } = await check()
          const response = await call('POST', `/batches/${last.id}/cancel`)
          const isCancellable = CANCELLABLE.includes(status)
          const isExpected = isCancellable
            ? response.status === 200 && response.json().status === 'cancelling'
            : response.status === 409
          if (!isExpected) throw new Error(response.text)
          accepted ||= isCancellable
        }
        await check()
      }
      await clock.advance(WINDOW_MS + HOUR_MS)
      const end = await check()
      const [output, errors] = [await rows(end.output_file_id), await rows(end.error_file_id)]
      await app.close()

      const unrun = errors.filter(row => row.response === null)
      const customIds = JSON.stringify(valid.map((_, index) => `r${index}`).sort())
      const isConsistent = (accepted ? end.status === 'cancelled' : ['completed', 'expired'].includes(end.status)) &&
        JSON.stringify(customIdsOf([...output, ...errors])) === customIds &&
        end.request_counts?.total === valid.length && end.request_counts.completed === output.length &&
        end.request_counts.failed === errors.length - unrun.length &&
        unrun.every(row => row.error.code === `batch_${end.status}`) &&
        (end.status !== 'completed' || unrun.length === 0)
      if (!isConsistent) throw new Error(JSON.stringify({ end, output, errors }))
    }
  ), runs({ usual: 25, exhaustive: 150 }))
})
