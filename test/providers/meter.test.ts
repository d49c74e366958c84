import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import t from 'tap'
import {
  MAX_RESPONSE_CHUNKS, MAX_RESPONSE_HEADER_BYTES, MAX_RESPONSE_WIRE_BYTES
} from '../../lib/limits.js'
import { createMeter } from '../../lib/providers/meter.js'
import type { ResponseReader } from '../../lib/providers/response-reader.js'

/** A meter on a stream in the place of a socket. */
function attach () {
  const meter = createMeter()
  const stream = new Readable({ read () {}, highWaterMark: 2 * MAX_RESPONSE_WIRE_BYTES })
  const socket = stream as unknown as Socket
  const errors: string[] = []
  const abort = (error: Error) => { errors.push(String((error.cause as Error).message)) }
  const reader = { abort } as Partial<ResponseReader> as ResponseReader
  meter.attach(socket)
  return { meter, stream, socket, reader, errors }
}

t.test('what comes is passed on in slices, without loss', async t => {
  const { meter, stream, socket, reader, errors } = attach()
  meter.start(reader)
  const block = Buffer.from(Array.from({ length: 10_000 }, (_, n) => n % 251))
  stream.push(block)
  const slices: Buffer[] = []
  for (let slice = socket.read(); slice !== null; slice = socket.read()) slices.push(slice)
  t.strictSame(slices.map(({ length }) => length), [4096, 4096, 1808])
  t.strictSame(Buffer.concat(slices), block)
  t.equal(socket.read(), null)
  t.strictSame(errors, [])
})

t.test('nothing is passed on once a limit is exceeded', async t => {
  const limits = [
    {
      progress: false,
      size: 4096,
      count: MAX_RESPONSE_HEADER_BYTES / 4096,
      error: `more than ${MAX_RESPONSE_HEADER_BYTES} bytes of headers.`
    },
    {
      progress: true,
      size: 4096,
      count: MAX_RESPONSE_WIRE_BYTES / 4096,
      error: `more than ${MAX_RESPONSE_WIRE_BYTES} bytes.`
    },
    { progress: true, size: 1, count: MAX_RESPONSE_CHUNKS, error: `more than ${MAX_RESPONSE_CHUNKS} pieces.` }
  ]
  for (const { progress, size, count, error } of limits) {
    const { meter, stream, socket, reader, errors } = attach()
    // A limit is one of each response.
    for (let response = 0; response < 2; response++) {
      meter.start(reader)
      for (let n = 0; n < count; n++) {
        stream.push(Buffer.alloc(size))
        if (socket.read().length !== size) t.fail('a slice is lost')
        if (progress) meter.progressed()
      }
      t.strictSame(errors, [])
    }
    stream.push(Buffer.alloc(size))
    t.equal(socket.read(), null)
    t.strictSame(errors, [`The response has ${error}`])
  }
})

t.test('what belongs to no response destroys the socket', async t => {
  for (const used of [false, true]) {
    const { meter, stream, socket, reader } = attach()
    if (used) {
      meter.start(reader)
      stream.push('response')
      t.equal(String(socket.read()), 'response')
      meter.stop()
    }
    t.equal(socket.read(), null)
    t.notOk(socket.destroyed)
    stream.push('\r\n')
    t.equal(socket.read(), null)
    t.ok(socket.destroyed)
  }
})
