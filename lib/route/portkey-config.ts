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

type Config = Readonly<Record<string, unknown>>

/**
 * Merges `x-portkey-config` into the headers of a request: key `k` stands for the header `x-portkey-k`, `api_key` for
 * `Authorization`. The config takes precedence; one with a single target stands for that target. Source: the config
 * schema of Portkey's gateway 1.15.2.
 */
export function mergePortkeyConfig (headers: IncomingHttpHeaders): MergedHeaders {
  const text = headerOf(headers, CONFIG)
  if (text === undefined) return { headers }
  const config = parseJson(text)
  const target = isObject(config) ? onlyTarget(config) : undefined
  const merged = target && toHeaders(target)
  if (merged === undefined) return { headers, problem: invalidHeader(CONFIG, problemOf(text, config, target)) }
  return { headers: Object.assign({}, headers, merged) }
}

function parseJson (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function problemOf (text: string, config: unknown, target: Config | undefined): string {
  if (text.startsWith('pc-')) return 'names a config in Portkey\'s cloud. Send the config itself, as JSON.'
  if (!isObject(config)) return 'must be a JSON object.'
  if (target !== undefined) return 'contains a value that cannot be written as a header.'
  return 'must have at most one target, and no strategy without a target: a cancel goes to the one provider that ' +
    'holds the batch.'
}

/** The strategies that lead to the target if there is only one. */
const LEADS_TO_TARGET: ReadonlySet<unknown> = new Set(['single', 'fallback', 'loadbalance'])

/** A config without targets, or the only target of one; `undefined` if there is a choice to make. */
function onlyTarget (config: Config): Config | undefined {
  const { strategy, targets } = config
  const mode = modeOf(strategy)
  if (targets === undefined || targets === null) return mode === 'single' ? config : undefined
  const [target, ...others] = Array.isArray(targets) ? targets as unknown[] : []
  if (!LEADS_TO_TARGET.has(mode) || !isObject(target) || others.length > 0) return undefined
  return onlyTarget(Object.fromEntries([...inheritedBy(config), ...Object.entries(target)]))
}

/** `undefined` if it is not a strategy. */
function modeOf (strategy: unknown): unknown {
  const given = strategy ?? {}
  return isObject(given) ? given['mode'] ?? 'single' : undefined
}

/** The only keys that a target takes over from the config around it, and no credential. */
const INHERITED: ReadonlySet<string> = new Set(['custom-host', 'forward-headers', 'request-timeout'])

const inheritedBy = (config: Config) => Object.entries(config).filter(([key]) => INHERITED.has(kebabCase(key)))

/** Portkey writes keys in snake_case; its SDKs take camelCase as well. */
const kebabCase = (key: string) => key.replace(/[A-Z]/g, letter => `_${letter}`).replaceAll('_', '-').toLowerCase()

/** Keys whose header has another name. */
const ALIASES: Readonly<Record<string, string>> = {
  'api-key': 'authorization',
  'resource-name': 'x-portkey-azure-resource-name',
  'api-version': 'x-portkey-azure-api-version'
}

/** The headers that a config stands for; `undefined` if a value cannot be written. */
function toHeaders (config: Config): Record<string, string> | undefined {
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
