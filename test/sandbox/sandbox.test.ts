import swagger from '@fastify/swagger'
import fc from 'fast-check'
import Fastify from 'fastify'
import { APIError, toFile } from 'openai'
import t from 'tap'
import { MAX_BATCHES, MAX_LIVE_BYTES, SHOWN_MS } from '../../lib/sandbox/batches.js'
import { ENDPOINT_NAMES, answerTo } from '../../lib/sandbox/endpoints.js'
import { MAX_FILE_BYTES, MAX_FILES, MAX_STORED_BYTES, fileStore } from '../../lib/sandbox/files.js'
import sandbox, { batchSandbox } from '../../lib/sandbox/index.js'
import { MAX_ERRORS, MAX_REQUESTS } from '../../lib/sandbox/input.js'
import { WINDOW_MS } from '../../lib/sandbox/job.js'
import { CANCELLING_MS, FINALIZING_MS, VALIDATING_MS } from '../../lib/sandbox/run-batch.js'
import { isBatch, type BatchStatus } from '../../schemas/batch.js'
import { manualClock } from '../support/manual-clock.js'
import { PREFIX, START, form, jsonl, line, openApp } from '../support/sandbox-app.js'

const HOUR = 60 * 60 * 1000
const DAY = 24 * 60 * 60
const CHAT = '/v1/chat/completions'
const lines = (count: number) => Array.from({ length: count }, (_, index) => line(`r${index}`))
const idsOf = (rows: Array<{ custom_id: string }>) => rows.map(row => row.custom_id).sort()

t.test('the official client', async t => {
  t.test('uploads, creates, cancels and downloads what completed', async t => {
    const { clock, client } = await openApp(t)
    const openai = await client()

    const file = await openai.files.create({ purpose: 'batch', file: await toFile(Buffer.from(jsonl(lines(10))), 'ten.jsonl') })
    t.match(file, { id: /^file-[0-9a-f]{32}$/, object: 'file', filename: 'ten.jsonl', purpose: 'batch', bytes: jsonl(lines(10)).length, created_at: START })
    t.same(await openai.files.retrieve(file.id), file)
    t.equal(await (await openai.files.content(file.id)).text(), jsonl(lines(10)))

    const created = await openai.batches.create({ input_file_id: file.id, endpoint: CHAT, completion_window: '24h', metadata: { job: 'nightly' } })
    t.ok(isBatch(created))
    t.match(created, {
      id: /^batch_[0-9a-f]{32}$/, status: 'validating', metadata: { job: 'nightly' }, model: null, created_at: START, expires_at: START + DAY
    })
    t.same(created.request_counts, { total: 0, completed: 0, failed: 0 })

    await clock.advance(VALIDATING_MS + 2 * 400)
    const running = await openai.batches.retrieve(created.id)
    t.ok(isBatch(running))
    t.match(running, { status: 'in_progress', model: 'gpt-4o-mini', in_progress_at: START, output_file_id: null, error_file_id: null })
    t.same(running.request_counts, { total: 10, completed: 6, failed: 0 })

    await clock.advance(100)
    const cancelling = await openai.batches.cancel(created.id)
    t.ok(isBatch(cancelling))
    t.match(cancelling, { status: 'cancelling', cancelling_at: START + 1, cancelled_at: null, output_file_id: null })

    await clock.advance(300)
    t.match(await openai.batches.retrieve(created.id), { status: 'cancelling', request_counts: { completed: 9 } }, 'those in progress finish')
    t.match(await openai.batches.cancel(created.id), { status: 'cancelling', cancelling_at: START + 1 }, 'a repeated cancel changes nothing')

    await clock.advance(CANCELLING_MS)
    const cancelled = await openai.batches.retrieve(created.id)
    t.ok(isBatch(cancelled))
    t.match(cancelled, { status: 'cancelled', cancelled_at: START + 3, completed_at: null, request_counts: { total: 10, completed: 9, failed: 0 } })

    const output = (await (await openai.files.content(String(cancelled.output_file_id))).text()).trimEnd().split('\n').map(row => JSON.parse(row))
    const errors = (await (await openai.files.content(String(cancelled.error_file_id))).text()).trimEnd().split('\n').map(row => JSON.parse(row))
    t.same(idsOf(output), ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8'])
    t.match(output[0], { id: /^batch_req_/, response: { status_code: 200, request_id: String, body: { choices: [{ message: { content: 'Say r0' } }] } }, error: null })
    t.match(errors, [{
      id: /^batch_req_/,
      custom_id: 'r9',
      response: null,
      error: { code: 'batch_cancelled', message: 'This request was not executed because the batch was cancelled.' }
    }])
    t.equal(errors.length, 1)
    const spent = output.reduce((sum, row) => sum + row.response.body.usage.total_tokens, 0)
    t.equal(cancelled.usage?.total_tokens, spent, 'only what completed is charged')

    t.match(await openai.files.retrieve(String(cancelled.output_file_id)), { purpose: 'batch_output', filename: `${created.id}_output.jsonl` })
    t.same((await openai.files.list({ purpose: 'batch_output', limit: 2 })).data.map(({ id }) => id), [cancelled.error_file_id, cancelled.output_file_id])
    t.match(running, { status: 'in_progress' }, 'what was handed out before stays as it was')
    const again = await openai.batches.cancel(created.id).catch((error: unknown) => error)
    t.ok(again instanceof APIError)
    t.match(again, { status: 409, message: "409 Cannot cancel a batch with status 'cancelled'.", type: 'invalid_request_error', param: null, code: null })
  })

  t.test('completes a batch, and pages through all', async t => {
    const { clock, client, rows } = await openApp(t, { latency: 0, concurrency: 1 })
    const openai = await client()
    const text = jsonl([line('good'), line('no-model', { body: { messages: [{ role: 'user', content: 'x' }] } }), '', line('no-body', { body: 7 })])
    const file = await openai.files.create({ purpose: 'batch', file: await toFile(Buffer.from(text), 'mixed.jsonl') })
    const first = await openai.batches.create({ input_file_id: file.id, endpoint: CHAT, completion_window: '24h' })
    const second = await openai.batches.create({ input_file_id: file.id, endpoint: CHAT, completion_window: '24h' })

    await clock.advance(VALIDATING_MS)
    t.match(await openai.batches.retrieve(first.id), { status: 'finalizing', finalizing_at: START, completed_at: null, output_file_id: null })
    await clock.advance(FINALIZING_MS)
    const completed = await openai.batches.retrieve(first.id)
    t.ok(isBatch(completed))
    t.match(completed, { status: 'completed', completed_at: START + 1, metadata: null, request_counts: { total: 3, completed: 1, failed: 2 } })
    t.same(idsOf(await rows(completed.output_file_id)), ['good'])
    const failed = await rows(completed.error_file_id)
    t.same(idsOf(failed), ['no-body', 'no-model'])
    t.match(failed[0].response, { status_code: 400, body: { error: { message: "Missing required parameter: 'model'.", type: 'invalid_request_error', param: 'model', code: 'missing_required_parameter' } } })

    const ids: string[] = []
    for await (const batch of openai.batches.list({ limit: 3 })) {
      t.ok(isBatch(batch), batch.id)
      ids.push(batch.id)
    }
    t.same(ids.slice(0, 3), [second.id, first.id, 'batch_validating'])
    t.equal(ids.at(-1), 'batch_abc123')
    t.equal(ids.length, 11)
    const fileIds: string[] = []
    for await (const { id } of openai.files.list({ limit: 5 })) fileIds.push(id)
    t.equal(new Set(fileIds).size, fileIds.length)
    t.ok(fileIds.includes('file-abc123'))
  })
})

t.test('lists', async t => {
  const { call } = await openApp(t)
  const all = (await call('GET', '/batches')).json()
  t.match(all, { object: 'list', first_id: 'batch_validating', last_id: 'batch_abc123', has_more: false })
  t.equal(all.data.length, 9)
  t.ok(all.data.every((batch: { created_at: number }, index: number) => index === 0 || batch.created_at < all.data[index - 1].created_at), 'newest first')
  const some = (await call('GET', '/batches?limit=2&after=batch_validating')).json()
  t.match(some, { first_id: 'batch_in_progress', last_id: 'batch_finalizing', has_more: true })
  t.same((await call('GET', '/batches?after=batch_abc123')).json(), { object: 'list', data: [], first_id: null, last_id: null, has_more: false })
})

t.test('each endpoint answers in its own shape', async t => {
  const { clock, create, upload, retrieve, rows } = await openApp(t, { latency: 1, concurrency: 50 })
  const model = 'm'
  const cases: Array<[endpoint: string, body: unknown, answer: object]> = [
    [CHAT, { model, messages: [{ role: 'user', content: 'first' }, { role: 'assistant', content: 'so' }, { role: 'user', content: [{ type: 'text', text: 'la' }, { type: 'image_url' }, null, { text: 'st' }] }, { role: 'tool', content: 5 }] },
      { object: 'chat.completion', model, created: START, choices: [{ message: { role: 'assistant', content: 'last' }, finish_reason: 'stop' }], usage: { prompt_tokens: 4, completion_tokens: 1, total_tokens: 5 } }],
    [CHAT, { model, messages: [null, 7] }, { choices: [{ message: { content: '' } }], usage: { total_tokens: 0 } }],
    ['/v1/responses', { model, input: 'hello' },
      { object: 'response', status: 'completed', output: [{ type: 'message', content: [{ type: 'output_text', text: 'hello' }] }], usage: { input_tokens: 2, output_tokens: 2, total_tokens: 4 } }],
    ['/v1/responses', { model, input: [{ role: 'user', content: [{ type: 'input_text', text: 'parts' }] }] }, { output: [{ content: [{ text: 'parts' }] }] }],
    ['/v1/embeddings', { model, input: 'one' }, { object: 'list', data: [{ object: 'embedding', index: 0, embedding: Array(8).fill(Number) }], usage: { prompt_tokens: 1, total_tokens: 1 } }],
    ['/v1/embeddings', { model, input: ['one', 'two', [1, 2]] }, { data: [{ index: 0 }, { index: 1 }, { index: 2 }] }],
    ['/v1/embeddings', { model, input: [1, 2, 3] }, { data: { length: 1 } }],
    ['/v1/completions', { model, prompt: ['a', 'b'] }, { object: 'text_completion', choices: [{ text: 'a', index: 0 }, { text: 'b', index: 1 }], usage: { total_tokens: 4 } }],
    ['/v1/moderations', { input: 'fine' }, { model: 'omni-moderation-latest', results: [{ flagged: false, categories: { violence: false } }] }],
    ['/v1/moderations', { model, input: ['fine', 'too'] }, { model, results: [{ flagged: false }, { flagged: false }] }],
    [CHAT, { model, messages: [] }, { error: { param: 'messages', code: 'invalid_value' } }],
    ['/v1/responses', { model, input: 5 }, { error: { param: 'input' } }],
    ['/v1/embeddings', { model, input: Array(2_049).fill('x') }, { error: { param: 'input', message: "Invalid value for 'input'." } }],
    ['/v1/completions', { model, prompt: {} }, { error: { param: 'prompt' } }],
    ['/v1/moderations', null, { error: { param: 'input', code: 'missing_required_parameter' } }]
  ]
  for (const [endpoint, body, answer] of cases) {
    const { id } = (await create(await upload(line('one', { url: endpoint, body })), endpoint)).json()
    await clock.advance(2_000)
    const batch = await retrieve(id)
    const [row] = [...await rows(batch.output_file_id), ...await rows(batch.error_file_id)]
    t.match(row.response.body, { ...answer, ...('created' in answer ? { created: Number } : {}) }, `${endpoint} ${JSON.stringify(body).slice(0, 60)}`)
    const { input_tokens: input, output_tokens: output, total_tokens: total } = { ...batch.usage }
    t.equal(total, Number(input) + Number(output))
  }
})

t.test('whatever a request says is answered, or refused', async t => {
  const field = fc.oneof(fc.jsonValue(), fc.string(), fc.constantFrom('m', [1], ['x', null], [{ role: 'user', content: [{ text: 1 }] }]))
  const body = fc.record({ model: field, messages: field, input: field, prompt: field }, { requiredKeys: [] })
  fc.assert(fc.property(fc.constantFrom(...ENDPOINT_NAMES), fc.oneof(body, fc.jsonValue()), (endpoint, body) => {
    const { status, inputTokens, outputTokens } = answerTo(endpoint, body, START)
    return status === 200 ? inputTokens >= 0 && outputTokens >= 0 : status === 400 && inputTokens === 0 && outputTokens === 0
  }), { numRuns: 2_000 })
  const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))
  for (const endpoint of ENDPOINT_NAMES) JSON.stringify(answerTo(endpoint, { model: 'm', messages: deep, input: deep, prompt: deep }, START))
  t.equal(answerTo('/v1/moderations', { model: deep, input: 'x' }, START).status, 400)
})

t.test('an answer is the same for the same request', async t => {
  const { clock, create, upload, retrieve, rows } = await openApp(t)
  const { id } = (await create(await upload(jsonl(['a', 'b'].map(name => line(name, { url: '/v1/embeddings', body: { model: 'm', input: 'same' } })))), '/v1/embeddings')).json()
  await clock.advance(HOUR)
  const [a, b] = await rows((await retrieve(id)).output_file_id)
  t.same(a.response.body, b.response.body)
})

t.test('a batch whose input is not valid fails', async t => {
  const { clock, create, upload, retrieve, cancel, call } = await openApp(t)
  const cases: Array<[what: string, text: string, errors: object[]]> = [
    ['nothing', '', [{ code: 'empty_file', param: null, line: null }]],
    ['blank lines', '\n \r\n\n', [{ code: 'empty_file' }]],
    ['bad JSON', jsonl([line('a'), '{"custom_id":']), [{ code: 'invalid_json_line', message: 'This line is not parseable as valid JSON.', param: null, line: 2 }]],
    ['no object', '[]\nnull\n', [{ code: 'invalid_json_line', line: 1 }, { code: 'invalid_json_line', line: 2 }]],
    ['missing fields', '\n{}', ['custom_id', 'method', 'url'].map(param => ({ code: 'missing_required_parameter', param, line: 2, message: `Missing required parameter: '${param}'.` }))],
    ['a custom_id twice', jsonl([line('a'), line('b'), line('a')]), [{ code: 'duplicate_custom_id', param: 'custom_id', line: 3 }]],
    ['another method', line('a', { method: 'GET' }), [{ code: 'invalid_method', param: 'method', line: 1 }]],
    ['another URL', line('a', { url: '/v1/embeddings' }), [{ code: 'url_mismatch', param: 'url', line: 1 }]],
    ['too many', jsonl(Array(MAX_REQUESTS + 1).fill('{}')), [{ code: 'too_many_tasks' }]],
    ['errors on every line', '1\n'.repeat(MAX_ERRORS + 50), Array(MAX_ERRORS).fill({ code: 'invalid_json_line' })],
    ['many errors on a line', '{}\n'.repeat(MAX_ERRORS), Array(MAX_ERRORS).fill({ code: 'missing_required_parameter' })]
  ]
  for (const [what, text, errors] of cases) {
    const { id } = (await create(await upload(text))).json()
    await clock.advance(VALIDATING_MS)
    const batch = await retrieve(id)
    t.ok(isBatch(batch), what)
    t.match(batch, { status: 'failed', failed_at: Number, in_progress_at: null, output_file_id: null, error_file_id: null, errors: { object: 'list', data: errors }, request_counts: { total: 0 } }, what)
    t.equal(batch.errors?.data?.length, errors.length, what)
  }
  const { id } = (await create(await upload(''))).json()
  await cancel(id)
  await clock.advance(HOUR)
  t.match(await retrieve(id), { status: 'cancelled', errors: null, output_file_id: null, error_file_id: null }, 'unless it was cancelled before')
  t.match((await call('POST', '/batches/batch_failed/cancel')).json(), { error: { message: "Cannot cancel a batch with status 'failed'." } })
})

t.test('a batch may have as many requests as OpenAI takes', async t => {
  const { clock, create, upload, retrieve, cancel, rows } = await openApp(t)
  const { id } = (await create(await upload(jsonl(lines(MAX_REQUESTS))))).json()
  await clock.advance(VALIDATING_MS + 400)
  t.match(await retrieve(id), { status: 'in_progress', request_counts: { total: MAX_REQUESTS, completed: 3, failed: 0 } })
  await cancel(id)
  await clock.advance(400 + CANCELLING_MS)
  const { output_file_id: output, error_file_id: errors } = await retrieve(id)
  t.equal((await rows(output)).length, 6)
  t.equal((await rows(errors)).length, MAX_REQUESTS - 6)
})

t.test('a bad request is told so in the envelope of OpenAI', async t => {
  const { call, upload } = await openApp(t)
  const fileId = await upload(line('a'))
  const post = (fields: unknown) => ({ payload: typeof fields === 'string' ? fields : JSON.stringify(fields), headers: { 'content-type': 'application/json' } })
  const good = { input_file_id: fileId, endpoint: CHAT, completion_window: '24h' }
  const pairs = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v']))
  const file = new File(['x'], 'x.jsonl')

  type Case = [what: string, method: 'GET' | 'POST', path: string, more: Parameters<typeof call>[2], status: number, error: object]
  const cases: Case[] = [
    ['no JSON', 'POST', '/batches', post('{'), 400, { param: null, message: 'The body of the request is not a JSON object.' }],
    ['an array', 'POST', '/batches', post([]), 400, { param: null }],
    ['no body', 'POST', '/batches', {}, 400, { param: null }],
    ['no file', 'POST', '/batches', post({}), 400, { param: 'input_file_id', code: 'missing_required_parameter', message: "Missing required parameter: 'input_file_id'." }],
    ['an unknown file', 'POST', '/batches', post({ ...good, input_file_id: 'file-x' }), 400, { param: 'input_file_id', message: "No file found with id 'file-x'." }],
    ['a file of another purpose', 'POST', '/batches', post({ ...good, input_file_id: 'file-completed-output' }), 400, { param: 'input_file_id' }],
    ['no endpoint', 'POST', '/batches', post({ ...good, endpoint: undefined }), 400, { param: 'endpoint' }],
    ['another endpoint', 'POST', '/batches', post({ ...good, endpoint: 'constructor' }), 400, { param: 'endpoint', code: 'invalid_value' }],
    ['no window', 'POST', '/batches', post({ ...good, completion_window: undefined }), 400, { param: 'completion_window' }],
    ['another window', 'POST', '/batches', post({ ...good, completion_window: '1h' }), 400, { param: 'completion_window', code: 'invalid_value' }],
    ['metadata that is none', 'POST', '/batches', post({ ...good, metadata: ['a'] }), 400, { param: 'metadata' }],
    ['17 pairs', 'POST', '/batches', post({ ...good, metadata: pairs(17) }), 400, { param: 'metadata' }],
    ['a long key', 'POST', '/batches', post({ ...good, metadata: { ['k'.repeat(65)]: '' } }), 400, { param: 'metadata' }],
    ['a number', 'POST', '/batches', post({ ...good, metadata: { a: 1 } }), 400, { param: 'metadata.a' }],
    ['a long value', 'POST', '/batches', post({ ...good, metadata: { a: 'v'.repeat(513) } }), 400, { param: 'metadata.a' }],
    ['no form', 'POST', '/files', { payload: 'hello', headers: { 'content-type': 'text/plain' } }, 400, { param: null, message: 'The body of the request is not multipart/form-data.' }],
    ['a form without content type', 'POST', '/files', {}, 400, { param: null }],
    ['a broken form', 'POST', '/files', { payload: '--x\r\n', headers: { 'content-type': 'multipart/form-data; boundary=x' } }, 400, { param: null }],
    ['no purpose', 'POST', '/files', await form({ file }), 400, { param: 'purpose', code: 'missing_required_parameter' }],
    ['another purpose', 'POST', '/files', await form({ file, purpose: 'fine-tune' }), 400, { param: 'purpose', code: 'invalid_value' }],
    ['no file part', 'POST', '/files', await form({ purpose: 'batch' }), 400, { param: 'file', code: 'missing_required_parameter' }],
    ['a file part that is text', 'POST', '/files', await form({ purpose: 'batch', file: 'text' }), 400, { param: 'file' }],
    ['a file that is too large', 'POST', '/files', await form({ purpose: 'batch', file: new File(['x'.repeat(MAX_FILE_BYTES + 1)], 'x') }), 413, { param: 'file' }],
    ['a body that is too large', 'POST', '/files', await form({ purpose: 'batch', file: new File(['x'.repeat(MAX_FILE_BYTES + 1024 * 1024)], 'x') }), 413, { param: null, message: 'Request body is too large' }],
    ['a content type that is none', 'POST', '/batches', { payload: '{}', headers: { 'content-type': 'garbage' } }, 415, { param: null }],
    ['limit 0', 'GET', '/batches?limit=0', {}, 400, { param: 'limit' }],
    ['limit 101', 'GET', '/batches?limit=101', {}, 400, { param: 'limit', message: "Invalid value for 'limit': expected a whole number from 1 to 100." }],
    ['limit 1.5', 'GET', '/files?limit=1.5', {}, 400, { param: 'limit' }],
    ['an unknown cursor', 'GET', '/batches?after=x', {}, 400, { param: 'after' }],
    ['two cursors', 'GET', '/batches?after=batch_abc123&after=batch_abc123', {}, 400, { param: 'after' }],
    ['an unknown batch', 'GET', '/batches/x', {}, 404, { param: null, code: null, message: "No batch found with id 'x'." }],
    ['an unknown batch to cancel', 'POST', '/batches/x/cancel', {}, 404, { param: null, code: null, message: "No batch found with id 'x'." }],
    ['an inherited name', 'GET', '/batches/__proto__', {}, 404, {}],
    ['an unknown file to read', 'GET', '/files/x/content', {}, 404, { message: "No file found with id 'x'." }],
    ['an unknown file to show', 'GET', '/files/x', {}, 404, { message: "No file found with id 'x'." }],
    ['an unknown path', 'GET', '/models', {}, 404, { message: `Invalid URL (GET ${PREFIX}/models)` }]
  ]
  for (const [what, method, path, more, status, error] of cases) {
    const answer = await call(method, path, more)
    t.equal(answer.status, status, what)
    t.match(answer.headers['content-type'], /^application\/json/, what)
    t.match(answer.json(), { error: { type: 'invalid_request_error', ...error } }, what)
    t.same(Object.keys(answer.json().error), ['message', 'type', 'param', 'code'], what)
  }
  const most = await call('POST', '/batches', post({ ...good, metadata: { ...pairs(15), ['k'.repeat(64)]: 'v'.repeat(512) } }))
  t.equal(most.status, 200, 'the most that metadata may be')
  t.equal((await call('POST', '/batches', post({ ...good, metadata: null }))).json().metadata, null)
})

t.test('a cancel', async t => {
  t.test('takes any body, or none', async t => {
    const { call } = await openApp(t)
    const bodies: Array<[payload: string, headers: Record<string, string>]> = [
      ['', { 'content-type': 'application/json' }], ['', {}], ['{}', { 'content-type': 'application/json' }], ['{', { 'content-type': 'application/json' }],
      ['a=b', { 'content-type': 'application/x-www-form-urlencoded' }], ['text', {}]
    ]
    for (const [payload, headers] of bodies) {
      const { status } = await call('POST', '/batches/batch_in_progress/cancel', { payload, headers })
      t.equal(status, 200, JSON.stringify([payload, headers]))
    }
  })

  const moments: Array<[when: string, ms: number, status: string, completed: number, endsAfter: number]> = [
    ['validating', 0, 'validating', 0, VALIDATING_MS + CANCELLING_MS],
    ['running', VALIDATING_MS + 500, 'in_progress', 6, 300 + CANCELLING_MS],
    ['finalizing', VALIDATING_MS + 4 * 400 + 100, 'finalizing', 10, FINALIZING_MS - 100 + CANCELLING_MS]
  ]
  for (const [when, ms, status, completed, endsAfter] of moments) {
    t.test(`of a batch that is ${when}`, async t => {
      const { clock, create, upload, retrieve, cancel, rows } = await openApp(t)
      const { id } = (await create(await upload(jsonl(lines(10))))).json()
      await clock.advance(ms)
      t.equal((await retrieve(id)).status, status)
      t.match(await cancel(id), { status: 'cancelling', cancelling_at: Math.floor(clock.now() / 1000) })
      await clock.advance(endsAfter - 1)
      t.match(await retrieve(id), { status: 'cancelling', output_file_id: null, error_file_id: null })
      await clock.advance(1)
      const batch = await retrieve(id)
      t.ok(isBatch(batch))
      t.match(batch, { status: 'cancelled', completed_at: null, request_counts: { total: 10, completed, failed: 0 } })
      t.equal((await rows(batch.output_file_id)).length, completed)
      t.equal((await rows(batch.error_file_id)).length, 10 - completed)
    })
  }

  t.test('of a batch that has ended is a conflict', async t => {
    const { call } = await openApp(t)
    for (const status of ['completed', 'failed', 'expired', 'cancelled']) {
      const answer = await call('POST', `/batches/batch_${status}/cancel`)
      t.equal(answer.status, 409)
      t.same(answer.json(), { error: { message: `Cannot cancel a batch with status '${status}'.`, type: 'invalid_request_error', param: null, code: null } })
    }
  })
})

t.test('a batch that is not done in 24 hours', async t => {
  const begin = async (t: Parameters<typeof openApp>[0]) => {
    const app = await openApp(t, { latency: 10 * HOUR, concurrency: 1 })
    const { id } = (await app.create(await app.upload(jsonl(lines(4))))).json()
    return { ...app, id }
  }
  t.test('expires', async t => {
    const { clock, retrieve, rows, id } = await begin(t)
    await clock.advance(WINDOW_MS - 1)
    t.match(await retrieve(id), { status: 'in_progress', request_counts: { total: 4, completed: 2, failed: 0 } })
    await clock.advance(1)
    const batch = await retrieve(id)
    t.ok(isBatch(batch))
    t.match(batch, { status: 'expired', expired_at: batch.expires_at, request_counts: { total: 4, completed: 2, failed: 0 } })
    t.same(idsOf(await rows(batch.output_file_id)), ['r0', 'r1'])
    t.match(await rows(batch.error_file_id), ['r2', 'r3'].map(id => ({ custom_id: id, response: null, error: { code: 'batch_expired' } })))
  })
  t.test('is cancelled where it was cancelled before', async t => {
    const { clock, retrieve, cancel, rows, id } = await begin(t)
    await clock.advance(WINDOW_MS - HOUR)
    await cancel(id)
    await clock.advance(HOUR + CANCELLING_MS)
    const batch = await retrieve(id)
    t.match(batch, { status: 'cancelled', expired_at: null })
    t.match(await rows(batch.error_file_id), ['r2', 'r3'].map(id => ({ custom_id: id, error: { code: 'batch_cancelled' } })))
  })
  t.test('expires too where the time has leapt', async t => {
    let leap = 0
    const clock = manualClock()
    const { create, upload, retrieve } = await openApp(t, { clock: { now: () => clock.now() + leap, sleep: clock.sleep } })
    const { id } = (await create(await upload(line('a')))).json()
    leap = 2 * WINDOW_MS
    await clock.advance(VALIDATING_MS)
    t.match(await retrieve(id), { status: 'expired', output_file_id: null, error_file_id: /^file-/ })
  })
})

t.test('the seeds', async t => {
  t.test('there is one for every status, which stands still', async t => {
    const { clock, retrieve, rows, call } = await openApp(t)
    const expected: Array<[status: BatchStatus, counts: number[], outputs: number, errors: number]> = [
      ['validating', [0, 0, 0], 0, 0],
      ['in_progress', [10, 3, 1], 0, 0],
      ['finalizing', [10, 10, 0], 0, 0],
      ['completed', [10, 9, 1], 9, 1],
      ['failed', [0, 0, 0], 0, 0],
      ['expired', [10, 5, 1], 5, 5],
      ['cancelling', [10, 4, 0], 0, 0],
      ['cancelled', [10, 3, 1], 3, 7]
    ]
    for (const [status, [total, completed, failed], outputs, errors] of expected) {
      const batch = await retrieve(`batch_${status}`)
      t.ok(isBatch(batch), status)
      t.match(batch, { status, input_file_id: `file-${status}`, request_counts: { total, completed, failed } }, status)
      if (status !== 'validating') t.type(batch[`${status}_at`], 'number', status)
      t.equal((await rows(batch.output_file_id)).length, outputs, status)
      t.equal((await rows(batch.error_file_id)).length, errors, status)
      t.ok((await rows(batch.input_file_id)).length > 0, status)
      t.equal((await call('GET', `/files/file-${status}`)).json().created_at, batch.created_at)
      const spent = (await rows(batch.output_file_id)).reduce((sum, row) => sum + row.response.body.usage.total_tokens, 0)
      if (outputs > 0) t.equal(batch.usage?.total_tokens, spent, status)
    }
    t.match((await retrieve('batch_failed')).errors, { data: [1, 2, 3].map(line => ({ code: 'missing_required_parameter', param: 'custom_id', line })) })
    const before = (await call('GET', '/batches')).text
    await clock.advance(2 * WINDOW_MS)
    t.equal((await call('GET', '/batches')).text, before)
  })

  const documented = {
    id: 'batch_abc123',
    object: 'batch',
    endpoint: CHAT,
    errors: null,
    input_file_id: 'file-abc123',
    completion_window: '24h',
    status: 'cancelling',
    output_file_id: null,
    error_file_id: null,
    created_at: 1713894800,
    in_progress_at: 1713894900,
    cancelled_at: 1713895200,
    completed_at: null,
    request_counts: { total: 100, completed: 45, failed: 0 },
    metadata: { description: 'Daily batch job' }
  }

  t.test('the documented one is cancelled as documented, again and again', async t => {
    const { clock, call, retrieve, rows } = await openApp(t)
    for (const touch of ['/batches/batch_abc123', '/batches']) {
      t.same(await retrieve('batch_abc123'), { ...documented, status: 'in_progress', cancelled_at: null })
      t.equal((await call('POST', '/batches/batch_abc123/cancel')).text, JSON.stringify(documented))

      await clock.advance(CANCELLING_MS)
      const ended = await retrieve('batch_abc123')
      t.same(ended, { ...documented, status: 'cancelled', output_file_id: 'file-abc123-output', error_file_id: 'file-abc123-error' })
      t.ok(isBatch(ended))
      const [output, errors] = [await rows(ended.output_file_id), await rows(ended.error_file_id)]
      t.equal(output.length, 45)
      t.equal(errors.length, 55)
      t.ok(errors.every(row => row.error.code === 'batch_cancelled'))
      t.same(idsOf([...output, ...errors]), idsOf(await rows('file-abc123')))

      await clock.advance(SHOWN_MS - 1)
      t.equal((await call('POST', '/batches/batch_abc123/cancel')).status, 409)
      await clock.advance(1)
      await call('GET', touch)
    }
    t.equal((await call('POST', '/batches/batch_abc123/cancel')).text, JSON.stringify(documented), 'a cancel makes it anew too')
  })

  t.test('the live ones are cancelled like any other, and made anew as they were', async t => {
    const { clock, retrieve, cancel, rows } = await openApp(t)
    for (const [status, outputs, errors] of [['validating', 0, 10], ['in_progress', 3, 7], ['finalizing', 10, 0]] as const) {
      const id = `batch_${status}`
      const before = await retrieve(id)
      t.match(await cancel(id), { status: 'cancelling', cancelling_at: Math.floor(clock.now() / 1000), cancelled_at: null })
      await clock.advance(CANCELLING_MS)
      const ended = await retrieve(id)
      t.match(ended, { status: 'cancelled', cancelled_at: Math.floor(clock.now() / 1000), request_counts: { total: 10 } })
      t.equal((await rows(ended.output_file_id)).length, outputs)
      t.equal((await rows(ended.error_file_id)).length, errors)
      await clock.advance(SHOWN_MS)
      t.same(await retrieve(id), before)
    }
    t.same(await cancel('batch_cancelling'), await retrieve('batch_cancelling'))
    await clock.advance(WINDOW_MS)
    t.match(await retrieve('batch_cancelling'), { status: 'cancelling' })
  })

  t.test('some ids stand for what a client must handle', async t => {
    const { call } = await openApp(t)
    const faults: Array<[id: string, status: number, error: object, headers: object]> = [
      ['batch_rate_limited', 429, { type: 'requests', code: 'rate_limit_exceeded' }, { 'retry-after': '1', 'x-ratelimit-remaining-requests': '0' }],
      ['batch_unavailable', 503, { type: 'server_error', code: null }, {}],
      ['batch_unauthorized', 401, { type: 'invalid_request_error', code: 'invalid_api_key' }, {}]
    ]
    for (const [id, status, error, headers] of faults) {
      for (const answer of [await call('GET', `/batches/${id}`), await call('POST', `/batches/${id}/cancel`)]) {
        t.equal(answer.status, status)
        t.match(answer.json(), { error })
        t.match(answer.headers, headers)
      }
    }
  })
})

t.test('memory is bounded', async t => {
  t.test('in files', async t => {
    const file = (bytes: number) => ({ filename: 'x', purpose: 'batch' as const, createdAt: 1, bytes: Buffer.alloc(bytes) })
    const many = fileStore()
    const lasting = many.add({ ...file(1), id: 'file-seed' })
    const first = many.add(file(1))
    for (let count = 1; count < MAX_FILES; count++) many.add(file(1))
    t.ok(many.find(first.id))
    many.add(file(1))
    t.notOk(many.find(first.id), 'the oldest is dropped')
    t.equal(many.list().length, MAX_FILES + 1)
    t.same(many.list().at(-1), lasting, 'but never a seed')

    const large = fileStore()
    const half = large.add(file(MAX_STORED_BYTES / 2))
    large.add(file(MAX_STORED_BYTES / 2))
    t.ok(large.find(half.id))
    large.add(file(1))
    t.notOk(large.find(half.id))
    t.equal(large.list().length, 2)
  })

  t.test('in batches', async t => {
    const { clock, upload, create, call, retrieve } = await openApp(t)
    const fileId = await upload(line('a'))
    const ids: string[] = []
    for (let count = 0; count < MAX_BATCHES; count++) ids.push((await create(fileId)).json().id)
    const refused = await create(fileId)
    t.equal(refused.status, 429)
    t.match(refused.json(), { error: { type: 'requests', code: 'rate_limit_exceeded' } })
    t.equal(refused.headers['retry-after'], '1')

    await clock.advance(HOUR)
    t.equal((await create(fileId)).status, 200)
    t.equal((await call('GET', `/batches/${ids[0]}`)).status, 404, 'the oldest that ended is dropped')
    t.match(await retrieve(String(ids[1])), { status: 'completed' })
    t.match(await retrieve('batch_abc123'), { status: 'in_progress' }, 'but never a seed')
  })

  t.test('in bytes that are worked on', async t => {
    const { clock, upload, create } = await openApp(t)
    const fileId = await upload(line('a', { padding: 'x'.repeat(MAX_FILE_BYTES - 200) }))
    for (let held = 0; held < MAX_LIVE_BYTES; held += MAX_FILE_BYTES) t.equal((await create(fileId)).status, 200)
    t.equal((await create(fileId)).status, 429)
    await clock.advance(HOUR)
    t.equal((await create(fileId)).status, 200)
  })

  t.test('in answers', async t => {
    const { clock, upload, create, retrieve } = await openApp(t)
    const input = Array(2_048).fill('x')
    const many = Array.from({ length: 70 }, (_, index) => line(`r${index}`, { url: '/v1/moderations', body: { input } }))
    const { id } = (await create(await upload(jsonl(many)), '/v1/moderations')).json()
    await clock.advance(HOUR)
    const { status, request_counts: counts } = await retrieve(id)
    t.equal(status, 'completed')
    t.equal(Number(counts?.completed) + Number(counts?.failed), 70)
    t.ok(Number(counts?.failed) > 0)
  })
})

t.test('the host is left alone', async t => {
  t.test('its parsers, errors, unknown paths and document', async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(swagger)
    app.setErrorHandler((_error, _request, reply) => reply.code(418).send({ host: true }))
    app.register(sandbox, { prefix: PREFIX })
    app.post('/echo', async ({ body }) => body)
    await app.ready()
    t.same((await app.inject({ method: 'POST', url: '/echo', payload: { a: 1 } })).json(), { a: 1 })
    t.equal((await app.inject({ method: 'POST', url: '/echo', payload: '{', headers: { 'content-type': 'application/json' } })).statusCode, 418)
    t.match((await app.inject('/nowhere')).json(), { statusCode: 404, error: 'Not Found' })
    t.same(Object.keys(app.swagger().paths ?? {}), ['/echo'])
    t.ok(app.hasPlugin('fastify-batch-cancel/sandbox'))
    t.equal(sandbox, batchSandbox)
  })

  t.test('and keeps its say: the status of its own errors', async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    const thrown: Record<string, (reply: { code (status: number): unknown }) => unknown> = {
      nothing: () => null,
      text: () => 'text',
      status: () => Object.assign(new Error('Not you'), { statusCode: 403 }),
      reply: (reply) => { reply.code(401); return new Error('Who?') }
    }
    app.addHook('onRequest', async ({ headers }, reply) => { throw thrown[String(headers['x-throw'])]?.(reply) })
    app.register(sandbox, { prefix: PREFIX })
    const answers: Array<[name: string, status: number, message: string, type: string]> = [
      ['nothing', 500, 'The server had an error while processing your request.', 'server_error'],
      ['text', 500, 'The server had an error while processing your request.', 'server_error'],
      ['status', 403, 'Not you', 'invalid_request_error'],
      ['reply', 401, 'Who?', 'invalid_request_error']
    ]
    for (const [name, status, message, type] of answers) {
      const answer = await app.inject({ url: PREFIX + '/batches', headers: { 'x-throw': name } })
      t.equal(answer.statusCode, status, name)
      t.same(answer.json(), { error: { message, type, param: null, code: null } }, name)
    }
  })

  for (const prefix of [undefined, '/']) {
    t.test(`and its unknown paths too where the prefix is ${prefix}`, async t => {
      const app = Fastify()
      t.teardown(() => app.close())
      app.setNotFoundHandler((_request, reply) => reply.code(404).send('host'))
      app.register(async scope => { scope.register(sandbox, prefix === undefined ? {} : { prefix }) })
      t.equal((await app.inject('/batches/batch_abc123')).json().id, 'batch_abc123')
      t.equal((await app.inject('/nowhere')).payload, 'host')
    })
  }
})

t.test('options are checked', async t => {
  const bad: Array<[options: object, message: RegExp]> = [
    [{ clock: null }, /^clock must be an object with the functions now and sleep$/],
    [{ clock: { now: Date.now } }, /^clock must/],
    [{ latency: -1 }, /^latency must be a number of milliseconds from 0 to 2147483647$/],
    [{ latency: '400' }, /^latency must/],
    [{ latency: 2 ** 31 }, /^latency must/],
    [{ latency: NaN }, /^latency must/],
    [{ concurrency: 0 }, /^concurrency must be a whole number of 1 or more$/],
    [{ concurrency: 1.5 }, /^concurrency must/]
  ]
  for (const [options, message] of bad) {
    const app = Fastify()
    const error = await app.register(sandbox, options).then(() => null, (error: unknown) => error)
    t.match(error, { code: 'FST_BATCH_SANDBOX_INVALID_OPTION', message }, JSON.stringify(options))
    t.ok(error instanceof TypeError)
  }
})

t.test('no timer keeps the process alive', async t => {
  const timers = () => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(sandbox)
  await app.ready()
  const before = timers()
  t.match((await app.inject({ method: 'POST', url: '/batches/batch_in_progress/cancel' })).json(), { status: 'cancelling' })
  t.equal(timers(), before)
})

t.test('after close nothing more runs', async t => {
  const clock = manualClock()
  let sleeps = 0
  const { app, create, upload } = await openApp(t, { clock: { now: clock.now, sleep: (ms) => { sleeps += 1; return clock.sleep(ms) } } })
  await create(await upload(jsonl(lines(10))))
  await clock.advance(VALIDATING_MS)
  const before = sleeps
  t.equal(before, 4, 'it was under way')
  await app.close()
  await clock.advance(WINDOW_MS)
  t.equal(sleeps, before)
})

t.test('a clock that fails is logged, and brings nothing down', async t => {
  const logged: string[] = []
  const app = Fastify({ logger: { level: 'error', stream: { write: (text) => { logged.push(text) } } } })
  t.teardown(() => app.close())
  app.register(sandbox, { clock: { now: Date.now, sleep: async () => { throw new Error('No time') } } })
  await app.inject({ method: 'POST', url: '/batches/batch_in_progress/cancel' })
  t.match(logged, [/No time/])
})

/** What may be seen after each status, when one looks now and then. */
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

t.test('whatever happens to a batch, it adds up at every moment', async t => {
  const steps = fc.array(fc.oneof(
    { weight: 3, arbitrary: fc.record({ advance: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.constantFrom(HOUR, 11 * HOUR)) }) },
    { weight: 1, arbitrary: fc.constant({ cancel: true as const }) }
  ), { maxLength: 12 })

  await fc.assert(fc.asyncProperty(
    fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }), fc.constantFrom(0, 1, 400, 2_500, 9 * HOUR), fc.integer({ min: 1, max: 4 }), steps,
    async (goods, latency, concurrency, steps) => {
      const { app, clock, create, upload, retrieve, call, rows } = await openApp(t, { latency, concurrency })
      // Four characters are a token: each request that completes costs one, and one more for its answer.
      const input = goods.map((good, index) => line(`r${index}`, { body: { ...(good ? { model: 'm' } : {}), messages: [{ role: 'user', content: 'four' }] } }))
      let last = (await create(await upload(jsonl(input)))).json()
      let accepted = false

      const look = async () => {
        const batch = await retrieve(last.id)
        const { total, completed, failed } = batch.request_counts ?? { total: NaN, completed: NaN, failed: NaN }
        const holds = isBatch(batch) && LATER[last.status as BatchStatus].includes(batch.status) &&
          completed + failed <= total && completed >= last.request_counts.completed && failed >= last.request_counts.failed && total >= last.request_counts.total &&
          batch.usage?.input_tokens === completed && batch.usage.output_tokens === completed && batch.usage.total_tokens === 2 * completed &&
          (CANCELLABLE.includes(batch.status) ? batch.output_file_id === null && batch.error_file_id === null : true)
        if (!holds) throw new Error(`${JSON.stringify(last)} became ${JSON.stringify(batch)}`)
        last = batch
        return batch
      }

      for (const step of steps) {
        if ('advance' in step) {
          await clock.advance(step.advance)
        } else {
          const { status } = await look()
          const answer = await call('POST', `/batches/${last.id}/cancel`)
          const may = CANCELLABLE.includes(status)
          if (answer.status !== (may ? 200 : 409) || (may && answer.json().status !== 'cancelling')) throw new Error(answer.text)
          accepted ||= may
        }
        await look()
      }
      await clock.advance(WINDOW_MS + HOUR)
      const end = await look()
      const [output, errors] = [await rows(end.output_file_id), await rows(end.error_file_id)]
      await app.close()

      const never = errors.filter(row => row.response === null)
      const holds = (accepted ? end.status === 'cancelled' : ['completed', 'expired'].includes(end.status)) &&
        JSON.stringify(idsOf([...output, ...errors])) === JSON.stringify(goods.map((_, index) => `r${index}`).sort()) &&
        end.request_counts?.total === goods.length && end.request_counts.completed === output.length &&
        end.request_counts.failed === errors.length - never.length &&
        never.every(row => row.error.code === `batch_${end.status}`) &&
        (end.status !== 'completed' || never.length === 0)
      if (!holds) throw new Error(JSON.stringify({ end, output, errors }))
    }
  ), { numRuns: 150 })
})
