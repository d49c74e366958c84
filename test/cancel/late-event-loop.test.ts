import t from 'tap'
import { forwardToProviders, openai } from '../../lib/index.js'
import { batch, build, cancel } from '../support/app.js'
import { startUpstream } from '../support/upstream.js'

/** Stops this thread, as a machine does that is busy or suspended. */
const standStill = (ms: number) => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms) }

t.test('a response that came while the event loop stood still is not given up', async t => {
  const rejection = { status: 422, body: { error: { message: 'Not yet.' } } }
  const timeout = 1000
  const upstream = await startUpstream(t, ({ method }) => {
    if (method === 'GET') return { body: batch({ status: 'in_progress' }) }
    // Longer than the half of the time that a cancel has.
    standStill(0.9 * timeout)
    return rejection
  })
  const forward = forwardToProviders({ providers: { openai: openai({ baseUrl: upstream.url, apiKey: 'sk-of-server' }) } })
  const app = await build(t, { forward, defaultProvider: 'openai', timeout })
  const response = await cancel(app)
  t.match([response.statusCode, response.json()], [422, { error: { message: 'Not yet.' } }])
})
