import type { AddressInfo, Socket } from 'node:net'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { documentOptions, security } from '../openapi/document.js'
import { errorEnvelope } from '../lib/route/error-response.js'
import { traceIdOf } from '../lib/headers.js'
import { builtIn, fastifyBatchCancel, forwardToProviders, openai } from '../lib/index.js'
import sandbox from '../lib/sandbox/index.js'

export interface GatewayOptions {
  /** Fastify's own. Default: `warn`. */
  readonly logLevel?: string
  /** The hosts that `x-portkey-custom-host` may name; on loopback a bare one is reached by http, too. Default: none. */
  readonly trustedHosts?: readonly string[]
}

/** The same limit as the schema's: Fastify's router refuses longer ids before any route sees them. */
const LONGEST_ID = 512

/** A request that takes longer to arrive than this is given up, in milliseconds. */
const REQUEST_TIMEOUT = 60_000

/** The plugin, the sandbox and Swagger UI in one app. Throws `FST_BATCH_CANCEL_INVALID_OPTION` for a host that is none. */
export async function createGateway ({ logLevel = 'warn', trustedHosts = [] }: GatewayOptions = {}): Promise<FastifyInstance> {
  const app: FastifyInstance = Fastify({
    logger: { level: logLevel },
    routerOptions: { maxParamLength: LONGEST_ID },
    requestTimeout: REQUEST_TIMEOUT,
    // The gateway says so itself, in its own envelope.
    return503OnClosing: false,
    frameworkErrors: refuseUrl,
    clientErrorHandler: refuseBytes
  })
  let closing = false
  app.addHook('preClose', async () => { closing = true })
  app.addHook('onRequest', async (request, reply) => closing ? answer(request, reply.header('connection', 'close'), 503, 'The gateway is closing.') : undefined)
  app.setNotFoundHandler((request, reply) => answer(request, reply, 404, `Unknown URL: ${request.method} ${request.url}`))

  await app.register(swagger, documentOptions({ url: '/', description: 'This gateway' }))
  await app.register(swaggerUi, { routePrefix: '/docs', uiConfig: { tryItOutEnabled: true, docExpansion: 'full', defaultModelsExpandDepth: 0 } })
  await app.register(sandbox, { prefix: '/sandbox/v1' })
  await app.register(fastifyBatchCancel, {
    forward: forwardToProviders({
      providers: { sandbox: openai({ baseUrl: () => `${originOf(app)}/sandbox/v1`, apiKey: 'sandbox' }), ...builtIn },
      trustedHosts: trustedHosts.flatMap(onLoopbackByHttpToo)
    }),
    retrieve: true,
    routeOptions: { schema: { security } }
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  app.get('/healthz', { schema: { hide: true } }, () => ({ status: 'ok' }))
  return app
}

/** Where the gateway is reached from this machine, whatever it listens on. */
export function originOf (app: FastifyInstance): string {
  const { address, family, port } = app.server.address() as AddressInfo
  const host = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address
  return `http://${family === 'IPv6' && host === address ? `[${host}]` : host}:${port}`
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/

const onLoopbackByHttpToo = (host: string) => LOOPBACK.test(host) ? [`https://${host}`, `http://${host}`] : [host]

/** What Fastify's router refuses before any route: a URL that cannot be decoded, an id that is too long. */
function refuseUrl (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const code = request.url.startsWith('/v1/batches/') ? 'invalid_batch_id' : null
  answer(request, reply, 400, error.message, code)
}

function answer (request: FastifyRequest, reply: FastifyReply, status: number, message: string, code: string | null = null): FastifyReply {
  const id = String(request.id)
  return reply.code(status).headers({ 'x-request-id': id, 'x-portkey-trace-id': traceIdOf(request.headers, id) }).send(errorEnvelope(status, { message, code }))
}

/** The status lines for bytes that are no HTTP request; anything else is a 400. */
const REFUSALS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout'
}

function refuseBytes (error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable) return
  const line = REFUSALS[String(error.code)] ?? '400 Bad Request'
  const body = JSON.stringify(errorEnvelope(400, { message: `${line.slice(4)}.` }))
  socket.end(`HTTP/1.1 ${line}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)
}
