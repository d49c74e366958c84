import { BlockList, isIP, type AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { refuse } from './refuse.js'

export interface BrowserGuardOptions {
  /** The host name or address that the gateway was asked to listen on; a name by which it may be called. */
  readonly host?: string | undefined
  /**
   * Origins besides the gateway's own whose pages may change state, such as `https://gateway.example.com` of a proxy
   * in front of it. Their hosts are names by which the gateway may be called, too.
   *
   * @default []
   */
  readonly allowedOrigins?: readonly string[]
}

/**
 * Keeps the pages of other sites from using a gateway that only its own machine can reach: they run in a browser on
 * that machine. Clients that are not browsers send none of the headers that are looked at, except `Host`.
 *
 * - On loopback, an unknown `Host` is refused: a foreign name that resolves to this machine (DNS rebinding).
 * - A request that may change state is refused if `Sec-Fetch-Site` or `Origin` say that another site's page made it.
 */
export function guardAgainstBrowsers (app: FastifyInstance, { host, allowedOrigins = [] }: BrowserGuardOptions): void {
  const origins = new Set(allowedOrigins)
  const ownNames = host === undefined ? LOOPBACK_NAMES : [...LOOPBACK_NAMES, hostInUrl(host)]
  const names = new Set([...ownNames, ...allowedOrigins.map(nameOf)])
  let onLoopback: boolean | undefined

  app.addHook('onRequest', (request, reply, done) => {
    // Known as soon as the server listens, and asked for once.
    onLoopback ??= isOnLoopback(app)
    if (onLoopback === true && !isKnownHost(request, names)) refuseHost(request, reply)
    else if (isUnsafe(request) && isForeign(request, origins)) refuseOrigin(request, reply)
    else done()
  })
}

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]']

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8)
loopback.addAddress('::1', 'ipv6')

/** Whether only this machine can reach the app; `undefined` if the app does not listen. */
export function isOnLoopback (app: FastifyInstance): boolean | undefined {
  const bound = app.server.address() as AddressInfo | null
  return bound === null ? undefined : loopback.check(bound.address, bound.family === 'IPv6' ? 'ipv6' : 'ipv4')
}

/** An IPv6 address as URLs and `Host` write it. */
const hostInUrl = (host: string) => (isIP(host) === 6 ? `[${host}]` : host).toLowerCase()

const nameOf = (origin: string) => new URL(origin).hostname

/**
 * Any port will do: a browser always sends the one that it connects to, and a tunnel or a container may map another.
 * HTTP/1.0 clients may leave `Host` out, browsers never do.
 */
const isKnownHost = ({ headers: { host } }: FastifyRequest, names: ReadonlySet<string>) =>
  host === undefined || names.has(host.toLowerCase().replace(/:\d*$/, ''))

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])

const isUnsafe = ({ method }: FastifyRequest) => !SAFE_METHODS.has(method)

/** `none` is a request that the user made without any page. */
const OWN_SITES = new Set([undefined, 'same-origin', 'none'])

function isForeign ({ headers }: FastifyRequest, allowed: ReadonlySet<string>): boolean {
  const { origin, host } = headers
  if (origin !== undefined && allowed.has(origin)) return false
  if (!OWN_SITES.has(headers['sec-fetch-site'] as string | undefined)) return true
  return origin !== undefined && !isOrigin(origin, host)
}

/** Whether a page of this origin came from the host that the request is for; a proxy may have added TLS. */
const isOrigin = (origin: string, host: string | undefined) =>
  host !== undefined && ['http:', 'https:'].some(scheme => origin === `${scheme}//${host.toLowerCase()}`)

const refuseHost = (request: FastifyRequest, reply: FastifyReply) => refuse(request, reply, {
  status: 403,
  message: 'Unknown Host header: expected localhost, 127.0.0.1, [::1] or the HOST that the gateway listens on. ' +
    'Add the origin under which it is reached to ALLOWED_ORIGINS.',
  code: 'host_not_allowed',
  param: 'host'
})

const refuseOrigin = (request: FastifyRequest, reply: FastifyReply) => refuse(request, reply, {
  status: 403,
  message: 'A page of another origin may not call this gateway. Add the page\'s origin to ALLOWED_ORIGINS to allow it.',
  code: 'origin_not_allowed',
  param: 'origin'
})
