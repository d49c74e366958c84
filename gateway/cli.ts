import { parseArgs } from 'node:util'

/** The flags that replace environment variables, as they were given. */
export interface Flags {
  readonly host?: string
  readonly port?: string
  readonly logLevel?: string
  readonly trustedHosts?: readonly string[]
}

export type Command =
  | { readonly name: 'run', readonly flags: Flags, readonly configFile: string | undefined }
  | { readonly name: 'help' }
  | { readonly name: 'version' }
  | { readonly name: 'invalid', readonly message: string }

export const USAGE = `Usage: fastify-batch-cancel-gateway [options], or in a clone of the repository: npm start -- [options]

  --port <number>        the port to listen on; 0 takes a free one (PORT, default 8787)
  --host <host>          the host name or address to listen on (HOST, default 127.0.0.1)
  --trusted-host <host>  a host that x-portkey-custom-host may name; repeatable (TRUSTED_CUSTOM_HOSTS)
  --log-level <level>    fatal, error, warn, info, debug, trace or silent (LOG_LEVEL, default warn)
  --config <file.json>   providers with keys of the server, trusted hosts, default provider
  --help                 print this text
  --version              print the version

Environment only: ALLOWED_ORIGINS (comma-separated), SANDBOX (on or off). Flags win over environment variables.`

const OPTIONS = {
  port: { type: 'string' },
  host: { type: 'string' },
  'trusted-host': { type: 'string', multiple: true },
  'log-level': { type: 'string' },
  config: { type: 'string' },
  help: { type: 'boolean' },
  version: { type: 'boolean' }
} as const

/** Reads the arguments after the program's name. What is wrong with them comes as one sentence. */
export function readCommandLine (args: readonly string[]): Command {
  // Not strict: Node's own errors mix several sentences, and advice that does not apply here.
  const { values, tokens } = parseArgs({ args: [...args], options: OPTIONS, strict: false, tokens: true })
  const message = tokens.map(faultOf).find(fault => fault !== undefined)
  if (message !== undefined) return { name: 'invalid', message: `${message} See --help.` }
  if (values.help === true) return { name: 'help' }
  if (values.version === true) return { name: 'version' }
  return { name: 'run', ...runOptions(values as Values) }
}

/** The values of the options, once every token is known to be right. */
type Values = Partial<Record<'port' | 'host' | 'log-level' | 'config', string>> & { readonly 'trusted-host'?: string[] }

const runOptions = ({ host, port, 'log-level': logLevel, 'trusted-host': trustedHosts, config }: Values) => ({
  flags: {
    ...host !== undefined && { host },
    ...port !== undefined && { port },
    ...logLevel !== undefined && { logLevel },
    ...trustedHosts !== undefined && { trustedHosts }
  },
  configFile: config
})

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number]

function faultOf (token: Token): string | undefined {
  if (token.kind === 'positional') return `Unexpected argument '${token.value}'.`
  if (token.kind === 'option-terminator') return undefined
  const { name, rawName, value, inlineValue } = token
  if (!Object.hasOwn(OPTIONS, name)) return `Unknown option '${rawName}'.`
  const takesValue = OPTIONS[name as keyof typeof OPTIONS].type === 'string'
  if (!takesValue) return value === undefined ? undefined : `Option '${rawName}' takes no value.`
  // A value that looks like an option is one whose own value was forgotten.
  const isMissing = value === undefined || value === '' || (inlineValue === false && value.startsWith('-'))
  return isMissing ? `Option '${rawName}' needs a value.` : undefined
}
