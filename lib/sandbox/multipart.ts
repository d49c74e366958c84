import { ApiError } from './errors.js'
import { MAX_BOUNDARY_LENGTH, MAX_FORM_PARTS, MAX_PART_HEADER_BYTES } from './limits.js'

/** One part of a form. */
export interface FormPart {
  readonly name: string
  /** `undefined` for a part that is not a file. */
  readonly filename: string | undefined
  /** A view of the form's own bytes. */
  readonly content: Buffer
}

const CRLF = '\r\n'
const BLANK_LINE = CRLF + CRLF

const BOUNDARY = /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"]+)"|([^\s;"]+))/i

const invalidForm = (expected = '') =>
  new ApiError(400, `The body of the request is not multipart/form-data${expected}.`)

/**
 * Returns the boundary of a form.
 * @throws {ApiError} 400 if the content type is not `multipart/form-data` with a boundary.
 */
export function boundaryOf (contentType: string | undefined): string {
  const [, quoted, plain] = BOUNDARY.exec(contentType ?? '') ?? []
  const boundary = quoted ?? plain
  if (boundary === undefined || boundary.length > MAX_BOUNDARY_LENGTH) throw invalidForm()
  return boundary
}

/**
 * Returns the parts of a form (RFC 7578). Bounded: some passes over the bytes, few parts, small headers.
 * @throws {ApiError} 400 if the body is not such a form.
 */
export function parseForm (body: Buffer, boundary: string): FormPart[] {
  const delimiter = Buffer.from(`${CRLF}--${boundary}`)
  const parts: FormPart[] = []
  // The first delimiter is at the very beginning, without its line break.
  if (!body.subarray(0, delimiter.length - CRLF.length).equals(delimiter.subarray(CRLF.length))) throw invalidForm()
  let position = delimiter.length - CRLF.length

  while (textAt(body, position, 2) !== '--') {
    if (parts.length === MAX_FORM_PARTS) throw invalidForm(` with at most ${MAX_FORM_PARTS} parts`)
    // The line break after a delimiter also begins the blank line of a part without headers.
    const headers = body.subarray(position, position + MAX_PART_HEADER_BYTES)
    const headerLength = headers.indexOf(BLANK_LINE)
    const start = position + headerLength + BLANK_LINE.length
    const end = body.indexOf(delimiter, start)
    if (textAt(body, position, 2) !== CRLF || headerLength === -1 || end === -1) throw invalidForm()
    parts.push({ ...readHeaders(headers.toString('utf8', 0, headerLength)), content: body.subarray(start, end) })
    position = end + delimiter.length
  }
  return parts
}

const textAt = (body: Buffer, position: number, length: number) => body.toString('latin1', position, position + length)

// Not `.` and `$`: to them, U+2028 ends a line, too.
const DISPOSITION = /(?:^|\r\n)content-disposition:[ \t]*form-data[ \t]*(;[^\r\n]*)/i
const DISPOSITION_PARAM = /;[ \t]*([a-z*]+)=(?:"([^"]*)"|([^\s;"]*))/gi

/** Reads `content-disposition: form-data; name="…"; filename="…"`. */
function readHeaders (headers: string): Pick<FormPart, 'name' | 'filename'> {
  const [, disposition] = DISPOSITION.exec(headers) ?? []
  if (disposition === undefined) throw invalidForm()
  const params = new Map<string, string>()
  for (const [, name, quoted, plain] of disposition.matchAll(DISPOSITION_PARAM)) {
    params.set(String(name).toLowerCase(), quoted === undefined ? String(plain) : unescape(quoted))
  }
  const name = params.get('name')
  if (name === undefined) throw invalidForm()
  return { name, filename: params.get('filename') ?? decodeExtended(params.get('filename*')) }
}

/** Undoes the escaping of names: quotes and line breaks (WHATWG HTML, multipart/form-data encoding algorithm). */
const unescape = (text: string) => text.replace(/%22|%0D|%0A/gi, (escaped) => decodeURIComponent(escaped))

/** Reads `filename*=UTF-8''…` (RFC 5987), which some clients send for a name that is not ASCII. */
function decodeExtended (value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  const encoded = value.slice(value.lastIndexOf("'") + 1)
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
