import fc from 'fast-check'
import t from 'tap'
import { ENDPOINT_NAMES, respondTo } from '../../lib/sandbox/endpoints.js'
import { runs } from '../support/exhaustive.js'
import { START, jsonl, line, openApp } from '../support/sandbox-app.js'

const CHAT = '/v1/chat/completions'
const HOUR_MS = 60 * 60 * 1000
const model = 'm'

t.test('each endpoint responds in its own shape', async t => {
  const { clock, create, upload, retrieve, rows } = await openApp(t, { latency: 1, concurrency: 50 })
  const cases: Array<{ endpoint: string, body: unknown, response: object }> = [
    {
      endpoint: CHAT,
      body: {
        model,
        messages: [
          { role: 'user', content: 'first' },
          { role: 'assistant', content: 'so' },
          { role: 'user', content: [{ type: 'text', text: 'la' }, { type: 'image_url' }, null, { text: 'st' }] },
          { role: 'tool', content: 5 }
        ]
      },
      response: {
        object: 'chat.completion',
        model,
        created: START,
        choices: [{ message: { role: 'assistant', content: 'last' }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 4, completion_tokens: 1, total_tokens: 5 }
      }
    },
    {
      endpoint: CHAT,
      body: { model, messages: [null, 7] },
      response: { choices: [{ message: { content: '' } }], usage: { total_tokens: 0 } }
    },
    {
      endpoint: '/v1/responses',
      body: { model, input: 'hello' },
      response: {
        object: 'response',
        status: 'completed',
        output: [{ type: 'message', content: [{ type: 'output_text', text: 'hello' }] }],
        usage: { input_tokens: 2, output_tokens: 2, total_tokens: 4 }
      }
    },
    {
      endpoint: '/v1/responses',
      body: { model, input: [{ role: 'user', content: [{ type: 'input_text', text: 'parts' }] }] },
      response: { output: [{ content: [{ text: 'parts' }] }] }
    },
    {
      endpoint: '/v1/embeddings',
      body: { model, input: 'one' },
      response: {
        object: 'list',
        data: [{ object: 'embedding', index: 0, embedding: Array(8).fill(Number) }],
        usage: { prompt_tokens: 1, total_tokens: 1 }
      }
    },
    {
      endpoint: '/v1/embeddings',
      body: { model, input: ['one', 'two', [1, 2]] },
      response: { data: [{ index: 0 }, { index: 1 }, { index: 2 }] }
    },
    { endpoint: '/v1/embeddings', body: { model, input: [1, 2, 3] }, response: { data: { length: 1 } } },
    {
      endpoint: '/v1/completions',
      body: { model, prompt: ['a', 'b'] },
      response: {
        object: 'text_completion',
        choices: [{ text: 'a', index: 0 }, { text: 'b', index: 1 }],
        usage: { total_tokens: 4 }
      }
    },
    {
      endpoint: '/v1/moderations',
      body: { input: 'fine' },
      response: { model: 'omni-moderation-latest', results: [{ flagged: false, categories: { violence: false } }] }
    },
    {
      endpoint: '/v1/moderations',
      body: { model, input: ['fine', 'too'] },
      response: { model, results: [{ flagged: false }, { flagged: false }] }
    },
    {
      endpoint: CHAT,
      body: { model, messages: [] },
      response: { error: { param: 'messages', code: 'invalid_value' } }
    },
    { endpoint: '/v1/responses', body: { model, input: 5 }, response: { error: { param: 'input' } } },
    {
      endpoint: '/v1/embeddings',
      body: { model, input: Array(2_049).fill('x') },
      response: { error: { param: 'input', message: "Invalid value for 'input'." } }
    },
    { endpoint: '/v1/completions', body: { model, prompt: {} }, response: { error: { param: 'prompt' } } },
    {
      endpoint: '/v1/moderations',
      body: null,
      response: { error: { param: 'input', code: 'missing_required_parameter' } }
    }
  ]
  for (const { endpoint, body, response } of cases) {
    const { id } = (await create(await upload(line('one', { url: endpoint, body })), endpoint)).json()
    await clock.advance(2_000)
    const batch = await retrieve(id)
    const [row] = [...await rows(batch.output_file_id), ...await rows(batch.error_file_id)]
    const created = 'created' in response ? { created: Number } : {}
    t.match(row.response.body, { ...response, ...created }, `${endpoint} ${JSON.stringify(body).slice(0, 60)}`)
    const { input_tokens: input, output_tokens: output, total_tokens: total } = { ...batch.usage }
    t.equal(total, Number(input) + Number(output))
  }
})

t.test('any request body gets a response or a 400', async t => {
  const field = fc.oneof(
    fc.jsonValue(),
    fc.string(),
    fc.constantFrom('m', [1], ['x', null], [{ role: 'user', content: [{ text: 1 }] }])
  )
  const body = fc.record({ model: field, messages: field, input: field, prompt: field }, { requiredKeys: [] })
  fc.assert(fc.property(fc.constantFrom(...ENDPOINT_NAMES), fc.oneof(body, fc.jsonValue()), (endpoint, body) => {
    const { status, inputTokens, outputTokens } = respondTo(endpoint, body, START)
    return status === 200
      ? inputTokens >= 0 && outputTokens >= 0
      : status === 400 && inputTokens === 0 && outputTokens === 0
  }), runs({ usual: 500, exhaustive: 2000 }))
  const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))
  for (const endpoint of ENDPOINT_NAMES) {
    JSON.stringify(respondTo(endpoint, { model, messages: deep, input: deep, prompt: deep }, START))
  }
  t.equal(respondTo('/v1/moderations', { model: deep, input: 'x' }, START).status, 400)
})

t.test('the same request gets the same response', async t => {
  const { clock, create, upload, retrieve, rows } = await openApp(t)
  const body = { model, input: 'same' }
  const content = jsonl(['a', 'b'].map(name => line(name, { url: '/v1/embeddings', body })))
  const { id } = (await create(await upload(content), '/v1/embeddings')).json()
  await clock.advance(HOUR_MS)
  const [a, b] = await rows((await retrieve(id)).output_file_id)
  t.same(a.response.body, b.response.body)
})
