import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { FastifyInstance } from 'fastify'
import { builtIn } from 'fastify-batch-cancel'
import { banner, keysInReach } from './banner.js'
import { isOnLoopback } from './browser-guard.js'
import { readCommandLine, USAGE, type Command } from './cli.js'
import { parseConfig, type ConfigContext, type GatewayConfig } from './config.js'
import { listenFault, readEnvironment } from './environment.js'
import { createGateway, originOf } from './gateway.js'

export interface ProgramInput {
  /** The arguments after the program's name. */
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly print: (text: string) => void
  readonly printError: (sentence: string) => void
  /** Called once the gateway listens, before that is printed: its reader may send a signal at once. */
  readonly onListening: (app: FastifyInstance) => void
}

/** The exit code for a command line that is not valid, as in most Unix programs. */
const USAGE_ERROR = 2

/**
 * The gateway as a program; the process is its caller's. Never throws.
 *
 * @returns the exit code; `undefined` if the gateway runs.
 */
export async function main (input: ProgramInput): Promise<number | undefined> {
  const { args, print, printError } = input
  const command = readCommandLine(args)
  try {
    if (command.name === 'run') return await run(command, input)
  } catch (error) {
    printError((error as Error).message)
    return 1
  }
  if (command.name === 'invalid') {
    printError(command.message)
    return USAGE_ERROR
  }
  print(command.name === 'help' ? USAGE : version())
  return 0
}

const version = () =>
  (createRequire(import.meta.url)('fastify-batch-cancel/package.json') as { version: string }).version

type Run = Extract<Command, { name: 'run' }>

async function run ({ flags, configFile }: Run, input: ProgramInput): Promise<undefined> {
  const { env, print, printError, onListening } = input
  const settings = readEnvironment(env, flags)
  const { host, port, sandbox } = settings
  const { keyed, ...config } = await readConfig(configFile, { env, sandbox })
  const trustedHosts = [...settings.trustedHosts, ...config.trustedHosts]

  const app = await createGateway({ ...settings, ...config, trustedHosts })
  await app.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(listenFault(host, port, error))
  })
  onListening(app)

  const provider = config.defaultProvider ?? Object.keys(config.providers ?? builtIn)[0] as string
  if (keyed.length > 0 && isOnLoopback(app) !== true) printError(keysInReach(host, keyed))
  print(banner(originOf(app), { sandbox, provider, keyed }))
}

async function readConfig (file: string | undefined, context: Omit<ConfigContext, 'file'>): Promise<GatewayConfig> {
  if (file === undefined) return { trustedHosts: [], keyed: [] }
  const text = await readFile(file, 'utf8').catch(({ message }: Error) => {
    throw new Error(`Cannot read the configuration ${file}: ${message}.`)
  })
  return parseConfig(text, { ...context, file })
}
