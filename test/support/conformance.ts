import type { IncomingHttpHeaders } from 'node:http'
import Fastify from 'fastify'
import type { Test } from 'tap'
import batchCancel, { forwardToProviders, type Provider } from '../../lib/index.js'
import { noPauses } from './app.js'
import { breaches } from './document.js'
import { startUpstream, type Told } from './upstream.js'

/** One documented way in which a provider answers, and what the client gets to see of it. */
export interface Case {
  readonly what: string
  /** Default: the id of the table. */
  readonly id?: string
  readonly headers?: Record<string, string>
  /** What the provider answers to the cancel; its connection breaks where it is left out. */
  readonly cancel?: Told
  /** What it answers to one read after the other, the last one for good; its connection breaks where there is none. */
  readonly reads?: readonly Told[]
  /** The answer of the route, matched. */
  readonly status: number
  readonly answer: object
  readonly source?: string
  readonly responseHeaders?: object
  /** How many requests the provider gets; where it matters. */
  readonly requests?: number
}

export interface Table {
  /** The name in `x-portkey-provider`. */
  readonly name: string
  /** Makes the provider, for a server of the test that stands in for it. */
  readonly provider: (baseUrl: string) => Provider
  /** The path that stands for the base URL of the provider, such as `/v1`. */
  readonly base: string
  readonly id: string
  /** The headers of every call. */
  readonly headers: Record<string, string>
  /** The two requests that leave, matched: they differ in method, path or both. */
  readonly cancel: { method: string, path: string, headers: IncomingHttpHeaders, body: string }
  readonly retrieve: { method: string, path: string, headers: IncomingHttpHeaders, body: string }
  readonly cases: readonly Case[]
}

/** Plays a table against the route, one cancel each, with a real server in the place of the provider; every answer is held against the document. */
export async function conform (t: Test, { name, provider, base, id, headers, cancel, retrieve, cases }: Table): Promise<void> {
  for (const { what, id: ownId = id, headers: ownHeaders = {}, cancel: cancelled, reads = [], status, answer, source, responseHeaders = {}, requests } of cases) {
    let read = 0
    const upstream = await startUpstream(t, ({ method, path }, response) => {
      const told = method === cancel.method && path.split('?')[0] === cancel.path.split('?')[0] ? cancelled : reads[Math.min(read++, reads.length - 1)]
      if (told === undefined) response.destroy()
      return told
    })
    const app = Fastify({ routerOptions: { maxParamLength: 512 } })
    t.teardown(() => app.close())
    const options = noPauses({ forward: forwardToProviders({ providers: { [name]: provider(upstream.url + base) } }) })
    await app.register(batchCancel, options)
    const response = await app.inject({ method: 'POST', url: `/v1/batches/${encodeURIComponent(ownId)}/cancel`, headers: { 'x-portkey-provider': name, 'x-stainless-retry-count': '0', ...headers, ...ownHeaders } })

    t.equal(response.statusCode, status, `${name}: ${what} ${response.body}`)
    t.match(response.json(), answer, what)
    t.match(response.headers, { ...source !== undefined && { 'x-batch-source': source }, ...responseHeaders }, what)
    t.strictSame(breaches(response), [], what)
    if (ownId === id && upstream.requests[0] !== undefined) t.match(upstream.requests[0], cancel, 'the cancel')
    if (ownId === id && upstream.requests[1] !== undefined) t.match(upstream.requests[1], retrieve, 'the read')
    if (requests !== undefined) t.equal(upstream.requests.length, requests, 'how many requests left')
  }
}
