/** What stands in the place of a secret. */
export const MASK = '***'

/** A shorter value is not a secret, and masking it would garble words. */
const MIN_SECRET_LENGTH = 8

/** How often a text may be JSON within JSON. */
const MAX_ESCAPE_DEPTH = 3

/** How many characters one of a secret may take where it is escaped. */
const MAX_ESCAPED_LENGTH = 12

/**
 * Replaces secrets in a text.
 *
 * @param maxLength how many characters of the text are returned at most; a secret at the end is masked as a whole
 */
export type Mask = (text: string, maxLength?: number) => string

/** Returns a function that replaces secrets in a text, also as base64, percent-encoded, or escaped as in JSON. */
export function createMask (values: Iterable<unknown>): Mask {
  const secrets = [...new Set(values)]
    .filter((value): value is string => typeof value === 'string' && value.length >= MIN_SECRET_LENGTH)
  const forms = [...new Set(secrets.flatMap(secret => [secret, ...base64Forms(secret)]))]
  const margin = MAX_ESCAPED_LENGTH * Math.max(0, ...secrets.map(secret => secret.length))
  return (text, maxLength = text.length) => {
    const read = text.slice(0, maxLength + margin)
    return replaceRanges(read, secretRanges(read, forms), maxLength)
  }
}

/** A text as base64: alone, and within a longer text, without the characters that also depend on that. */
function base64Forms (text: string): string[] {
  const bytes = Buffer.from(`\0\0${text}`)
  return (['base64', 'base64url'] as const).flatMap(encoding =>
    [bytes.toString(encoding, 2), ...[0, 1, 2].map(offset => base64Within(bytes.subarray(2 - offset), offset, encoding))])
}

/** @param offset how many of the bytes belong to the longer text */
const base64Within = (bytes: Buffer, offset: number, encoding: 'base64' | 'base64url') =>
  bytes.toString(encoding).slice(Math.ceil(offset * 8 / 6), Math.floor(bytes.length * 8 / 6))

type Range = readonly [start: number, end: number]

/** A text without escapes, with the place of each character in the original and the end of the original. */
interface Decoded {
  readonly text: string
  /** `undefined` for the original itself. */
  readonly places: readonly number[] | undefined
}

/** Where secrets stand in a text, written in any way. */
function secretRanges (text: string, forms: readonly string[]): Range[] {
  return [...decodings(text)].flatMap(decoded => forms.flatMap(form => rangesOf(decoded, form)))
}

/** The text, the JSON strings that it may be within, and each of these as the value of a query or a form. */
function * decodings (text: string): Generator<Decoded> {
  let decoded: Decoded = { text, places: undefined }
  for (let depth = 0; depth <= MAX_ESCAPE_DEPTH; depth++) {
    yield decoded
    if (decoded.text.includes('%')) yield * percentDecodings(decoded)
    if (!decoded.text.includes('\\')) return
    decoded = decode(decoded, JSON_ESCAPE, fromJsonEscape)
  }
}

function * percentDecodings (encoded: Decoded): Generator<Decoded> {
  yield decode(encoded, PERCENT_ESCAPE, fromPercentEscape)
  // In a form a plus sign is a space.
  const form = { ...encoded, text: encoded.text.replaceAll('+', ' ') }
  if (form.text !== encoded.text) yield decode(form, PERCENT_ESCAPE, fromPercentEscape)
}

function rangesOf ({ text, places }: Decoded, form: string): Range[] {
  const ranges: Range[] = []
  for (let at = text.indexOf(form); at !== -1; at = text.indexOf(form, at + form.length)) {
    const end = at + form.length
    ranges.push(places === undefined ? [at, end] : [places[at] as number, places[end] as number])
  }
  return ranges
}

const JSON_ESCAPE = /\\(?:u([0-9a-fA-F]{4})|([^u]))/g
const CONTROLS: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

const fromJsonEscape = ([, hex, letter = '']: RegExpExecArray) =>
  hex === undefined ? CONTROLS[letter] ?? letter : String.fromCharCode(Number.parseInt(hex, 16))

const PERCENT_ESCAPE = /%([0-9a-fA-F]{2})/g
const fromPercentEscape = ([, hex = '']: RegExpExecArray) => String.fromCharCode(Number.parseInt(hex, 16))

function decode ({ text, places }: Decoded, escape: RegExp, toPlain: (match: RegExpExecArray) => string): Decoded {
  const placeOf = (index: number) => places === undefined ? index : places[index] as number
  const parts: string[] = []
  const starts: number[] = []
  let copied = 0
  function copy (end: number): void {
    parts.push(text.slice(copied, end))
    for (let index = copied; index < end; index++) starts.push(placeOf(index))
  }
  for (const match of text.matchAll(escape)) {
    copy(match.index)
    parts.push(toPlain(match))
    starts.push(placeOf(match.index))
    copied = match.index + match[0].length
  }
  copy(text.length)
  return { text: parts.join(''), places: [...starts, placeOf(text.length)] }
}

function replaceRanges (text: string, ranges: Range[], maxLength: number): string {
  let masked = ''
  let copied = 0
  for (const [start, end] of ranges.sort(([a], [b]) => a - b)) {
    if (start >= maxLength) break
    if (start >= copied) masked += text.slice(copied, start) + MASK
    copied = Math.max(copied, end)
  }
  return masked + text.slice(copied, Math.max(copied, maxLength))
}
