import { isObject } from '../is-object.js'
import type { NewBatch } from './batches.js'
import { ENDPOINT_NAMES } from './endpoints.js'
import { ApiError, MISSING, invalidParam, missingMessage } from './errors.js'
import type { FileStore, NewFile } from './files.js'
import { MAX_FILE_BYTES, MAX_METADATA_KEY_LENGTH, MAX_METADATA_PAIRS, MAX_METADATA_VALUE_LENGTH } from './limits.js'
import { boundaryOf, parseForm } from './multipart.js'

type Fields = Record<string, unknown>

const COMPLETION_WINDOWS: readonly string[] = ['24h']

function parseObject (body: Buffer | undefined): Fields {
  try {
    const fields: unknown = JSON.parse(String(body))
    if (isObject(fields)) return fields
  } catch {}
  throw new ApiError(400, 'The body of the request is not a JSON object.')
}

function requiredString (fields: Fields, param: string): string {
  const value = fields[param]
  if (value === undefined) throw invalidParam(param, missingMessage(param), MISSING)
  if (typeof value !== 'string') throw invalidParam(param, `Invalid type for '${param}': expected a string.`)
  return value
}

function requiredOneOf (fields: Fields, param: string, values: readonly string[]): string {
  const value = requiredString(fields, param)
  if (values.includes(value)) return value
  const supported = values.map(name => `'${name}'`).join(', ')
  throw invalidParam(param, `Invalid value: '${value}'. Supported values are: ${supported}.`, 'invalid_value')
}

function readMetadata (metadata: unknown): Record<string, string> | null {
  if (metadata === undefined || metadata === null) return null
  if (!isObject(metadata)) {
    throw invalidParam('metadata', "Invalid type for 'metadata': expected an object of strings.")
  }
  const pairs = Object.entries(metadata)
  if (pairs.length > MAX_METADATA_PAIRS) {
    throw invalidParam('metadata', `Invalid 'metadata': at most ${MAX_METADATA_PAIRS} pairs are allowed.`)
  }
  for (const [key, value] of pairs) {
    if (key.length > MAX_METADATA_KEY_LENGTH) {
      const reason = `a key may have at most ${MAX_METADATA_KEY_LENGTH} characters`
      throw invalidParam('metadata', `Invalid 'metadata': ${reason}.`)
    }
    if (typeof value !== 'string' || value.length > MAX_METADATA_VALUE_LENGTH) {
      const expected = `expected a string of at most ${MAX_METADATA_VALUE_LENGTH} characters`
      throw invalidParam(`metadata.${key}`, `Invalid 'metadata.${key}': ${expected}.`)
    }
  }
  return metadata as Record<string, string>
}

/** Reads the body of `POST /batches`. @throws {ApiError} 400 */
export function readNewBatch (body: Buffer | undefined, files: FileStore): NewBatch {
  const fields = parseObject(body)
  const fileId = requiredString(fields, 'input_file_id')
  const input = files.find(fileId)
  if (input === undefined) throw invalidParam('input_file_id', `No file found with id '${fileId}'.`)
  if (input.file.purpose !== 'batch') {
    throw invalidParam('input_file_id', `The purpose of file '${fileId}' is not 'batch'.`)
  }
  const endpoint = requiredOneOf(fields, 'endpoint', ENDPOINT_NAMES)
  requiredOneOf(fields, 'completion_window', COMPLETION_WINDOWS)
  return { input, endpoint, metadata: readMetadata(fields['metadata']) }
}

/** Reads the body of `POST /files`. @throws {ApiError} 400, or 413 if the file is too large. */
export function readNewFile (body: Buffer, contentType: string | undefined): Omit<NewFile, 'createdAt'> {
  const parts = parseForm(body, boundaryOf(contentType))
  const partOf = (param: string) => parts.find(({ name }) => name === param)

  const purpose = partOf('purpose')?.content.toString()
  if (purpose === undefined) throw invalidParam('purpose', missingMessage('purpose'), MISSING)
  if (purpose !== 'batch') {
    throw invalidParam('purpose', "Invalid value for 'purpose'. The sandbox accepts 'batch' only.", 'invalid_value')
  }
  const file = partOf('file')
  if (file?.filename === undefined) throw invalidParam('file', missingMessage('file'), MISSING)
  if (file.content.length > MAX_FILE_BYTES) {
    throw new ApiError(413, `The file is larger than ${MAX_FILE_BYTES} bytes.`, { param: 'file' })
  }
  // A copy, since a view would keep the whole form in memory.
  return { filename: file.filename, purpose, content: Buffer.from(file.content) }
}
