import { createServer } from 'node:http'
import { batchTextOf } from '../lib/batch.js'

/** A provider whose batches are all `cancelling` until it gets a signal to end them. */
let status = 'cancelling'

/** When each batch was cancelled first and read, by credential and batch, in milliseconds. */
const seen = new Map()

const ROUTE = /^\/v1\/batches\/([^/]+)(\/cancel)?$/

const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
  const [, id, cancel] = ROUTE.exec(request.url)
  note(`${request.headers.authorization} ${id}`, cancel === undefined)
  const body = batchTextOf(id, status)
  request.resume()
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'x-request-id': 'req_bench' }).end(body)
})

function note (key, isRead) {
  const times = seen.get(key) ?? { cancelled: performance.now(), reads: [] }
  if (isRead) times.reads.push(performance.now())
  seen.set(key, times)
}

process.on('message', (message) => {
  if (message === 'end') status = 'cancelled'
  if (message === 'forget') seen.clear()
  process.send({ now: performance.now(), seen: [...seen.values()] })
})

server.listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'))
