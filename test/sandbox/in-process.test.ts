import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import batchCancel, { type Batch, type BatchCall, type BatchForwarder } from '../../lib/index.js'
import batchSandbox from '../../lib/sandbox/index.js'

/** A forwarder to the sandbox of the same app, without a socket. */
function forwardToSandbox (app: FastifyInstance, prefix: string): BatchForwarder {
  async function send (method: 'GET' | 'POST', path: string): Promise<Batch> {
    const { statusCode: status, headers, body } = await app.inject({ method, url: `${prefix}/batches/${path}` })
    const json = JSON.parse(body)
    if (status !== 200) throw Object.assign(new Error(json.error.message), { status, headers, error: json.error })
    return json
  }
  return {
    cancel: ({ batchId }: BatchCall) => send('POST', `${encodeURIComponent(batchId)}/cancel`),
    retrieve: ({ batchId }: BatchCall) => send('GET', encodeURIComponent(batchId))
  }
}

t.test('the sandbox serves as a provider within one app, without a socket', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(batchSandbox, { prefix: '/sandbox' })
  app.register(batchCancel, { defaultProvider: 'sandbox', forward: forwardToSandbox(app, '/sandbox') })

  const cancel = (id: string) => app.inject({ method: 'POST', url: `/v1/batches/${id}/cancel` })
  t.match((await cancel('batch_abc123')).json(), { id: 'batch_abc123', status: 'cancelling' })
  t.match(await cancel('batch_rate_limited').then(({ statusCode, headers }) => ({ statusCode, headers })), {
    statusCode: 429,
    headers: { 'retry-after': '1' }
  })
  const completed = await cancel('batch_completed')
  t.equal(completed.statusCode, 409)
  t.match(completed.json(), { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed' } })
  t.equal((await cancel('batch_missing')).statusCode, 404)
})
