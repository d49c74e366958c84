import type { Flags } from './cli.js'

/** How the gateway listens, and what it allows. */
export interface Settings {
  readonly host: string
  readonly port: number
  readonly logLevel: string
  readonly trustedHosts: readonly string[]
  readonly allowedOrigins: readonly string[]
  readonly sandbox: boolean
}

/**
 * Reads the settings from the environment; a flag of the command line replaces its variable. No credential is read.
 *
 * | variable | flag | default | |
 * | --- | --- | --- | --- |
 * | `HOST` | `--host` | `127.0.0.1` | the host name or address to listen on |
 * | `PORT` | `--port` | `8787` | the port; 0 takes a free one |
 * | `LOG_LEVEL` | `--log-level` | `warn` | Fastify's log level |
 * | `TRUSTED_CUSTOM_HOSTS` | `--trusted-host` | none | hosts that `x-portkey-custom-host` may name |
 * | `ALLOWED_ORIGINS` | | none | origins besides the gateway's own whose pages may cancel |
 * | `SANDBOX` | | `on` | `off` leaves out the API under `/sandbox/v1` and the provider `sandbox` |
 *
 * The two lists are separated by commas. On loopback a bare trusted host also means http. `ALLOWED_ORIGINS` is for the
 * origin of a proxy in front of the gateway; no CORS headers are added, so that pages elsewhere cannot read a response.
 *
 * @throws Error with one sentence for a value that is not valid.
 */
export function readEnvironment (env: NodeJS.ProcessEnv, flags: Flags = {}): Settings {
  const setting = (variable: string, fallback: string, flag: string, value: string | undefined) =>
    value === undefined ? [variable, env[variable] ?? fallback] as const : [flag, value] as const

  return {
    host: parseHost(...setting('HOST', '127.0.0.1', '--host', flags.host)),
    port: parsePort(...setting('PORT', '8787', '--port', flags.port)),
    logLevel: parseChoice(...setting('LOG_LEVEL', 'warn', '--log-level', flags.logLevel), LOG_LEVELS),
    trustedHosts: flags.trustedHosts ?? parseList(env['TRUSTED_CUSTOM_HOSTS']),
    allowedOrigins: parseList(env['ALLOWED_ORIGINS']).map(parseOrigin),
    sandbox: parseChoice('SANDBOX', env['SANDBOX'] ?? 'on', ['on', 'off']) === 'on'
  }
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

const invalid = (name: string, value: string, expected: string) =>
  new Error(`Invalid ${name} '${value}': expected ${expected}.`)

/** Node would take an empty host for every address of the machine. */
function parseHost (name: string, value: string): string {
  if (!/^[\w.:%-]+$/.test(value)) throw invalid(name, value, 'a host name or an IP address')
  return value
}

function parsePort (name: string, value: string): number {
  if (!/^\d{1,5}$/.test(value) || Number(value) > 65535) throw invalid(name, value, 'a whole number from 0 to 65535')
  return Number(value)
}

function parseChoice (name: string, value: string, choices: readonly string[]): string {
  if (!choices.includes(value)) throw invalid(name, value, `one of ${choices.join(', ')}`)
  return value
}

const parseList = (value = '') => value.split(',').map(item => item.trim()).filter(item => item !== '')

function parseOrigin (value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined
  const isOrigin = url !== undefined && /^https?:$/.test(url.protocol) && url.origin === value.toLowerCase()
  if (!isOrigin) throw invalid('ALLOWED_ORIGINS', value, 'origins such as https://gateway.example.com, without a path')
  return url.origin
}

const LISTEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is already in use. Choose another one with PORT or --port.',
  EACCES: 'this user is not allowed to use the port. Choose one from 1024 with PORT or --port.',
  EADDRNOTAVAIL: 'this machine does not have that address. Choose another one with HOST or --host.',
  ENOTFOUND: 'the host name cannot be resolved. Choose another one with HOST or --host.'
}

/** Why the gateway cannot listen, and what to do. */
export const listenFault = (host: string, port: number, { code, message }: NodeJS.ErrnoException): string =>
  `Cannot listen on ${host}:${port}: ${LISTEN_FAULTS[String(code)] ?? `${message}.`}`
