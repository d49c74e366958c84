import fc from 'fast-check'
import t, { type Test } from 'tap'
import { ApiError } from '../../lib/sandbox/errors.js'
import { MAX_FORM_PARTS, MAX_PART_HEADER_BYTES, MAX_UPLOAD_BODY_BYTES } from '../../lib/sandbox/limits.js'
import { boundaryOf, parseForm } from '../../lib/sandbox/multipart.js'
import { readNewFile } from '../../lib/sandbox/validate.js'
import { runs } from '../support/exhaustive.js'
import { form } from '../support/sandbox-app.js'

const partsOf = (body: string | Buffer, boundary = 'x') =>
  parseForm(Buffer.from(body), boundary).map(({ content, ...part }) => ({ ...part, content: content.toString() }))

const part = (headers: string, content = '') => `--x\r\n${headers}\r\n\r\n${content}\r\n`
const field = (name: string, content = '') => part(`Content-Disposition: form-data; name="${name}"`, content)

/** Returns the status of the response to a form; `undefined` for an error that would be a 500. */
function statusOf (read: () => unknown): number | undefined {
  try {
    read()
    return 200
  } catch (error) {
    return error instanceof ApiError ? error.statusCode : undefined
  }
}

t.test('the boundary is read from the content type', async t => {
  const cases = [
    { contentType: 'multipart/form-data; boundary=abc', boundary: 'abc' },
    { contentType: 'Multipart/Form-Data;BOUNDARY="a b"', boundary: 'a b' },
    { contentType: 'multipart/form-data; charset=utf-8; boundary=abc; x=y', boundary: 'abc' },
    { contentType: `multipart/form-data; boundary=${'a'.repeat(70)}`, boundary: 'a'.repeat(70) }
  ]
  for (const { contentType, boundary } of cases) t.equal(boundaryOf(contentType), boundary, contentType)

  const invalid = [
    undefined,
    '',
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=""',
    `multipart/form-data; boundary=${'a'.repeat(71)}`,
    'multipart/mixed; boundary=abc',
    'application/x-www-form-urlencoded',
    'text/plain; x=multipart/form-data; boundary=abc'
  ]
  for (const contentType of invalid) t.equal(statusOf(() => boundaryOf(contentType)), 400, String(contentType))
})

t.test('the parts of a form are read with their names', async t => {
  const disposition = (params: string) => part(`content-disposition: form-data${params}`, 'v')
  const cases: Array<{ name: string, body: string, parts: object[] }> = [
    { name: 'no parts', body: '--x--', parts: [] },
    { name: 'a field', body: field('a', 'v') + '--x--\r\n', parts: [{ name: 'a', filename: undefined, content: 'v' }] },
    { name: 'an empty field', body: field('a') + '--x--', parts: [{ name: 'a', content: '' }] },
    { name: 'an epilogue', body: field('a', 'v') + '--x--\r\nmore\r\n--x\r\n', parts: [{ name: 'a', content: 'v' }] },
    {
      name: 'almost a boundary in the content',
      body: field('a', '\r\n--\r\n-x\r\n--y') + '--x--',
      parts: [{ name: 'a', content: '\r\n--\r\n-x\r\n--y' }]
    },
    {
      name: 'a name without quotes',
      body: disposition('; name=a; filename=b') + '--x--',
      parts: [{ name: 'a', filename: 'b' }]
    },
    {
      name: 'percent escapes',
      body: disposition('; name="a%22%0d%0A%41"') + '--x--',
      parts: [{ name: 'a"\r\n%41' }]
    },
    {
      name: 'backslashes, which escape nothing',
      body: disposition('; name="a\\"; filename="C:\\dir\\"') + '--x--',
      parts: [{ name: 'a\\', filename: 'C:\\dir\\' }]
    },
    {
      name: 'a line separator that does not end a header',
      body: disposition('; name="a\u2028b"; filename="c\u2029"') + '--x--',
      parts: [{ name: 'a\u2028b', filename: 'c\u2029' }]
    },
    {
      name: 'an encoded file name',
      body: disposition("; name=a; filename*=UTF-8''gr%C3%BC%C3%9Fe.jsonl") + '--x--',
      parts: [{ name: 'a', filename: 'grüße.jsonl' }]
    },
    {
      name: 'a badly encoded file name',
      body: disposition("; name=a; filename*=UTF-8''%ff") + '--x--',
      parts: [{ name: 'a', filename: '%ff' }]
    },
    {
      name: 'other headers',
      body: part('X: name="no"\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: a/b', 'v') + '--x--',
      parts: [{ name: 'a', content: 'v' }]
    },
    {
      name: `${MAX_FORM_PARTS} parts`,
      body: field('a').repeat(MAX_FORM_PARTS) + '--x--',
      parts: Array(MAX_FORM_PARTS).fill({ name: 'a' })
    }
  ]
  for (const { name, body, parts } of cases) {
    const read = partsOf(body)
    t.match(read, parts, name)
    t.equal(read.length, parts.length, name)
  }
})

t.test('a body that is not a form, or a form beyond the limits, is a 400', async t => {
  const cases = [
    { name: 'an empty body', body: '' },
    { name: 'another boundary', body: '--y--' },
    { name: 'a preamble', body: 'preamble\r\n--x--' },
    { name: 'no end', body: field('a', 'v') },
    { name: 'an end that is cut off', body: field('a', 'v') + '--x-' },
    { name: 'a part without content', body: '--x\r\nContent-Disposition: form-data; name="a"' },
    { name: 'a part without headers', body: '--x\r\n\r\nv\r\n--x--' },
    { name: 'a part without a disposition', body: part('Content-Type: text/plain') + '--x--' },
    { name: 'a part without a name', body: part('Content-Disposition: form-data; filename="a"') + '--x--' },
    { name: 'another disposition', body: part('Content-Disposition: attachment; name="a"') + '--x--' },
    { name: 'text after a boundary', body: '--x-y\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n--x--' },
    {
      name: 'large headers',
      body: part(`X: ${'a'.repeat(4096)}\r\nContent-Disposition: form-data; name="a"`) + '--x--'
    },
    { name: 'too many parts', body: field('a').repeat(MAX_FORM_PARTS + 1) + '--x--' }
  ]
  for (const { name, body } of cases) t.equal(statusOf(() => partsOf(body)), 400, name)
})

t.test('any form of the platform is read as it was written', async t => {
  const special = fc.constantFrom('"', '\\', ';', '=', '\r', '\n', '%', '2', ' ', '*', "'", 'filename=', 'name="')
  const name = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
    fc.string({ unit: special, minLength: 1, maxLength: 12 })
  )
  await fc.assert(fc.asyncProperty(name, name, fc.uint8Array({ maxLength: 200 }), async (key, filename, bytes) => {
    const data = new FormData()
    data.append(key, new File([bytes], filename))
    const response = new Response(data)
    const body = Buffer.from(await response.arrayBuffer())
    const again = await new Response(body, { headers: response.headers }).formData()
    const [expected] = again.entries()
    const [read] = parseForm(body, boundaryOf(String(response.headers.get('content-type'))))
    return read?.name === expected?.[0] && read?.filename === (expected?.[1] as File).name &&
      Buffer.from(bytes).equals(read.content)
  }), { numRuns: 300 })
})

t.test('any bytes are a form or a 400', async t => {
  const header = 'Content-Disposition: form-data; name="a"'
  const piece = fc.constantFrom('--x', '\r\n', '--', header, '"', ';', 'v', '\\', '%')
  fc.assert(fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
    const status = statusOf(() => parseForm(Buffer.from('--x\r\n' + pieces.join('')), 'x'))
    return status === 200 || status === 400
  }), runs({ usual: 500, exhaustive: 2000 }))
})

t.test('a file is a copy, so that the rest of the form is released', async t => {
  const { payload, headers } = await form({ purpose: 'batch', file: new File(['content'], 'a.jsonl') })
  const { content } = readNewFile(payload, headers['content-type'])
  t.equal(content.toString(), 'content')
  t.not(content.buffer, payload.buffer)
})

/** How many bytes `work` searches or decodes. */
function bytesRead (t: Test, work: () => void): number {
  let bytes = 0
  const { indexOf, toString } = Buffer.prototype
  const counted = t.intercept(Buffer.prototype, 'indexOf', {
    value (this: Buffer, value: Buffer, start = 0) {
      const index = indexOf.call(this, value, start)
      bytes += (index === -1 ? this.length : index) - start
      return index
    }
  })
  const decoded = t.intercept(Buffer.prototype, 'toString', {
    value (this: Buffer, encoding?: BufferEncoding, start = 0, end = this.length) {
      bytes += end - start
      return toString.call(this, encoding, start, end)
    }
  })
  work()
  counted.restore()
  decoded.restore()
  return bytes
}

t.test('a body of the largest size is read once, and the headers of its parts twice', async t => {
  const fill = (unit: string) => Buffer.alloc(MAX_UPLOAD_BODY_BYTES, unit)
  const formOf = (content: string) => {
    const body = fill(content)
    body.write('--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n', 'latin1')
    return body
  }
  const headersOf = (content: string) => {
    const body = fill(content)
    body.write('--x\r\n')
    return body
  }
  const cases = [
    { name: 'many parts', body: fill(field('a')) },
    { name: 'many parts without headers', body: fill('--x\r\n\r\n\r\n') },
    { name: 'many header lines', body: headersOf('a: b\r\n') },
    { name: 'one long header', body: headersOf('Content-Disposition: form-data; ') },
    { name: 'almost a boundary, again and again', body: formOf('\r\n--') },
    { name: 'line breaks', body: formOf('\r\n') },
    { name: 'boundaries', body: fill('--x\r\n') },
    { name: 'pairs', body: fill('a=%41&') }
  ]
  const most = MAX_UPLOAD_BODY_BYTES + 2 * MAX_FORM_PARTS * MAX_PART_HEADER_BYTES
  for (const { name, body } of cases) {
    let status: number | undefined
    const bytes = bytesRead(t, () => { status = statusOf(() => readNewFile(body, 'multipart/form-data; boundary=x')) })
    t.equal(status, 400, name)
    t.ok(bytes <= most, `${name}: ${bytes} bytes`)
  }
})
