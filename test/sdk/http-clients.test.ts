import axios from 'axios'
import got from 'got'
import ky from 'ky'
import t, { type Test } from 'tap'
import type { BatchCall, BatchForwarder } from '../../lib/index.js'
import { batch, buildWithoutPauses, cancel } from '../support/app.js'
import { violations } from '../support/document.js'
import { startUpstream, type Upstream } from '../support/upstream.js'

type Method = 'GET' | 'POST'

/** How each client sends a request, and reads the JSON of its response. */
const CLIENTS: Readonly<Record<string, (url: string, method: Method, signal: AbortSignal) => Promise<unknown>>> = {
  axios: async (url, method, signal) => (await axios.request({ url, method, signal })).data,
  got: async (url, method, signal) => await got(url, { method, signal, retry: { limit: 0 } }).json(),
  ky: async (url, method, signal) => await ky(url, { method, signal, retry: 0 }).json()
}

const NO_BATCH = { error: { message: 'No such batch.', type: 'invalid_request_error', param: 'id', code: 'gone' } }

/** Version 1 of ky does not read the body of an error. */
const reads = (name: string) => name !== 'ky'

/** An app over a client, and the upstream that it calls. */
async function start (t: Test, name: string, answer: Upstream['answer'], options: { retrieve: boolean }) {
  const upstream = await startUpstream(t, answer)
  const call = (method: Method, path: string) => async ({ batchId, signal }: BatchCall) =>
    await CLIENTS[name]?.(`${upstream.url}/v1/batches/${batchId}${path}`, method, signal) as never
  const forward: BatchForwarder = {
    cancel: call('POST', '/cancel'),
    ...options.retrieve && { retrieve: call('GET', '') }
  }
  return { upstream, app: await buildWithoutPauses(t, { defaultProvider: 'x', forward, timeout: 2000 }) }
}

for (const name of Object.keys(CLIENTS)) {
  t.test(`errors of ${name} count as the provider's response`, async t => {
    for (const { what, answer, status, error } of [
      {
        what: 'a 404',
        answer: () => ({ status: 404, headers: { 'x-request-id': 'req_7' }, body: NO_BATCH }),
        status: 404,
        error: reads(name) ? NO_BATCH.error : { message: 'The provider responded with status 404.' }
      },
      {
        what: 'a page',
        answer: () => ({ status: 403, body: '<html>' }),
        status: 403,
        error: { message: 'The provider responded with status 403.', code: null }
      },
      { what: 'a 500', answer: () => ({ status: 500, body: '' }), status: 500, error: { code: 'upstream_error' } },
      {
        what: 'a reset',
        answer: (_request, response) => { response.destroy() },
        status: 502,
        error: { code: 'upstream_unreachable' }
      }
    ] as Array<{ what: string, answer: Upstream['answer'], status: number, error: object }>) {
      const { app, upstream } = await start(t, name, answer, { retrieve: false })
      const response = await cancel(app)
      t.equal(response.statusCode, status, what)
      t.match(response.json(), { error }, what)
      t.notMatch(response.body, upstream.url, `${what}: no URL`)
      t.strictSame(violations(response), [], what)
      if (status === 404) t.equal(response.headers['x-request-id'], 'req_7')
    }
  })

  t.test(`a response that ${name} cannot read, or does not wait for, is resolved by reading`, async t => {
    for (const { what, broken } of [
      { what: 'a page', broken: { status: 200, body: '<html>' } },
      { what: 'nothing in time', broken: undefined }
    ]) {
      const { app } = await start(t, name, ({ method }) =>
        method === 'GET' ? { body: batch({ status: 'cancelled' }) } : broken as never, { retrieve: true })
      const response = await cancel(app)
      t.match(response, { statusCode: 200, headers: { 'x-batch-source': 'retrieved' } }, what)
      t.match(response.json(), { status: 'cancelled' }, what)
    }
  })
}
