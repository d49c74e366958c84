import type { NewBatch } from './batches.js'
import { ENDPOINT_NAMES } from './endpoints.js'
import { ApiError, MISSING, badParam, missingMessage } from './errors.js'
import { MAX_FILE_BYTES, type FileStore, type NewFile } from './files.js'

type Fields = Record<string, unknown>

/** OpenAI's limits for metadata. */
const MAX_PAIRS = 16
const MAX_KEY_LENGTH = 64
const MAX_VALUE_LENGTH = 512

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

const required = (fields: Fields, param: string): string => {
  const value = fields[param]
  if (value === undefined) throw badParam(param, missingMessage(param), MISSING)
  return String(value)
}

function parseObject (body: Buffer | undefined): Fields {
  try {
    const fields: unknown = JSON.parse(String(body))
    if (isObject(fields)) return fields
  } catch {}
  throw new ApiError(400, 'The body of the request is not a JSON object.')
}

function checkMetadata (metadata: unknown): Record<string, string> | null {
  if (metadata === undefined || metadata === null) return null
  if (!isObject(metadata)) throw badParam('metadata', "Invalid type for 'metadata': expected an object of strings.")
  const pairs = Object.entries(metadata)
  if (pairs.length > MAX_PAIRS) throw badParam('metadata', `Invalid 'metadata': at most ${MAX_PAIRS} pairs are allowed.`)
  for (const [key, value] of pairs) {
    if (key.length > MAX_KEY_LENGTH) throw badParam('metadata', `Invalid 'metadata': a key may have at most ${MAX_KEY_LENGTH} characters.`)
    if (typeof value !== 'string' || value.length > MAX_VALUE_LENGTH) {
      throw badParam(`metadata.${key}`, `Invalid 'metadata.${key}': expected a string of at most ${MAX_VALUE_LENGTH} characters.`)
    }
  }
  return metadata as Record<string, string>
}

/** What `POST /batches` asks for. */
export function checkNewBatch (body: Buffer | undefined, files: FileStore): NewBatch {
  const fields = parseObject(body)
  const fileId = required(fields, 'input_file_id')
  const input = files.find(fileId)
  if (input === undefined) throw badParam('input_file_id', `No file found with id '${fileId}'.`)
  if (input.about.purpose !== 'batch') throw badParam('input_file_id', `The purpose of file '${fileId}' is not 'batch'.`)

  const endpoint = required(fields, 'endpoint')
  if (!ENDPOINT_NAMES.includes(endpoint)) throw badParam('endpoint', `Invalid value: '${endpoint}'. Supported values are: ${ENDPOINT_NAMES.map(name => `'${name}'`).join(', ')}.`, 'invalid_value')
  const window = required(fields, 'completion_window')
  if (window !== '24h') throw badParam('completion_window', `Invalid value: '${window}'. Supported values are: '24h'.`, 'invalid_value')
  return { input, endpoint, metadata: checkMetadata(fields.metadata) }
}

/** What `POST /files` brings: read by the platform's own parser of forms. */
export async function checkNewFile (body: Buffer | undefined, contentType: string | undefined): Promise<Omit<NewFile, 'createdAt'>> {
  const form = await new Response(body, { headers: { 'content-type': String(contentType) } }).formData().catch(() => {
    throw new ApiError(400, 'The body of the request is not multipart/form-data.')
  })
  const purpose = form.get('purpose')
  if (purpose === null) throw badParam('purpose', missingMessage('purpose'), MISSING)
  if (purpose !== 'batch') throw badParam('purpose', "Invalid value for 'purpose'. The sandbox takes 'batch' only.", 'invalid_value')
  const file = form.get('file')
  if (!(file instanceof File)) throw badParam('file', missingMessage('file'), MISSING)
  if (file.size > MAX_FILE_BYTES) throw new ApiError(413, `The file is larger than ${MAX_FILE_BYTES} bytes.`, { param: 'file' })
  return { filename: file.name, purpose, bytes: Buffer.from(await file.arrayBuffer()) }
}
