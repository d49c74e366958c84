import awsLambdaFastify from '@fastify/aws-lambda'
import Fastify from 'fastify'

/* A bare Fastify as a function, which answers by itself. */

const batch = JSON.parse(process.env.BATCH)

const app = Fastify({ requestIdHeader: 'x-request-id' })
app.post('/v1/batches/:id/cancel', async () => batch)

export const handler = awsLambdaFastify(app, { decorateRequest: false })
await app.ready()
