import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface Recorded {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface UpstreamResponse {
  readonly status?: number
  readonly headers?: Record<string, string>
  /** An object is sent as JSON, a string as it is. */
  readonly body?: unknown
}

export interface Upstream {
  /** Where it listens, without a slash at the end. */
  readonly url: string
  /** Every request that came, in order. */
  readonly requests: Recorded[]
  /** What the next requests are answered, or what writes the answer. */
  answer: (request: Recorded, response: ServerResponse) => UpstreamResponse | void
  /** Resolves with the first request that matches, whether it has come already or comes later. */
  received (matches: (request: Recorded) => boolean): Promise<Recorded>
  /** Resets all connections and refuses new ones. */
  stop (): Promise<void>
  /** Listens again, at the same URL. */
  restart (): Promise<void>
}

/** A real HTTP server in the place of a provider, which remembers what it was asked. */
export async function startUpstream (t: Test, answer: Upstream['answer'] = () => ({ status: 500 })): Promise<Upstream> {
  const requests: Recorded[] = []
  const arrivals = new EventEmitter()
  arrivals.setMaxListeners(0)
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const recorded = {
      method: request.method as string,
      path: request.url as string,
      headers: request.headers,
      body: Buffer.concat(chunks).toString()
    }
    requests.push(recorded)
    arrivals.emit('request')
    const answer = upstream.answer(recorded, response)
    if (answer === undefined) return
    const { status = 200, headers = {}, body = '' } = answer
    response.writeHead(status, { ...typeof body !== 'string' && { 'content-type': 'application/json' }, ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  const { port } = server.address() as AddressInfo

  async function received (matches: (request: Recorded) => boolean): Promise<Recorded> {
    for (;;) {
      const found = requests.find(matches)
      if (found !== undefined) return found
      await once(arrivals, 'request')
    }
  }

  async function stop (): Promise<void> {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }

  async function restart (): Promise<void> {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }

  const upstream: Upstream = { url: `http://127.0.0.1:${port}`, requests, answer, received, stop, restart }
  return upstream
}
