import { fileURLToPath } from 'node:url'
import { isInstalled, outputOf } from './processes.js'

const hasWrk = isInstalled('wrk', '-v')
const script = (name) => fileURLToPath(new URL(name, import.meta.url))

export const loadKind = hasWrk ? 'wrk' : 'autocannon'

/** Long enough for the slowest: a time-out would count as an error. */
const TIMEOUT = 30

/**
 * Keeps so many connections busy for so many seconds.
 * @param {{ method?: string, url: string, headers: Record<string, string>, connections: number, seconds: number, requestBytes?: number, providers?: number }} options
 * `providers`: over how many names, p0, p1, …, `x-portkey-provider` goes round.
 * @returns {Promise<{ requests: number, seconds: number, p50: number, p99: number, errors: number }>} times in milliseconds
 */
export async function load (options) {
  const [command, args] = hasWrk ? wrk(options) : autocannon(options)
  const lines = (await outputOf(command, args)).trim().split('\n')
  return JSON.parse(lines.at(-1))
}

function wrk ({ method = 'POST', url, headers, connections, seconds, requestBytes = 0, providers = 0 }) {
  const flags = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', `${TIMEOUT}s`, '-s', script('request.lua')]
  const named = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  return ['wrk', [...flags, ...named, url, '--', method, String(requestBytes), String(providers)]]
}

const autocannon = (options) => [process.execPath, [script('autocannon.js'), JSON.stringify({ ...options, timeout: TIMEOUT })]]
