import { existsSync, readFileSync } from 'node:fs'
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { ROOT } from './root.js'

export interface Parameter {
  name: string
  in: string
  required: boolean
  schema: object
  example?: unknown
  'x-providers'?: readonly string[]
}

interface Header {
  schema: object
  required?: boolean
}

interface Content {
  schema: object
  examples?: Record<string, { value: unknown }>
}

export interface Operation {
  operationId: string
  parameters: Parameter[]
  responses: Record<string, { headers: Record<string, Header>, content: { 'application/json': Content } }>
}

export interface Document {
  paths: Record<string, { post?: Operation, get?: Operation }>
  components: { schemas: Record<string, object> }
}

/** An operation, and where the document has it. */
export interface Documented {
  readonly document: Document
  readonly path: string
  readonly method: 'post' | 'get'
  readonly operation: Operation
}

export const PATH = '/v1/batches/{id}/cancel'
export const RETRIEVE_PATH = '/v1/batches/{id}'

const fileOf = (name: string) => new URL(`openapi/${name}`, ROOT)
const readDocument = (name: string) => JSON.parse(readFileSync(fileOf(name), 'utf8')) as Document

/** The committed document of the default registration. */
export const document = readDocument('openapi.json')

/** The committed document of a registration with `retrieve: true`, once it is generated. */
export const retrieveDocument = existsSync(fileOf('openapi.retrieve.json'))
  ? readDocument('openapi.retrieve.json')
  : undefined

/** The cancel in a document. */
export const cancelIn = (document: Document): Documented =>
  ({ document, path: PATH, method: 'post', operation: document.paths[PATH]?.post as Operation })

/** The retrieval in a document; `undefined` if the document does not have it. */
export function retrieveIn (document: Document | undefined): Documented | undefined {
  const operation = document?.paths[RETRIEVE_PATH]?.get
  return document === undefined || operation === undefined
    ? undefined
    : { document, path: RETRIEVE_PATH, method: 'get', operation }
}

export const cancelOperation = cancelIn(document)
export const retrieveOperation = retrieveIn(retrieveDocument)

export const operation = cancelOperation.operation

const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false })
const ids = new Map<Document, string>()

/** The id under which Ajv knows a document; it is added on first use. */
function idOf (document: Document): string {
  const id = ids.get(document) ?? `document-${ids.size}`
  if (!ids.has(document)) ajv.addSchema(document, id)
  ids.set(document, id)
  return id
}

const escapePart = (part: string) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))

/** The validator of a part of a document, by the keys that lead to it. */
export const validatorIn = (document: Document, ...keys: string[]) =>
  ajv.getSchema(`${idOf(document)}#/${keys.map(escapePart).join('/')}`) as ValidateFunction

/** The validator of a part of the default document. */
export const checkOf = (...keys: string[]) => validatorIn(document, ...keys)

/** The validator of the body of a response. */
export const bodyValidator = ({ document, path, method }: Documented, key: string) =>
  validatorIn(document, 'paths', path, method, 'responses', key, 'content', 'application/json', 'schema')

/** The key of the response that documents a status: the status itself, otherwise its range, such as `4XX`. */
export const responseKey = (status: number, { responses } = operation) =>
  responses[status] === undefined ? `${String(status)[0]}XX` : String(status)

interface Response {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders | OutgoingHttpHeaders
  readonly body: string
}

/** How a response of the cancel deviates from the default document; empty if it conforms. */
export const violations = (response: Response) => violationsOf(cancelOperation, response)

/** How a response deviates from the document of its operation; empty if it conforms. */
export function violationsOf (documented: Documented, { statusCode, headers, body }: Response): string[] {
  const key = responseKey(statusCode, documented.operation)
  const response = documented.operation.responses[key]
  if (response === undefined) return [`status ${statusCode} is not documented`]
  const validate = bodyValidator(documented, key)
  const mediaType = String(headers['content-type'])
  return [
    ...mediaType === 'application/json; charset=utf-8' ? [] : [`content type ${mediaType}`],
    ...Object.entries(response.headers).flatMap(([name, header]) => headerViolations(name, header, headers[name])),
    ...validate(JSON.parse(body)) ? [] : [`${statusCode}: ${ajv.errorsText(validate.errors)} in ${body}`]
  ]
}

function headerViolations (name: string, { schema, required = false }: Header, value: unknown): string[] {
  if (value === undefined) return required ? [`header ${name} is missing`] : []
  return ajv.validate(schema, value) ? [] : [`header ${name}: ${String(value)}`]
}
