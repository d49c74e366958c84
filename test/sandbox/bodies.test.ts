import { once } from 'node:events'
import { request } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createBodyReceiver, discardBody } from '../../lib/sandbox/bodies.js'
import { createByteBuffer } from '../../lib/sandbox/byte-buffer.js'
import {
  MAX_FILE_BYTES, MAX_RECEIVING_BODIES, MAX_RECEIVING_BYTES, MAX_RECEIVING_MS
} from '../../lib/sandbox/limits.js'
import { PREFIX, START, createClock, form, line, openApp } from '../support/sandbox-app.js'

const MIB = 1024 * 1024
const LIMIT = MAX_FILE_BYTES

/** A receiver whose time stands still until the test moves it. */
function openReceiver () {
  let now = 0
  const receiver = createBodyReceiver(() => now)
  return { receiver, moveTo (ms: number) { now = ms } }
}

const errorOf = (work: Promise<unknown>): Promise<unknown> => work.then(() => undefined, (error: unknown) => error)

/** Writes a body in chunks of 1 MiB, without its end. */
async function writeMiB (body: PassThrough, count: number) {
  const chunk = Buffer.alloc(MIB)
  for (let written = 0; written < count; written++) {
    body.write(chunk)
    await setImmediate()
  }
}

t.test('a body is received as it was sent, in chunks of any size', async t => {
  await fc.assert(fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 5_000 })), async (chunks) => {
    const { receiver } = openReceiver()
    const stream = Readable.from(chunks.map(chunk => Buffer.from(chunk)), { objectMode: false })
    const body = await receiver.receive(stream, LIMIT)
    return body.equals(Buffer.concat(chunks)) && receiver.count === 0 && receiver.bytes === 0
  }))
})

t.test('bytes are copied, so that small chunks do not keep the large buffers that they are views of', async t => {
  const bytes = createByteBuffer()
  const chunk = Buffer.from('abc')
  for (let count = 0; count < 100_000; count++) bytes.append(chunk)
  chunk.fill('x')
  t.equal(bytes.length, 300_000)
  t.ok(bytes.toBuffer().equals(Buffer.alloc(300_000, 'abc')))
})

t.test('uploads without their last byte hold a bounded number of bytes', async t => {
  const { receiver } = openReceiver()
  const bodies = Array.from({ length: 60 }, () => new PassThrough())
  const results = bodies.map(body => errorOf(receiver.receive(body, LIMIT)))
  let most = 0
  for (let written = 0; written < 15; written++) {
    await Promise.all(bodies.map(body => writeMiB(body, 1)))
    most = Math.max(most, receiver.bytes)
  }
  t.ok(most > MAX_RECEIVING_BYTES / 2, 'most of the room is used')
  t.ok(most <= MAX_RECEIVING_BYTES, `${most} bytes`)

  const stalled = receiver.count
  t.ok(stalled > 0)
  for (const body of bodies) body.end()
  const refused = (await Promise.all(results)).filter(result => result instanceof Error)
  t.equal(refused.length, 60 - stalled)
  t.match(refused[0], {
    statusCode: 429,
    message: 'Too many uploads are in progress. Try again in 30 seconds.',
    details: { type: 'requests', code: 'rate_limit_exceeded', headers: { 'retry-after': '30' } }
  })
  t.equal(receiver.bytes, 0)
})

t.test('the number of bodies that arrive at the same time is bounded', async t => {
  const { receiver, moveTo } = openReceiver()
  const open = () => receiver.receive(new PassThrough(), LIMIT)
  const first = open()
  moveTo(100)
  for (let count = 1; count < MAX_RECEIVING_BODIES; count++) open().catch(() => {})
  t.match(await errorOf(open()), { statusCode: 429, details: { headers: { 'retry-after': '30' } } })
  moveTo(MAX_RECEIVING_MS - 1)
  t.match(await errorOf(open()), {
    statusCode: 429,
    message: 'Too many uploads are in progress. Try again in 1 second.',
    details: { headers: { 'retry-after': '1' } }
  })

  moveTo(MAX_RECEIVING_MS)
  open().catch(() => {})
  t.match(await errorOf(first), {
    statusCode: 408,
    message: 'The request body took too long to arrive, and other requests were waiting.'
  })
  t.equal(receiver.count, MAX_RECEIVING_BODIES)
  t.match(await errorOf(open()), { statusCode: 429 }, 'the second one still has time')
})

t.test('a body that needs more room than there is takes that of slow ones', async t => {
  const { receiver, moveTo } = openReceiver()
  const slow = Array.from({ length: 4 }, () => new PassThrough())
  const results = slow.map(body => errorOf(receiver.receive(body, 2 * LIMIT)))
  await Promise.all(slow.map(body => writeMiB(body, 16)))
  t.equal(receiver.bytes, MAX_RECEIVING_BYTES)

  moveTo(MAX_RECEIVING_MS)
  const body = new PassThrough()
  const received = receiver.receive(body, LIMIT)
  await writeMiB(body, 16)
  body.end()
  t.equal((await received).length, 16 * MIB)
  t.match(await results[0], { statusCode: 408 })
  t.equal(receiver.count, 3)

  // A slow one may need room itself: the oldest is dropped, even if that is the one that needs it.
  const last = new PassThrough()
  const refused = receiver.receive(last, LIMIT)
  await writeMiB(last, 16)
  slow[1]?.write(Buffer.alloc(1))
  t.match(await results[1], { statusCode: 408 })
  for (const body of [...slow, last]) body.end()
  t.equal((await refused).length, 16 * MIB)
  t.equal(receiver.bytes, 0)
})

t.test('a body that is aborted is released', async t => {
  const { receiver } = openReceiver()
  const body = new PassThrough()
  const received = receiver.receive(body, LIMIT)
  await writeMiB(body, 2)
  t.equal(receiver.bytes, 2 * MIB)
  body.destroy()
  t.match(await errorOf(received), {
    statusCode: 400,
    message: 'The request was aborted before its body was complete.'
  })
  t.equal(receiver.bytes, 0)
  t.equal(receiver.count, 0)
})

t.test('a body beyond its limit is refused, and an error of it later is ignored', async t => {
  const { receiver } = openReceiver()
  const body = new PassThrough()
  const received = receiver.receive(body, MIB)
  writeMiB(body, 2)
  t.match(await errorOf(received), { statusCode: 413, message: 'Request body is too large' })
  t.equal(receiver.bytes, 0)
  body.destroy(new Error('reset'))
  await setImmediate()
  t.ok(body.destroyed)
})

t.test('a body that is discarded has a limit too', async t => {
  const body = new PassThrough()
  const discarded = discardBody(body, MIB)
  body.end(Buffer.alloc(MIB))
  await t.resolves(discarded)

  const large = new PassThrough()
  const refused = discardBody(large, MIB)
  writeMiB(large, 2)
  t.match(await errorOf(refused), { statusCode: 413 })
})

/** Sends the head of a request and some of its body, over a real socket; returns the response if there is one. */
function openUpload (t: Test, url: string, contentType: string, bytes: number) {
  const headers = { 'content-type': contentType, 'content-length': MAX_FILE_BYTES }
  const upload = request(`${url}/files`, { method: 'POST', headers })
  t.teardown(() => upload.destroy())
  upload.on('error', () => {})
  upload.write(Buffer.alloc(bytes))
  return once(upload, 'response').then(async ([response]) => {
    response.setEncoding('utf8')
    const chunks: string[] = await response.toArray()
    return { status: response.statusCode, headers: response.headers, body: JSON.parse(chunks.join('')) }
  })
}

t.test('stalled uploads over real sockets are refused, and give way once their time is up', async t => {
  const clock = createClock()
  const { app, upload } = await openApp(t, { clock })
  const url = await app.listen({ port: 0 }) + PREFIX
  const uploads = Array.from({ length: 60 }, () => openUpload(t, url, 'multipart/form-data; boundary=x', 2 * MIB))
  const responses: Array<Awaited<(typeof uploads)[number]>> = []
  for (const response of uploads) response.then(value => responses.push(value), () => {})
  while (responses.length < 60 - MAX_RECEIVING_BYTES / (2 * MIB)) await setImmediate()
  t.ok(responses.every(({ status, headers }) => status === 429 && headers['retry-after'] === '30'))

  await clock.advance(MAX_RECEIVING_MS)
  // Together these need more room than what the stalled ones left over.
  for (let count = 0; count < 3; count++) t.match(await upload('x'.repeat(15 * MIB)), /^file-/)
  t.equal(clock.now(), START * 1000 + MAX_RECEIVING_MS)
})

t.test('a body that is not a form is refused before it arrives', async t => {
  const { app } = await openApp(t)
  const url = await app.listen({ port: 0 }) + PREFIX
  const { status, body } = await openUpload(t, url, 'application/x-www-form-urlencoded', 1)
  t.equal(status, 400)
  t.match(body, { error: { message: 'The body of the request is not multipart/form-data.' } })
})

t.test('an upload may arrive byte by byte', async t => {
  const { app, call } = await openApp(t)
  const { headers, payload } = await form({ purpose: 'batch', file: new File([line('a')], 'a.jsonl') })
  const bytes = Readable.from([...payload].map(byte => Buffer.of(byte)), { objectMode: false })
  const response = await app.inject({ method: 'POST', url: `${PREFIX}/files`, headers, payload: bytes })
  t.equal(response.statusCode, 200)
  t.equal((await call('GET', `/files/${response.json().id}/content`)).text, line('a'))
})
