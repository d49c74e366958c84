// A typical existing app: bearer tokens, a rate limit, and its own OpenAPI document with Swagger UI. Clients never see
// the provider's key, and their tokens never leave the app.

import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'

const baseUrl = process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'

export const app = Fastify({ routerOptions: { maxParamLength: 512 } })
app.decorateRequest('user', null)

await app.register(rateLimit, { max: 100, timeWindow: '1 minute' })
await app.register(swagger, {
  openapi: {
    openapi: '3.1.0',
    info: { title: 'My API', version: '1.0.0' },
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } }
  },
  refResolver: { buildLocalReference: ({ $id }) => $id }
})
await app.register(swaggerUi, { routePrefix: '/docs' })

// In a real app: `await request.jwtVerify()` of @fastify/jwt.
const users = new Map([
  ['Bearer token-of-ann', { name: 'ann', mayCancel: true }],
  ['Bearer token-of-bob', { name: 'bob', mayCancel: false }]
])

async function authenticate (request, reply) {
  request.user = users.get(request.headers.authorization)
  if (request.user !== undefined) return
  reply.header('www-authenticate', 'Bearer')
  throw Object.assign(new Error('Log in first.'), { statusCode: 401, code: 'unauthenticated' })
}

await app.register(batchCancel, {
  prefix: '/llm',
  defaultProvider: 'openai',
  // Only this provider is served, and only with the key of the server.
  forward: forwardToProviders({
    providers: { openai: openai({ apiKey: process.env.OPENAI_API_KEY, baseUrl }) }
  }),
  portkeyConfig: false,
  allow: ({ request }) => request.user.mayCancel,
  onCancelled: ({ request, batchId }) => request.log.info({ user: request.user.name, batchId }, 'batch cancelled'),
  routeOptions: {
    onRequest: authenticate,
    config: { rateLimit: { max: 10, timeWindow: '1 minute' } },
    schema: { security: [{ bearer: [] }], tags: ['Batches'] }
  }
})

await app.listen({ port: Number(process.env.PORT ?? 3000) })
