import { createServer } from 'node:http'
import { batchText } from './batch.js'

const [port, bytes] = process.argv.slice(2).map(Number)
const body = batchText(bytes)

createServer({ keepAliveTimeout: 0 }, (request, response) => {
  request.resume()
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'x-request-id': 'req_bench' }).end(body)
}).listen(port, '127.0.0.1')
