import type { BatchError } from '../../schemas/batch.js'
import { MISSING, missingMessage } from './errors.js'

/** How many requests a file may have: OpenAI's limit. */
export const MAX_REQUESTS = 50_000
/** How many errors of a file are reported. */
export const MAX_ERRORS = 100

/** A request of a batch. The line is parsed again when it runs, so that a waiting batch costs little memory. */
export interface BatchRequest {
  readonly customId: string
  readonly line: string
}

export interface BatchInput {
  /** None where there are errors. */
  readonly requests: BatchRequest[]
  readonly errors: BatchError[]
  /** The model of the first request. */
  readonly model: string | null
}

interface Fault { readonly code: string, readonly message: string }
interface Context { readonly endpoint: string, readonly seen: Set<string> }

const ok = null

const CHECKS: ReadonlyArray<[param: string, check: (value: string, context: Context) => Fault | null]> = [
  ['custom_id', (value, { seen }) => seen.has(value)
    ? { code: 'duplicate_custom_id', message: 'The custom_id for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.' }
    : ok],
  ['method', (value) => value === 'POST'
    ? ok
    : { code: 'invalid_method', message: 'The method of this request is not supported. Every request of a batch must be a POST.' }],
  ['url', (value, { endpoint }) => value === endpoint
    ? ok
    : { code: 'url_mismatch', message: `The URL of this request does not match the endpoint of the batch, '${endpoint}'.` }]
]

const wholeFile = (code: string, message: string): BatchInput =>
  ({ requests: [], errors: [{ code, message, param: null, line: null }], model: null })

function parseLine (line: string): Record<string, unknown> | undefined {
  try {
    const row: unknown = JSON.parse(line)
    return typeof row === 'object' && row !== null && !Array.isArray(row) ? { ...row } : undefined
  } catch {
    return undefined
  }
}

function faultsOf (row: Record<string, unknown>, line: number, context: Context): BatchError[] {
  return CHECKS.flatMap(([param, check]) => {
    const value = row[param]
    const fault = typeof value === 'string' && value !== ''
      ? check(value, context)
      : { code: MISSING, message: missingMessage(param) }
    return fault === ok ? [] : [{ ...fault, param, line }]
  })
}

/** Reads the requests of an input file, or what is wrong with it. */
export function readInput (bytes: Uint8Array, endpoint: string): BatchInput {
  const lines = new TextDecoder().decode(bytes).split('\n')
  const filled = lines.reduce((count, line) => line.trim() === '' ? count : count + 1, 0)
  if (filled === 0) return wholeFile('empty_file', 'The input file is empty. Please ensure your batch contains at least one request.')
  if (filled > MAX_REQUESTS) return wholeFile('too_many_tasks', `The input file has ${filled} requests. A batch may have at most ${MAX_REQUESTS}.`)

  const requests: BatchRequest[] = []
  const errors: BatchError[] = []
  const context: Context = { endpoint, seen: new Set() }
  let model: string | null = null

  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue
    if (errors.length >= MAX_ERRORS) break
    const row = parseLine(line)
    if (row === undefined) {
      errors.push({ code: 'invalid_json_line', message: 'This line is not parseable as valid JSON.', param: null, line: index + 1 })
      continue
    }
    errors.push(...faultsOf(row, index + 1, context))
    const customId = String(row.custom_id)
    context.seen.add(customId)
    requests.push({ customId, line })
    model ??= modelOf(row)
  }
  return errors.length === 0 ? { requests, errors, model } : { requests: [], errors: errors.slice(0, MAX_ERRORS), model: null }
}

function modelOf ({ body }: Record<string, unknown>): string | null {
  const { model } = Object(body)
  return typeof model === 'string' ? model : null
}
