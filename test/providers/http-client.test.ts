import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer, Socket, type AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Agent, Client, MockAgent } from 'undici'
import { BatchCancelError } from '../../lib/errors.js'
import {
  MAX_CONNECTIONS_PER_ORIGIN, MAX_INFORMATIONAL_RESPONSES, MAX_ORIGINS, MAX_QUEUED_REQUESTS_PER_ORIGIN,
  MAX_RESPONSE_BYTES, MAX_RESPONSE_CHUNKS, MAX_RESPONSE_HEADERS, MAX_RESPONSE_WIRE_BYTES
} from '../../lib/limits.js'
import {
  createUpstream, type OnCallEnd, type UpstreamOptions, type UpstreamResponse
} from '../../lib/providers/http-client.js'
import {
  closes, drips, floods, resets, stalls, startRawUpstream, writes, writesByteByByte, type Reply
} from '../support/raw-upstream.js'

const REQUEST = { method: 'POST', path: '/v1/batches/batch_1/cancel', headers: { accept: 'application/json' } } as const

const NEVER: OnCallEnd = () => () => {}

/** A call that a test ends. */
function callToEnd () {
  const listeners = new Set<() => void>()
  const onEnd: OnCallEnd = listener => {
    listeners.add(listener)
    return () => { listeners.delete(listener) }
  }
  return { onEnd, listeners, end () { for (const listener of listeners) listener() } }
}

function client (t: Test, options?: UpstreamOptions) {
  const upstream = createUpstream(options)
  t.teardown(() => upstream.close())
  const send = (origin: string, onEnd = NEVER) => upstream(origin, REQUEST, 'openai', onEnd)
  return Object.assign(send, { upstream })
}

const OK = 'HTTP/1.1 200 OK'
const head = (start: string, ...headers: string[]) => [start, ...headers, '', ''].join('\r\n')
const whole = (body: string | Buffer, ...headers: string[]) =>
  Buffer.concat([Buffer.from(head(OK, `content-length: ${Buffer.byteLength(body)}`, ...headers)), Buffer.from(body)])
const CHUNKED = head(OK, 'transfer-encoding: chunked')
const chunks = (...parts: string[]) => parts.map(part => `${part.length.toString(16)}\r\n${part}\r\n`).join('')
const PLAIN = writes(whole('{}'))

/** The sockets of undici in this process, in order. */
const sockets: Socket[] = []
subscribe('undici:client:connected', message => { sockets.push((message as { socket: Socket }).socket) })

/** The most that Node reads from a socket at once. */
const ONE_READ_BYTES = 64 * 1024

t.test('a response comes with its status, headers and text', async t => {
  const { url } = await startRawUpstream(t, { cancel: [writes(whole('{"a":"ä"}', 'x-request-id: req_1'))], read: [] })
  t.match(await client(t)(url), { status: 200, headers: { 'x-request-id': 'req_1' }, text: '{"a":"ä"}' })
})

t.test('the text of a body does not depend on how it is cut into chunks', async t => {
  const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 })
  const split = fc.tuple(fc.string({ unit: 'binary', maxLength: 300 }), lengths)
  let reply: Reply = PLAIN
  const current: Reply = { send: (socket, request) => reply.send(socket, request) }
  const { url } = await startRawUpstream(t, { cancel: [current], read: [] })
  const send = client(t)
  await fc.assert(fc.asyncProperty(split, async ([text, lengths]) => {
    const bytes = Buffer.from(text)
    const parts: string[] = []
    for (let start = 0, n = 0; start < bytes.length; n++) {
      const end = start + (lengths[n % lengths.length] as number)
      parts.push(bytes.subarray(start, end).toString('latin1'))
      start = end
    }
    reply = writes(CHUNKED, chunks(...parts), '0\r\n\r\n')
    const expected = bytes.toString().replace(/^\ufeff/, '')
    t.equal((await send(url)).text, expected)
  }), { numRuns: 200 })
})

t.test('what is within the limits is a response', async t => {
  const atLimit: ReadonlyArray<readonly [what: string, reply: Reply, length: number]> = [
    ['the largest body', writes(whole(' '.repeat(MAX_RESPONSE_BYTES))), MAX_RESPONSE_BYTES],
    ['the most chunks', writes(CHUNKED, chunks(...' '.repeat(MAX_RESPONSE_CHUNKS)), '0\r\n\r\n'), MAX_RESPONSE_CHUNKS],
    [
      'the largest body in chunks',
      writes(CHUNKED, chunks(' '.repeat(1024)).repeat(MAX_RESPONSE_BYTES / 1024), '0\r\n\r\n'),
      MAX_RESPONSE_BYTES
    ],
    [
      'the most informational responses',
      writes(head('HTTP/1.1 103 Early Hints', 'x: 1').repeat(MAX_INFORMATIONAL_RESPONSES), whole('{}')),
      2
    ],
    [
      'the most headers',
      writes(whole('{}', ...Array.from({ length: MAX_RESPONSE_HEADERS - 1 }, (_, n) => `x-${n}: 1`))),
      2
    ],
    ['trailers', writes(CHUNKED, chunks('{}'), '0\r\nx-a: 1\r\nx-b: 2\r\n\r\n'), 2],
    ['one byte at a time', writesByteByByte(whole('{}')), 2]
  ]
  const send = client(t)
  for (const [what, reply, length] of atLimit) {
    const { url } = await startRawUpstream(t, { cancel: [reply], read: [] })
    t.equal((await send(url)).text.length, length, what)
  }
})

const TOO_MUCH: Readonly<Record<string, Reply>> = {
  'a body of one byte too many, with its length': writes(whole(' '.repeat(MAX_RESPONSE_BYTES + 1))),
  'a body of one byte too many, in chunks': writes(CHUNKED, chunks(' '.repeat(MAX_RESPONSE_BYTES), ' ')),
  'one chunk too many': writes(CHUNKED, chunks(...' '.repeat(MAX_RESPONSE_CHUNKS + 1)), '0\r\n\r\n'),
  'one informational response too many':
    writes(head('HTTP/1.1 102 Processing').repeat(MAX_INFORMATIONAL_RESPONSES + 1), whole('{}')),
  'one header too many': writes(whole('{}', ...Array.from({ length: MAX_RESPONSE_HEADERS }, (_, n) => `x-${n}: 1`))),
  'headers of 20 kB': writes(whole('{}', `x-long: ${'a'.repeat(20_000)}`)),
  'an encoding': writes(whole('{}', 'content-encoding: gzip')),
  'something that is not HTTP': writes('SSH-2.0-OpenSSH_9.6\r\n'),

  'endless body with a length': floods(' ', head(OK, 'content-length: 10000000000')),
  'endless body without a length': floods(' ', head(OK)),
  'endless chunk': floods(' ', CHUNKED, 'fffffffff\r\n'),
  'endless chunks of one byte': floods('1\r\n \r\n', CHUNKED),
  'endless chunk extensions': floods(';a=b', CHUNKED, '1'),
  'endless chunks with long extensions': floods(`1;${'a'.repeat(10_000)}\r\n \r\n`, CHUNKED),
  'endless trailers': floods('a:b\r\n', CHUNKED, chunks('{}'), '0\r\n'),
  'endless trailers without a value': floods('a:\r\n', CHUNKED, chunks('{}'), '0\r\n'),
  'an endless trailer': floods('a', CHUNKED, chunks('{}'), '0\r\na:'),
  'an endless trailer of spaces': floods(' ', CHUNKED, chunks('{}'), '0\r\na:'),
  'endless headers': floods('a:b\r\n', OK, '\r\n'),
  'endless headers without a value': floods('a:\r\n', OK, '\r\n'),
  'an endless header': floods('a', OK, '\r\na:'),
  'an endless header of spaces': floods(' ', OK, '\r\na:'),
  'an endless name of a header': floods('a', OK, '\r\n'),
  'an endless status text': floods('a', 'HTTP/1.1 200 '),
  'endless empty lines': floods('\r\n'),
  'endless early hints': floods(head('HTTP/1.1 103 Early Hints', 'link: </a.css>; rel=preload')),
  'endless 102 Processing': floods(head('HTTP/1.1 102 Processing')),
  'an endless header of an early hint': floods('a', head('HTTP/1.1 103 Early Hints'), 'HTTP/1.1 103 Early Hints\r\na:'),

  'early hints, a little at a time': drips(head('HTTP/1.1 103 Early Hints')),
  'chunks of one byte, a little at a time': drips('1\r\n \r\n', CHUNKED),
  'a body, a byte at a time': drips(' ', head(OK)),
  'a chunk extension, a byte at a time': drips('a', CHUNKED, '1;'),
  'trailers, a little at a time': drips('a:b\r\n', CHUNKED, chunks('{}'), '0\r\n'),
  'empty lines, one at a time': drips('\r\n')
}

for (const [what, reply] of Object.entries(TOO_MUCH)) {
  t.test(`a response that exceeds a limit ends at once: ${what}`, async t => {
    const upstream = await startRawUpstream(t, { cancel: [reply], read: [] })
    sockets.length = 0
    const { onEnd, listeners } = callToEnd()
    const error = { code: 'upstream_invalid_response', outcome: 'unknown', repeatable: false }
    await t.rejects(client(t)(upstream.url, onEnd), error)
    t.equal(listeners.size, 0, 'the call is no longer listened to')
    t.equal(await upstream.held(), 0, 'the connection is closed')
    const [{ bytesRead }] = sockets as [Socket]
    t.ok(bytesRead <= MAX_RESPONSE_WIRE_BYTES + ONE_READ_BYTES, `${bytesRead} bytes are read`)
  })
}

/** Serves the same script on a thread of its own, so that its work does not count here. */
async function startOnThread (t: Test, reply: string): Promise<string> {
  const worker = new Worker(`
    const { createServer } = require('node:net')
    const { parentPort } = require('node:worker_threads')
    const reply = ${reply}
    const server = createServer({ noDelay: true }, socket => {
      socket.on('error', () => {})
      socket.on('data', () => { reply(socket) })
    })
    server.listen(0, '127.0.0.1', () => { parentPort.postMessage(server.address().port) })
  `, { eval: true })
  t.teardown(() => worker.terminate())
  const [port] = await once(worker, 'message') as [number]
  return `http://127.0.0.1:${port}`
}

/** What may be read of floods of many small parts, which end at the limit of their headers or of their pieces. */
const MAX_BYTES_OF_FLOOD = 2 * ONE_READ_BYTES

const floodOnThread = (start: string, repeated: string) => `socket => {
  socket.write(${JSON.stringify(start)})
  const block = ${JSON.stringify(repeated)}.repeat(${Math.ceil(ONE_READ_BYTES / repeated.length)})
  const write = () => { while (!socket.destroyed && socket.write(block)); }
  socket.on('drain', write)
  write()
}`

t.test('floods are given up after a bounded number of bytes while other calls are answered', async t => {
  const calm = await startOnThread(t, `socket => { socket.write(${JSON.stringify(whole('{}').toString())}) }`)
  const flooding = await Promise.all([
    floodOnThread(CHUNKED, '1\r\n \r\n'),
    floodOnThread(CHUNKED + chunks('{}') + '0\r\n', 'a:\r\n'),
    floodOnThread('', head('HTTP/1.1 103 Early Hints')),
    floodOnThread('', '\r\n')
  ].map(reply => startOnThread(t, reply)))
  const send = client(t)
  await send(calm)
  sockets.length = 0
  const floods = flooding.map(url => send(url).catch(error => error as BatchCancelError))
  for (let n = 0; n < 100; n++) t.equal((await send(calm)).status, 200)
  t.match(await Promise.all(floods), flooding.map(() => ({ code: 'upstream_invalid_response' })))
  t.equal(sockets.length, flooding.length)
  for (const { bytesRead } of sockets) {
    // A read of each flood may be under way when its limit is reached.
    t.ok(bytesRead <= MAX_BYTES_OF_FLOOD, `${bytesRead} bytes`)
  }
})

t.test('an upstream that writes one byte a chunk takes no more memory than its body', async t => {
  const { url } = await startRawUpstream(t, {
    cancel: [{ send: socket => { socket.write(CHUNKED + chunks(...' '.repeat(MAX_RESPONSE_CHUNKS))) } }],
    read: []
  })
  const received = new Promise<void>(resolve => {
    let count = 0
    subscribe('undici:request:bodyChunkReceived', () => { if (++count === MAX_RESPONSE_CHUNKS) resolve() })
  })
  const { onEnd, end } = callToEnd()
  const before = process.memoryUsage()
  const response = client(t)(url, onEnd)
  await received
  const after = process.memoryUsage()
  // Each Buffer takes 100 bytes and more, besides the block of which it is a part.
  t.ok(after.heapUsed - before.heapUsed < MAX_RESPONSE_CHUNKS * 1000, 'no chunk is kept as a buffer')
  end()
  await t.rejects(response, { name: 'AbortError' })
})

/* The end of a call. */

const UNFINISHED: Readonly<Record<string, Reply>> = {
  'before the response': stalls(),
  'in the headers': stalls(OK, '\r\nx-a: 1'),
  'in the body': stalls(head(OK, 'content-length: 100'), '{'),
  'in the trailers': stalls(CHUNKED, '0\r\nx-a: 1')
}

for (const [where, reply] of Object.entries(UNFINISHED)) {
  t.test(`the end of the call closes the connection at once: ${where}`, async t => {
    let arrived = () => {}
    const arrival = new Promise<void>(resolve => { arrived = resolve })
    const upstream = await startRawUpstream(t, {
      cancel: [{ ...reply, send (socket, request) { reply.send(socket, request); arrived() } }],
      read: []
    })
    const { onEnd, end, listeners } = callToEnd()
    const response = client(t)(upstream.url, onEnd)
    await arrival
    end()
    await t.rejects(response, { name: 'AbortError' })
    t.equal(await upstream.held(), 0)
    t.equal(listeners.size, 0)
  })
}

t.test('nothing is sent for a call that ended before', async t => {
  const upstream = await startRawUpstream(t, { cancel: [PLAIN], read: [] })
  const ended: OnCallEnd = listener => {
    listener()
    return () => {}
  }
  await t.rejects(client(t)(upstream.url, ended), { name: 'AbortError' })
  t.equal(upstream.sockets.length, 0)
})

t.test('the end of the call closes a socket that is being connected', async t => {
  const undici = await import('undici')
  const opened: Socket[] = []
  // A socket that is never connected.
  const buildConnector = () => () => {
    const socket = new Socket()
    opened.push(socket.on('error', () => {}))
    return socket
  }
  const send = client(t, { load: async () => ({ ...undici, buildConnector } as unknown as typeof undici) })
  const { onEnd, end } = callToEnd()
  const response = send('http://127.0.0.1:1', onEnd)
  await until(() => opened.length === 1)
  end()
  await t.rejects(response, { name: 'AbortError' })
  t.ok(opened[0]?.destroyed)
})

t.test('nothing is sent on a reused connection for a call that ends in the same turn', async t => {
  const upstream = await startRawUpstream(t, { cancel: [PLAIN], read: [] })
  const send = client(t)
  await send(upstream.url)
  const { onEnd, end } = callToEnd()
  const response = send(upstream.url, onEnd)
  end()
  await t.rejects(response, { name: 'AbortError' })
  await send(upstream.url)
  t.equal(upstream.seen.cancel, 2)
})

/* Load. */

/** A server that accepts connections and never responds, until a test lets it. */
async function startStalled (t: Test) {
  const open = new Set<Socket>()
  const server = createServer(socket => {
    open.add(socket.on('error', () => {}).resume())
    socket.on('close', () => { open.delete(socket) })
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 2000 })
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, open }
}

async function until (condition: () => boolean): Promise<void> {
  while (!condition()) await turn()
}

const BUSY = {
  code: 'upstream_busy',
  statusCode: 503,
  message: 'Too many calls to \'openai\' are in progress. Nothing was sent; try again later.',
  outcome: 'final',
  headers: { 'retry-after': '1' }
}

t.test('10,000 requests to a stalled upstream: few connections, and other upstreams respond', async t => {
  const stalled = await startStalled(t)
  const calm = await startRawUpstream(t, { cancel: [PLAIN], read: [] })
  const send = client(t)
  await send.upstream.warm()
  const { onEnd, end, listeners } = callToEnd()
  const requests = Array.from({ length: 10_000 }, () =>
    send(stalled.url, onEnd).then(() => 'response', error => error as Error))
  t.equal(listeners.size, MAX_CONNECTIONS_PER_ORIGIN + MAX_QUEUED_REQUESTS_PER_ORIGIN, 'the others are refused at once')

  await until(() => stalled.open.size >= MAX_CONNECTIONS_PER_ORIGIN)
  t.equal((await send(calm.url)).status, 200)
  for (let turns = 0; turns < 100; turns++) await turn()
  t.equal(stalled.open.size, MAX_CONNECTIONS_PER_ORIGIN)

  end()
  const results = await Promise.all(requests)
  const refused = results.filter(result => result instanceof BatchCancelError)
  t.equal(refused.length, 10_000 - MAX_CONNECTIONS_PER_ORIGIN - MAX_QUEUED_REQUESTS_PER_ORIGIN)
  t.match(refused[0], BUSY)
  await until(() => stalled.open.size === 0)
})

t.test('limits are those of one response', async t => {
  const upstream = await startRawUpstream(t, { cancel: [writes(whole(' '.repeat(MAX_RESPONSE_BYTES / 2)))], read: [] })
  const send = client(t)
  for (let n = 0; n < 5; n++) t.equal((await send(upstream.url)).text.length, MAX_RESPONSE_BYTES / 2)
  t.equal(upstream.sockets.length, 1)
})

t.test('queued requests are sent in order, except those whose call ended', async t => {
  const paths: string[] = []
  const held: Socket[] = []
  const upstream = await startRawUpstream(t, {
    cancel: [{
      send (socket, request) {
        paths.push(request.split(' ')[1] as string)
        held.push(socket)
      }
    }],
    read: []
  })
  const { upstream: send } = client(t)
  const request = (n: number, onEnd = NEVER) => send(upstream.url, { ...REQUEST, path: `/${n}` }, 'openai', onEnd)
  const { onEnd, end } = callToEnd()

  const first = Array.from({ length: MAX_CONNECTIONS_PER_ORIGIN }, (_, n) => request(n))
  await until(() => held.length === MAX_CONNECTIONS_PER_ORIGIN)
  const queued = [request(1000), request(1001, onEnd), request(1002)] as const
  end()
  await t.rejects(queued[1], { name: 'AbortError' })
  for (const socket of held.splice(0)) PLAIN.send(socket, '')
  await Promise.all(first)
  await until(() => held.length === 2)
  for (const socket of held) PLAIN.send(socket, '')
  t.match(await Promise.all([queued[0], queued[2]]), [{ status: 200 }, { status: 200 }])
  t.strictSame(paths.slice(MAX_CONNECTIONS_PER_ORIGIN), ['/1000', '/1002'])
  t.equal(upstream.sockets.length, MAX_CONNECTIONS_PER_ORIGIN, 'connections are reused')
})

t.test('a connection that fails makes room for a queued request', async t => {
  const upstream = await startRawUpstream(t, {
    cancel: [...Array.from({ length: MAX_CONNECTIONS_PER_ORIGIN }, () => resets()), PLAIN],
    read: []
  })
  const send = client(t)
  const requests = Array.from({ length: MAX_CONNECTIONS_PER_ORIGIN + 10 }, () => send(upstream.url))
  const results = await Promise.allSettled(requests)
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 10)
})

t.test('the number of origins is bounded: idle ones make room, busy ones do not', async t => {
  const servers = await Promise.all(Array.from({ length: MAX_ORIGINS + 1 }, () =>
    startRawUpstream(t, { cancel: [PLAIN, stalls()], read: [] })))
  const [first, ...others] = servers as [typeof servers[0], ...typeof servers]
  const send = client(t)
  for (const { url } of servers) await send(url)
  await until(() => first.sockets[0]?.destroyed === true)
  t.notOk(others.some(({ sockets }) => sockets[0]?.destroyed), 'only as many are closed as is necessary')

  const { onEnd, end } = callToEnd()
  const busy = others.map(({ url }) => send(url, onEnd))
  await until(() => others.every(({ seen }) => seen.cancel === 2))
  await t.rejects(send(first.url), BUSY)
  end()
  await Promise.allSettled(busy)
  await until(() => others.every(({ sockets }) => sockets[0]?.destroyed))
  const { url } = await startRawUpstream(t, { cancel: [PLAIN], read: [] })
  t.match(await send(url), { status: 200 }, 'there is room again')
})

/* Connections that must not be reused. */

const DIRTY: Readonly<Record<string, { with: Reply, then?: Reply }>> = {
  'another response in the same packet': { with: writes(whole('{}'), whole('{"evil":1}')) },
  'half of another response in the same packet': { with: writes(whole('{}'), whole('{"evil":1}').subarray(0, 20)) },
  'another response later': { with: PLAIN, then: writes(whole('{"evil":1}')) },
  'a byte later': { with: PLAIN, then: writes('H') },
  'an empty line later': { with: PLAIN, then: writes('\r\n') },
  'a space later': { with: PLAIN, then: writes(' ') },
  'a farewell later': {
    with: PLAIN,
    then: closes(head('HTTP/1.1 408 Request Timeout', 'connection: close', 'content-length: 0'))
  }
}

for (const [what, { with: reply, then }] of Object.entries(DIRTY)) {
  t.test(`a connection on which something unexpected arrived is closed: ${what}`, async t => {
    const upstream = await startRawUpstream(t, { cancel: [reply, PLAIN], read: [] })
    const send = client(t)
    await send(upstream.url)
    const [socket] = upstream.sockets as [Socket]
    then?.send(socket, '')
    await until(() => socket.destroyed)
    t.equal((await send(upstream.url)).text, '{}')
    t.equal(upstream.sockets.length, 2)
  })

  t.test(`and is not used for a request that comes at the same time: ${what}`, async t => {
    const upstream = await startRawUpstream(t, { cancel: [reply, PLAIN], read: [] })
    const send = client(t)
    await send(upstream.url)
    then?.send(upstream.sockets[0] as Socket, '')
    t.equal((await send(upstream.url)).text, '{}')
    t.equal(upstream.sockets.length, 2)
  })
}

t.test('a malformed response may be repeated if the connection was used before', async t => {
  const garbage = writes('garbage\r\n\r\n')
  const upstream = await startRawUpstream(t, { cancel: [PLAIN, garbage], read: [] })
  const send = client(t)
  await send(upstream.url)
  const error = await send(upstream.url).catch((error: unknown) => error)
  t.match(error, { name: 'HTTPParserError', code: undefined })
  t.notOk(Object.hasOwn(error as object, 'data'), 'the error has none of the bytes')
  await t.rejects(send(upstream.url), { code: 'upstream_invalid_response', repeatable: false }, 'a new connection')
})

t.test('a response that breaks off is not malformed', async t => {
  const broken = closes(head(OK, 'connection: close', 'transfer-encoding: chunked'), '5\r\n{')
  const upstream = await startRawUpstream(t, { cancel: [broken], read: [] })
  await t.rejects(client(t)(upstream.url), { name: 'HTTPParserError' })
})

/* Closing. */

t.test('closing closes idle connections at once, lets requests end, and the client can be used again', async t => {
  sockets.length = 0
  let respond = () => {}
  const slow: Reply = { send (socket) { respond = () => { PLAIN.send(socket, '') } } }
  const upstream = await startRawUpstream(t, { cancel: [PLAIN, slow, PLAIN], read: [] })
  const idle = await startRawUpstream(t, { cancel: [PLAIN], read: [] })
  const send = client(t)
  await Promise.all([send(upstream.url), send(idle.url)])
  const response = send(upstream.url)
  await until(() => upstream.seen.cancel === 2)

  const closing = send.upstream.close()
  await until(() => idle.sockets[0]?.destroyed === true)
  t.notOk(upstream.sockets[0]?.destroyed)
  t.match(await send(idle.url), { status: 200 }, 'a new connection')
  respond()
  t.match(await response, { status: 200 })
  await closing
  t.equal(sockets.filter(({ closed }) => !closed).length, 1, 'only the new connection is open')
  t.strictSame(await send.upstream.close(), undefined)
  t.ok(sockets.every(({ closed }) => closed))
  t.strictSame(await send.upstream.close(), undefined, 'closing twice')
})

t.test('a client that is closed sends what is queued', async t => {
  const held: Socket[] = []
  const upstream = await startRawUpstream(t, { cancel: [{ send: socket => { held.push(socket) } }], read: [] })
  const send = client(t)
  const requests = Array.from({ length: MAX_CONNECTIONS_PER_ORIGIN + 5 }, () => send(upstream.url))
  await until(() => held.length === MAX_CONNECTIONS_PER_ORIGIN)
  const closing = send.upstream.close()
  for (const socket of held.splice(0)) PLAIN.send(socket, '')
  await until(() => held.length === 5)
  for (const socket of held) PLAIN.send(socket, '')
  t.equal((await Promise.all(requests)).length, MAX_CONNECTIONS_PER_ORIGIN + 5)
  await closing
})

/* Other dispatchers, and undici itself. */

t.test('a given dispatcher sends the requests and is not closed', async t => {
  const upstream = await startRawUpstream(t, { cancel: [PLAIN], read: [] })
  const agent = new Agent()
  t.teardown(() => agent.destroy())
  const send = client(t, { dispatcher: agent, load: () => { throw new Error('undici is not needed') } })
  t.match(await send(upstream.url), { status: 200, text: '{}' })
  await send.upstream.warm()
  await send.upstream.close()
  t.notOk(agent.closed)
  await turn()
  t.match(await send(upstream.url), { status: 200 })
  t.equal(upstream.sockets.length, 1, 'the dispatcher keeps its connections')
})

t.test('limits hold with a given dispatcher', async t => {
  const agent = new Agent()
  t.teardown(() => agent.destroy())
  const send = client(t, { dispatcher: agent })
  for (const what of [
    'endless body without a length', 'endless chunks of one byte', 'endless headers', 'endless early hints',
    'one header too many', 'an encoding'
  ]) {
    const upstream = await startRawUpstream(t, { cancel: [TOO_MUCH[what] as Reply], read: [] })
    await t.rejects(send(upstream.url), { code: 'upstream_invalid_response', repeatable: false }, what)
    t.equal(await upstream.held(), 0, what)
  }

  const stalled = await startStalled(t)
  const { onEnd, end, listeners } = callToEnd()
  const requests = Array.from({ length: 2000 }, () => send(stalled.url, onEnd))
  const settled = Promise.allSettled(requests)
  t.equal(listeners.size, MAX_CONNECTIONS_PER_ORIGIN + MAX_QUEUED_REQUESTS_PER_ORIGIN)
  await until(() => stalled.open.size === MAX_CONNECTIONS_PER_ORIGIN)
  end()
  await settled
  await until(() => stalled.open.size === 0)
})

t.test('a dispatcher that begins after the call ended sends nothing', async t => {
  const upstream = await startRawUpstream(t, { cancel: [PLAIN], read: [] })
  const agent = new Agent()
  t.teardown(() => agent.destroy())
  const { onEnd, end } = callToEnd()
  const response = client(t, { dispatcher: agent })(upstream.url, onEnd)
  end()
  await t.rejects(response, { name: 'AbortError' })
  await until(() => upstream.sockets.length === 1)
  for (let turns = 0; turns < 20; turns++) await turn()
  t.equal(upstream.seen.cancel, 0)
})

t.test('a MockAgent responds', async t => {
  const agent = new MockAgent()
  t.teardown(() => agent.close())
  agent.disableNetConnect()
  agent.get('http://provider.example')
    .intercept({ method: 'POST', path: REQUEST.path })
    .reply(200, '{"a":1}', { headers: { 'x-request-id': 'r' } })
  const send = client(t, { dispatcher: agent })
  t.match(await send('http://provider.example'), { status: 200, text: '{"a":1}', headers: { 'x-request-id': 'r' } })
  await t.rejects(send('http://provider.example'), { code: 'UND_MOCK_ERR_MOCK_NOT_MATCHED' })
})

t.test('a dispatcher without dispatch is refused', async t => {
  for (const dispatcher of [null, {}, 'http://proxy']) {
    t.throws(() => createUpstream({ dispatcher } as unknown as UpstreamOptions), {
      code: 'FST_BATCH_CANCEL_INVALID_OPTION',
      message: 'forwardToProviders({ dispatcher }) must be a Dispatcher of undici, such as an Agent or a ProxyAgent.'
    })
  }
})

t.test('undici is loaded once, with the first request', async t => {
  const upstream = await startRawUpstream(t, { cancel: [PLAIN], read: [] })
  let loads = 0
  const send = client(t, { load: async () => { loads++; return await import('undici') } })
  t.equal(loads, 0)
  await send(upstream.url)
  await send(upstream.url)
  await send.upstream.warm()
  t.equal(loads, 1)
})

t.test('a runtime that replaces undici is reported', async t => {
  const shim = { ...await import('undici'), Client: class {} as unknown as typeof Client }
  const send = client(t, { load: async () => shim })
  const error = { code: 'internal_error', cause: { message: /^This runtime replaces undici/ } }
  await t.rejects(send.upstream.warm(), error)
  await t.rejects(send('http://127.0.0.1:1'), error)
})

t.test('a request that undici refuses is not a network error', async t => {
  const upstream = await startRawUpstream(t, { cancel: [PLAIN], read: [] })
  const { upstream: send } = client(t)
  const request = { ...REQUEST, headers: { 'x-a': 'b\r\nc' } }
  await t.rejects(send(upstream.url, request, 'openai', NEVER), { code: 'UND_ERR_INVALID_ARG' })
  t.match(await send(upstream.url, REQUEST, 'openai', NEVER) as UpstreamResponse, { status: 200 })
})
