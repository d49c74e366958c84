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
import { MAX_RESPONSE_WIRE_BYTES } from '../../lib/limits.js'
import { BATCH, batch, buildWithoutPauses, cancel as injectCancel } from '../support/app.js'
import { violations } from '../support/document.js'
import {
  closes, drips, floods, resets, stalls, startRawUpstream, writes, writesByteByByte, type Reply, type Script
} from '../support/raw-upstream.js'
import { startUpstream } from '../support/upstream.js'

/* What the provider sends. */

const JSON_TYPE = 'content-type: application/json'
const OK = 'HTTP/1.1 200 OK'

/** The head of a response, with nothing added. */
const head = (start: string, ...headers: string[]) => [start, ...headers, '', ''].join('\r\n')

/** A response whose body is as long as its content-length says. */
const whole = (body: string | Buffer, start = OK, ...headers: string[]) => Buffer.concat([
  Buffer.from(head(start, JSON_TYPE, `content-length: ${Buffer.byteLength(body)}`, ...headers), 'latin1'),
  Buffer.from(body)
])

const chunked = (...chunks: string[]) =>
  chunks.map(chunk => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')

const CHUNKED = head(OK, JSON_TYPE, 'transfer-encoding: chunked')
const TEXT = JSON.stringify(BATCH)
const HALF = TEXT.slice(0, TEXT.length / 2)
const FULL_LENGTH = head(OK, JSON_TYPE, `content-length: ${TEXT.length}`)

const returns = (fields: Parameters<typeof batch>[0]) => writes(whole(JSON.stringify(batch(fields))))
const PLAIN = writes(whole(TEXT))
const LIVE = returns({ status: 'in_progress' })
const CANCELLED = returns({ status: 'cancelled' })
const COMPLETED = returns({ status: 'completed' })

function fails (status: number, ...headers: string[]): Reply {
  const error = { message: `Fault ${status}.`, type: 'fault', param: null, code: `fault_${status}` }
  return writes(whole(JSON.stringify({ error }), `HTTP/1.1 ${status} Fault`, ...headers))
}

/** A batch with further members, written as JSON.stringify would not write them. */
const batchWith = (members: string) => `${TEXT.slice(0, -1)},${members}}`
const DEEP = '['.repeat(100_000) + ']'.repeat(100_000)
const deepBatch = (status: string) =>
  batchWith(`"deep":${DEEP}`).replace('"status":"cancelling"', `"status":"${status}"`)

/** A batch with two members `status`, and text that looks like one in a string, an object and an array. */
const oddBatch = (status: string) => '{ "note":"\\"status\\":\\\\",' +
  `"\\u0073tatus" : "${status}","x":["status",{"status":"in_progress"},"a"],"more":{"status":"in_progress"},` +
  '"huge":1e400,"precise":12345678901234567890,' +
  `${TEXT.slice(1, -1).replace('"status":"cancelling"', `"status"\n:\t"${status}"`)} }`

/* What happens, and what is expected. */

interface Expected {
  readonly status: number
  /** The status of the batch after a 200, else the code of the error. */
  readonly outcome: string | null
  /** The header `x-batch-source` after a 200. */
  readonly source?: string
  /** How many cancels and reads are sent. */
  readonly sent: readonly [cancels: number, reads: number]
}

interface Row extends Omit<Script, 'read'>, Expected {
  readonly what: string
  /** Nothing listens at the provider's address. */
  readonly refused?: true
  /** @default the batch, which is cancelling */
  readonly read?: readonly Reply[]
  readonly headers?: Record<string, string>
  readonly timeout?: number
  /** How many of the requests reach the provider. @default all */
  readonly seen?: readonly [cancels: number, reads: number]
  /** The exact text of the response. */
  readonly verbatim?: string
  /** Headers of the response; `undefined` for one that must not be there. */
  readonly responseHeaders?: Record<string, string | RegExp | undefined>
}

/** The timeout of a call whose provider stalls, in milliseconds: too short for a pause and another attempt. */
const SHORT = 250

/** A quarter of it is left for the read, enough on a busy machine, too. */
const ENOUGH = 600
const ACCEPTED: Expected = { status: 200, outcome: 'cancelling', source: 'provider', sent: [1, 0] }
const READ: Expected = { status: 200, outcome: 'cancelling', source: 'retrieved', sent: [1, 1] }
const TIMED_OUT: Expected = { status: 504, outcome: 'upstream_timeout', sent: [1, 1] }

type Lost = readonly [what: string, reply: Reply]

/** Where redirects lead. */
const elsewhere = await startRawUpstream(t, { cancel: [PLAIN], read: [PLAIN] })

/** Connections that break. */
const UNREACHABLE: readonly Lost[] = [
  ['reset before the response', resets()],
  ['closed before the response', closes()],
  ['half a status line, then closed', closes('HTTP/1.1 2')],
  ['half a status line, then reset', resets('HTTP/1.1 2')],
  ['half the headers, then closed', closes(OK, '\r\ncontent-le')],
  ['headers, then closed', closes(FULL_LENGTH)],
  ['headers, then reset', resets(FULL_LENGTH)],
  ['half a body, then closed', closes(FULL_LENGTH, HALF)],
  ['half a body, then reset', resets(FULL_LENGTH, HALF)],
  ['half a chunk, then closed', closes(CHUNKED, `${TEXT.length.toString(16)}\r\n`, HALF)],
  ['half a chunk, then reset', resets(CHUNKED, `${TEXT.length.toString(16)}\r\n`, HALF)],
  ['no last chunk, then closed', closes(CHUNKED, chunked(TEXT))],
  ['a content-length that is too long, then closed', closes(head(OK, `content-length: ${TEXT.length + 1}`), TEXT)],
  [
    'content-length and transfer-encoding',
    closes(head(OK, `content-length: ${TEXT.length}`, 'transfer-encoding: chunked'), chunked(TEXT), '0\r\n\r\n')
  ],
  ['two lengths', closes(head(OK, `content-length: ${TEXT.length}`, 'content-length: 2'), TEXT)],
  ['a length over 2^64', closes(head(OK, 'content-length: 99999999999999999999'), TEXT)],
  ['a header without a colon', closes(whole(TEXT, OK, 'no colon'))],
  ['a header without a name', closes(whole(TEXT, OK, ': value'))],
  ['a space before the colon', closes(whole(TEXT, OK, 'x-request-id : value'))],
  ['a control byte in a header', closes(whole(TEXT, OK, 'x-request-id: a\x01b'))],
  ['a NUL in a header', closes(whole(TEXT, OK, 'retry-after: 1\0'))],
  ['a CR in a header', closes(whole(TEXT, OK, 'x-request-id: a\rset-cookie: b'))],
  [
    'a switch of protocols',
    closes(head('HTTP/1.1 101 Switching Protocols', 'connection: upgrade', 'upgrade: websocket'))
  ],
  ['only an early hint', closes(head('HTTP/1.1 103 Early Hints'))],
  ['100-continue that was not asked for', closes(head('HTTP/1.1 100 Continue'), whole(TEXT))]
]

const redirects = (status: number) => writes(head(
  `HTTP/1.1 ${status} Elsewhere`,
  `location: ${elsewhere.url}/v1/batches/batch_1`,
  'content-length: 0'
))

/** Responses of HTTP that are not a batch. */
const INVALID: readonly Lost[] = [
  ['204', writes(head('HTTP/1.1 204 No Content'))],
  ['205', writes(head('HTTP/1.1 205 Reset Content', 'content-length: 0'))],
  ['200 with an empty body', writes(whole(''))],
  ['200 with only the last chunk', writes(CHUNKED, '0\r\n\r\n')],
  ['200 with no body and no length', closes(head(OK))],
  ['null', writes(whole('null'))],
  ['an empty object', writes(whole('{}'))],
  ['an array', writes(whole(`[${TEXT}]`))],
  ['a string', writes(whole(JSON.stringify(TEXT)))],
  ['a page', writes(whole('<html>Please log in</html>'))],
  ['another batch', returns({ id: 'batch_2' })],
  ['a batch whose id begins the same', returns({ id: 'batch_10' })],
  ['a batch without a status', writes(whole(JSON.stringify({ ...BATCH, status: undefined })))],
  ['a batch with an unknown status', writes(whole(JSON.stringify({ ...BATCH, status: 'constructor' })))],
  ['a status in __proto__', writes(whole('{"__proto__":{"object":"batch","status":"cancelling"},"id":"batch_1"}'))],
  ['half a batch of the right length', writes(whole(HALF))],
  ['half a batch without a length, then closed', closes(head(OK), HALF)],
  ['a content-length that is too short', writes(head(OK, `content-length: ${TEXT.length - 1}`), TEXT)],
  ['two batches', writes(whole(TEXT + TEXT))],
  ['UTF-16', writes(whole(Buffer.from(TEXT, 'utf16le')))],
  ['brackets that are never closed', writes(whole('['.repeat(100_000)))]
]

/** Responses that the same request would get again. */
const UNREPEATABLE: readonly Lost[] = [
  ...[301, 302, 303, 307, 308].map((status): Lost => [`a redirect with ${status}`, redirects(status)]),
  ['300 with a batch', writes(whole(TEXT, 'HTTP/1.1 300 Multiple Choices'))],
  ['304', writes(head('HTTP/1.1 304 Not Modified'))],
  ['status 600', writes(whole(TEXT, 'HTTP/1.1 600 What'))],
  ['status 999', writes(whole(TEXT, 'HTTP/1.1 999 Request Denied'))],
  ['a length that is not a number', closes(head(OK, 'content-length: all'), TEXT)],
  ['a length below zero', closes(head(OK, 'content-length: -1'), TEXT)],
  ['a chunk size that is not a number', closes(CHUNKED, 'zz\r\n', TEXT, '\r\n0\r\n\r\n')],
  ['a chunk size over 2^64', closes(CHUNKED, 'fffffffffffffffff\r\n', TEXT)],
  ['a chunk that is longer than its size', closes(CHUNKED, '2\r\n', TEXT, '\r\n0\r\n\r\n')],
  ['garbage', closes(Buffer.from([0, 1, 2, 0xfe, 0xff, 13, 10, 13, 10]))],
  ['the greeting of SSH', closes('SSH-2.0-OpenSSH_9.6\r\n')],
  ['the alert of TLS', closes(Buffer.from([0x15, 3, 1, 0, 2, 2, 70]))],
  ['the settings of HTTP/2', closes(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))],
  ['a request', closes(head('GET / HTTP/1.1', 'host: localhost'))],
  ['no status line, as in HTTP/0.9', closes(TEXT)],
  ['http in lower case', closes(whole(TEXT, 'http/1.1 200 OK'))],
  ['a status of two digits', closes(whole(TEXT, 'HTTP/1.1 20 OK'))],
  ['a status of four digits', closes(whole(TEXT, 'HTTP/1.1 2000 OK'))],
  ['a status of letters', closes(whole(TEXT, 'HTTP/1.1 abc OK'))],
  ['a status below zero', closes(whole(TEXT, 'HTTP/1.1 -20 OK'))],
  ['a header of 20 KB', closes(whole(TEXT, OK, `x-long: ${'a'.repeat(20_000)}`))],
  ['headers of 20 KB', closes(whole(TEXT, OK, ...Array.from({ length: 200 }, (_, n) => `x-${n}: ${'a'.repeat(100)}`)))],
  ['gzip announced over plain bytes', writes(whole(TEXT, OK, 'content-encoding: gzip'))],
  ['real gzip', writes(whole(gzipSync(TEXT), OK, 'content-encoding: gzip'))],
  ['an unknown encoding', writes(whole(TEXT, OK, 'content-encoding: rot13'))],
  ['a flood with a length', floods(' ', head(OK, JSON_TYPE, 'content-length: 10000000000'), '{')],
  ['a flood without a length', floods(' ', head(OK, JSON_TYPE), '{')],
  ['a flood of one chunk', floods(' ', CHUNKED, 'fffffffff\r\n{')]
]

/** Responses that do not end. */
const ENDLESS: readonly Lost[] = [
  ['a stall before the headers', stalls()],
  ['a stall in the status line', stalls('HTTP/1.1 2')],
  ['a stall in the headers', stalls(OK, '\r\nx-request-id: req')],
  ['a stall after the headers', stalls(FULL_LENGTH)],
  ['a stall in the body', stalls(FULL_LENGTH, HALF)],
  ['a stall in a chunk', stalls(CHUNKED, `${TEXT.length.toString(16)}\r\n`, HALF)],
  ['a stall before the last chunk', stalls(CHUNKED, chunked(TEXT))],
  [
    'a stall after the whole batch, of a length that is too long',
    stalls(head(OK, `content-length: ${TEXT.length + 1}`), TEXT)
  ],
  ['a stall after the whole batch, without a length', stalls(head(OK), TEXT)],
  ['a stall after an early hint', stalls(head('HTTP/1.1 103 Early Hints'))],
  ['a drip in the body', drips(' ', head(OK), '{')],
  ['a drip of empty lines', drips('\n')]
]

/** A client that repeats calls by itself gets one attempt. */
const REPEATS = { 'x-stainless-retry-count': '0' }

/** What a lost response leads to, by what else can be learned. */
const rowsOfLost = (code: string) => ([what, reply]: Lost): Row[] => [
  { what: `${what}; the batch is cancelling`, cancel: [reply], ...READ },
  {
    what: `${what}, and of the read, too; the batch is live, and cancelled again`,
    cancel: [reply, PLAIN],
    read: [reply, LIVE],
    ...ACCEPTED,
    sent: [2, 2]
  },
  {
    what: `${what}, each time`,
    cancel: [reply],
    read: [reply],
    headers: REPEATS,
    status: 502,
    outcome: code,
    sent: [1, 3]
  }
]

/** It is neither repeated nor read again. */
const rowsOfUnrepeatable = ([what, reply]: Lost): Row[] => [
  { what: `${what}; the batch is cancelling`, cancel: [reply], ...READ },
  {
    what: `${what}; the batch is live`,
    cancel: [reply, PLAIN],
    read: [LIVE],
    status: 502,
    outcome: 'upstream_invalid_response',
    sent: [1, 1]
  },
  {
    what: `${what}, and of the read, too`,
    cancel: [reply, PLAIN],
    read: [reply, PLAIN],
    status: 502,
    outcome: 'upstream_invalid_response',
    sent: [1, 1]
  }
]

const rowOfEndless = ([what, reply]: Lost): Row =>
  ({ what: `${what}; the batch is cancelling`, cancel: [reply], timeout: ENOUGH, ...READ })

/** Responses that are odd but complete. */
const ODD: ReadonlyArray<readonly [what: string, reply: Reply, verbatim?: string]> = [
  ['nothing odd', PLAIN],
  ['one byte at a time', writesByteByByte(whole(TEXT))],
  ['one byte a chunk', writes(CHUNKED, chunked(...TEXT), '0\r\n\r\n')],
  ['a chunk with an extension', writes(CHUNKED, `${TEXT.length.toString(16)};a=b\r\n`, TEXT, '\r\n0\r\n\r\n')],
  ['trailers', writes(CHUNKED, chunked(TEXT), '0\r\nx-request-id: late\r\nx-ratelimit-reset: 1\r\n\r\n')],
  ['HTTP/1.0', closes(head('HTTP/1.0 200 OK', JSON_TYPE), TEXT)],
  ['HTTP/1.0 that is kept alive', writes(whole(TEXT, 'HTTP/1.0 200 OK', 'connection: keep-alive'))],
  ['HTTP/2.0 in text', closes(whole(TEXT, 'HTTP/2.0 200 OK'))],
  ['connection: close', closes(whole(TEXT, OK, 'connection: close'))],
  ['connection: close, and it is left open', writes(whole(TEXT, OK, 'connection: close'))],
  ['no length, then closed', closes(head(OK), TEXT)],
  [
    'early hints',
    writes(head('HTTP/1.1 103 Early Hints', 'link: </style.css>; rel=preload', 'x-request-id: hint'), whole(TEXT))
  ],
  ['many early hints', writes(...Array.from({ length: 50 }, () => head('HTTP/1.1 102 Processing')), whole(TEXT))],
  ['no status text', writes(whole(TEXT, 'HTTP/1.1 200'))],
  ['a status text of bytes over 0x7f', writes(whole(TEXT, 'HTTP/1.1 200 \xd6k'))],
  ['201', writes(whole(TEXT, 'HTTP/1.1 201 Created'))],
  ['299', writes(whole(TEXT, 'HTTP/1.1 299 Odd'))],
  ['names of headers in capitals', writes(`${OK}\r\nCONTENT-LENGTH:${TEXT.length}\r\n\r\n`, TEXT)],
  ['no header but the length', writes(head(OK, `content-length: ${TEXT.length}`), TEXT)],
  [
    'a content type that is not JSON',
    writes(head(OK, 'content-type: text/html; charset=utf-16', `content-length: ${TEXT.length}`), TEXT)
  ],
  [
    'repeated headers',
    writes(whole(TEXT, OK, 'content-type: text/plain', 'x-request-id: a', 'x-request-id: b', 'date: a', 'date: b'))
  ],
  [
    'headers with the names of methods',
    writes(whole(
      TEXT, OK, '__proto__: a', '__proto__: b', 'constructor: a', 'toString: a', 'hasOwnProperty: a', 'entries: a'
    ))
  ],
  ['100 headers', writes(whole(TEXT, OK, ...Array.from({ length: 100 }, (_, n) => `x-${n}: ${'a'.repeat(100)}`)))],
  ['an offer to upgrade', writes(whole(TEXT, OK, 'upgrade: h2,h2c', 'connection: upgrade'))],
  ['the encoding identity', writes(whole(TEXT, OK, 'content-encoding: identity'))],
  ['white space around the batch', writes(whole(`\r\n\t ${TEXT}\n`)), `\r\n\t ${TEXT}\n`],
  ['a byte order mark', writes(whole(`\ufeff${TEXT}`))],
  [
    'Latin-1 in the batch', writes(whole(Buffer.from(batchWith('"note":"caf\xe9"'), 'latin1'))),
    batchWith('"note":"caf\ufffd"')
  ],
  [
    'a NUL and half a surrogate in the batch', writes(whole(batchWith('"note":"\\u0000\\ud800"'))),
    batchWith('"note":"\\u0000\\ud800"')
  ],
  ['deep brackets in the batch', writes(whole(deepBatch('cancelling'))), deepBatch('cancelling')],
  [
    '__proto__ in the batch',
    writes(whole(batchWith('"__proto__":{"status":"completed"},"constructor":{"prototype":{}}'))),
    batchWith('"__proto__":{"status":"completed"},"constructor":{"prototype":{}}')
  ],
  [
    'a member that comes twice', writes(whole(`{"status":"completed",${TEXT.slice(1)}`)),
    `{"status":"completed",${TEXT.slice(1)}`
  ],
  [
    'numbers that are too large', writes(whole(batchWith('"huge":1e400,"precise":12345678901234567890'))),
    batchWith('"huge":1e400,"precise":12345678901234567890')
  ],
  [
    'a batch of nearly 1 MiB', writes(whole(TEXT + ' '.repeat(1024 * 1024 - TEXT.length))),
    TEXT + ' '.repeat(1024 * 1024 - TEXT.length)
  ]
]

const REFUSED: Expected = { status: 409, outcome: 'batch_not_cancellable', sent: [1, 1] }

const ROWS: readonly Row[] = [
  ...UNREACHABLE.flatMap(rowsOfLost('upstream_unreachable')),
  ...INVALID.flatMap(rowsOfLost('upstream_invalid_response')),
  ...UNREPEATABLE.flatMap(rowsOfUnrepeatable),
  ...ENDLESS.map(rowOfEndless),
  ...ODD.flatMap(([what, reply, verbatim = TEXT]): Row[] => [
    { what: `${what}, of the cancel`, cancel: [reply], verbatim, ...ACCEPTED },
    { what: `${what}, of the read`, cancel: [resets()], read: [reply], verbatim, ...READ }
  ]),

  {
    what: 'connection refused',
    refused: true,
    cancel: [],
    status: 502,
    outcome: 'upstream_unreachable',
    sent: [3, 0],
    seen: [0, 0]
  },
  {
    what: 'reset, in every attempt',
    cancel: [resets()],
    read: [resets()],
    status: 502,
    outcome: 'upstream_unreachable',
    sent: [3, 9]
  },
  {
    what: 'not a batch, in every attempt',
    cancel: [writes(whole('{}'))],
    read: [writes(whole('{}'))],
    status: 502,
    outcome: 'upstream_invalid_response',
    sent: [3, 9]
  },
  { what: 'reset before the request is read', accept: [resets()], cancel: [PLAIN], ...READ, seen: [0, 1] },
  {
    what: 'reset before any request is read',
    accept: Array.from({ length: 12 }, () => resets()),
    cancel: [PLAIN],
    status: 502,
    outcome: 'upstream_unreachable',
    sent: [3, 9],
    seen: [0, 0]
  },
  { what: 'a batch before the request is read', accept: [PLAIN], cancel: [], ...ACCEPTED, seen: [0, 0] },

  { what: 'a drip in a header, ended at 16 KiB', cancel: [drips('a'.repeat(64), OK, '\r\nx-drip: ')], ...READ },
  { what: 'a drip of headers, ended at 16 KiB', cancel: [drips('x-drip: drop\r\n', OK, '\r\n')], ...READ },
  {
    what: 'a drip of early hints',
    cancel: [drips(head('HTTP/1.1 103 Early Hints', 'x-drip: drop'))],
    timeout: ENOUGH,
    ...READ
  },
  { what: 'a stall before the headers, each time', cancel: [stalls()], read: [stalls()], timeout: SHORT, ...TIMED_OUT },
  {
    what: 'a stall in the body, each time',
    cancel: [stalls(FULL_LENGTH, HALF)],
    read: [stalls(FULL_LENGTH, HALF)],
    timeout: SHORT,
    ...TIMED_OUT
  },
  {
    what: 'a drip in the body, each time',
    cancel: [drips(' ', head(OK), '{')],
    read: [drips(' ', head(OK), '{')],
    status: 502,
    outcome: 'upstream_invalid_response',
    sent: [1, 1]
  },
  {
    what: 'a stall, and the read after a failure stalls, too',
    cancel: [fails(500)],
    read: [stalls()],
    timeout: SHORT,
    status: 500,
    outcome: 'fault_500',
    sent: [1, 1]
  },
  {
    what: 'a stall; the batch is live, and cancelled again',
    cancel: [stalls(FULL_LENGTH, HALF), PLAIN],
    read: [LIVE],
    timeout: 2400,
    ...ACCEPTED,
    sent: [2, 1]
  },
  {
    what: 'a stall; the batch is live, and no time is left',
    cancel: [stalls()],
    read: [LIVE],
    timeout: SHORT,
    ...TIMED_OUT
  },
  {
    what: 'a stall; the batch is cancelled',
    cancel: [stalls()],
    read: [CANCELLED],
    timeout: ENOUGH,
    ...READ,
    outcome: 'cancelled'
  },
  { what: 'a stall; the batch is completed', cancel: [stalls()], read: [COMPLETED], timeout: ENOUGH, ...REFUSED },
  {
    what: 'a stall of the cancel and a reset of the read',
    cancel: [stalls()],
    read: [resets()],
    timeout: SHORT,
    ...TIMED_OUT
  },
  {
    what: 'a stall for which the client does not wait',
    cancel: [stalls()],
    headers: { 'x-portkey-request-timeout': '20' },
    timeout: SHORT,
    ...TIMED_OUT,
    sent: [1, 0],
    seen: [1, 1]
  },

  { what: '500, then accepted', cancel: [fails(500), PLAIN], read: [LIVE], ...ACCEPTED, sent: [2, 1] },
  {
    what: '503 twice, then accepted',
    cancel: [fails(503), fails(503), PLAIN],
    read: [LIVE],
    ...ACCEPTED,
    sent: [3, 2]
  },
  { what: '500 each time', cancel: [fails(500)], read: [LIVE], status: 500, outcome: 'fault_500', sent: [3, 3] },
  {
    what: '599, an unknown status',
    cancel: [fails(599)],
    read: [LIVE],
    status: 599,
    outcome: 'fault_599',
    sent: [3, 3]
  },
  { what: '418', cancel: [fails(418)], status: 418, outcome: 'fault_418', sent: [1, 0] },
  {
    what: '500 as a page',
    cancel: [writes(whole('<h1>Oh</h1>', 'HTTP/1.1 500 Oh'))],
    read: [LIVE],
    status: 500,
    outcome: 'upstream_error',
    sent: [3, 3]
  },
  {
    what: '404 without a body',
    cancel: [writes(head('HTTP/1.1 404 Not Found', 'content-length: 0'))],
    status: 404,
    outcome: 'batch_not_found',
    sent: [1, 0]
  },
  {
    what: '404 whose body breaks off',
    cancel: [closes(head('HTTP/1.1 404 Not Found', 'content-length: 100'), '{"error":')],
    ...READ
  },
  {
    what: '401 with a body that is too deep to be parsed',
    cancel: [writes(whole(`{"error":${DEEP}}`, 'HTTP/1.1 401 Unauthorized'))],
    status: 401,
    outcome: null,
    sent: [1, 0]
  },
  {
    what: '400 with __proto__ in its error',
    cancel: [writes(whole(
      '{"__proto__":{"error":{"message":"a"}},"error":{"__proto__":{"code":"b"},"message":"No."}}',
      'HTTP/1.1 400 Bad'
    ))],
    read: [LIVE],
    status: 400,
    outcome: null,
    sent: [1, 2]
  },
  {
    what: '401 with control bytes and a lone surrogate in its message',
    cancel: [writes(whole('{"error":{"message":"a\\u0000\\r\\n\\ud800","code":"c"}}', 'HTTP/1.1 401 No'))],
    status: 401,
    outcome: 'c',
    sent: [1, 0]
  },

  // The first cancel is carried out, its response is lost, and the reads lag.
  {
    what: 'a lost response, then 409; the batch is cancelling',
    cancel: [resets(), fails(409)],
    read: [LIVE, PLAIN],
    ...READ,
    sent: [2, 2]
  },
  {
    what: 'a lost response, then 409; the batch is cancelled',
    cancel: [resets(), fails(409)],
    read: [LIVE, CANCELLED],
    ...READ,
    outcome: 'cancelled',
    sent: [2, 2]
  },
  {
    what: 'a lost response, then 409; the batch is cancelling a moment later',
    cancel: [resets(), fails(409)],
    read: [LIVE, LIVE, PLAIN],
    ...READ,
    sent: [2, 3]
  },
  {
    what: 'a lost response, then 409; the batch stays live',
    cancel: [resets(), fails(409)],
    read: [LIVE],
    status: 502,
    outcome: 'upstream_unreachable',
    sent: [2, 3]
  },
  {
    what: 'a lost response, then 409; the batch is completed',
    cancel: [resets(), fails(409)],
    read: [LIVE, COMPLETED],
    ...REFUSED,
    sent: [2, 2]
  },
  {
    what: 'a lost response, then 404 of the cancel alone',
    cancel: [resets(), fails(404)],
    read: [LIVE],
    status: 502,
    outcome: 'upstream_unreachable',
    sent: [2, 2]
  },
  {
    what: 'a lost response, then 404 of cancel and read',
    cancel: [resets(), fails(404)],
    read: [fails(404)],
    status: 404,
    outcome: 'fault_404',
    sent: [2, 2]
  },
  {
    what: 'a lost response, then 429 for long; the batch stays live',
    cancel: [resets(), fails(429, 'retry-after: 3600')],
    read: [LIVE],
    status: 502,
    outcome: 'upstream_unreachable',
    sent: [2, 2]
  },
  {
    what: 'a lost response to a client that repeats calls by itself',
    cancel: [resets()],
    read: [LIVE],
    headers: REPEATS,
    status: 502,
    outcome: 'upstream_unreachable',
    sent: [1, 1]
  },

  {
    what: '503 with retry-after 0',
    cancel: [fails(503, 'retry-after: 0'), PLAIN],
    read: [LIVE],
    ...ACCEPTED,
    sent: [2, 1],
    responseHeaders: { 'retry-after': undefined }
  },
  {
    what: '503 with retry-after 3600',
    cancel: [fails(503, 'retry-after: 3600')],
    read: [LIVE],
    status: 503,
    outcome: 'fault_503',
    sent: [1, 1],
    responseHeaders: { 'retry-after': '3600' }
  },
  {
    what: '503 with retry-after 3600; the batch is cancelling',
    cancel: [fails(503, 'retry-after: 3600')],
    ...READ,
    responseHeaders: { 'retry-after': undefined }
  },
  {
    what: '503 with a retry-after of 400 digits',
    cancel: [fails(503, `retry-after: ${'9'.repeat(400)}`)],
    read: [LIVE],
    status: 503,
    outcome: 'fault_503',
    sent: [1, 1]
  },
  {
    what: '503 with a retry-after in the past',
    cancel: [fails(503, 'retry-after: Thu, 01 Jan 1970 00:00:00 GMT'), PLAIN],
    read: [LIVE],
    ...ACCEPTED,
    sent: [2, 1]
  },
  {
    what: '503 with a malformed retry-after',
    cancel: [fails(503, 'retry-after: soon'), PLAIN],
    read: [LIVE],
    ...ACCEPTED,
    sent: [2, 1]
  },
  {
    what: '429 with retry-after-ms, then accepted',
    cancel: [fails(429, 'retry-after-ms: 5'), PLAIN],
    ...ACCEPTED,
    sent: [2, 0]
  },
  {
    what: '429 with retry-after 0 each time',
    cancel: [fails(429, 'retry-after: 0')],
    status: 429,
    outcome: 'fault_429',
    sent: [3, 0],
    responseHeaders: { 'retry-after': '0' }
  },
  {
    what: '429 with retry-after 3600',
    cancel: [fails(429, 'retry-after: 3600')],
    status: 429,
    outcome: 'fault_429',
    sent: [1, 0],
    responseHeaders: { 'retry-after': '3600' }
  },
  {
    what: '503 that must not be repeated',
    cancel: [fails(503, 'x-should-retry: false')],
    read: [LIVE],
    status: 503,
    outcome: 'fault_503',
    sent: [1, 1],
    responseHeaders: { 'x-should-retry': 'false' }
  },

  {
    what: 'headers of a provider that reach the client',
    cancel: [writes(whole(
      TEXT, OK, 'X-Request-ID: req_1', 'x-ratelimit-remaining-requests: 5', 'set-cookie: a=b', 'x-secret: c',
      'connection: x-ratelimit-remaining-requests'
    ))],
    ...ACCEPTED,
    responseHeaders: {
      'x-request-id': 'req_1', 'x-ratelimit-remaining-requests': '5', 'set-cookie': undefined, 'x-secret': undefined
    }
  },
  {
    what: 'bytes over 0x7f in headers that reach the client',
    cancel: [fails(
      429, 'x-request-id: r\xe9q', 'retry-after: 3600', 'x-ratelimit-reset: \xff', 'x-should-retry: \xc3\xa9'
    )],
    status: 429,
    outcome: 'fault_429',
    sent: [1, 0],
    responseHeaders: {
      'x-request-id': /^req-/, 'retry-after': '3600', 'x-ratelimit-reset': undefined, 'x-should-retry': undefined
    }
  },
  {
    what: 'a tab in a header that reaches the client',
    cancel: [writes(whole(TEXT, OK, 'x-request-id: a\tb'))],
    ...ACCEPTED,
    responseHeaders: { 'x-request-id': /^req-/ }
  },
  {
    what: 'an empty header that reaches the client',
    cancel: [fails(429, 'x-request-id:', 'retry-after:', 'retry-after-ms: ', 'x-ratelimit-reset:')],
    status: 429,
    outcome: 'fault_429',
    sent: [3, 0],
    responseHeaders: { 'x-request-id': /^req-/, 'retry-after': undefined, 'x-ratelimit-reset': undefined }
  },
  {
    what: 'two values of a header that reaches the client',
    cancel: [fails(429, 'x-request-id: a', 'x-request-id: b', 'retry-after: 3600', 'Retry-After: 3600')],
    status: 429,
    outcome: 'fault_429',
    sent: [3, 0],
    responseHeaders: { 'x-request-id': /^req-/, 'retry-after': undefined }
  },
  {
    what: 'a long header that reaches the client',
    cancel: [writes(whole(TEXT, OK, `x-request-id: ${'a'.repeat(9000)}`))],
    ...ACCEPTED,
    responseHeaders: { 'x-request-id': /^req-/ }
  },
  {
    what: 'headers of this package in the response of the provider',
    cancel: [writes(whole(
      TEXT, OK, 'x-batch-source: retrieved', 'x-portkey-provider: evil', 'x-portkey-retry-attempt-count: 7',
      'x-portkey-trace-id: evil', 'preference-applied: wait=9'
    ))],
    ...ACCEPTED,
    responseHeaders: { 'x-portkey-trace-id': /^req-/, 'preference-applied': undefined }
  },

  {
    what: 'a batch that is still live, with deep brackets',
    cancel: [writes(whole(deepBatch('in_progress')))],
    ...ACCEPTED,
    source: 'assumed',
    verbatim: deepBatch('cancelling')
  },
  {
    what: 'a batch that is still live, in an odd notation',
    cancel: [writes(whole(oddBatch('in_progress')))],
    ...ACCEPTED,
    source: 'assumed',
    verbatim: oddBatch('cancelling')
  },
  {
    what: 'a read that is still live, in an odd notation',
    cancel: [resets(), writes(whole(oddBatch('finalizing')))],
    read: [LIVE],
    ...ACCEPTED,
    source: 'assumed',
    sent: [2, 1],
    verbatim: oddBatch('cancelling')
  },
  {
    what: 'a batch that is completed, with deep brackets',
    cancel: [fails(409)],
    read: [writes(whole(deepBatch('completed')))],
    ...REFUSED
  },
  {
    what: 'a batch of another shape, with deep brackets',
    cancel: [writes(whole(deepBatch('CANCELLING')))],
    ...ACCEPTED
  },
  {
    what: 'a batch that is still live, with __proto__',
    cancel: [writes(whole(batchWith('"__proto__":{"polluted":true}').replace('cancelling', 'in_progress')))],
    ...ACCEPTED,
    source: 'assumed',
    verbatim: batchWith('"__proto__":{"polluted":true}')
  },
  {
    what: 'a batch whose times are too large',
    cancel: [writes(whole(TEXT.replace('1713894800', '1e400')))],
    ...ACCEPTED
  }
]

/* The rows. */

const LEAK = /ECONN|EPIPE|127\.0\.0\.1|UND_ERR|HPE_|errno|syscall|socket|HTTPParser|stack/i
const KEEPS_ALIVE = /TCP|Connect|Shutdown|Write|Timeout/

/** The system may close a socket late on a busy machine; what is forgotten lives longer. */
const MAX_CLOSING_MS = 2_000

let report: CallReport | undefined
subscribe(`tracing:${CALL_CHANNEL}:asyncEnd`, message => { report = message as CallReport })

/** The sockets of undici, which know how many bytes were read. */
const upstreamSockets: Socket[] = []
subscribe('undici:client:connected', message => { upstreamSockets.push((message as { socket: Socket }).socket) })

/** Node reads up to 64 KiB at once. */
const MAX_BYTES_READ = MAX_RESPONSE_WIRE_BYTES + 64 * 1024

const KEY = 'sk-client-key'

interface Response {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A cancel over real HTTP, so that a response which cannot be written or read is noticed. */
async function call (
  app: FastifyInstance,
  ownHeaders: Record<string, string> = {},
  id = 'batch_1'
): Promise<Response> {
  const { port } = app.server.address() as AddressInfo
  const headers = { 'x-portkey-provider': 'openai', authorization: `Bearer ${KEY}`, ...ownHeaders }
  const request = httpRequest({
    port, host: '127.0.0.1', agent: false, method: 'POST', path: `/v1/batches/${id}/cancel`, headers
  })
  const [response] = await once(request.end(), 'response')
  return { statusCode: response.statusCode, headers: response.headers, body: await text(response) }
}

/** An app that listens, and what it logs. */
async function listen (t: Test, url: string, timeout = 30_000): Promise<{ app: FastifyInstance, logged: string[] }> {
  const logged: string[] = []
  const forward = forwardToProviders({ providers: { openai: openai({ baseUrl: `${url}/v1` }) } })
  const stream = { write (line: string) { logged.push(line) } }
  const app = await buildWithoutPauses(t, { timeout, forward }, { logger: { level: 'info', stream } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, logged }
}

/** Compares a response with what is expected and with the document. */
function check (t: Test, { statusCode, headers, body }: Response, expected: Expected): void {
  const { status, outcome, source, sent: [attempts, reads] } = expected
  const json = JSON.parse(body) as { status?: string, error?: { code: string | null }, batch?: { status: string } }
  const actual = json.error === undefined ? json.status : json.error.code
  t.strictSame([statusCode, actual], [status, outcome], body.slice(0, 500))
  if (source !== undefined) t.equal(headers['x-batch-source'], source)
  if (outcome === 'batch_not_cancellable') t.equal(json.batch?.status, 'completed', 'the batch is beside the error')
  t.match(headers, { 'x-portkey-retry-attempt-count': String(attempts - 1), 'x-portkey-provider': 'openai' })
  t.match(report, { status, outcome, attempts, reads }, 'what was sent')
  t.strictSame(violations({ statusCode, headers, body }), [], 'the document allows the response')
  t.notMatch(body.slice(0, 10_000) + JSON.stringify(headers), LEAK, 'nothing about the connection is shown')
}

/** Resolves once the results of the test so far are out of this process. */
const stdoutDrained = () => new Promise<void>(resolve => { process.stdout.write('', () => { resolve() }) })

/** What still keeps the process alive when everything that is being closed is closed. */
async function activeResources (): Promise<string[]> {
  await stdoutDrained()
  const stillActive = () => process.getActiveResourcesInfo().filter(name => KEEPS_ALIVE.test(name))
  const end = performance.now() + MAX_CLOSING_MS
  while (stillActive().length > 0 && performance.now() < end) await turn()
  return stillActive()
}

for (const row of ROWS) {
  const {
    what, refused, cancel, read = [PLAIN], accept, headers, timeout, seen, verbatim, responseHeaders = {}, ...expected
  } = row
  t.test(what, async t => {
    const upstream = await startRawUpstream(t, { cancel, read, ...accept && { accept } })
    if (refused === true) await upstream.close()
    const { app, logged } = await listen(t, upstream.url, timeout)
    upstreamSockets.length = 0
    const response = await call(app, headers)
    check(t, response, expected)
    if (verbatim !== undefined) t.ok(response.body === verbatim, 'the batch is returned as it came')
    for (const [name, value] of Object.entries(responseHeaders)) {
      t.match({ value: response.headers[name] }, { value }, name)
    }

    await app.close()
    t.equal(await upstream.held(), 0, 'what was abandoned is closed')
    const [cancels, reads] = seen ?? expected.sent
    t.strictSame(upstream.seen, { cancel: cancels, read: reads }, 'what arrived')
    t.ok(upstreamSockets.every(({ bytesRead }) => bytesRead <= MAX_BYTES_READ), 'a bounded number of bytes is read')
    t.notOk(logged.some(line => line.includes(KEY)), 'no credential is logged')
    t.strictSame(await activeResources(), [], 'nothing keeps the process alive')
  })
}

/* What one call leaves behind for the next. */

interface Sequel extends Expected {
  readonly what: string
  /** The reply to the first call, which is accepted, and then to each cancel of the second. */
  readonly cancel: readonly [Reply, ...Reply[]]
  readonly read?: readonly Reply[]
  /** What the provider does on the idle connection before the second call. */
  readonly idle?: Reply
  /** Whether the provider has closed the connection when the second call begins. */
  readonly closed?: true
  /** How many connections are made. */
  readonly connections: number
}

const OTHER = whole(JSON.stringify(batch({ id: 'batch_evil', status: 'completed' })))
const TIMEOUT_408 = head('HTTP/1.1 408 Request Timeout', 'content-length: 0', 'connection: close')
const REUSED = { ...ACCEPTED, connections: 1 }
const REPLACED = { ...ACCEPTED, connections: 2 }

const SEQUELS: readonly Sequel[] = [
  { what: 'a kept-alive connection is reused', cancel: [PLAIN], ...REUSED },
  {
    what: 'a kept-alive connection is reused after a chunked response',
    cancel: [writes(CHUNKED, chunked(...TEXT), '0\r\n\r\n')],
    ...REUSED
  },
  { what: 'connection: close', cancel: [writes(whole(TEXT, OK, 'connection: close'))], ...REPLACED },
  {
    what: 'kept alive for a second only',
    cancel: [writes(whole(TEXT, OK, 'keep-alive: timeout=1')), PLAIN],
    ...REPLACED
  },
  { what: 'the idle connection is closed', cancel: [closes(whole(TEXT)), PLAIN], closed: true, ...REPLACED },
  { what: 'the idle connection is reset', cancel: [PLAIN], idle: resets(), ...REPLACED },
  {
    what: 'the idle connection is closed as the second call begins',
    cancel: [PLAIN],
    idle: closes(),
    ...REPLACED
  },
  {
    what: 'the connection is closed when the second cancel comes; it was carried out',
    cancel: [PLAIN, closes()],
    ...READ,
    connections: 2
  },
  {
    what: 'the connection is reset when the second cancel comes; it was carried out',
    cancel: [PLAIN, resets()],
    ...READ,
    connections: 2
  },
  {
    what: 'the connection is reset when the second cancel comes; it was not carried out',
    cancel: [PLAIN, resets(), PLAIN],
    read: [LIVE],
    ...REPLACED,
    sent: [2, 1]
  },
  { what: 'another response with the first', cancel: [writes(whole(TEXT), OTHER), PLAIN], ...REPLACED },
  { what: 'another response on the idle connection', cancel: [PLAIN], idle: writes(OTHER), ...REPLACED },
  {
    what: 'half of another response with the first',
    cancel: [writes(whole(TEXT), OTHER.subarray(0, 30)), PLAIN],
    ...REPLACED
  },
  {
    what: 'half of another response on the idle connection',
    cancel: [PLAIN],
    idle: writes(OTHER.subarray(0, 30)),
    ...REPLACED
  },
  { what: 'garbage on the idle connection', cancel: [PLAIN], idle: writes('\0\0'), ...REPLACED },
  { what: 'an empty line on the idle connection', cancel: [PLAIN], idle: writes('\r\n'), ...REPLACED },
  { what: 'a farewell with 408 on the idle connection', cancel: [PLAIN], idle: closes(TIMEOUT_408), ...REPLACED },
  {
    what: 'a body that goes on after its length',
    cancel: [writes(whole(TEXT), ' '.repeat(100), OTHER), PLAIN],
    ...REPLACED
  },
  {
    what: 'a body with a 204',
    cancel: [PLAIN, writes(head('HTTP/1.1 204 No Content', `content-length: ${TEXT.length}`), OTHER)],
    ...READ,
    connections: 2
  }
]

for (const { what, cancel, read = [PLAIN], idle, closed, connections, ...expected } of SEQUELS) {
  t.test(`the second call: ${what}`, async t => {
    const upstream = await startRawUpstream(t, { cancel, read })
    const { app } = await listen(t, upstream.url)
    check(t, await call(app), ACCEPTED)

    const [first] = upstream.sockets as [Socket]
    if (closed === true && !first.destroyed) await once(first, 'close')
    idle?.send(first, '')
    const response = await call(app)
    check(t, response, expected)
    t.equal(response.body, TEXT, 'the batch is the one that was asked for')
    t.equal(upstream.sockets.length, connections, 'how many connections are made')
    await app.close()
    t.strictSame(await activeResources(), [], 'nothing keeps the process alive')
  })
}

t.test('a response that comes after its call was given up belongs to no call', async t => {
  const upstream = await startRawUpstream(t, { cancel: [stalls(), PLAIN], read: [PLAIN] })
  const { app } = await listen(t, upstream.url, SHORT)
  check(t, await call(app), READ)
  upstream.sockets[0]?.write(OTHER)
  const response = await call(app)
  check(t, response, ACCEPTED)
  t.equal(response.body, TEXT)
  t.equal(await upstream.held(), 0)
})

/** Returns the batch whose id is in the request. */
const ECHO: Reply = {
  send (socket, request) {
    const [id] = /batch_\d+/.exec(request) as RegExpExecArray
    returns({ id }).send(socket, request)
  }
}

t.test('many calls at once, answered in reverse, some responses lost: each gets its own batch', async t => {
  const ids = Array.from({ length: 40 }, (_, n) => `batch_${n}`)
  let waiting: Array<() => void> = []
  const inReverse: Reply = {
    send (socket, request) {
      const reply = [ECHO, resets(), closes(FULL_LENGTH, HALF)][waiting.length % 3] as Reply
      waiting.push(() => reply.send(socket, request))
      if (waiting.length < ids.length) return
      for (const send of waiting.reverse()) send()
      waiting = []
    }
  }
  const upstream = await startRawUpstream(t, { cancel: [inReverse], read: [ECHO] })
  const { app } = await listen(t, upstream.url)
  for (const wave of ['first', 'second']) {
    const responses = await Promise.all(ids.map(id => call(app, {}, id)))
    const shown = responses.map(({ statusCode, body }) => [statusCode, (JSON.parse(body) as { id: string }).id])
    t.strictSame(shown, ids.map(id => [200, id]), `the ${wave} wave`)
  }
  t.strictSame(upstream.seen, { cancel: 80, read: 52 }, 'what was lost is read, and nothing else')
})

t.test('no redirect is followed', async t => { t.equal(elsewhere.sockets.length, 0) })

/** The clock of undici's own time limits, which its tests move, too. */
const { tick } = createRequire(import.meta.url)('undici/lib/util/timers.js') as { tick (ms?: number): void }

t.test('no time limit but that of the call ends a response', async t => {
  const HOUR_MS = 3_600_000
  const responses: ServerResponse[] = []
  let onHeaders = () => {}
  const headers = new Promise<void>(resolve => { onHeaders = resolve })
  subscribe('undici:request:headers', onHeaders)
  t.teardown(() => unsubscribe('undici:request:headers', onHeaders))
  const upstream = await startUpstream(t, (_request, response) => { responses.push(response) })
  const { app } = await listen(t, upstream.url)
  const result = call(app)
  function passAnHour (): void {
    tick()
    tick(HOUR_MS)
  }

  while (responses.length === 0) await turn()
  passAnHour()
  const [response] = responses as [ServerResponse]
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': TEXT.length })
  response.write(HALF)
  await Promise.race([headers, result])
  passAnHour()
  response.end(TEXT.slice(HALF.length))
  check(t, await result, ACCEPTED)
})

/* Responses that show another batch than the one that was asked for. */

/** A batch that was cancelled, as a provider returns it under an id. */
interface Shown {
  /** Ids of one batch in a call. */
  readonly asked: readonly string[]
  /** Ids of this batch in a response. */
  readonly own: readonly string[]
  /** Ids of other batches. */
  readonly others: readonly string[]
  readonly body: (id: string) => object
  readonly headers?: Record<string, string>
}

const UUID = '0e9d1d35-3d1e-4d66-9a2f-8c7e0f6b3e21'
const ARN = 'arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij12'
const JOB = 'projects/p-1/locations/eu/batchPredictionJobs/123'
const shaped: Shown = {
  asked: ['batch_1'],
  own: ['batch_1'],
  others: ['batch_2', 'batch_10', 'atch_1'],
  body: id => batch({ id, status: 'cancelled' })
}
const uuid = { asked: [UUID, UUID.toUpperCase()], own: [UUID], others: [UUID.replace('0', '1')] }

const messageBatches: Shown = {
  ...shaped,
  body: id => ({
    id,
    type: 'message_batch',
    processing_status: 'ended',
    cancel_initiated_at: '2026-01-01T00:00:00Z',
    request_counts: { processing: 0, succeeded: 0, errored: 0, canceled: 1, expired: 0 }
  })
}

const SHOWN: Readonly<Record<string, Shown>> = {
  anthropic: messageBatches,
  'claude-platform-aws': { ...messageBatches, headers: { 'anthropic-workspace-id': 'wrkspc_1' } },
  databricks: { ...shaped, body: name => ({ name, status: 'CANCELLED' }) },
  bedrock: {
    asked: ['abcdefghij12', ARN, encodeURIComponent(ARN)],
    own: [ARN, encodeURIComponent(ARN)],
    others: [ARN.replace('hij12', 'hij13')],
    body: jobArn => ({ jobArn, status: 'Stopped' }),
    headers: { 'x-portkey-aws-region': 'us-east-1' }
  },
  'vertex-ai': {
    asked: ['123', JOB],
    own: [JOB, JOB.replace('p-1', '987')],
    others: [`${JOB}4`, JOB.replace('123', '4123')],
    body: name => ({ name, state: 'JOB_STATE_CANCELLED' }),
    headers: { 'x-portkey-vertex-project-id': 'p-1', 'x-portkey-vertex-region': 'eu' }
  },
  google: {
    asked: ['x1', 'batches/x1', 'batches%2Fx1'],
    own: ['batches/x1'],
    others: ['batches/x2', 'batches/xx1'],
    body: name => ({ name, metadata: { state: 'BATCH_STATE_CANCELLED' } })
  },
  'mistral-ai': { ...uuid, body: id => ({ id, object: 'batch', status: 'CANCELLED' }) },
  'together-ai': { ...uuid, body: id => ({ id, status: 'CANCELLED' }) },
  cohere: { ...shaped, body: id => ({ batch: { id, status: 'BATCH_STATUS_CANCELED' } }) },
  'x-ai': {
    ...shaped,
    body: id => ({
      batch_id: id,
      cancel_time: '2026-01-01',
      state: { num_requests: 0, num_pending: 0, num_success: 0, num_error: 0, num_cancelled: 0 }
    })
  },
  'novita-ai': { ...shaped, body: id => ({ ...batch({ id }), status: 'CANCELLED' }) },
  digitalocean: { ...uuid, body: id => ({ batch_id: id, status: 'cancelled' }) },
  watsonx: { ...shaped, headers: { 'x-portkey-watsonx-region': 'eu-de', 'x-portkey-watsonx-project-id': 'p-1' } }
}

t.test('a response that shows another batch says nothing about this one, at every provider', async t => {
  let body: object = {}
  const rejection = { status: 422, body: { error: 'No.' } }
  const upstream = await startUpstream(t, ({ method }) => method === 'GET' ? { body } : rejection)
  const providers = Object.fromEntries(Object.entries(providerFactories).map(([name, factory]) =>
    [name, factory({ baseUrl: upstream.url }) as Provider]))
  const server = { routerOptions: { maxParamLength: 512 } }
  const app = await buildWithoutPauses(t, { forward: forwardToProviders({ providers }) }, server)
  for (const name of Object.keys(providers)) {
    const { asked, own, others, body: bodyWith, headers } = SHOWN[name] ?? shaped
    const call = { headers: { 'x-portkey-provider': name, authorization: 'Bearer sk-client-key', ...headers } }
    for (const id of asked) {
      for (const returned of own) {
        body = bodyWith(returned)
        const expected = { error: { code: 'batch_not_cancellable' }, batch: { status: 'cancelled' } }
        t.match((await injectCancel(app, { id, ...call })).json(), expected, `${name}: ${returned} for ${id}`)
      }
      for (const returned of others) {
        body = bodyWith(returned)
        const expected = { error: { message: 'No.' }, batch: undefined }
        t.match((await injectCancel(app, { id, ...call })).json(), expected, `${name}: ${returned} for ${id}`)
      }
    }
  }
})
