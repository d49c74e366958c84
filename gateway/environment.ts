const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

/** What the environment may set for `npm start`; no credential is read from it. Throws a sentence for a value that cannot work. */
export function readEnvironment ({ HOST = '127.0.0.1', PORT = '8787', LOG_LEVEL = 'warn', TRUSTED_CUSTOM_HOSTS = '' }: NodeJS.ProcessEnv) {
  if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65535) throw new Error(`PORT should be a number from 0 to 65535, not '${PORT}'.`)
  if (!LOG_LEVELS.includes(LOG_LEVEL)) throw new Error(`LOG_LEVEL should be one of ${LOG_LEVELS.join(', ')}, not '${LOG_LEVEL}'.`)
  const trustedHosts = TRUSTED_CUSTOM_HOSTS.split(',').map(host => host.trim()).filter(host => host !== '')
  return { host: HOST, port: Number(PORT), logLevel: LOG_LEVEL, trustedHosts }
}

const LISTEN_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use already; set PORT to another one',
  EACCES: 'may not be used by this user; set PORT to 1024 or more',
  EADDRNOTAVAIL: 'is no address of this machine; set HOST to one',
  ENOTFOUND: 'is no address that can be found; set HOST to one'
}

/** Why a socket could not be listened on, for a reader. */
export const listenFault = (host: string, port: number, { code, message }: NodeJS.ErrnoException): string =>
  `${host}:${port} ${LISTEN_FAULTS[String(code)] ?? message}.`
