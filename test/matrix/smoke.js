/* What must work on every supported Node.js and Fastify; run.js copies it into a project that has the tarball. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import batchCancel, { createBatchCanceller, forwardToProviders, openai } from 'fastify-batch-cancel'
import batchSandbox from 'fastify-batch-cancel/sandbox'

const require = createRequire(import.meta.url)

const app = Fastify()
console.log(`Node.js ${process.versions.node}, Fastify ${app.version}`)

const forward = forwardToProviders({
  providers: { sandbox: openai({ baseUrl: () => `http://127.0.0.1:${app.server.address().port}/sandbox/v1`, apiKey: 'any' }) }
})
await app.register(swagger, { openapi: { openapi: '3.1.0', info: { title: 'smoke', version: '1.0.0' } } })
await app.register(batchSandbox, { prefix: '/sandbox/v1' })
await app.register(batchCancel, { forward, defaultProvider: 'sandbox', retrieve: true })
await app.listen({ host: '127.0.0.1', port: 0 })

const url = `http://127.0.0.1:${app.server.address().port}`
const cancel = async (id, headers = {}) => {
  const response = await fetch(`${url}/v1/batches/${id}/cancel`, { method: 'POST', headers })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

const cancelled = await cancel('batch_abc123', { 'content-type': 'text/plain' })
assert.equal(cancelled.status, 200)
assert.equal(cancelled.body.status, 'cancelling')
assert.equal(cancelled.headers.get('x-batch-source'), 'provider')

const waited = await cancel('batch_in_progress', { prefer: 'wait=20' })
assert.equal(waited.body.status, 'cancelled')

const completed = await cancel('batch_completed')
assert.equal(completed.status, 409)
assert.equal(completed.body.error.code, 'batch_not_cancellable')
assert.equal(completed.body.batch.status, 'completed')

assert.equal((await cancel('batch_none')).status, 404)
assert.equal((await cancel('batch_abc123', { 'x-portkey-provider': 'nobody' })).body.error.code, 'unknown_provider')

const retrieved = await (await fetch(`${url}/v1/batches/batch_completed`)).json()
assert.equal(retrieved.status, 'completed')

const { paths } = app.swagger()
assert.equal(paths['/v1/batches/{id}/cancel'].post.operationId, 'cancelBatch')
assert.equal(paths['/v1/batches/{id}'].get.operationId, 'retrieveBatch')

const canceller = createBatchCanceller({ forward })
const { batch } = await canceller.cancel({ provider: 'sandbox', batchId: 'batch_validating' })
assert.match(batch.status, /^cancell(ing|ed)$/)
await canceller.close()

assert.equal(require('fastify-batch-cancel'), batchCancel)
await app.close()
