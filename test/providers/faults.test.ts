import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { request as httpRequest, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { CALL_CHANNEL, type CallReport } from '../../lib/diagnostics.js'
import { forwardToProviders, openai, providerFactories, type Provider } from '../../lib/index.js'
import { BATCH, batch, buildWithoutPauses, cancel as cancelled } from '../support/app.js'
import { breaches } from '../support/document.js'
import { startUpstream } from '../support/upstream.js'
import { dribbles, drips, ends, floods, resets, says, stalls, startRawUpstream, type Act, type Script } from '../support/raw-upstream.js'

/* What goes over the wire. */

const JSON_TYPE = 'content-type: application/json'
const OK = 'HTTP/1.1 200 OK'

/** The start of an answer, with nothing added. */
const head = (start: string, ...headers: string[]) => [start, ...headers, '', ''].join('\r\n')

/** An answer whose body is as long as it says. */
const whole = (body: string | Buffer, start = OK, ...headers: string[]) =>
  Buffer.concat([Buffer.from(head(start, JSON_TYPE, `content-length: ${Buffer.byteLength(body)}`, ...headers), 'latin1'), Buffer.from(body)])

const chunked = (...chunks: string[]) => chunks.map(chunk => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')

const CHUNKED = head(OK, JSON_TYPE, 'transfer-encoding: chunked')
const TEXT = JSON.stringify(BATCH)
const HALF = TEXT.slice(0, TEXT.length / 2)
const FULL_LENGTH = head(OK, JSON_TYPE, `content-length: ${TEXT.length}`)

const shows = (told: Parameters<typeof batch>[0]) => says(whole(JSON.stringify(batch(told))))
const PLAIN = says(whole(TEXT))
const LIVE = shows({ status: 'in_progress' })
const CANCELLED = shows({ status: 'cancelled' })
const COMPLETED = shows({ status: 'completed' })

const fails = (status: number, ...headers: string[]) =>
  says(whole(JSON.stringify({ error: { message: `Fault ${status}.`, type: 'fault', param: null, code: `fault_${status}` } }), `HTTP/1.1 ${status} Fault`, ...headers))

/** A batch with more in it than JSON.stringify would write the same way. */
const batchWith = (more: string) => `${TEXT.slice(0, -1)},${more}}`
const DEEP = '['.repeat(100_000) + ']'.repeat(100_000)
const deepBatch = (status: string) => batchWith(`"deep":${DEEP}`).replace('"status":"cancelling"', `"status":"${status}"`)

/** A batch that tells its status twice, and has what looks like it in a string, below and in a list. */
const oddBatch = (status: string) => `{ "note":"\\"status\\":\\\\","\\u0073tatus" : "${status}","x":["status",{"status":"in_progress"},"a"],"more":{"status":"in_progress"},"huge":1e400,"precise":12345678901234567890,${TEXT.slice(1, -1).replace('"status":"cancelling"', `"status"\n:\t"${status}"`)} }`

/* What is asked, and what is to come of it. */

interface Expected {
  readonly status: number
  /** The status of the batch after a 200, else the code of the error. */
  readonly outcome: string | null
  /** The header `x-batch-source` after a 200. */
  readonly source?: string
  /** How many cancels and reads leave. */
  readonly sent: readonly [cancels: number, reads: number]
}

interface Row extends Omit<Script, 'read'>, Expected {
  readonly what: string
  /** Nobody listens. */
  readonly refused?: true
  /** Default: the batch, which is cancelling. */
  readonly read?: readonly Act[]
  readonly headers?: Record<string, string>
  readonly timeout?: number
  /** How many of the requests reach the provider; default: all. */
  readonly seen?: readonly [cancels: number, reads: number]
  /** The text of the answer, where each byte matters. */
  readonly verbatim?: string
  /** Headers of the answer; `undefined` where one must not be there. */
  readonly answerHeaders?: Record<string, string | RegExp | undefined>
}

/** The time of a call whose provider stalls, in milliseconds: too short for a pause and another try. */
const SHORT = 250

/** A quarter of it is left for the read, enough on a busy machine, too. */
const ENOUGH = 600
const ACCEPTED: Expected = { status: 200, outcome: 'cancelling', source: 'provider', sent: [1, 0] }
const READ: Expected = { status: 200, outcome: 'cancelling', source: 'retrieved', sent: [1, 1] }
const TIMED_OUT: Expected = { status: 504, outcome: 'upstream_timeout', sent: [1, 1] }

type Lost = readonly [what: string, act: Act]

/** A trap for whoever follows redirects. */
const trap = await startRawUpstream(t, { cancel: [PLAIN], read: [PLAIN] })

/** Connections that break, and answers that are no HTTP. */
const UNREACHABLE: readonly Lost[] = [
  ['reset before a byte of the answer', resets()],
  ['closed before a byte of the answer', ends()],
  ['half a status line, then closed', ends('HTTP/1.1 2')],
  ['half a status line, then reset', resets('HTTP/1.1 2')],
  ['half the headers, then closed', ends(OK, '\r\ncontent-le')],
  ['headers, then closed', ends(FULL_LENGTH)],
  ['headers, then reset', resets(FULL_LENGTH)],
  ['half a body, then closed', ends(FULL_LENGTH, HALF)],
  ['half a body, then reset', resets(FULL_LENGTH, HALF)],
  ['half a chunk, then closed', ends(CHUNKED, `${TEXT.length.toString(16)}\r\n`, HALF)],
  ['half a chunk, then reset', resets(CHUNKED, `${TEXT.length.toString(16)}\r\n`, HALF)],
  ['no last chunk, then closed', ends(CHUNKED, chunked(TEXT))],
  ['a content-length that is too long, then closed', ends(head(OK, `content-length: ${TEXT.length + 1}`), TEXT)],
  ['content-length and transfer-encoding', ends(head(OK, `content-length: ${TEXT.length}`, 'transfer-encoding: chunked'), chunked(TEXT), '0\r\n\r\n')],
  ['two lengths', ends(head(OK, `content-length: ${TEXT.length}`, 'content-length: 2'), TEXT)],
  ['a length that is no number', ends(head(OK, 'content-length: all'), TEXT)],
  ['a length below zero', ends(head(OK, 'content-length: -1'), TEXT)],
  ['a length over 2^64', ends(head(OK, 'content-length: 99999999999999999999'), TEXT)],
  ['a chunk size that is no number', ends(CHUNKED, 'zz\r\n', TEXT, '\r\n0\r\n\r\n')],
  ['a chunk size over 2^64', ends(CHUNKED, 'fffffffffffffffff\r\n', TEXT)],
  ['a chunk longer than it says', ends(CHUNKED, '2\r\n', TEXT, '\r\n0\r\n\r\n')],
  ['garbage', ends(Buffer.from([0, 1, 2, 0xfe, 0xff, 13, 10, 13, 10]))],
  ['the greeting of SSH', ends('SSH-2.0-OpenSSH_9.6\r\n')],
  ['the alert of TLS', ends(Buffer.from([0x15, 3, 1, 0, 2, 2, 70]))],
  ['the settings of HTTP/2', ends(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))],
  ['a request', ends(head('GET / HTTP/1.1', 'host: localhost'))],
  ['no status line, as in HTTP/0.9', ends(TEXT)],
  ['http in lower case', ends(whole(TEXT, 'http/1.1 200 OK'))],
  ['a status of two digits', ends(whole(TEXT, 'HTTP/1.1 20 OK'))],
  ['a status of four digits', ends(whole(TEXT, 'HTTP/1.1 2000 OK'))],
  ['a status of letters', ends(whole(TEXT, 'HTTP/1.1 abc OK'))],
  ['a status below zero', ends(whole(TEXT, 'HTTP/1.1 -20 OK'))],
  ['a header of 20 KB', ends(whole(TEXT, OK, `x-long: ${'a'.repeat(20_000)}`))],
  ['headers of 20 KB', ends(whole(TEXT, OK, ...Array.from({ length: 200 }, (_, n) => `x-${n}: ${'a'.repeat(100)}`)))],
  ['a header without a colon', ends(whole(TEXT, OK, 'no colon'))],
  ['a header without a name', ends(whole(TEXT, OK, ': value'))],
  ['a space before the colon', ends(whole(TEXT, OK, 'x-request-id : value'))],
  ['a control byte in a header', ends(whole(TEXT, OK, 'x-request-id: a\x01b'))],
  ['a NUL in a header', ends(whole(TEXT, OK, 'retry-after: 1\0'))],
  ['a CR in a header', ends(whole(TEXT, OK, 'x-request-id: a\rset-cookie: b'))],
  ['a switch of protocols', ends(head('HTTP/1.1 101 Switching Protocols', 'connection: upgrade', 'upgrade: websocket'))],
  ['only an early hint', ends(head('HTTP/1.1 103 Early Hints'))],
  ['100-continue, for which nobody asked', ends(head('HTTP/1.1 100 Continue'), whole(TEXT))]
]

/** Answers of HTTP that are no batch. */
const INVALID: readonly Lost[] = [
  ['204', says(head('HTTP/1.1 204 No Content'))],
  ['205', says(head('HTTP/1.1 205 Reset Content', 'content-length: 0'))],
  ['200 with an empty body', says(whole(''))],
  ['200 with no chunk but the last', says(CHUNKED, '0\r\n\r\n')],
  ['200 with no body and no length', ends(head(OK))],
  ['null', says(whole('null'))],
  ['an empty object', says(whole('{}'))],
  ['a list', says(whole(`[${TEXT}]`))],
  ['a string', says(whole(JSON.stringify(TEXT)))],
  ['a page', says(whole('<html>Please log in</html>'))],
  ['another batch', shows({ id: 'batch_2' })],
  ['a batch whose id goes on', shows({ id: 'batch_10' })],
  ['a batch without a status', says(whole(JSON.stringify({ ...BATCH, status: undefined })))],
  ['a batch with a status that nobody knows', says(whole(JSON.stringify({ ...BATCH, status: 'constructor' })))],
  ['a status in __proto__', says(whole('{"__proto__":{"object":"batch","status":"cancelling"},"id":"batch_1"}'))],
  ['half a batch of the right length', says(whole(HALF))],
  ['half a batch without a length, then closed', ends(head(OK), HALF)],
  ['a content-length that is too short', says(head(OK, `content-length: ${TEXT.length - 1}`), TEXT)],
  ['two batches', says(whole(TEXT + TEXT))],
  ['UTF-16', says(whole(Buffer.from(TEXT, 'utf16le')))],
  ['brackets that are never closed', says(whole('['.repeat(100_000)))],
  ['gzip announced over plain bytes', says(whole(TEXT, OK, 'content-encoding: gzip'))],
  ['real gzip', says(whole(gzipSync(TEXT), OK, 'content-encoding: gzip'))],
  ['an encoding that nobody knows', says(whole(TEXT, OK, 'content-encoding: rot13'))],
  ['a flood with a length', floods(head(OK, JSON_TYPE, 'content-length: 10000000000'), '{')],
  ['a flood without a length', floods(head(OK, JSON_TYPE), '{')],
  ['a flood of one chunk', floods(CHUNKED, 'fffffffff\r\n{')],
  ...[301, 302, 303, 307, 308].map((status): Lost => [`a redirect with ${status}`, says(head(`HTTP/1.1 ${status} Elsewhere`, `location: ${trap.url}/v1/batches/batch_1`, 'content-length: 0'))]),
  ['300 with a batch', says(whole(TEXT, 'HTTP/1.1 300 Multiple Choices'))],
  ['304', says(head('HTTP/1.1 304 Not Modified'))],
  ['status 600', says(whole(TEXT, 'HTTP/1.1 600 What'))],
  ['status 999', says(whole(TEXT, 'HTTP/1.1 999 Request Denied'))]
]

/** Answers that do not come to an end. */
const ENDLESS: readonly Lost[] = [
  ['a stall before the headers', stalls()],
  ['a stall in the status line', stalls('HTTP/1.1 2')],
  ['a stall in the headers', stalls(OK, '\r\nx-request-id: req')],
  ['a stall after the headers', stalls(FULL_LENGTH)],
  ['a stall in the body', stalls(FULL_LENGTH, HALF)],
  ['a stall in a chunk', stalls(CHUNKED, `${TEXT.length.toString(16)}\r\n`, HALF)],
  ['a stall before the last chunk', stalls(CHUNKED, chunked(TEXT))],
  ['a stall after the whole batch, of a length that is too long', stalls(head(OK, `content-length: ${TEXT.length + 1}`), TEXT)],
  ['a stall after the whole batch, without a length', stalls(head(OK), TEXT)],
  ['a stall after an early hint', stalls(head('HTTP/1.1 103 Early Hints'))],
  ['a drip in the body', drips(' ', head(OK), '{')],
  ['a drip of empty lines', drips('\n')]
]

/** A client that repeats calls by itself. */
const REPEATS = { 'x-stainless-retry-count': '0' }

/** What a lost answer comes to, by what else there is to go by. */
const ofLost = (code: string) => ([what, act]: Lost): Row[] => [
  { what: `${what}; the batch is cancelling`, cancel: [act], ...READ },
  { what: `${what}, and of the read, too; the batch is live, and cancelled again`, cancel: [act, PLAIN], read: [act, LIVE], ...ACCEPTED, sent: [2, 2] },
  { what: `${what}, each time`, cancel: [act], read: [act], headers: REPEATS, status: 502, outcome: code, sent: [1, 3] }
]

const ofEndless = ([what, act]: Lost): Row => ({ what: `${what}; the batch is cancelling`, cancel: [act], timeout: ENOUGH, ...READ })

/** Answers that are odd, but say what they have to say. */
const ODD: ReadonlyArray<readonly [what: string, act: Act, verbatim?: string]> = [
  ['nothing odd', PLAIN],
  ['one byte at a time', dribbles(whole(TEXT))],
  ['one byte a chunk', says(CHUNKED, chunked(...TEXT), '0\r\n\r\n')],
  ['a chunk with an extension', says(CHUNKED, `${TEXT.length.toString(16)};a=b\r\n`, TEXT, '\r\n0\r\n\r\n')],
  ['trailers', says(CHUNKED, chunked(TEXT), '0\r\nx-request-id: late\r\nx-ratelimit-reset: 1\r\n\r\n')],
  ['HTTP/1.0', ends(head('HTTP/1.0 200 OK', JSON_TYPE), TEXT)],
  ['HTTP/1.0 that is kept alive', says(whole(TEXT, 'HTTP/1.0 200 OK', 'connection: keep-alive'))],
  ['HTTP/2.0 in text', ends(whole(TEXT, 'HTTP/2.0 200 OK'))],
  ['connection: close', ends(whole(TEXT, OK, 'connection: close'))],
  ['connection: close, and it is left open', says(whole(TEXT, OK, 'connection: close'))],
  ['no length, then closed', ends(head(OK), TEXT)],
  ['early hints', says(head('HTTP/1.1 103 Early Hints', 'link: </style.css>; rel=preload', 'x-request-id: hint'), whole(TEXT))],
  ['many early hints', says(...Array.from({ length: 50 }, () => head('HTTP/1.1 102 Processing')), whole(TEXT))],
  ['no reason', says(whole(TEXT, 'HTTP/1.1 200'))],
  ['a reason of bytes over 0x7f', says(whole(TEXT, 'HTTP/1.1 200 \xd6k'))],
  ['201', says(whole(TEXT, 'HTTP/1.1 201 Created'))],
  ['299', says(whole(TEXT, 'HTTP/1.1 299 Odd'))],
  ['names of headers in capitals', says(`${OK}\r\nCONTENT-LENGTH:${TEXT.length}\r\n\r\n`, TEXT)],
  ['no header but the length', says(head(OK, `content-length: ${TEXT.length}`), TEXT)],
  ['a type that is no JSON', says(head(OK, 'content-type: text/html; charset=utf-16', `content-length: ${TEXT.length}`), TEXT)],
  ['headers that come twice', says(whole(TEXT, OK, 'content-type: text/plain', 'x-request-id: a', 'x-request-id: b', 'date: a', 'date: b'))],
  ['headers with the names of methods', says(whole(TEXT, OK, '__proto__: a', '__proto__: b', 'constructor: a', 'toString: a', 'hasOwnProperty: a', 'entries: a'))],
  ['100 headers', says(whole(TEXT, OK, ...Array.from({ length: 100 }, (_, n) => `x-${n}: ${'a'.repeat(100)}`)))],
  ['an offer to upgrade', says(whole(TEXT, OK, 'upgrade: h2,h2c', 'connection: upgrade'))],
  ['the encoding identity', says(whole(TEXT, OK, 'content-encoding: identity'))],
  ['white space around the batch', says(whole(`\r\n\t ${TEXT}\n`)), `\r\n\t ${TEXT}\n`],
  ['a byte order mark', says(whole(`\ufeff${TEXT}`))],
  ['Latin-1 in the batch', says(whole(Buffer.from(batchWith('"note":"caf\xe9"'), 'latin1'))), batchWith('"note":"caf\ufffd"')],
  ['a NUL and half a surrogate in the batch', says(whole(batchWith('"note":"\\u0000\\ud800"'))), batchWith('"note":"\\u0000\\ud800"')],
  ['deep brackets in the batch', says(whole(deepBatch('cancelling'))), deepBatch('cancelling')],
  ['__proto__ in the batch', says(whole(batchWith('"__proto__":{"status":"completed"},"constructor":{"prototype":{}}'))), batchWith('"__proto__":{"status":"completed"},"constructor":{"prototype":{}}')],
  ['a key that comes twice', says(whole(`{"status":"completed",${TEXT.slice(1)}`)), `{"status":"completed",${TEXT.slice(1)}`],
  ['numbers that are too large', says(whole(batchWith('"huge":1e400,"precise":12345678901234567890'))), batchWith('"huge":1e400,"precise":12345678901234567890')],
  ['a batch of nearly 1 MiB', says(whole(TEXT + ' '.repeat(1024 * 1024 - TEXT.length))), TEXT + ' '.repeat(1024 * 1024 - TEXT.length)]
]

const REFUSED: Expected = { status: 409, outcome: 'batch_not_cancellable', sent: [1, 1] }

const ROWS: readonly Row[] = [
  ...UNREACHABLE.flatMap(ofLost('upstream_unreachable')),
  ...INVALID.flatMap(ofLost('upstream_invalid_response')),
  ...ENDLESS.map(ofEndless),
  ...ODD.flatMap(([what, act, verbatim = TEXT]): Row[] => [
    { what: `${what}, of the cancel`, cancel: [act], verbatim, ...ACCEPTED },
    { what: `${what}, of the read`, cancel: [resets()], read: [act], verbatim, ...READ }
  ]),

  { what: 'connection refused', refused: true, cancel: [], status: 502, outcome: 'upstream_unreachable', sent: [3, 0], seen: [0, 0] },
  { what: 'reset, each time, as often as it is tried', cancel: [resets()], read: [resets()], status: 502, outcome: 'upstream_unreachable', sent: [3, 9] },
  { what: 'no batch, each time, as often as it is tried', cancel: [says(whole('{}'))], read: [says(whole('{}'))], status: 502, outcome: 'upstream_invalid_response', sent: [3, 9] },
  { what: 'reset before the request is read', accept: [resets()], cancel: [PLAIN], ...READ, seen: [0, 1] },
  { what: 'reset before any request is read', accept: Array.from({ length: 12 }, () => resets()), cancel: [PLAIN], status: 502, outcome: 'upstream_unreachable', sent: [3, 9], seen: [0, 0] },
  { what: 'a batch before the request is read', accept: [PLAIN], cancel: [], ...ACCEPTED, seen: [0, 0] },

  { what: 'a drip in a header, cut at 16 KB', cancel: [drips('a'.repeat(64), OK, '\r\nx-drip: ')], ...READ },
  { what: 'a drip of headers, cut at 16 KB', cancel: [drips('x-drip: drop\r\n', OK, '\r\n')], ...READ },
  { what: 'a drip of early hints', cancel: [drips(head('HTTP/1.1 103 Early Hints', 'x-drip: drop'))], timeout: ENOUGH, ...READ },
  { what: 'a stall before the headers, each time', cancel: [stalls()], read: [stalls()], timeout: SHORT, ...TIMED_OUT },
  { what: 'a stall in the body, each time', cancel: [stalls(FULL_LENGTH, HALF)], read: [stalls(FULL_LENGTH, HALF)], timeout: SHORT, ...TIMED_OUT },
  { what: 'a drip in the body, each time', cancel: [drips(' ', head(OK), '{')], read: [drips(' ', head(OK), '{')], timeout: SHORT, ...TIMED_OUT },
  { what: 'a stall, and the read after a failure stalls, too', cancel: [fails(500)], read: [stalls()], timeout: SHORT, status: 500, outcome: 'fault_500', sent: [1, 1] },
  { what: 'a stall; the batch is live, and cancelled again', cancel: [stalls(FULL_LENGTH, HALF), PLAIN], read: [LIVE], timeout: 2400, ...ACCEPTED, sent: [2, 1] },
  { what: 'a stall; the batch is live, and no time is left', cancel: [stalls()], read: [LIVE], timeout: SHORT, ...TIMED_OUT },
  { what: 'a stall; the batch is cancelled', cancel: [stalls()], read: [CANCELLED], timeout: ENOUGH, ...READ, outcome: 'cancelled' },
  { what: 'a stall; the batch is completed', cancel: [stalls()], read: [COMPLETED], timeout: ENOUGH, ...REFUSED },
  { what: 'a stall of the cancel and a reset of the read', cancel: [stalls()], read: [resets()], timeout: SHORT, ...TIMED_OUT },
  { what: 'a stall that the client does not wait for', cancel: [stalls()], headers: { 'x-portkey-request-timeout': '20' }, timeout: SHORT, ...TIMED_OUT, sent: [1, 0], seen: [1, 1] },

  { what: '500, then accepted', cancel: [fails(500), PLAIN], read: [LIVE], ...ACCEPTED, sent: [2, 1] },
  { what: '503 twice, then accepted', cancel: [fails(503), fails(503), PLAIN], read: [LIVE], ...ACCEPTED, sent: [3, 2] },
  { what: '500 each time', cancel: [fails(500)], read: [LIVE], status: 500, outcome: 'fault_500', sent: [3, 3] },
  { what: '599, which nobody knows', cancel: [fails(599)], read: [LIVE], status: 599, outcome: 'fault_599', sent: [3, 3] },
  { what: '418', cancel: [fails(418)], status: 418, outcome: 'fault_418', sent: [1, 0] },
  { what: '500 as a page', cancel: [says(whole('<h1>Oh</h1>', 'HTTP/1.1 500 Oh'))], read: [LIVE], status: 500, outcome: 'upstream_error', sent: [3, 3] },
  { what: '404 with nothing', cancel: [says(head('HTTP/1.1 404 Not Found', 'content-length: 0'))], status: 404, outcome: 'batch_not_found', sent: [1, 0] },
  { what: '404 with a body that breaks off', cancel: [ends(head('HTTP/1.1 404 Not Found', 'content-length: 100'), '{"error":')], ...READ },
  { what: '401 with a body that is too deep to be read', cancel: [says(whole(`{"error":${DEEP}}`, 'HTTP/1.1 401 Unauthorized'))], status: 401, outcome: null, sent: [1, 0] },
  { what: '400 with __proto__ for an error', cancel: [says(whole('{"__proto__":{"error":{"message":"a"}},"error":{"__proto__":{"code":"b"},"message":"No."}}', 'HTTP/1.1 400 Bad'))], read: [LIVE], status: 400, outcome: null, sent: [1, 2] },
  { what: '401 with control bytes and a lone surrogate in its words', cancel: [says(whole('{"error":{"message":"a\\u0000\\r\\n\\ud800","code":"c"}}', 'HTTP/1.1 401 No'))], status: 401, outcome: 'c', sent: [1, 0] },

  // The first cancel is carried out, its answer is lost, and the reads lag.
  { what: 'a lost answer, then 409; the batch is cancelling', cancel: [resets(), fails(409)], read: [LIVE, PLAIN], ...READ, sent: [2, 2] },
  { what: 'a lost answer, then 409; the batch is cancelled', cancel: [resets(), fails(409)], read: [LIVE, CANCELLED], ...READ, outcome: 'cancelled', sent: [2, 2] },
  { what: 'a lost answer, then 409; the batch is cancelling a moment later', cancel: [resets(), fails(409)], read: [LIVE, LIVE, PLAIN], ...READ, sent: [2, 3] },
  { what: 'a lost answer, then 409; the batch stays live', cancel: [resets(), fails(409)], read: [LIVE], status: 502, outcome: 'upstream_unreachable', sent: [2, 3] },
  { what: 'a lost answer, then 409; the batch is completed', cancel: [resets(), fails(409)], read: [LIVE, COMPLETED], ...REFUSED, sent: [2, 2] },
  { what: 'a lost answer, then 404 of the cancel alone', cancel: [resets(), fails(404)], read: [LIVE], status: 502, outcome: 'upstream_unreachable', sent: [2, 2] },
  { what: 'a lost answer, then 404 of cancel and read', cancel: [resets(), fails(404)], read: [fails(404)], status: 404, outcome: 'fault_404', sent: [2, 2] },
  { what: 'a lost answer, then 429 for long; the batch stays live', cancel: [resets(), fails(429, 'retry-after: 3600')], read: [LIVE], status: 502, outcome: 'upstream_unreachable', sent: [2, 2] },
  { what: 'a lost answer to a client that repeats calls by itself', cancel: [resets()], read: [LIVE], headers: REPEATS, status: 502, outcome: 'upstream_unreachable', sent: [1, 1] },

  { what: '503 with retry-after 0', cancel: [fails(503, 'retry-after: 0'), PLAIN], read: [LIVE], ...ACCEPTED, sent: [2, 1], answerHeaders: { 'retry-after': undefined } },
  { what: '503 with retry-after 3600', cancel: [fails(503, 'retry-after: 3600')], read: [LIVE], status: 503, outcome: 'fault_503', sent: [1, 1], answerHeaders: { 'retry-after': '3600' } },
  { what: '503 with retry-after 3600; the batch is cancelling', cancel: [fails(503, 'retry-after: 3600')], ...READ, answerHeaders: { 'retry-after': undefined } },
  { what: '503 with retry-after for ever', cancel: [fails(503, `retry-after: ${'9'.repeat(400)}`)], read: [LIVE], status: 503, outcome: 'fault_503', sent: [1, 1] },
  { what: '503 with a date that has passed', cancel: [fails(503, 'retry-after: Thu, 01 Jan 1970 00:00:00 GMT'), PLAIN], read: [LIVE], ...ACCEPTED, sent: [2, 1] },
  { what: '503 with a retry-after that nobody can read', cancel: [fails(503, 'retry-after: soon'), PLAIN], read: [LIVE], ...ACCEPTED, sent: [2, 1] },
  { what: '429 with retry-after-ms, then accepted', cancel: [fails(429, 'retry-after-ms: 5'), PLAIN], ...ACCEPTED, sent: [2, 0] },
  { what: '429 with retry-after 0 each time', cancel: [fails(429, 'retry-after: 0')], status: 429, outcome: 'fault_429', sent: [3, 0], answerHeaders: { 'retry-after': '0' } },
  { what: '429 with retry-after 3600', cancel: [fails(429, 'retry-after: 3600')], status: 429, outcome: 'fault_429', sent: [1, 0], answerHeaders: { 'retry-after': '3600' } },
  { what: '503 that is not to be repeated', cancel: [fails(503, 'x-should-retry: false')], read: [LIVE], status: 503, outcome: 'fault_503', sent: [1, 1], answerHeaders: { 'x-should-retry': 'false' } },

  { what: 'headers of a provider that reach the client', cancel: [says(whole(TEXT, OK, 'X-Request-ID: req_1', 'x-ratelimit-remaining-requests: 5', 'set-cookie: a=b', 'x-secret: c', 'connection: x-ratelimit-remaining-requests'))], ...ACCEPTED, answerHeaders: { 'x-request-id': 'req_1', 'x-ratelimit-remaining-requests': '5', 'set-cookie': undefined, 'x-secret': undefined } },
  { what: 'bytes over 0x7f in headers that reach the client', cancel: [fails(429, 'x-request-id: r\xe9q', 'retry-after: 3600', 'x-ratelimit-reset: \xff', 'x-should-retry: \xc3\xa9')], status: 429, outcome: 'fault_429', sent: [1, 0], answerHeaders: { 'x-request-id': /^req-/, 'retry-after': '3600', 'x-ratelimit-reset': undefined, 'x-should-retry': undefined } },
  { what: 'a tab in a header that reaches the client', cancel: [says(whole(TEXT, OK, 'x-request-id: a\tb'))], ...ACCEPTED, answerHeaders: { 'x-request-id': /^req-/ } },
  { what: 'an empty header that reaches the client', cancel: [fails(429, 'x-request-id:', 'retry-after:', 'retry-after-ms: ', 'x-ratelimit-reset:')], status: 429, outcome: 'fault_429', sent: [3, 0], answerHeaders: { 'x-request-id': /^req-/, 'retry-after': undefined, 'x-ratelimit-reset': undefined } },
  { what: 'two values of a header that reaches the client', cancel: [fails(429, 'x-request-id: a', 'x-request-id: b', 'retry-after: 3600', 'Retry-After: 3600')], status: 429, outcome: 'fault_429', sent: [3, 0], answerHeaders: { 'x-request-id': /^req-/, 'retry-after': undefined } },
  { what: 'a long header that reaches the client', cancel: [says(whole(TEXT, OK, `x-request-id: ${'a'.repeat(9000)}`))], ...ACCEPTED, answerHeaders: { 'x-request-id': /^req-/ } },
  { what: 'headers of this package from the provider', cancel: [says(whole(TEXT, OK, 'x-batch-source: retrieved', 'x-portkey-provider: evil', 'x-portkey-retry-attempt-count: 7', 'x-portkey-trace-id: evil', 'preference-applied: wait=9'))], ...ACCEPTED, answerHeaders: { 'x-portkey-trace-id': /^req-/, 'preference-applied': undefined } },

  { what: 'a batch that is still live, with deep brackets', cancel: [says(whole(deepBatch('in_progress')))], ...ACCEPTED, source: 'assumed', verbatim: deepBatch('cancelling') },
  { what: 'a batch that is still live, written oddly', cancel: [says(whole(oddBatch('in_progress')))], ...ACCEPTED, source: 'assumed', verbatim: oddBatch('cancelling') },
  { what: 'a read that is still live, written oddly', cancel: [resets(), says(whole(oddBatch('finalizing')))], read: [LIVE], ...ACCEPTED, source: 'assumed', sent: [2, 1], verbatim: oddBatch('cancelling') },
  { what: 'a batch that is completed, with deep brackets', cancel: [fails(409)], read: [says(whole(deepBatch('completed')))], ...REFUSED },
  { what: 'a batch of another shape, with deep brackets', cancel: [says(whole(deepBatch('CANCELLING')))], ...ACCEPTED },
  { what: 'a batch that is still live, with __proto__', cancel: [says(whole(batchWith('"__proto__":{"polluted":true}').replace('cancelling', 'in_progress')))], ...ACCEPTED, source: 'assumed', verbatim: batchWith('"__proto__":{"polluted":true}') },
  { what: 'a batch whose times are too large', cancel: [says(whole(TEXT.replace('1713894800', '1e400')))], ...ACCEPTED }
]

/* How it is played. */

const LEAK = /ECONN|EPIPE|127\.0\.0\.1|UND_ERR|HPE_|errno|syscall|socket|HTTPParser|stack/i
const REFS = /TCP|Connect|Shutdown|Write|Timeout/

let report: CallReport | undefined
subscribe(CALL_CHANNEL, message => { report = message as CallReport })

/** The sockets of undici, on which is read how much was taken off the wire. */
const taken: Socket[] = []
subscribe('undici:client:connected', message => { taken.push((message as { socket: Socket }).socket) })

const MOST_TAKEN = 1024 * 1024 + 128 * 1024

const KEY = 'sk-client-key'

interface Answer { readonly statusCode: number, readonly headers: IncomingHttpHeaders, readonly body: string }

/** A cancel over real HTTP, so that an answer which cannot be written or read shows. */
async function call (app: FastifyInstance, headers: Record<string, string> = {}, id = 'batch_1'): Promise<Answer> {
  const { port } = app.server.address() as AddressInfo
  return await new Promise((resolve, reject) => {
    httpRequest({ port, host: '127.0.0.1', agent: false, method: 'POST', path: `/v1/batches/${id}/cancel`, headers: { 'x-portkey-provider': 'openai', authorization: `Bearer ${KEY}`, ...headers } }, response => {
      text(response).then(body => resolve({ statusCode: response.statusCode as number, headers: response.headers, body }), reject)
    }).on('error', reject).end()
  })
}

/** An app that listens, and what it logs. */
async function listen (t: Test, url: string, timeout = 30_000): Promise<{ app: FastifyInstance, logged: string[] }> {
  const logged: string[] = []
  const forward = forwardToProviders({ providers: { openai: openai({ baseUrl: `${url}/v1` }) } })
  const app = await buildWithoutPauses(t, { timeout, forward }, { logger: { level: 'info', stream: { write: line => { logged.push(line) } } } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, logged }
}

/** Holds an answer against what is expected of it and against the document. */
function hold (t: Test, { statusCode, headers, body }: Answer, { status, outcome, source, sent: [cancels, reads] }: Expected): void {
  const shown = JSON.parse(body) as { status?: string, error?: { code: string | null }, batch?: { status: string } }
  t.strictSame([statusCode, shown.error === undefined ? shown.status : shown.error.code], [status, outcome], body.slice(0, 500))
  if (source !== undefined) t.equal(headers['x-batch-source'], source, 'where the status comes from')
  if (outcome === 'batch_not_cancellable') t.equal(shown.batch?.status, 'completed', 'the batch stands beside the error')
  t.match(headers, { 'x-portkey-retry-attempt-count': String(cancels - 1), 'x-portkey-provider': 'openai' })
  t.match(report, { status, outcome, cancels, reads }, 'what is sent')
  t.strictSame(breaches({ statusCode, headers, body }), [], 'the document allows the answer')
  t.notMatch(body.slice(0, 10_000) + JSON.stringify(headers), LEAK, 'nothing of the connection leaks')
}

/** What still keeps the process alive, once what is being closed is gone. */
async function alive (): Promise<string[]> {
  let kept: string[] = []
  for (let turns = 0; turns < 100; turns++) {
    kept = process.getActiveResourcesInfo().filter(name => REFS.test(name))
    if (kept.length === 0) break
    await turn()
  }
  return kept
}

for (const { what, refused, cancel, read = [PLAIN], accept = [], headers, timeout, seen, verbatim, answerHeaders = {}, ...expected } of ROWS) {
  t.test(what, async t => {
    const upstream = await startRawUpstream(t, { cancel, read, accept })
    if (refused === true) await upstream.close()
    const { app, logged } = await listen(t, upstream.url, timeout)
    taken.length = 0
    const answer = await call(app, headers)
    hold(t, answer, expected)
    if (verbatim !== undefined) t.ok(answer.body === verbatim, 'the batch goes out as it came')
    for (const [name, value] of Object.entries(answerHeaders)) t.match({ value: answer.headers[name] }, { value }, name)

    await app.close()
    t.equal(await upstream.held(), 0, 'what is abandoned is given up')
    const [cancels, reads] = seen ?? expected.sent
    t.strictSame(upstream.seen, { cancel: cancels, read: reads }, 'what arrives')
    t.ok(taken.every(({ bytesRead }) => bytesRead <= MOST_TAKEN), 'no more is taken than a batch may have')
    t.notOk(logged.some(line => line.includes(KEY)), 'no credential is logged')
    t.strictSame(await alive(), [], 'nothing keeps the process alive')
  })
}

/* What one call leaves behind for the next. */

interface Sequel extends Expected {
  readonly what: string
  /** The answer to the first call, which is accepted, and then to each cancel of the second. */
  readonly cancel: readonly [Act, ...Act[]]
  readonly read?: readonly Act[]
  /** What the provider writes on the idle connection before the second call. */
  readonly idle?: Act
  /** Whether the provider has closed the connection when the second call begins. */
  readonly closed?: true
  /** How many connections are made, where no turn of the event loop decides. */
  readonly connections?: number
}

const OTHER = whole(JSON.stringify(batch({ id: 'batch_evil', status: 'completed' })))
const TIMEOUT_408 = head('HTTP/1.1 408 Request Timeout', 'content-length: 0', 'connection: close')

const SEQUELS: readonly Sequel[] = [
  { what: 'a kept-alive connection is used again', cancel: [PLAIN], ...ACCEPTED, connections: 1 },
  { what: 'a connection that was kept alive chunk by chunk, too', cancel: [says(CHUNKED, chunked(...TEXT), '0\r\n\r\n')], ...ACCEPTED, connections: 1 },
  { what: 'connection: close', cancel: [says(whole(TEXT, OK, 'connection: close'))], ...ACCEPTED, connections: 2 },
  { what: 'kept alive for a second only', cancel: [says(whole(TEXT, OK, 'keep-alive: timeout=1')), PLAIN], ...ACCEPTED, connections: 2 },
  { what: 'the idle connection is closed', cancel: [ends(whole(TEXT)), PLAIN], closed: true, ...ACCEPTED, connections: 2 },
  { what: 'the idle connection is reset', cancel: [PLAIN], idle: resets(), ...ACCEPTED, connections: 2 },
  { what: 'the idle connection is closed as the second call begins', cancel: [PLAIN], idle: ends(), ...ACCEPTED, connections: 2 },
  { what: 'the connection is closed when the second cancel comes; it was carried out', cancel: [PLAIN, ends()], ...READ, connections: 2 },
  { what: 'the connection is reset when the second cancel comes; it was carried out', cancel: [PLAIN, resets()], ...READ, connections: 2 },
  { what: 'the connection is reset when the second cancel comes; it was not carried out', cancel: [PLAIN, resets(), PLAIN], read: [LIVE], ...ACCEPTED, sent: [2, 1] },
  { what: 'another answer with the first', cancel: [says(whole(TEXT), OTHER), PLAIN], ...ACCEPTED, connections: 2 },
  { what: 'another answer on the idle connection', cancel: [PLAIN], idle: says(OTHER), ...ACCEPTED, connections: 2 },
  { what: 'half of another answer with the first', cancel: [says(whole(TEXT), OTHER.subarray(0, 30)), PLAIN], ...ACCEPTED, connections: 2 },
  { what: 'half of another answer on the idle connection', cancel: [PLAIN], idle: says(OTHER.subarray(0, 30)), ...ACCEPTED, connections: 2 },
  { what: 'garbage on the idle connection', cancel: [PLAIN], idle: says('\0\0'), ...ACCEPTED, connections: 2 },
  { what: 'a farewell with 408 on the idle connection', cancel: [PLAIN], idle: ends(TIMEOUT_408), ...ACCEPTED, connections: 2 },
  { what: 'a body that goes on after its length', cancel: [says(whole(TEXT), ' '.repeat(100), OTHER), PLAIN], ...ACCEPTED, connections: 2 },
  { what: 'a body with a 204', cancel: [PLAIN, says(head('HTTP/1.1 204 No Content', `content-length: ${TEXT.length}`), OTHER)], ...READ, connections: 2 }
]

for (const { what, cancel, read = [PLAIN], idle, closed, connections, ...expected } of SEQUELS) {
  t.test(`the second call: ${what}`, async t => {
    const upstream = await startRawUpstream(t, { cancel, read })
    const { app } = await listen(t, upstream.url)
    hold(t, await call(app), ACCEPTED)

    const [first] = upstream.sockets as [Socket]
    if (closed === true && !first.destroyed) await once(first, 'close')
    idle?.play(first, '')
    const answer = await call(app)
    hold(t, answer, expected)
    t.equal(answer.body, TEXT, 'the batch is the one that was asked for')
    if (connections !== undefined) t.equal(upstream.sockets.length, connections, 'how many connections are made')
    await app.close()
    t.strictSame(await alive(), [], 'nothing keeps the process alive')
  })
}

t.test('an answer that comes after its call was given up is nobody\'s', async t => {
  const upstream = await startRawUpstream(t, { cancel: [stalls(), PLAIN], read: [PLAIN] })
  const { app } = await listen(t, upstream.url, SHORT)
  hold(t, await call(app), READ)
  upstream.sockets[0]?.write(OTHER)
  const answer = await call(app)
  hold(t, answer, ACCEPTED)
  t.equal(answer.body, TEXT)
  t.equal(await upstream.held(), 0)
})

t.test('many calls at once, answered in reverse, some of them lost: each gets its own batch', async t => {
  const ids = Array.from({ length: 40 }, (_, n) => `batch_${n}`)
  const echo: Act = { play: (socket, request) => { says(whole(JSON.stringify(batch({ id: /batch_\d+/.exec(request)?.[0] as string })))).play(socket, request) } }
  let kept: Array<() => void> = []
  const held: Act = {
    play: (socket, request) => {
      const act = [echo, resets(), ends(FULL_LENGTH, HALF)][kept.length % 3] as Act
      kept.push(() => act.play(socket, request))
      if (kept.length < ids.length) return
      for (const answer of kept.reverse()) answer()
      kept = []
    }
  }
  const upstream = await startRawUpstream(t, { cancel: [held], read: [echo] })
  const { app } = await listen(t, upstream.url)
  for (const wave of ['first', 'second']) {
    const answers = await Promise.all(ids.map(id => call(app, {}, id)))
    t.strictSame(answers.map(({ statusCode, body }) => [statusCode, (JSON.parse(body) as { id: string }).id]), ids.map(id => [200, id]), `the ${wave} wave`)
  }
  t.strictSame(upstream.seen, { cancel: 80, read: 52 }, 'what was lost is read, and nothing else')
})

t.test('no redirect is followed', async t => { t.equal(trap.sockets.length, 0) })

/** The clock of undici's own time limits, which its tests move, too. */
const { tick } = createRequire(import.meta.url)('undici/lib/util/timers.js') as { tick (ms?: number): void }

t.test('no time limit but that of the call ends an answer', async t => {
  const HOUR = 3_600_000
  const answers: ServerResponse[] = []
  let heard = () => {}
  const heads = new Promise<void>(resolve => { heard = resolve })
  subscribe('undici:request:headers', heard)
  t.teardown(() => unsubscribe('undici:request:headers', heard))
  const upstream = await startUpstream(t, (_request, response) => { answers.push(response) })
  const { app } = await listen(t, upstream.url)
  const answer = call(app)
  const pass = () => { tick(); tick(HOUR) }

  while (answers.length === 0) await turn()
  pass()
  const [response] = answers as [ServerResponse]
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': TEXT.length })
  response.write(HALF)
  await Promise.race([heads, answer])
  pass()
  response.end(TEXT.slice(HALF.length))
  hold(t, await answer, ACCEPTED)
})

/** A batch that was cancelled, as a provider shows it under an id. */
interface Shown {
  readonly asked: readonly string[]
  readonly own: readonly string[]
  readonly others: readonly string[]
  readonly body: (id: string) => object
  readonly headers?: Record<string, string>
}

const UUID = '0e9d1d35-3d1e-4d66-9a2f-8c7e0f6b3e21'
const ARN = 'arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij12'
const JOB = 'projects/p-1/locations/eu/batchPredictionJobs/123'
const shaped: Shown = { asked: ['batch_1'], own: ['batch_1'], others: ['batch_2', 'batch_10', 'atch_1'], body: id => batch({ id, status: 'cancelled' }) }
const uuid = { asked: [UUID, UUID.toUpperCase()], own: [UUID], others: [UUID.replace('0', '1')] }

const SHOWN: Readonly<Record<string, Shown>> = {
  anthropic: { ...shaped, body: id => ({ id, type: 'message_batch', processing_status: 'ended', cancel_initiated_at: '2026-01-01T00:00:00Z', request_counts: { processing: 0, succeeded: 0, errored: 0, canceled: 1, expired: 0 } }) },
  bedrock: { asked: ['abcdefghij12', ARN, encodeURIComponent(ARN)], own: [ARN, encodeURIComponent(ARN)], others: [ARN.replace('hij12', 'hij13')], body: jobArn => ({ jobArn, status: 'Stopped' }), headers: { 'x-portkey-aws-region': 'us-east-1' } },
  'vertex-ai': { asked: ['123', JOB], own: [JOB, JOB.replace('p-1', '987')], others: [`${JOB}4`, JOB.replace('123', '4123')], body: name => ({ name, state: 'JOB_STATE_CANCELLED' }), headers: { 'x-portkey-vertex-project-id': 'p-1', 'x-portkey-vertex-region': 'eu' } },
  google: { asked: ['x1', 'batches/x1', 'batches%2Fx1'], own: ['batches/x1'], others: ['batches/x2', 'batches/xx1'], body: name => ({ name, metadata: { state: 'BATCH_STATE_CANCELLED' } }) },
  'mistral-ai': { ...uuid, body: id => ({ id, object: 'batch', status: 'CANCELLED' }) },
  'together-ai': { ...uuid, body: id => ({ id, status: 'CANCELLED' }) },
  cohere: { ...shaped, body: id => ({ batch: { id, status: 'BATCH_STATUS_CANCELED' } }) },
  'x-ai': { ...shaped, body: id => ({ batch_id: id, cancel_time: '2026-01-01', state: { num_requests: 0, num_pending: 0, num_success: 0, num_error: 0, num_cancelled: 0 } }) },
  'novita-ai': { ...shaped, body: id => ({ ...batch({ id }), status: 'CANCELLED' }) },
  digitalocean: { ...uuid, body: id => ({ batch_id: id, status: 'cancelled' }) },
  watsonx: { ...shaped, headers: { 'x-portkey-watsonx-region': 'eu-de', 'x-portkey-watsonx-project-id': 'p-1' } }
}

t.test('an answer that shows another batch tells nothing, at every provider', async t => {
  let shown: object = {}
  const upstream = await startUpstream(t, ({ method }) => method === 'GET' ? { body: shown } : { status: 422, body: { error: 'No.' } })
  const providers = Object.fromEntries(Object.entries(providerFactories).map(([name, factory]) => [name, factory({ baseUrl: upstream.url }) as Provider]))
  const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers }) }, { routerOptions: { maxParamLength: 512 } })
  for (const name of Object.keys(providers)) {
    const { asked, own, others, body, headers } = SHOWN[name] ?? shaped
    for (const id of asked) {
      const answer = async (told: string) => {
        shown = body(told)
        return (await cancelled(app, { id, headers: { 'x-portkey-provider': name, authorization: 'Bearer sk-client-key', ...headers } })).json()
      }
      for (const told of own) t.match(await answer(told), { error: { code: 'batch_not_cancellable' }, batch: { status: 'cancelled' } }, `${name}: ${told} for ${id}`)
      for (const told of others) t.match(await answer(told), { error: { message: 'No.' }, batch: undefined }, `${name}: ${told} for ${id}`)
    }
  }
})
