import t from 'tap'
import { MAX_CREATE_BODY_BYTES, MAX_FILE_BYTES, MAX_IGNORED_BODY_BYTES } from '../../lib/sandbox/limits.js'
import { PREFIX, form, line, openApp } from '../support/sandbox-app.js'

const CHAT = '/v1/chat/completions'

const post = (fields: unknown) => ({
  payload: typeof fields === 'string' ? fields : JSON.stringify(fields),
  headers: { 'content-type': 'application/json' }
})

const pairs = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v']))

interface Case {
  readonly name: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly payload?: string | Buffer
  readonly headers?: Record<string, string>
  readonly status: number
  readonly error: object
}

t.test('a bad request gets an error in the envelope of OpenAI', async t => {
  const { call, upload } = await openApp(t)
  const fileId = await upload(line('a'))
  const valid = { input_file_id: fileId, endpoint: CHAT, completion_window: '24h' }
  const file = new File(['x'], 'x.jsonl')
  const fileOf = (bytes: number) => new File(['x'.repeat(bytes)], 'x')

  const badBatches = [
    {
      name: 'a body that is not JSON',
      ...post('{'),
      error: { param: null, message: 'The body of the request is not a JSON object.' }
    },
    { name: 'an array', ...post([]), error: { param: null } },
    { name: 'no body', error: { param: null } },
    {
      name: 'no file',
      ...post({}),
      error: {
        param: 'input_file_id',
        code: 'missing_required_parameter',
        message: "Missing required parameter: 'input_file_id'."
      }
    },
    {
      name: 'an unknown file',
      ...post({ ...valid, input_file_id: 'file-x' }),
      error: { param: 'input_file_id', message: "No file found with id 'file-x'." }
    },
    {
      name: 'a deeply nested file id',
      ...post(`{"input_file_id":${'['.repeat(30_000)}${']'.repeat(30_000)}}`),
      error: { param: 'input_file_id', message: "Invalid type for 'input_file_id': expected a string." }
    },
    {
      name: 'a file with another purpose',
      ...post({ ...valid, input_file_id: 'file-completed-output' }),
      error: { param: 'input_file_id' }
    },
    { name: 'no endpoint', ...post({ ...valid, endpoint: undefined }), error: { param: 'endpoint' } },
    {
      name: 'another endpoint',
      ...post({ ...valid, endpoint: 'constructor' }),
      error: { param: 'endpoint', code: 'invalid_value' }
    },
    {
      name: 'no completion window',
      ...post({ ...valid, completion_window: undefined }),
      error: { param: 'completion_window' }
    },
    {
      name: 'another completion window',
      ...post({ ...valid, completion_window: '1h' }),
      error: { param: 'completion_window', code: 'invalid_value' }
    },
    { name: 'metadata that is an array', ...post({ ...valid, metadata: ['a'] }), error: { param: 'metadata' } },
    { name: '17 pairs of metadata', ...post({ ...valid, metadata: pairs(17) }), error: { param: 'metadata' } },
    {
      name: 'a long key of metadata',
      ...post({ ...valid, metadata: { ['k'.repeat(65)]: '' } }),
      error: { param: 'metadata' }
    },
    { name: 'a number in metadata', ...post({ ...valid, metadata: { a: 1 } }), error: { param: 'metadata.a' } },
    {
      name: 'a long value of metadata',
      ...post({ ...valid, metadata: { a: 'v'.repeat(513) } }),
      error: { param: 'metadata.a' }
    }
  ].map(row => ({ method: 'POST' as const, path: '/batches', status: 400, ...row }))

  const badFiles = [
    {
      name: 'a body that is not a form',
      payload: 'hello',
      headers: { 'content-type': 'text/plain' },
      error: { param: null, message: 'The body of the request is not multipart/form-data.' }
    },
    { name: 'a form without a content type', error: { param: null } },
    {
      name: 'a form without a body',
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
      error: { param: null, message: 'The body of the request is not multipart/form-data.' }
    },
    {
      name: 'a broken form',
      payload: '--x\r\n',
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
      error: { param: null }
    },
    {
      name: 'no purpose',
      ...await form({ file }),
      error: { param: 'purpose', code: 'missing_required_parameter' }
    },
    {
      name: 'another purpose',
      ...await form({ file, purpose: 'fine-tune' }),
      error: { param: 'purpose', code: 'invalid_value' }
    },
    {
      name: 'no file part',
      ...await form({ purpose: 'batch' }),
      error: { param: 'file', code: 'missing_required_parameter' }
    },
    { name: 'a file part that is text', ...await form({ purpose: 'batch', file: 'text' }), error: { param: 'file' } }
  ].map(row => ({ method: 'POST' as const, path: '/files', status: 400, ...row }))

  const others: Case[] = [
    {
      name: 'a file that is too large',
      method: 'POST',
      path: '/files',
      ...await form({ purpose: 'batch', file: fileOf(MAX_FILE_BYTES + 1) }),
      status: 413,
      error: { param: 'file' }
    },
    {
      name: 'an upload that is too large',
      method: 'POST',
      path: '/files',
      ...await form({ purpose: 'batch', file: fileOf(MAX_FILE_BYTES + 1024 * 1024) }),
      status: 413,
      error: { param: null, message: 'Request body is too large' }
    },
    {
      name: 'a batch that is too large',
      method: 'POST',
      path: '/batches',
      payload: ' '.repeat(MAX_CREATE_BODY_BYTES + 1),
      status: 413,
      error: { param: null, message: 'Request body is too large' }
    },
    {
      name: 'a cancel that is too large',
      method: 'POST',
      path: '/batches/batch_in_progress/cancel',
      payload: ' '.repeat(MAX_IGNORED_BODY_BYTES + 1),
      status: 413,
      error: { param: null, message: 'Request body is too large' }
    },
    {
      name: 'an invalid content type',
      method: 'POST',
      path: '/batches',
      payload: '{}',
      headers: { 'content-type': 'garbage' },
      status: 415,
      error: { param: null }
    },
    { name: 'limit 0', method: 'GET', path: '/batches?limit=0', status: 400, error: { param: 'limit' } },
    {
      name: 'limit 101',
      method: 'GET',
      path: '/batches?limit=101',
      status: 400,
      error: { param: 'limit', message: "Invalid value for 'limit': expected a whole number from 1 to 100." }
    },
    { name: 'limit 1.5', method: 'GET', path: '/files?limit=1.5', status: 400, error: { param: 'limit' } },
    { name: 'an unknown cursor', method: 'GET', path: '/batches?after=x', status: 400, error: { param: 'after' } },
    {
      name: 'two cursors',
      method: 'GET',
      path: '/batches?after=batch_abc123&after=batch_abc123',
      status: 400,
      error: { param: 'after' }
    },
    {
      name: 'an unknown batch',
      method: 'GET',
      path: '/batches/x',
      status: 404,
      error: { param: null, code: null, message: "No batch found with id 'x'." }
    },
    {
      name: 'a cancel of an unknown batch',
      method: 'POST',
      path: '/batches/x/cancel',
      status: 404,
      error: { param: null, code: null, message: "No batch found with id 'x'." }
    },
    { name: 'an inherited name', method: 'GET', path: '/batches/__proto__', status: 404, error: {} },
    {
      name: 'the content of an unknown file',
      method: 'GET',
      path: '/files/x/content',
      status: 404,
      error: { message: "No file found with id 'x'." }
    },
    {
      name: 'an unknown file',
      method: 'GET',
      path: '/files/x',
      status: 404,
      error: { message: "No file found with id 'x'." }
    },
    {
      name: 'an unknown path',
      method: 'GET',
      path: '/models',
      status: 404,
      error: { message: `Invalid URL (GET ${PREFIX}/models)` }
    }
  ]

  for (const { name, method, path, status, error, ...more } of [...badBatches, ...badFiles, ...others] as Case[]) {
    const response = await call(method, path, more)
    t.equal(response.status, status, name)
    t.match(response.headers['content-type'], /^application\/json/, name)
    t.match(response.json(), { error: { type: 'invalid_request_error', ...error } }, name)
    t.same(Object.keys(response.json().error), ['message', 'type', 'param', 'code'], name)
  }
})

t.test('metadata may be as large as OpenAI allows, or null', async t => {
  const { call, upload } = await openApp(t)
  const valid = { input_file_id: await upload(line('a')), endpoint: CHAT, completion_window: '24h' }
  const metadata = { ...pairs(15), ['k'.repeat(64)]: 'v'.repeat(512) }
  t.equal((await call('POST', '/batches', post({ ...valid, metadata }))).status, 200)
  t.equal((await call('POST', '/batches', post({ ...valid, metadata: null }))).json().metadata, null)
})
