// A gateway: every built-in provider, with the credential that the client sends.
//
// Do not use this in an app whose own tokens are in Authorization: they would be sent to the provider that the request
// names. See existing-app.js for such an app.

import Fastify from 'fastify'
import batchCancel from 'fastify-batch-cancel'

export const app = Fastify({
  logger: { level: process.env.LOG_LEVEL ?? 'info' },
  routerOptions: { maxParamLength: 512 }
})
await app.register(batchCancel, { retrieve: true })
await app.listen({ port: Number(process.env.PORT ?? 3000) })
