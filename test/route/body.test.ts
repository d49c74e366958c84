import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { FastifyBatchCancelOptions } from '../../lib/index.js'
import { BATCH, build } from '../support/app.js'

const HEAD = 'POST /v1/batches/batch_1/cancel HTTP/1.1\r\nhost: a\r\n'

async function listen (
  t: Test,
  options: FastifyBatchCancelOptions = { defaultProvider: 'x', forward: async () => BATCH }
) {
  const app = await build(t, options)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    /** Opens a connection and sends the bytes. */
    open (bytes: string) {
      const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1')
      t.teardown(() => { socket.destroy() })
      socket.write(bytes)
      return socket
    }
  }
}

t.test('a body is read in parts and dropped, and the connection can be used again', async t => {
  const { open } = await listen(t)
  const socket = open(`${HEAD}transfer-encoding: chunked\r\ncontent-type: text/plain\r\n\r\n5\r\nhello\r\n`)
  socket.write('1f40\r\n' + 'x'.repeat(8000) + '\r\n0\r\n\r\n')
  t.match(await once(socket, 'data'), [/^HTTP\/1\.1 200 /])
  socket.write(`${HEAD}content-length: 2\r\ncontent-type: application/json\r\n\r\n{}`)
  t.match(await once(socket, 'data'), [/^HTTP\/1\.1 200 /])
})

t.test('a body over the limit is a 413, however it is sent', async t => {
  const { open } = await listen(t)
  for (const body of [
    `content-length: ${16 * 1024 + 1}\r\n\r\n${'x'.repeat(16 * 1024 + 1)}`,
    `transfer-encoding: chunked\r\n\r\n4001\r\n${'x'.repeat(16 * 1024 + 1)}\r\n`
  ]) {
    const socket = open(`${HEAD}content-type: text/plain\r\n${body}`)
    t.match(await once(socket, 'data'), [/^HTTP\/1\.1 413 [^]*FST_ERR_CTP_BODY_TOO_LARGE/], body.slice(0, 40))
  }
})

t.test('a call that cannot be made is answered before its body arrives', async t => {
  const { open } = await listen(t, { forward: async () => BATCH })
  const socket = open(`${HEAD}content-length: 16000\r\ncontent-type: application/json\r\n\r\n`)
  t.match(await once(socket, 'data'), [/^HTTP\/1\.1 400 [^]*missing_provider/])
})

t.test('a client that stops in the middle of its body cancels nothing', async t => {
  let calls = 0
  const { open } = await listen(t, { defaultProvider: 'x', forward: async () => { calls++; return BATCH } })
  const socket = open(`${HEAD}content-length: 10\r\ncontent-type: text/plain\r\n\r\nhalf`)
  await once(socket, 'connect')
  socket.destroy()
  await once(socket, 'close')
  const whole = open(`${HEAD}content-length: 0\r\n\r\n`)
  await once(whole, 'data')
  t.equal(calls, 1, 'only the second call')
})
