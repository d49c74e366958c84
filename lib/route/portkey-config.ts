import type { IncomingHttpHeaders } from 'node:http'
import { invalidHeader, type BatchCancelError } from '../errors.js'
import { headerOf } from '../headers.js'
import { isObject } from '../is-object.js'

const CONFIG = 'x-portkey-config'

/** The headers of a request with its config merged in; without it if the config has a problem. */
export interface MergedHeaders {
  readonly headers: IncomingHttpHeaders
  readonly problem?: BatchCancelError
}

/**
 * Merges `x-portkey-config` into the headers of a request: key `k` stands for the header `x-portkey-k`, `api_key` for
 * `Authorization`. The config takes precedence. Source: the config schema of Portkey's gateway 1.15.2.
 */
export function mergePortkeyConfig (headers: IncomingHttpHeaders): MergedHeaders {
  const text = headerOf(headers, CONFIG)
  if (text === undefined) return { headers }
  const config = parseJson(text)
  const merged = isObject(config) ? toHeaders(config) : undefined
  const problem = problemOf(text, config, merged)
  if (problem !== undefined) return { headers, problem: invalidHeader(CONFIG, problem) }
  return { headers: Object.assign({}, headers, merged) }
}

function parseJson (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function problemOf (text: string, config: unknown, merged: Record<string, string> | undefined): string | undefined {
  if (text.startsWith('pc-')) return 'names a config in Portkey\'s cloud. Send the config itself, as JSON.'
  if (!isObject(config)) return 'must be a JSON object.'
  if (merged === undefined) return 'contains a value that cannot be written as a header.'
  const { strategy, targets } = config
  const isSingle = strategy === undefined || strategy === null ||
    (isObject(strategy) && (strategy['mode'] ?? 'single') === 'single')
  if (targets === undefined && isSingle) return undefined
  return 'must not have targets or a strategy: a cancel goes to the one provider that holds the batch.'
}

/** Portkey writes keys in snake_case; its SDKs take camelCase as well. */
const kebabCase = (key: string) => key.replace(/[A-Z]/g, letter => `_${letter}`).replaceAll('_', '-').toLowerCase()

/** Keys whose header has another name. */
const ALIASES: Readonly<Record<string, string>> = {
  'api-key': 'authorization',
  'resource-name': 'x-portkey-azure-resource-name',
  'api-version': 'x-portkey-azure-api-version'
}

/** The headers that a config stands for; `undefined` if a value cannot be written. */
function toHeaders (config: Record<string, unknown>): Record<string, string> | undefined {
  try {
    return Object.fromEntries(Object.entries(config).flatMap(([key, value]) => toHeader(key, value)))
  } catch {
    return undefined
  }
}

function toHeader (key: string, value: unknown): Array<[name: string, value: string]> {
  if (value === null) return []
  const name = kebabCase(key)
  return [[Object.hasOwn(ALIASES, name) ? ALIASES[name] as string : `x-portkey-${name}`, toText(value)]]
}

function toText (value: unknown): string {
  if (Array.isArray(value)) return value.join(',')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
