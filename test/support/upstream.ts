import { once } from 'node:events'
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
}

/** A real HTTP server in the place of a provider, which remembers what it was asked. */
export async function startUpstream (t: Test, answer: Upstream['answer'] = () => ({ status: 500 })): Promise<Upstream> {
  const requests: Recorded[] = []
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
    const answer = upstream.answer(recorded, response)
    if (answer === undefined) return
    const { status = 200, headers = {}, body = '' } = answer
    response.writeHead(status, { ...typeof body !== 'string' && { 'content-type': 'application/json' }, ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  const upstream: Upstream = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, answer }
  return upstream
}
