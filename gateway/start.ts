import { listenFault, readEnvironment } from './environment.js'
import { createGateway, originOf } from './gateway.js'

async function start (): Promise<void> {
  const { host, port, logLevel, trustedHosts } = readEnvironment(process.env)
  const app = await createGateway({ logLevel, trustedHosts })
  await app.listen({ host, port }).catch((error: NodeJS.ErrnoException) => { throw new Error(listenFault(host, port, error)) })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())

  const origin = originOf(app)
  console.log(`fastify-batch-cancel listens on ${origin}

  page     ${origin}/docs
  cancel   curl -X POST ${origin}/v1/batches/batch_abc123/cancel -H 'x-portkey-provider: sandbox'
  wait     curl -X POST ${origin}/v1/batches/batch_in_progress/cancel -H 'x-portkey-provider: sandbox' -H 'prefer: wait=30'
  look     curl ${origin}/sandbox/v1/batches/batch_abc123
`)
}

start().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
