const STRING = '"[^"\\\\]*(?:\\\\.[^"\\\\]*)*"'
/** A string with the colon that makes it a key, a bracket, or any other scalar. */
const TOKEN = new RegExp(`(${STRING})(\\s*:)?|[{}[\\]]|[^\\s{}[\\]:,"]+`, 'g')

/** Where a value stands in a JSON text. */
interface Range {
  readonly start: number
  readonly end: number
}

/**
 * Finds the values of a member of a JSON object without parsing it, since parsing rounds integers above 2^53. Only
 * members of the object itself count, and all of them if the key is repeated. The text must be valid JSON.
 */
function memberRanges (text: string, key: string): Range[] {
  const ranges: Range[] = []
  let depth = 0
  let start: number | undefined
  for (const { 0: token, 1: string, 2: colon, index } of text.matchAll(TOKEN)) {
    const closes = token === '}' || token === ']'
    if (closes) depth--
    if (depth === 1 && start !== undefined && colon === undefined && token !== '{' && token !== '[') {
      ranges.push({ start: start < 0 ? index : start, end: index + token.length })
      start = undefined
    }
    if (token === '{' || token === '[') {
      if (depth === 1 && start === -1) start = index
      depth++
    }
    if (depth === 1 && string !== undefined && colon !== undefined && JSON.parse(string) === key) start = -1
  }
  return ranges
}

/**
 * The text of a member of a JSON object; the last one if the key is repeated, as `JSON.parse` has it.
 *
 * @example jsonMember('{"batch":{"id":12345678901234567890}}', 'batch') // '{"id":12345678901234567890}'
 */
export function jsonMember (text: string, key: string): string | undefined {
  const range = memberRanges(text, key).at(-1)
  return range && text.slice(range.start, range.end)
}

/**
 * The same JSON object with another value for a member that it has; all else stays byte for byte.
 *
 * @example setJsonMember('{"status":"in_progress","n":1.0}', 'status', 'cancelling') //
 * '{"status":"cancelling","n":1.0}'
 */
export function setJsonMember (text: string, key: string, value: unknown): string {
  const json = JSON.stringify(value)
  const pieces: string[] = []
  let copied = 0
  for (const { start, end } of memberRanges(text, key)) {
    pieces.push(text.slice(copied, start), json)
    copied = end
  }
  return pieces.join('') + text.slice(copied)
}
