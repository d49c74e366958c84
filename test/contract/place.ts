import { Agent as HttpAgent, request as requestHttp, type IncomingHttpHeaders } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Test } from 'tap'
import { createGateway, originOf } from '../../gateway/gateway.js'

/** One cancel, as it is sent. */
export interface Call {
  readonly id: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

export interface Answer {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Where the route is. */
export interface Place {
  /** Scheme, host and prefix. */
  readonly url: string
  /** What each request carries besides its own headers. */
  readonly headers: Readonly<Record<string, string>>
  readonly cancel: (call: Call) => Promise<Answer>
  readonly get: (path: string) => Promise<Answer>
}

const AGENTS = {
  'http:': { agent: new HttpAgent({ keepAlive: true }), request: requestHttp },
  'https:': { agent: new HttpsAgent({ keepAlive: true }), request: requestHttps }
}

/** No answer takes longer, a wait among them; in milliseconds. */
const PATIENCE = 90_000

/** A place behind a URL. Paths go out as they are: `fetch` would resolve the dots of an id. */
export function placeAt (url: string, headers: Readonly<Record<string, string>> = {}): Place {
  const { protocol, hostname, port, pathname } = new URL(url)
  const { agent, request } = AGENTS[protocol as keyof typeof AGENTS]
  const host = hostname.replace(/^\[|\]$/g, '')
  const prefix = pathname.replace(/\/+$/, '')

  const ask = (method: string, path: string, own: Readonly<Record<string, string>> = {}, body = '') => new Promise<Answer>((resolve, reject) => {
    const length = method === 'POST' ? { 'content-length': String(Buffer.byteLength(body)) } : {}
    const sent = request({ agent, host, port, method, path: prefix + path, headers: { ...headers, ...own, ...length }, signal: AbortSignal.timeout(PATIENCE) }, answer => {
      const parts: Buffer[] = []
      answer.on('data', part => parts.push(part))
      answer.on('error', reject)
      answer.on('end', () => resolve({ statusCode: Number(answer.statusCode), headers: answer.headers, body: Buffer.concat(parts).toString() }))
    })
    sent.on('error', reject)
    sent.end(body)
  })

  return {
    url,
    headers,
    cancel: ({ id, headers, body }) => ask('POST', `/v1/batches/${encodeURIComponent(id)}/cancel`, headers, body),
    get: path => ask('GET', path)
  }
}

/** A gateway of this test alone, so that each batch of its sandbox is as it was made. */
export async function startGateway (t: Test, port = 0): Promise<Place> {
  const app = await createGateway({ logLevel: 'silent' })
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port })
  return placeAt(originOf(app))
}

/** The deployment that run.mjs names, and what of it may be cancelled. */
export interface Deployment {
  readonly place: Place
  readonly provider: string | undefined
  /** The ids that the caller named, and no others. */
  readonly ids: readonly string[]
}

/** `CONTRACT_URL` and what belongs to it; without it the contract is that of a gateway of our own. */
export function readDeployment ({ CONTRACT_URL, CONTRACT_PROVIDER, CONTRACT_IDS = '[]', CONTRACT_HEADERS = '{}' }: NodeJS.ProcessEnv): Deployment | undefined {
  if (CONTRACT_URL === undefined) return undefined
  return {
    place: placeAt(CONTRACT_URL, JSON.parse(CONTRACT_HEADERS) as Record<string, string>),
    provider: CONTRACT_PROVIDER,
    ids: JSON.parse(CONTRACT_IDS) as string[]
  }
}
