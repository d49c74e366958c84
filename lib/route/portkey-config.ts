import type { IncomingHttpHeaders } from 'node:http'
import { isObject } from '../is-object.js'
import { invalidHeader, type BatchCancelError } from '../errors.js'

const CONFIG = 'x-portkey-config'

/** Headers as the config of a request changes them; where the config has a fault, as they were. */
export interface Configured {
  readonly headers: IncomingHttpHeaders
  readonly fault?: BatchCancelError | undefined
}

/**
 * Lays `x-portkey-config` over the headers of a request: key `k` stands for the header `x-portkey-k`, `api_key`
 * for `Authorization`. Source: the headers and the config schema of Portkey's gateway.
 */
export function readConfig (headers: IncomingHttpHeaders): Configured {
  const text = headers[CONFIG]
  if (typeof text !== 'string' || text === '') return { headers }
  const config = parse(text)
  const reason = faultOf(text, config)
  if (reason !== undefined) return { headers, fault: invalidHeader(CONFIG, reason) }
  return { headers: { ...headers, ...lay(config as object) } }
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function faultOf (text: string, config: unknown): string | undefined {
  if (/^pc-/.test(text)) return 'names a config in Portkey\'s cloud; send the config itself, as JSON.'
  if (!isObject(config)) return 'should be a JSON object.'
  const { strategy, targets } = config
  const single = strategy === undefined || strategy === null || (isObject(strategy) && (strategy['mode'] ?? 'single') === 'single')
  if (lay(config) === undefined) return 'holds a value that no header can have.'
  if (targets !== undefined || !single) return 'should have no targets and no strategy: a cancel is never spread over providers.'
  return undefined
}

/** Only these are `snake_case` elsewhere in a config's life; `camelCase` is taken as well. */
const kebab = (key: string) => key.replace(/[A-Z]/g, letter => `_${letter}`).replaceAll('_', '-').toLowerCase()

/** Keys that Portkey's own config names without the provider whose header they stand for. */
const ALIASES: Readonly<Record<string, string>> = {
  'api-key': 'authorization',
  'resource-name': 'x-portkey-azure-resource-name',
  'api-version': 'x-portkey-azure-api-version'
}

/** The headers that a config stands for; `undefined` where a value of it cannot be written. */
function lay (config: object): Record<string, string> | undefined {
  try {
    return Object.fromEntries(Object.entries(config).flatMap(([key, value]) => headerFor(key, value)))
  } catch {
    return undefined
  }
}

function headerFor (key: string, value: unknown): Array<[string, string]> {
  const text = asText(value)
  if (text === undefined) return []
  const name = kebab(key)
  return [[Object.hasOwn(ALIASES, name) ? ALIASES[name] as string : `x-portkey-${name}`, text]]
}

function asText (value: unknown): string | undefined {
  if (value === null) return undefined
  if (Array.isArray(value)) return value.join(',')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
