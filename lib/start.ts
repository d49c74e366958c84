import { createGateway, originOf } from './gateway.js'

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

/** What the environment may set; no credential is read from it. Throws a sentence for a value that cannot work. */
function readEnvironment ({ HOST = '127.0.0.1', PORT = '8787', LOG_LEVEL = 'warn', TRUSTED_CUSTOM_HOSTS = '' }: NodeJS.ProcessEnv) {
  if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65535) throw new Error(`PORT should be a number from 0 to 65535, not '${PORT}'.`)
  if (!LOG_LEVELS.includes(LOG_LEVEL)) throw new Error(`LOG_LEVEL should be one of ${LOG_LEVELS.join(', ')}, not '${LOG_LEVEL}'.`)
  const trustedHosts = TRUSTED_CUSTOM_HOSTS.split(',').map(host => host.trim()).filter(host => host !== '')
  return { host: HOST, port: Number(PORT), logLevel: LOG_LEVEL, trustedHosts }
}

/** Why a socket could not be listened on, for a reader. */
const LISTEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use already; set PORT to another one',
  EACCES: 'may not be used by this user; set PORT to 1024 or more',
  EADDRNOTAVAIL: 'is no address of this machine; set HOST to one',
  ENOTFOUND: 'is no address that can be found; set HOST to one'
}

async function start (): Promise<void> {
  const { host, port, logLevel, trustedHosts } = readEnvironment(process.env)
  const app = await createGateway({ logLevel, trustedHosts })
  try {
    await app.listen({ host, port })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new Error(`${host}:${port} ${LISTEN_FAULTS[String(code)] ?? message}.`)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => app.close())
  const origin = originOf(app)
  console.log(`fastify-batch-cancel listens on ${origin}

  page     ${origin}/docs
  cancel   curl -X POST ${origin}/v1/batches/batch_abc123/cancel -H 'x-portkey-provider: sandbox'
  look     curl ${origin}/sandbox/v1/batches/batch_abc123
`)
}

start().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
