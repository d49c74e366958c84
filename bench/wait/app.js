import Fastify from 'fastify'
import batchCancel, { forwardToProviders, openai } from 'fastify-batch-cancel'
import { answerLooks } from '../lib/probe.js'

const { PORT, UPSTREAM } = process.env

const app = Fastify()
app.register(batchCancel, { forward: forwardToProviders({ providers: { openai: openai({ baseUrl: `${UPSTREAM}/v1` }) } }) })
await app.listen({ host: '127.0.0.1', port: Number(PORT) })
answerLooks()
