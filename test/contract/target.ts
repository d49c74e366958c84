import { Agent as HttpAgent, request as requestHttp, type IncomingHttpHeaders } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Test } from 'tap'
import { createGateway, originOf } from '../../gateway/gateway.js'

/** One request for a batch. */
export interface Call {
  readonly id: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

export interface Response {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A server under test. */
export interface Target {
  /** Scheme, host and prefix. */
  readonly url: string
  /** Headers of every request, in addition to its own. */
  readonly headers: Readonly<Record<string, string>>
  readonly cancel: (call: Call) => Promise<Response>
  readonly retrieve: (call: Call) => Promise<Response>
  readonly get: (path: string) => Promise<Response>
}

const AGENTS = {
  'http:': { agent: new HttpAgent({ keepAlive: true }), request: requestHttp },
  'https:': { agent: new HttpsAgent({ keepAlive: true }), request: requestHttps }
}

/** The maximum duration of a request, including a wait. */
const REQUEST_TIMEOUT_MS = 90_000

/** Returns the target at a URL. It sends paths unchanged, while `fetch` would resolve the dots in an id. */
export function targetAt (url: string, headers: Readonly<Record<string, string>> = {}): Target {
  const { protocol, hostname, port, pathname } = new URL(url)
  const { agent, request } = AGENTS[protocol as keyof typeof AGENTS]
  const host = hostname.replace(/^\[|\]$/g, '')
  const prefix = pathname.replace(/\/+$/, '')

  const send = (method: string, path: string, own: Readonly<Record<string, string>> = {}, body = '') =>
    new Promise<Response>((resolve, reject) => {
      const length = method === 'POST' ? { 'content-length': String(Buffer.byteLength(body)) } : {}
      const options = {
        agent,
        host,
        port,
        method,
        path: prefix + path,
        headers: { ...headers, ...own, ...length },
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS)
      }
      const outgoing = request(options, incoming => {
        const chunks: Buffer[] = []
        incoming.on('data', chunk => chunks.push(chunk))
        incoming.on('error', reject)
        incoming.on('end', () => resolve({
          statusCode: Number(incoming.statusCode),
          headers: incoming.headers,
          body: Buffer.concat(chunks).toString()
        }))
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })

  return {
    url,
    headers,
    cancel: ({ id, headers, body }) => send('POST', `/v1/batches/${encodeURIComponent(id)}/cancel`, headers, body),
    retrieve: ({ id, headers }) => send('GET', `/v1/batches/${encodeURIComponent(id)}`, headers),
    get: path => send('GET', path)
  }
}

/** Starts a gateway for one test, so that every batch of its sandbox is in its initial state. */
export async function startGateway (t: Test, port = 0): Promise<Target> {
  const app = await createGateway({ logLevel: 'silent' })
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port })
  return targetAt(originOf(app))
}

/** The deployment named on the command line of run.js, and the batches that may be cancelled there. */
export interface Deployment {
  readonly target: Target
  readonly provider: string | undefined
  /** Exactly the ids that the caller named. */
  readonly ids: readonly string[]
  /** Whether it serves retrieval, too. */
  readonly withRetrieve: boolean
}

/** Reads `CONTRACT_URL` and the variables that belong to it; `undefined` if a local gateway is to be tested. */
export function readDeployment (env: NodeJS.ProcessEnv): Deployment | undefined {
  const { CONTRACT_URL, CONTRACT_PROVIDER, CONTRACT_IDS = '[]', CONTRACT_HEADERS = '{}', CONTRACT_RETRIEVE } = env
  if (CONTRACT_URL === undefined) return undefined
  return {
    target: targetAt(CONTRACT_URL, JSON.parse(CONTRACT_HEADERS) as Record<string, string>),
    provider: CONTRACT_PROVIDER,
    ids: JSON.parse(CONTRACT_IDS) as string[],
    withRetrieve: CONTRACT_RETRIEVE === 'true'
  }
}
