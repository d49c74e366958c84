import type { Test } from 'tap'
import { forwardToProviders, type Provider } from '../../lib/index.js'
import { buildWithoutPauses, cancel } from './app.js'
import { startUpstream } from './upstream.js'

/** A call that must be refused before anything is sent. */
export interface RefusedCall {
  readonly what: string
  readonly id: string
  readonly headers?: Record<string, string>
  /** @default 400 */
  readonly status?: number
  readonly code: string
  readonly param: string
  readonly says?: RegExp
}

/** Makes calls through the route to a provider that must not be reached. */
export async function refuseCalls (
  t: Test,
  name: string,
  provider: (baseUrl: string) => Provider,
  calls: readonly RefusedCall[]
): Promise<void> {
  const upstream = await startUpstream(t)
  const forward = forwardToProviders({ providers: { [name]: provider(upstream.url) } })
  const server = { routerOptions: { maxParamLength: 512 } }
  const app = await buildWithoutPauses(t, { defaultProvider: name, forward }, server)
  for (const { what, id, headers = {}, status = 400, code, param, says = /./ } of calls) {
    const response = await cancel(app, { id, headers })
    t.equal(response.statusCode, status, `${what} ${response.body}`)
    t.match(response.json(), { error: { code, param, message: says } }, what)
  }
  t.equal(upstream.requests.length, 0, 'nothing was sent')
}
