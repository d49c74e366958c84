import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { violationsOf as documentViolations, type Documented } from '../support/document.js'
import type { Response } from './target.js'

/** A parameter of an operation, as documented. */
export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'header'
  readonly required: boolean
  readonly schema: {
    readonly type: string
    readonly enum?: readonly string[]
    readonly pattern?: string
    readonly minLength?: number
    readonly maxLength?: number
    readonly examples?: readonly string[]
  }
}

/** The requests that an operation of a document allows. */
export interface Requests {
  readonly parameters: ReadonlyMap<string, Parameter>
  /** The valid values of `x-portkey-provider`. */
  readonly providers: readonly string[]
  /** Whether the document allows a value of a parameter. */
  readonly allows: (name: string, value: string) => boolean
}

const ajv = new Ajv2020({ strict: false })

export function requestsOf ({ operation }: Documented): Requests {
  const parameters = new Map((operation.parameters as Parameter[]).map(parameter => [parameter.name, parameter]))
  const validators = new Map<string, ValidateFunction>()
  for (const [name, { schema }] of parameters) validators.set(name, ajv.compile(schema))
  return {
    parameters,
    providers: parameters.get('x-portkey-provider')?.schema.enum as string[],
    allows: (name, value) => validators.get(name)?.(value) === true
  }
}

const DAYS = 'Mon|Tue|Wed|Thu|Fri|Sat|Sun'
const MONTHS = 'Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec'

/** Formats that the descriptions of response headers state, but their schemas do not. */
const FORMATS: Readonly<Record<string, RegExp>> = {
  'retry-after': new RegExp(`^(\\d+|(${DAYS}), \\d\\d (${MONTHS}) \\d{4} \\d\\d:\\d\\d:\\d\\d GMT)$`),
  'retry-after-ms': /^\d+(\.\d+)?$/,
  'x-should-retry': /^(true|false)$/,
  'x-portkey-retry-attempt-count': /^\d+$/,
  'preference-applied': /^wait=\d+$/
}

/** How a response deviates from the document of its operation; empty if it conforms. */
export function violationsOf (documented: Documented, response: Response): string[] {
  const { statusCode, headers, body } = response
  if (!isJson(body)) return [`${statusCode}: not JSON: ${body.slice(0, 200)}`]
  const malformed = Object.entries(FORMATS)
    .filter(([name, format]) => headers[name] !== undefined && !format.test(String(headers[name])))
    .map(([name]) => `header ${name}: ${String(headers[name])}`)
  return [...new Set([...documentViolations(documented, response), ...malformed])]
}

function isJson (text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
