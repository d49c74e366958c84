import { createServer } from 'node:http'
import { batchTextOf } from '../lib/batch.js'
import { pickByShare } from '../lib/random.js'

/*
 * A provider on which little can be relied. Its batches are `in_progress` until they are cancelled, and it knows which
 * were. A cancel that gets no valid response has been carried out or not.
 */

const MIB = 1024 * 1024
const MAX_LATE_MS = 500
const PIECES = 20
const PIECE_PAUSE_MS = 20

const FAULTS = [
  { name: 'none', share: 70, isValid: true, send: sendText },
  { name: 'up to 500 ms late', share: 6, isValid: true, send: sendLate },
  { name: 'dripped for 400 ms', share: 3, isValid: true, send: drip },
  { name: 'almost 1 MiB', share: 1, isValid: true, send: (exchange) => sendPadded(exchange, MIB - 100) },
  { name: 'over 1 MiB', share: 1, send: (exchange) => sendPadded(exchange, 1.5 * MIB) },
  { name: '500, 502, 503 or 504', share: 6, send: fail },
  { name: '429', share: 1, send: (exchange) => sendError(exchange, 429) },
  { name: 'reset', share: 3, send: ({ response }) => reset(response.socket) },
  { name: 'reset in the body', share: 2, send: (exchange) => sendHalf(exchange, reset) },
  { name: 'closed in the body', share: 1, send: (exchange) => sendHalf(exchange, socket => { socket.end() }) },
  { name: 'stalled', share: 2, send: () => {} },
  { name: 'stalled in the body', share: 1, send: (exchange) => sendHalf(exchange, () => {}) },
  { name: 'HTML', share: 2, send: (exchange) => sendText({ ...exchange, text: '<html><h1>It works!</h1></html>' }) },
  { name: 'not HTTP', share: 1, send: ({ response }) => { response.socket.end('\0\x01garbage\r\n\r\n') } }
]

const ROUTE = /^\/v1\/batches\/([^/]+)(\/cancel)?$/
const cancelled = new Set()
const counts = Object.fromEntries(FAULTS.map(({ name }) => [name, 0]))

const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
  const [, id, cancel] = ROUTE.exec(request.url)
  const { name, isValid = false, send } = pickByShare(FAULTS)
  counts[name]++
  if (cancel !== undefined && (isValid || Math.random() < 0.5)) cancelled.add(id)
  const status = !cancelled.has(id) ? 'in_progress' : cancel === undefined ? 'cancelled' : 'cancelling'
  request.resume()
  response.on('error', () => {})
  send({ response, text: batchTextOf(id, status) })
})

const HEADERS = { 'content-type': 'application/json', 'x-request-id': 'req_bench' }

function sendText ({ response, text }) {
  response.writeHead(200, { ...HEADERS, 'content-length': Buffer.byteLength(text) }).end(text)
}

function sendLate (exchange) {
  setTimeout(sendText, Math.random() * MAX_LATE_MS, exchange)
}

function drip ({ response, text }) {
  response.writeHead(200, HEADERS)
  const length = Math.ceil(text.length / PIECES)
  const timer = setInterval(() => {
    response.write(text.slice(0, length))
    text = text.slice(length)
    if (text === '' || response.destroyed) end()
  }, PIECE_PAUSE_MS)

  function end () {
    clearInterval(timer)
    response.end()
  }
}

/** The batch, padded to about so many bytes. */
function sendPadded ({ response, text }, bytes) {
  sendText({ response, text: `${text.slice(0, -1)},"pad":"${'x'.repeat(bytes - text.length - 10)}"}` })
}

function fail (exchange) {
  sendError(exchange, [500, 502, 503, 504][Math.floor(Math.random() * 4)])
}

function sendError ({ response }, status) {
  const text = JSON.stringify({ error: { message: 'Not now.', type: 'server_error', param: null, code: null } })
  response.writeHead(status, { ...HEADERS, 'content-length': text.length }).end(text)
}

const reset = (socket) => { socket.resetAndDestroy() }

function sendHalf ({ response, text }, after) {
  response.writeHead(200, { ...HEADERS, 'content-length': Buffer.byteLength(text) })
  response.write(text.slice(0, text.length / 2), () => after(response.socket))
}

process.on('message', () => process.send({ counts, cancelled: [...cancelled] }))

server.listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'))
