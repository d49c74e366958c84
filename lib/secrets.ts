import type { IncomingHttpHeaders } from 'node:http'

/** Request headers whose values are secrets, whole or in part. */
const SECRET_HEADER = /authorization|cookie|key|token|secret|password|credential|service-account/

export const isSecretHeader = (name: string) => SECRET_HEADER.test(name)

const CONFIG = 'x-portkey-config'
const FORWARD_HEADERS = 'x-portkey-forward-headers'

/**
 * The secrets in the headers of a client: credentials, alone or in JSON, and the values of headers to be forwarded.
 * Those in `x-portkey-config` count, too.
 */
export function secretsIn (headers: IncomingHttpHeaders): string[] {
  const text = headers[CONFIG]
  const config = typeof text === 'string' ? parseObject(text) : undefined
  const named = Object.entries(config ?? {}).map(([key, value]) => [toHeader(key), value] as const)
  const forwarded = [...Object.entries(headers), ...named]
    .filter(([name]) => name === FORWARD_HEADERS)
    .flatMap(([, names]) => namesIn(names))
  const isSecret = (name: string) => isSecretHeader(name.replace(/^x-portkey-/, '')) || forwarded.includes(name)
  return [...Object.entries(headers), ...named]
    .filter(([name]) => isSecret(name))
    .flatMap(([, value]) => stringsIn(value).flatMap(secretsInValue))
    // A config that cannot be read may hold anything.
    .concat(typeof text === 'string' && config === undefined ? secretsInValue(text) : [])
}

/** The header that a key of a config stands for. */
const toHeader = (key: string) =>
  `x-portkey-${key.replace(/[A-Z]/g, '-$&').replaceAll('_', '-').toLowerCase()}`

const namesIn = (list: unknown): string[] =>
  String(list).toLowerCase().split(',').map(name => name.trim()).filter(name => name !== '')

/** A part of a secret that is one by itself: a line of a private key, a signature, a token within words. */
const LONG_PART = /[\w+/.~-]{32,}={0,2}/g

/** A value that is secret, and everything in it that is secret by itself. */
export function secretsInValue (value: string): string[] {
  const [, scheme, token = ''] = /^([\w-]{1,32}) +(.+)$/s.exec(value) ?? []
  return [
    value,
    ...scheme === undefined ? [] : [token],
    ...scheme?.toLowerCase() === 'basic' ? partsOfBasic(token) : [],
    ...value.match(LONG_PART) ?? [],
    ...stringsIn(parseObject(value)).flatMap(secretsInValue)
  ]
}

function partsOfBasic (token: string): string[] {
  const pair = Buffer.from(token, 'base64').toString()
  return [pair, pair.slice(pair.indexOf(':') + 1)]
}

/** Deeper values are not credentials, and a client may nest thousands. */
const MAX_DEPTH = 5

/** Every string in a value. */
function stringsIn (value: unknown, depth = 0): string[] {
  if (typeof value === 'string') return [value]
  if (depth > MAX_DEPTH || typeof value !== 'object' || value === null) return []
  return Object.values(value).flatMap(part => stringsIn(part, depth + 1))
}

function parseObject (text: string): Record<string, unknown> | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return undefined
  }
}
