// Several servers that speak OpenAI's batch API, such as vLLM, each under a name of its own.

import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'

const servers = {
  'vllm-eu': process.env.VLLM_EU_URL ?? 'http://vllm-eu.internal:8000/v1',
  'vllm-us': process.env.VLLM_US_URL ?? 'http://vllm-us.internal:8000/v1'
}

// These servers need no key, but a provider with a key of the server never receives one of the client.
const providers = Object.fromEntries(
  Object.entries(servers).map(([name, baseUrl]) => [name, openai({ baseUrl, apiKey: 'none' })])
)

export const app = Fastify()
await app.register(batchCancel, { forward: forwardToProviders({ providers }), retrieve: true })
await app.listen({ port: Number(process.env.PORT ?? 3000) })
