import type { BatchError } from '../../schemas/batch.js'
import { isObject } from '../is-object.js'
import { MISSING, missingMessage } from './errors.js'
import { MAX_INPUT_ERRORS, MAX_LINE_BYTES, MAX_NESTING, MAX_REQUESTS, SLICE_BYTES } from './limits.js'
import type { Steps } from './work-queue.js'

/** One line of an input file: where its bytes are. */
interface Line {
  /** From 1. */
  readonly number: number
  readonly start: number
  readonly end: number
}

/** A request of a batch. Its line is parsed again when the request runs, so that a queued one costs little memory. */
export interface BatchRequest extends Pick<Line, 'start' | 'end'> {
  readonly customId: string
}

export interface BatchInput {
  /** Empty if there are errors. */
  readonly requests: BatchRequest[]
  readonly errors: BatchError[]
  /** The model of the first request that has one. */
  readonly model: string | null
}

type Row = Record<string, unknown>
interface Problem { readonly code: string, readonly message: string }
type ParsedLine =
  | { readonly row: Row, readonly problem?: undefined }
  | { readonly row?: undefined, readonly problem: Problem }
interface Context { readonly endpoint: string, readonly customIds: ReadonlySet<string> }
type Check = (value: string, context: Context) => Problem | undefined

const DUPLICATE: Problem = {
  code: 'duplicate_custom_id',
  message: 'The custom_id for this request is a duplicate of another request. ' +
    'The custom_id parameter must be unique for each request in a batch.'
}

const INVALID_METHOD: Problem = {
  code: 'invalid_method',
  message: 'The method of this request is not supported. Every request of a batch must be a POST.'
}

const urlMismatch = (endpoint: string): Problem => ({
  code: 'url_mismatch',
  message: `The URL of this request does not match the endpoint of the batch, '${endpoint}'.`
})

const CHECKS: ReadonlyArray<readonly [param: string, check: Check]> = [
  ['custom_id', (value, { customIds }) => customIds.has(value) ? DUPLICATE : undefined],
  ['method', (value) => value === 'POST' ? undefined : INVALID_METHOD],
  ['url', (value, { endpoint }) => value === endpoint ? undefined : urlMismatch(endpoint)]
]

const EMPTY_FILE: Problem = {
  code: 'empty_file',
  message: 'The input file is empty. Please ensure your batch contains at least one request.'
}

const TOO_MANY_REQUESTS: Problem = {
  code: 'too_many_tasks',
  message: `The input file has too many requests. A batch may have at most ${MAX_REQUESTS}.`
}

const LINE_TOO_LONG: Problem = {
  code: 'line_too_long',
  message: `This line is too long. The sandbox accepts lines of at most ${MAX_LINE_BYTES} bytes.`
}

const TOO_DEEP: Problem = {
  code: 'invalid_json_line',
  message: `This line is nested too deeply. The sandbox accepts at most ${MAX_NESTING} levels.`
}

const INVALID_JSON: Problem = { code: 'invalid_json_line', message: 'This line is not parseable as valid JSON.' }

const NEWLINE = 0x0a
const BYTE_ORDER_MARK = Buffer.from('\ufeff')
const WHITESPACE: ReadonlySet<number | undefined> = new Set(Buffer.from(' \t\r\v\f'))

/** Reads the requests of an input file, or what is wrong with it, a slice at a time. */
export function * readInput (input: Buffer, endpoint: string): Steps<BatchInput> {
  let count = 0
  yield * visitLines(input, () => {
    count += 1
    return count <= MAX_REQUESTS
  })
  if (count === 0) return invalidFile(EMPTY_FILE)
  if (count > MAX_REQUESTS) return invalidFile(TOO_MANY_REQUESTS)

  const requests: BatchRequest[] = []
  const errors: BatchError[] = []
  const customIds = new Set<string>()
  let model: string | null = null

  yield * visitLines(input, ({ number, start, end }) => {
    const { row, problem } = parseLine(input, start, end)
    const problems = row === undefined ? [{ ...problem, param: null }] : checkRow(row, { endpoint, customIds })
    errors.push(...problems.map(({ code, message, param }) => ({ code, message, param, line: number })))
    if (row !== undefined) {
      const customId = String(row['custom_id'])
      customIds.add(customId)
      requests.push({ customId, start, end })
      model ??= modelOf(row)
    }
    return errors.length < MAX_INPUT_ERRORS
  })
  if (errors.length === 0) return { requests, errors, model }
  return { requests: [], errors: errors.slice(0, MAX_INPUT_ERRORS), model: null }
}

const invalidFile = (problem: Problem): BatchInput =>
  ({ requests: [], errors: [{ ...problem, param: null, line: null }], model: null })

/** Calls `visit` with each line that is not blank, until it returns false. */
function * visitLines (input: Buffer, visit: (line: Line) => boolean): Steps<void> {
  let bytes = 0
  for (const line of linesOf(input)) {
    bytes += line.end - line.start + 1
    if (!isBlank(input, line) && !visit(line)) break
    if (bytes < SLICE_BYTES) continue
    yield bytes
    bytes = 0
  }
  yield bytes
}

function * linesOf (input: Buffer): Generator<Line, void> {
  let start = input.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0
  for (let number = 1; start < input.length; number++) {
    const newline = input.indexOf(NEWLINE, start)
    const end = newline === -1 ? input.length : newline
    yield { number, start, end }
    start = end + 1
  }
}

function isBlank (input: Buffer, { start, end }: Line): boolean {
  if (end - start > MAX_LINE_BYTES) return false
  let position = start
  while (position < end && WHITESPACE.has(input[position])) position += 1
  return position === end
}

function parseLine (input: Buffer, start: number, end: number): ParsedLine {
  if (end - start > MAX_LINE_BYTES) return { problem: LINE_TOO_LONG }
  const text = input.toString('utf8', start, end)
  if (isTooDeep(text)) return { problem: TOO_DEEP }
  try {
    const row: unknown = JSON.parse(text)
    if (isObject(row)) return { row }
  } catch {}
  return { problem: INVALID_JSON }
}

/** Whether JSON is nested deeper than the limit, found without parsing it. */
function isTooDeep (json: string): boolean {
  let depth = 0
  for (let position = 0; position < json.length; position++) {
    const char = json[position]
    if (char === '"') position = endOfString(json, position)
    else if (char === '{' || char === '[') depth += 1
    else if (char === '}' || char === ']') depth -= 1
    if (depth > MAX_NESTING) return true
  }
  return false
}

/** Returns the position of the quote that closes the string, or the end of the text. */
function endOfString (json: string, start: number): number {
  let position = start + 1
  while (position < json.length && json[position] !== '"') position += json[position] === '\\' ? 2 : 1
  return position
}

function checkRow (row: Row, context: Context): Array<Problem & { readonly param: string }> {
  return CHECKS.flatMap(([param, check]) => {
    const value = row[param]
    const problem = typeof value === 'string' && value !== ''
      ? check(value, context)
      : { code: MISSING, message: missingMessage(param) }
    return problem === undefined ? [] : [{ ...problem, param }]
  })
}

function modelOf ({ body }: Row): string | null {
  const { model } = Object(body)
  return typeof model === 'string' ? model : null
}
