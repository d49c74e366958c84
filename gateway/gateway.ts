import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import {
  builtIn, fastifyBatchCancel, forwardToProviders, openaiCompatible, type ForwardOptions
} from 'fastify-batch-cancel'
import sandboxPlugin from 'fastify-batch-cancel/sandbox'
import { guardAgainstBrowsers, type BrowserGuardOptions } from './browser-guard.js'
import { documentOptions, security } from './document.js'
import { foldHeaders } from './fold-headers.js'
import { limitLoad } from './load-limit.js'
import { errorEnvelope, refuse } from './refuse.js'
import { closingTime, trackConnections } from './shutdown.js'

export interface GatewayOptions extends BrowserGuardOptions {
  /**
   * Fastify's log level.
   * @default 'warn'
   */
  readonly logLevel?: string
  /**
   * The hosts that `x-portkey-custom-host` may name; on loopback a bare host also means http.
   * @default []
   */
  readonly trustedHosts?: readonly string[]
  /**
   * Exactly the providers to serve, besides the sandbox.
   * @default builtIn
   */
  readonly providers?: NonNullable<ForwardOptions['providers']>
  /** The provider of a call that names none. Without it `x-portkey-provider` is required. */
  readonly defaultProvider?: string
  /**
   * Whether to serve the sandbox, under `/sandbox/v1` and as provider `sandbox`.
   * @default true
   */
  readonly sandbox?: boolean
  /**
   * How long the work of one cancel may take, in milliseconds. Closing takes little longer.
   * @default 30_000
   */
  readonly timeout?: number
}

/**
 * Without Swagger UI's own red button 'Cancel', which ends the input of values and would seem to cancel the batch, and
 * without the request body, which is ignored. A parameter takes fewer lines, so that Execute is in sight.
 */
const PAGE_CSS = `
.swagger-ui .try-out, .swagger-ui .opblock-section-request-body { display: none }
.swagger-ui .all-headers { margin: 0 20px 20px }
.swagger-ui .opblock-description-wrapper { padding-bottom: 0 }
.swagger-ui .parameter__type, .swagger-ui .parameter__in { display: inline-block; margin-right: 8px }
.swagger-ui .parameter__deprecated:empty { display: none }
.swagger-ui table.parameters tbody tr td { padding-bottom: 0 }
@media (min-width: 800px) { .swagger-ui table.parameters tbody tr td:first-of-type { width: 21em } }
`

/** How long the work of one cancel may take, in milliseconds. */
export const CANCEL_TIMEOUT_MS = 30_000

/** The longest id that the router passes on, in characters: the same limit as the schema's. */
const MAX_ID_LENGTH = 512

/** How long a request may take to arrive, in milliseconds. */
const REQUEST_TIMEOUT_MS = 60_000

/** How long a connection may be idle, in milliseconds: longer than the 60 seconds of common load balancers. */
const KEEP_ALIVE_TIMEOUT_MS = 72_000

/**
 * The plugin, the sandbox and Swagger UI in one app.
 *
 * `/healthz` is a liveness check: 200 as long as the process takes requests, under load as well, so that nobody
 * restarts a gateway for being busy; 503 once it is closing.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION for an option that is not valid.
 */
export async function createGateway (options: GatewayOptions = {}): Promise<FastifyInstance> {
  const { logLevel = 'warn', defaultProvider, sandbox = true, timeout = CANCEL_TIMEOUT_MS } = options
  const sandboxKey = randomUUID()
  const connections = trackConnections()
  const forward = createForwarder(options, { url: () => `${originOf(app)}/sandbox/v1`, key: sandboxKey })

  const app: FastifyInstance = Fastify({
    logger: { level: logLevel },
    routerOptions: { maxParamLength: MAX_ID_LENGTH },
    serverFactory: (handler) => {
      const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS })
      connections.watch(server)
      return server.on('request', handler)
    },
    // The gateway refuses new requests itself, in its own envelope.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) =>
      refuseUrl(error, request, reply, namedProvider(request, forward.providers)),
    clientErrorHandler: refuseBytes
  })

  let closing = false
  app.addHook('preClose', (done) => {
    closing = true
    connections.drain()
    setTimeout(connections.destroy, closingTime(timeout)).unref()
    done()
  })
  app.addHook('preHandler', (request, _reply, done) => {
    connections.begin(request.raw)
    done()
  })

  // A call to the sandbox comes back as a request of its own: it belongs to work that was accepted.
  const isOwnRequest = ({ headers }: FastifyRequest) => headers.authorization === `Bearer ${sandboxKey}`
  app.addHook('onRequest', (request, reply, done) => {
    if (closing && !isOwnRequest(request)) refuseClosing(request, reply)
    else done()
  })
  guardAgainstBrowsers(app, options)
  await limitLoad(app, request => request.url === '/healthz' || isOwnRequest(request))
  app.setNotFoundHandler((request, reply) =>
    refuse(request, reply, { status: 404, message: `Unknown URL: ${request.method} ${request.url}` }))

  await app.register(swagger, documentOptions({ url: '/', description: 'This gateway' }))
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: {
      tryItOutEnabled: true,
      docExpansion: 'full',
      defaultModelsExpandDepth: 0,
      plugins: [foldHeaders]
    },
    theme: { css: [{ filename: 'page.css', content: PAGE_CSS }] }
  })
  if (sandbox) await app.register(sandboxPlugin, { prefix: '/sandbox/v1' })
  await app.register(fastifyBatchCancel, {
    forward,
    defaultProvider,
    timeout,
    retrieve: true,
    routeOptions: { schema: { security } }
  })
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  app.get('/healthz', { schema: { hide: true } }, () => ({ status: 'ok' }))
  return app
}

type Forwarder = ReturnType<typeof forwardToProviders>

/** The base URL is that of the gateway, once it listens. */
const sandboxProvider = openaiCompatible({ name: 'sandbox', baseUrl: 'http://localhost/sandbox/v1' })

/** The sandbox comes first: it is the example that the page shows. */
function createForwarder (options: GatewayOptions, { url, key }: { url: () => string, key: string }): Forwarder {
  const { sandbox = true, providers = builtIn, trustedHosts = [] } = options
  return forwardToProviders({
    providers: { ...sandbox && { sandbox: sandboxProvider({ baseUrl: url, apiKey: key }) }, ...providers },
    trustedHosts: trustedHosts.flatMap(onLoopbackByHttpToo)
  })
}

/** The URL at which this machine reaches the gateway, whatever address it listens on. */
export function originOf (app: FastifyInstance): string {
  const { address, family, port } = app.server.address() as AddressInfo
  const host = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address
  return `http://${family === 'IPv6' && host === address ? `[${host}]` : host}:${port}`
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/

const onLoopbackByHttpToo = (host: string) => LOOPBACK.test(host) ? [`https://${host}`, `http://${host}`] : [host]

/** The provider that a request names, if the gateway serves it. */
function namedProvider ({ headers }: FastifyRequest, served: Forwarder['providers']): string | undefined {
  const name = String(headers['x-portkey-provider'])
  const traits = served.get(name)
  return traits === undefined || traits.unsupported !== undefined ? undefined : name
}

/** Fastify's router refuses a URL that cannot be decoded, or an id that is too long, before any route. */
function refuseUrl (error: FastifyError, request: FastifyRequest, reply: FastifyReply, provider?: string): void {
  const hasId = request.url.startsWith('/v1/batches/')
  refuse(request, reply, hasId ? { ...INVALID_ID, provider } : { status: 400, message: error.message })
}

const INVALID_ID = {
  status: 400,
  message: `Invalid batch id: expected 1 to ${MAX_ID_LENGTH} characters, percent-encoded as UTF-8.`,
  code: 'invalid_batch_id',
  param: 'id'
}

const refuseClosing = (request: FastifyRequest, reply: FastifyReply) => refuse(request, reply, {
  status: 503,
  message: 'The gateway is closing.',
  headers: { connection: 'close' }
})

/** The status lines for bytes that are not an HTTP request; anything else is a 400. */
const STATUS_LINES: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout'
}

function refuseBytes (error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable) return
  const line = STATUS_LINES[String(error.code)] ?? '400 Bad Request'
  const body = JSON.stringify(errorEnvelope(400, { message: `${line.slice(4)}.` }))
  socket.end([
    `HTTP/1.1 ${line}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body
  ].join('\r\n'))
}
