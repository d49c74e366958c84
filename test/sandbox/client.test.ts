import { APIError, toFile } from 'openai'
import t from 'tap'
import { CANCELLING_MS, FINALIZING_MS, VALIDATING_MS } from '../../lib/sandbox/run-batch.js'
import { isBatch } from '../../schemas/batch.js'
import { START, customIdsOf, jsonl, line, lines, openApp } from '../support/sandbox-app.js'

const CHAT = '/v1/chat/completions'
const DAY = 24 * 60 * 60

const rowsOf = async (response: Response) => (await response.text()).trimEnd().split('\n').map(row => JSON.parse(row))

t.test('the official client uploads, creates, cancels, and downloads what completed', async t => {
  const { clock, client } = await openApp(t)
  const openai = await client()
  const content = jsonl(lines(10))

  const file = await openai.files.create({ purpose: 'batch', file: await toFile(Buffer.from(content), 'ten.jsonl') })
  t.match(file, {
    id: /^file-[0-9a-f]{32}$/,
    object: 'file',
    filename: 'ten.jsonl',
    purpose: 'batch',
    bytes: content.length,
    created_at: START
  })
  t.same(await openai.files.retrieve(file.id), file)
  t.equal(await (await openai.files.content(file.id)).text(), content)

  const created = await openai.batches.create({
    input_file_id: file.id,
    endpoint: CHAT,
    completion_window: '24h',
    metadata: { job: 'nightly' }
  })
  t.ok(isBatch(created))
  t.match(created, {
    id: /^batch_[0-9a-f]{32}$/,
    status: 'validating',
    metadata: { job: 'nightly' },
    model: null,
    created_at: START,
    expires_at: START + DAY
  })
  t.same(created.request_counts, { total: 0, completed: 0, failed: 0 })

  await clock.advance(VALIDATING_MS + 2 * 400)
  const running = await openai.batches.retrieve(created.id)
  t.ok(isBatch(running))
  t.match(running, {
    status: 'in_progress',
    model: 'gpt-4o-mini',
    in_progress_at: START,
    output_file_id: null,
    error_file_id: null
  })
  t.same(running.request_counts, { total: 10, completed: 6, failed: 0 })

  await clock.advance(100)
  const cancelling = await openai.batches.cancel(created.id)
  t.ok(isBatch(cancelling))
  t.match(cancelling, { status: 'cancelling', cancelling_at: START + 1, cancelled_at: null, output_file_id: null })

  await clock.advance(300)
  t.match(await openai.batches.retrieve(created.id), { status: 'cancelling', request_counts: { completed: 9 } },
    'requests in progress complete')
  t.match(await openai.batches.cancel(created.id), { status: 'cancelling', cancelling_at: START + 1 },
    'a repeated cancel changes nothing')

  await clock.advance(CANCELLING_MS)
  const cancelled = await openai.batches.retrieve(created.id)
  t.ok(isBatch(cancelled))
  t.match(cancelled, {
    status: 'cancelled',
    cancelled_at: START + 3,
    completed_at: null,
    request_counts: { total: 10, completed: 9, failed: 0 }
  })

  const output = await rowsOf(await openai.files.content(String(cancelled.output_file_id)))
  const errors = await rowsOf(await openai.files.content(String(cancelled.error_file_id)))
  t.same(customIdsOf(output), ['r0', 'r1', 'r2', 'r3', 'r4', 'r5', 'r6', 'r7', 'r8'])
  t.match(output[0], {
    id: /^batch_req_/,
    response: { status_code: 200, request_id: String, body: { choices: [{ message: { content: 'Say r0' } }] } },
    error: null
  })
  t.match(errors, [{
    id: /^batch_req_/,
    custom_id: 'r9',
    response: null,
    error: { code: 'batch_cancelled', message: 'This request was not executed because the batch was cancelled.' }
  }])
  t.equal(errors.length, 1)
  const used = output.reduce((sum, row) => sum + row.response.body.usage.total_tokens, 0)
  t.equal(cancelled.usage?.total_tokens, used, 'only completed requests are charged')

  t.match(await openai.files.retrieve(String(cancelled.output_file_id)), {
    purpose: 'batch_output',
    filename: `${created.id}_output.jsonl`
  })
  t.same((await openai.files.list({ purpose: 'batch_output', limit: 2 })).data.map(({ id }) => id),
    [cancelled.error_file_id, cancelled.output_file_id])
  t.match(running, { status: 'in_progress' }, 'a batch that was returned before stays as it was')
  const again = await openai.batches.cancel(created.id).catch((error: unknown) => error)
  t.ok(again instanceof APIError)
  t.match(again, {
    status: 409,
    message: "409 Cannot cancel a batch with status 'cancelled'.",
    type: 'invalid_request_error',
    param: null,
    code: null
  })
})

t.test('the official client completes a batch, and pages through all batches and files', async t => {
  const { clock, client, rows } = await openApp(t, { latency: 0, concurrency: 1 })
  const openai = await client()
  const content = jsonl([
    line('good'),
    line('no-model', { body: { messages: [{ role: 'user', content: 'x' }] } }),
    '',
    line('no-body', { body: 7 })
  ])
  const file = await openai.files.create({ purpose: 'batch', file: await toFile(Buffer.from(content), 'mixed.jsonl') })
  const batchOf = { input_file_id: file.id, endpoint: CHAT, completion_window: '24h' } as const
  const first = await openai.batches.create(batchOf)
  const second = await openai.batches.create(batchOf)

  await clock.advance(VALIDATING_MS)
  t.match(await openai.batches.retrieve(first.id), {
    status: 'finalizing',
    finalizing_at: START,
    completed_at: null,
    output_file_id: null
  })
  await clock.advance(FINALIZING_MS)
  const completed = await openai.batches.retrieve(first.id)
  t.ok(isBatch(completed))
  t.match(completed, {
    status: 'completed',
    completed_at: START + 1,
    metadata: null,
    request_counts: { total: 3, completed: 1, failed: 2 }
  })
  t.same(customIdsOf(await rows(completed.output_file_id)), ['good'])
  const failed = await rows(completed.error_file_id)
  t.same(customIdsOf(failed), ['no-body', 'no-model'])
  t.match(failed[0].response, {
    status_code: 400,
    body: {
      error: {
        message: "Missing required parameter: 'model'.",
        type: 'invalid_request_error',
        param: 'model',
        code: 'missing_required_parameter'
      }
    }
  })

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
