import { isObject } from '../is-object.js'

/** Anything shorter is not a secret, and would tear words apart. */
const MIN_SECRET_LENGTH = 8

const MASK = '***'

/** Returns a function that replaces secrets in a text, also if they are escaped as within a JSON string. */
export function createMask (values: Iterable<unknown>): (text: string) => string {
  const secrets = [...new Set(values)]
    .filter(value => typeof value === 'string' && value.length >= MIN_SECRET_LENGTH) as string[]
  if (secrets.length === 0) return text => text
  // The longest first: one may be a part of another.
  const patterns = secrets.sort((a, b) => b.length - a.length).map(secretPattern)
  return text => patterns.reduce((masked, pattern) => masked.replace(pattern, MASK), text)
}

/** Each character as it is, after backslashes, or as `\u002B`: the text may be JSON within JSON. */
const secretPattern = (secret: string) => new RegExp(Array.from(secret, character => {
  const hex = character.charCodeAt(0).toString(16).padStart(4, '0')
  return `\\\\{0,3}(?:${escapeRegExp(character)}|\\\\u${hex}|\\\\u${hex.toUpperCase()})`
}).join(''), 'g')

const escapeRegExp = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')

/** The secrets of a call: all strings of its credential, and the token that was exchanged for it. */
export function secretsOf (credential: unknown, headers: Readonly<Record<string, string>>): unknown[] {
  const own = isObject(credential) ? Object.values(credential) : [credential]
  return [...own, headers['authorization']?.replace(/^Bearer /, '')]
}
