// An AWS Lambda function behind an HTTP API of API Gateway, or behind a function URL. build.js bundles it.

import awsLambdaFastify from '@fastify/aws-lambda'
import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'

const baseUrl = process.env.OPENAI_BASE_URL ?? 'https://api.openai.com/v1'
const forward = forwardToProviders({
  providers: { openai: openai({ apiKey: process.env.OPENAI_API_KEY, baseUrl }) }
})

// The process is frozen as soon as there is a response, so no client may end its response before the work is done.
async function ignoreClientLimit ({ headers }) {
  delete headers['x-portkey-request-timeout']
}

// API Gateway has authenticated the client, and gives each request an id.
const app = Fastify({ requestIdHeader: 'x-request-id', routerOptions: { maxParamLength: 512 } })
app.register(batchCancel, {
  defaultProvider: 'openai',
  forward,
  portkeyConfig: false,
  // An HTTP API ends a request after 30 seconds. The timeout of the function has to be above both.
  timeout: 25_000,
  maxWait: 25_000,
  routeOptions: { onRequest: ignoreClientLimit }
})

export const handler = awsLambdaFastify(app, { decorateRequest: false })

// Nothing listens in a function, so what the first call would wait for is loaded here, in the init phase.
await Promise.all([app.ready(), forward.warm()])
