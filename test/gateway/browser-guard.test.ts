import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import fc from 'fast-check'
import t from 'tap'
import { isOnLoopback } from '../../gateway/browser-guard.js'
import { createGateway, originOf } from '../../gateway/gateway.js'
import { ask, connectTo, listen } from './program.js'

const CANCEL = '/v1/batches/batch_cancelling/cancel'
const UPLOAD = '/sandbox/v1/files'

const portOf = (app: FastifyInstance) => (app.server.address() as AddressInfo).port
const provider = { 'x-portkey-provider': 'sandbox' }

const post = async (app: FastifyInstance, headers: Record<string, string>, path = CANCEL) =>
  ask(originOf(app) + path, { method: 'POST', headers: { ...provider, ...headers } })

const get = async (app: FastifyInstance, headers: Record<string, string>, path = '/healthz') =>
  ask(originOf(app) + path, { headers })

const HOST_REFUSED = {
  status: 403,
  headers: { 'x-request-id': /./, 'x-portkey-trace-id': /./ },
  error: { message: /^Unknown Host header: /, type: 'invalid_request_error', param: 'host', code: 'host_not_allowed' }
}

const ORIGIN_REFUSED = {
  status: 403,
  headers: { 'x-request-id': /./, 'x-portkey-trace-id': /./ },
  error: {
    message: /^A page of another origin may not call this gateway\. /,
    type: 'invalid_request_error',
    param: 'origin',
    code: 'origin_not_allowed'
  }
}

t.test('on loopback only known hosts are accepted', async t => {
  const app = await listen(t, { host: 'Gateway.internal', allowedOrigins: ['https://gateway.example.com'] })
  const port = portOf(app)
  for (const host of [
    `127.0.0.1:${port}`,
    `localhost:${port}`,
    `LOCALHOST:${port}`,
    `[::1]:${port}`,
    `gateway.internal:${port}`,
    'gateway.example.com',
    // A tunnel from another port.
    'localhost:9000',
    'localhost'
  ]) {
    t.match(await get(app, { host }), { status: 200 }, host)
    t.match(await post(app, { host }), { status: 200 }, host)
  }
  for (const host of [
    `evil.example.com:${port}`,
    'evil.example.com',
    `localhost.evil.example.com:${port}`,
    `127.0.0.1.evil.example.com:${port}`,
    `evil.localhost:${port}`,
    `0.0.0.0:${port}`,
    '::1',
    '127.0.0.1@evil.example.com',
    `localhost:${port}:1`
  ]) {
    for (const path of ['/healthz', '/docs/', '/openapi.json', '/sandbox/v1/batches', '/unknown']) {
      t.match(await get(app, { host }, path), HOST_REFUSED, `${host} ${path}`)
    }
    t.match(await post(app, { host }), HOST_REFUSED, host)
  }
  for (const { request, status } of [
    { request: 'GET /healthz HTTP/1.0\r\n\r\n', status: 200 },
    { request: 'GET /healthz HTTP/1.0\r\nhost:\r\n\r\n', status: 403 }
  ]) {
    const connection = await connectTo(t, originOf(app))
    connection.write(request)
    await connection.closed
    t.match(connection.text(), new RegExp(`^HTTP/1\\.1 ${status} `), 'HTTP/1.0 may leave Host out')
  }
})

t.test('no other host is accepted', async t => {
  const app = await listen(t)
  const KNOWN = /^(localhost|127\.0\.0\.1|\[::1\])(:\d*)?$/i
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6(),
    fc.stringMatching(/^[!-~]{1,20}$/),
    fc.stringMatching(/^(localhost|127\.0\.0\.1|\[::1\])[a-z.:0-9]{0,4}$/)
  )
  await fc.assert(fc.asyncProperty(host, async host => {
    const { statusCode } = await app.inject({ url: '/healthz', headers: { host } })
    return statusCode === (KNOWN.test(host) ? 200 : 403)
  }), { numRuns: 300 })
  t.pass('for every one')
})

t.test('an address that other machines can reach takes any host', async t => {
  const app = await listen(t, {}, '0.0.0.0')
  t.match(await get(app, { host: 'gateway.example.com' }), { status: 200 })
  t.match(await post(app, { host: 'gateway.example.com', origin: 'https://gateway.example.com' }), { status: 200 })
  t.match(await post(app, { host: 'gateway.example.com', origin: 'https://evil.example.com' }), ORIGIN_REFUSED)
  t.match(await get(await listen(t, {}, '::1'), { host: 'evil.example.com' }), HOST_REFUSED)
  t.match(await get(await listen(t, { host: '::1' }, '::1'), {}), { status: 200 })
  // Asked for by its address, which is not one of loopback's names.
  t.match(await get(await listen(t, { host: '127.0.0.2' }, '127.0.0.2'), {}), { status: 200 })
  t.equal(isOnLoopback(await createGateway({ logLevel: 'silent' })), undefined, 'it does not listen')
})

t.test('pages of other sites change nothing', async t => {
  const app = await listen(t, { defaultProvider: 'sandbox' })
  const port = portOf(app)
  for (const headers of [
    { origin: 'https://evil.example.com', 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'new-value' },
    { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'cross-site' },
    { origin: 'http://localhost:3000', 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example.com' },
    { origin: 'http://127.0.0.1' },
    { origin: `ftp://127.0.0.1:${port}` },
    { origin: `http://localhost:${port}` },
    { origin: 'null' },
    { origin: '' }
  ]) {
    const sent = { 'content-type': 'text/plain', ...headers }
    t.match(await post(app, sent), ORIGIN_REFUSED, JSON.stringify(headers))
    t.match(await post(app, sent, UPLOAD), ORIGIN_REFUSED)
    t.match(await post(app, sent, '/unknown'), ORIGIN_REFUSED)
  }
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
  t.match(await get(app, link, '/docs/'), { status: 200 }, 'a link to the page works')
  t.match(await ask(originOf(app) + CANCEL, { method: 'OPTIONS', headers: { origin: 'https://evil.example.com' } }), {
    status: 404, headers: { 'access-control-allow-origin': undefined }
  }, 'a preflight allows nothing')
})

t.test('the page itself, and clients that are not browsers, always work', async t => {
  const app = await listen(t)
  const port = portOf(app)
  for (const headers of [
    {},
    { 'user-agent': 'curl/8', 'content-type': 'application/json' },
    { origin: `http://127.0.0.1:${port}`, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' },
    { host: `localhost:${port}`, origin: `http://localhost:${port}`, 'sec-fetch-site': 'same-origin' },
    { host: `LocalHost:${port}`, origin: `http://localhost:${port}` },
    { host: 'localhost', origin: 'https://localhost' },
    { 'sec-fetch-site': 'none' }
  ]) {
    t.match(await post(app, headers as Record<string, string>), { status: 200 }, JSON.stringify(headers))
  }
})

t.test('allowed origins', async t => {
  const app = await listen(t, { allowedOrigins: ['https://gateway.example.com', 'http://localhost:3000'] })
  for (const origin of ['https://gateway.example.com', 'http://localhost:3000']) {
    for (const site of ['same-origin', 'same-site', 'cross-site']) {
      t.match(await post(app, { origin, 'sec-fetch-site': site }), { status: 200 }, `${origin} ${site}`)
    }
  }
  for (const origin of ['http://gateway.example.com', 'https://gateway.example.com.evil', 'http://localhost:3001']) {
    t.match(await post(app, { origin }), ORIGIN_REFUSED, origin)
  }
})
