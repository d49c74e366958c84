import { createRequire } from 'node:module'
import Fastify, { type FastifyPluginCallback } from 'fastify'
import t from 'tap'
import * as entry from '../lib/index.js'
import * as sandbox from '../lib/sandbox/index.js'

const require = createRequire(import.meta.url)

t.test('require() returns the plugin, with every export on it', async t => {
  for (const { name, exports, url } of [
    { name: 'fastify-batch-cancel', exports: entry, url: '/v1/batches/:id/cancel' },
    { name: 'fastify-batch-cancel/sandbox', exports: sandbox, url: '/batches/:id/cancel' }
  ]) {
    const plugin = require(name) as FastifyPluginCallback & Readonly<Record<string, unknown>>
    t.equal(plugin, exports.default, `${name}: one plugin, however it is loaded`)
    for (const [key, value] of Object.entries(exports)) t.equal(plugin[key], value, `${name}: ${key}`)
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(plugin)
    t.ok(app.hasRoute({ method: 'POST', url }), name)
  }
})
