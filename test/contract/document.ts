import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { breaches as breachesOf, operation, PATH, responseKey } from '../support/document.js'
import type { Answer } from './place.js'

/** A parameter of the operation, as the document has it. */
export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'header'
  readonly required: boolean
  readonly schema: { readonly type: string, readonly enum?: readonly string[], readonly pattern?: string, readonly minLength?: number, readonly maxLength?: number, readonly examples?: readonly string[] }
}

/** What a document says of the requests: the committed one, or that of a gateway, which has one provider more. */
export interface Requests {
  readonly parameters: ReadonlyMap<string, Parameter>
  /** The names that `x-portkey-provider` may have. */
  readonly providers: readonly string[]
  /** Whether the document lets a parameter have this value. */
  readonly allows: (name: string, value: string) => boolean
}

const ajv = new Ajv2020({ strict: false })

export function requestsOf (document: { paths: Record<string, { post: { parameters: object } }> }): Requests {
  const parameters = new Map((document.paths[PATH]?.post.parameters as Parameter[]).map(parameter => [parameter.name, parameter]))
  const checks = new Map([...parameters].map(([name, { schema }]): [string, ValidateFunction] => [name, ajv.compile(schema)]))
  return {
    parameters,
    providers: parameters.get('x-portkey-provider')?.schema.enum as string[],
    allows: (name, value) => checks.get(name)?.(value) === true
  }
}

/** What the document says of a header in words, where its schema says no more than that it is a string. */
const FORMS: Readonly<Record<string, RegExp>> = {
  'retry-after': /^(\d+|(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT)$/,
  'retry-after-ms': /^\d+(\.\d+)?$/,
  'x-should-retry': /^(true|false)$/,
  'x-portkey-retry-attempt-count': /^\d+$/,
  'preference-applied': /^wait=\d+$/
}

/** What an answer has that the document does not allow; nothing is the promise. */
export function breaches (answer: Answer): string[] {
  const { statusCode, headers, body } = answer
  if (!isJson(body)) return [`${statusCode}: no JSON: ${body.slice(0, 200)}`]
  const promised = Object.entries((operation.responses[responseKey(statusCode)]?.headers ?? {}) as Record<string, { required?: boolean }>)
  const missing = promised.filter(([name, { required }]) => required === true && headers[name] === undefined).map(([name]) => `header ${name} is missing`)
  const malformed = Object.entries(FORMS).filter(([name, form]) => headers[name] !== undefined && !form.test(String(headers[name]))).map(([name]) => `header ${name}: ${String(headers[name])}`)
  return [...new Set([...breachesOf(answer), ...missing, ...malformed])]
}

function isJson (text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
