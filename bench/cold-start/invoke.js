import { CANCEL_PATH } from '../lib/batch.js'

/*
 * One cold start: loads a bundled function as Lambda does, invokes it once, and reports to the parent. Times are in
 * milliseconds from the start of the process, as performance.now() counts them; CPU is that of all threads since then.
 */

const reading = () => {
  const { user, system } = process.cpuUsage()
  return { wall: performance.now(), cpu: (user + system) / 1000 }
}

/** What an HTTP API of API Gateway sends, payload format 2.0. */
const event = {
  version: '2.0',
  routeKey: '$default',
  rawPath: CANCEL_PATH,
  rawQueryString: '',
  headers: { accept: 'application/json', authorization: 'Bearer token-of-the-app', host: 'api.example.com' },
  requestContext: {
    http: { method: 'POST', path: CANCEL_PATH, protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'bench' },
    requestId: 'JKJaXmPLvHcESHA=',
    routeKey: '$default',
    stage: '$default'
  },
  isBase64Encoded: false
}

const boot = reading()
const { handler } = await import(process.argv[2])
const init = reading()
const { statusCode, body } = await handler(event, {})
const first = reading()

process.send({ boot, init, first, statusCode, body }, () => process.exit())
