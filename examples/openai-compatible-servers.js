// Several servers that speak OpenAI's batch API, each under a name of its own. For one that cancels by DELETE, as
// vLLM's production stack does, use openaiCompatible({ cancelMethod: 'DELETE' }).

import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'

const servers = {
  'llm-eu': process.env.LLM_EU_URL ?? 'http://llm-eu.internal:8000/v1',
  'llm-us': process.env.LLM_US_URL ?? 'http://llm-us.internal:8000/v1'
}

// These servers need no key, but a provider with a key of the server never receives one of the client.
const providers = Object.fromEntries(
  Object.entries(servers).map(([name, baseUrl]) => [name, openai({ baseUrl, apiKey: 'none' })])
)

export const app = Fastify()
await app.register(batchCancel, { forward: forwardToProviders({ providers }), retrieve: true })
await app.listen({ port: Number(process.env.PORT ?? 3000) })
