// The server, not the client, chooses the provider.

import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai, providerFactories } from 'fastify-batch-cancel'

const baseUrl = process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'
const groqBaseUrl = process.env.GROQ_BASE_URL ?? 'https://api.groq.com/openai/v1'

// In a real app: a database.
const providerOf = new Map([['ann', 'openai'], ['bob', 'groq']])

async function chooseProvider (request) {
  const provider = providerOf.get(request.headers['x-tenant'])
  if (provider === undefined) throw Object.assign(new Error('Unknown tenant.'), { statusCode: 401 })
  // The plugin reads this header after the hooks of the host.
  request.headers['x-portkey-provider'] = provider
}

export const app = Fastify()
await app.register(batchCancel, {
  defaultProvider: 'openai',
  forward: forwardToProviders({
    providers: {
      openai: openai({ apiKey: process.env.OPENAI_API_KEY, baseUrl }),
      groq: providerFactories.groq({ apiKey: process.env.GROQ_API_KEY, baseUrl: groqBaseUrl })
    }
  }),
  // A config may name another provider, and takes precedence over the header.
  portkeyConfig: false,
  routeOptions: { onRequest: chooseProvider }
})
await app.listen({ port: Number(process.env.PORT ?? 3000) })
