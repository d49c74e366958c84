import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'

interface Content { schema: object, examples?: Record<string, { value: unknown }> }
export interface Operation {
  parameters: Array<{ name: string, in: string, required: boolean, schema: object, example?: unknown }>
  responses: Record<string, { headers: Record<string, { schema: object }>, content: { 'application/json': Content } }>
}

export const PATH = '/v1/batches/{id}/cancel'

/** The committed document, as a client would read it. */
export const document = JSON.parse(readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8')) as {
  paths: Record<string, { post: Operation }>
  components: { schemas: Record<string, object> }
}

export const operation = document.paths[PATH]?.post as Operation

const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false })
ajv.addSchema(document, 'openapi.json')

const pointer = (parts: readonly string[]) => 'openapi.json#/' + parts.map(part => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')

/** The check of one part of the document, named by the keys that lead to it. */
export const checkOf = (...parts: string[]) => ajv.getSchema(pointer(parts)) as ValidateFunction

/** The key of the document's responses under which a status stands: its own, else that of its hundred. */
export const responseKey = (status: number) => operation.responses[status] === undefined ? `${String(status)[0]}XX` : String(status)

interface Answer {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders | OutgoingHttpHeaders
  readonly body: string
}

/** What an answer has that the document does not allow; nothing is the promise. */
export function breaches ({ statusCode, headers, body }: Answer): string[] {
  const key = responseKey(statusCode)
  const response = operation.responses[key]
  if (response === undefined) return [`status ${statusCode} is not documented`]
  const found: string[] = []
  if (headers['content-type'] !== 'application/json; charset=utf-8') found.push(`content type ${String(headers['content-type'])}`)
  for (const [name, { schema }] of Object.entries(response.headers)) {
    const value = headers[name]
    if (value !== undefined && !ajv.validate(schema, value)) found.push(`header ${name}: ${String(value)}`)
  }
  for (const name of ['x-request-id', 'x-portkey-trace-id']) if (headers[name] === undefined) found.push(`header ${name} is missing`)
  const check = checkOf('paths', PATH, 'post', 'responses', key, 'content', 'application/json', 'schema')
  if (check(JSON.parse(body)) !== true) found.push(`${statusCode}: ${ajv.errorsText(check.errors)} in ${body}`)
  return found
}
