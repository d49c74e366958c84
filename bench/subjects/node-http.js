import { createServer } from 'node:http'
import { Pool } from 'undici'

const { PORT, UPSTREAM } = process.env
const pool = new Pool(UPSTREAM)
const ROUTE = /^\/v1\/batches\/([^/?]+)\/cancel$/

async function cancel (request, response) {
  const id = request.method === 'POST' ? ROUTE.exec(request.url)?.[1] : undefined
  request.resume()
  if (id === undefined) return response.writeHead(404).end()
  const { statusCode, headers, body } = await pool.request({
    method: 'POST',
    path: `/v1/batches/${id}/cancel`,
    headers: { authorization: request.headers.authorization }
  })
  const text = await body.text()
  response.writeHead(statusCode, { 'content-type': headers['content-type'], 'content-length': Buffer.byteLength(text) }).end(text)
}

createServer(cancel).listen(Number(PORT), '127.0.0.1')
