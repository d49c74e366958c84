import { isObject } from '../is-object.js'

/** Anything shorter is not a secret, and would tear words apart. */
const MIN_SECRET_LENGTH = 8

const MASK = '***'

/** How often a text may be JSON within JSON. */
const MAX_ESCAPE_DEPTH = 3

/** Returns a function that replaces secrets in a text, also if they are escaped as in JSON. */
export function createMask (values: Iterable<unknown>): (text: string) => string {
  const secrets = [...new Set(values)]
    .filter((value): value is string => typeof value === 'string' && value.length >= MIN_SECRET_LENGTH)
  return text => replaceRanges(text, secretRanges(text, secrets))
}

/** The secrets of a call: all strings of its credential, and the token that was exchanged for it. */
export function secretsOf (credential: unknown, headers: Readonly<Record<string, string>>): unknown[] {
  const own = isObject(credential) ? Object.values(credential) : [credential]
  return [...own, headers['authorization']?.replace(/^Bearer /, '')]
}

type Range = readonly [start: number, end: number]

/** A text without escapes, with the place of each character in the original and the end of the original. */
interface Decoded {
  readonly text: string
  readonly places: readonly number[]
}

/** Where secrets stand in a text, written in any way. */
function secretRanges (text: string, secrets: readonly string[]): Range[] {
  const ranges: Range[] = []
  let decoded: Decoded = { text, places: Array.from({ length: text.length + 1 }, (_, index) => index) }
  for (let depth = 0; depth <= MAX_ESCAPE_DEPTH; depth++) {
    for (const secret of secrets) ranges.push(...rangesOf(decoded, secret))
    if (!decoded.text.includes('\\')) break
    decoded = decodeEscapes(decoded)
  }
  return ranges
}

function rangesOf ({ text, places }: Decoded, secret: string): Range[] {
  const ranges: Range[] = []
  for (let at = text.indexOf(secret); at !== -1; at = text.indexOf(secret, at + secret.length)) {
    ranges.push([places[at] as number, places[at + secret.length] as number])
  }
  return ranges
}

const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|([^u]))/y

const CONTROLS: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

function decodeEscapes ({ text, places }: Decoded): Decoded {
  const characters: string[] = []
  const starts: number[] = []
  for (let index = 0; index < text.length;) {
    ESCAPE.lastIndex = index
    const match = text[index] === '\\' ? ESCAPE.exec(text) : null
    const [whole, hex, letter = ''] = match ?? [text[index] as string, undefined, text[index]]
    const plain = match === null ? letter : CONTROLS[letter] ?? letter
    characters.push(hex === undefined ? plain : String.fromCharCode(Number.parseInt(hex, 16)))
    starts.push(places[index] as number)
    index += whole.length
  }
  return { text: characters.join(''), places: [...starts, places.at(-1) as number] }
}

function replaceRanges (text: string, ranges: Range[]): string {
  let masked = ''
  let copied = 0
  for (const [start, end] of ranges.sort(([a], [b]) => a - b)) {
    if (start >= copied) masked += text.slice(copied, start) + MASK
    copied = Math.max(copied, end)
  }
  return masked + text.slice(copied)
}
