import type { IncomingHttpHeaders } from 'node:http'
import { Type, type TObject, type TSchema } from '@sinclair/typebox'
import { TypeCompiler, type TypeCheck } from '@sinclair/typebox/compiler'
import { BatchParams } from '../../schemas/request.js'
import { BatchCancelError, invalidHeader, invalidId } from '../errors.js'
import { headerOf } from '../headers.js'
import { redactText } from '../redact.js'
import type { BatchForwarder, ProviderTraits } from './types.js'

export type HeaderSchemas = Readonly<Record<string, TSchema>>

const MAX_ID_LENGTH = 512

/** Path segments that a server may resolve, whether it decodes the id once or twice. */
const CLIMBING = /(?:^|[/\\]|%2f|%5c|%252f|%255c)(?:\.|%2e|%252e){1,2}(?:$|[/\\]|%2f|%5c|%252f|%255c)/i

/** Printable characters up to U+FFFF: those beyond count once in JSON Schema and twice in JavaScript. */
const PRINTABLE = new RegExp(BatchParams.properties.id.pattern as string)

/** Checks what is asked of every batch id, then the provider's own grammar. Throws `invalid_batch_id`. */
export function checkId (batchId: string, provider: string, { id, idDescription }: ProviderTraits): void {
  const fits = batchId.length >= 1 && batchId.length <= MAX_ID_LENGTH && PRINTABLE.test(batchId)
  if (!fits || CLIMBING.test(batchId)) {
    throw invalidId('is not valid: expected 1 to 512 printable characters (up to U+FFFF) without ' +
      '\'.\' or \'..\' as a ' +
      'path segment.')
  }
  if (id === undefined || id.test(batchId)) return
  throw invalidId(`is not valid for '${provider}': expected ${idDescription ?? `a match of ${id.source}`}.`)
}

const compiled = new WeakMap<HeaderSchemas, TypeCheck<TObject>>()

/** Compiled on first use, since most processes serve few of the providers; one check for all headers of a provider. */
function compileCheck (schemas: HeaderSchemas): TypeCheck<TObject> {
  const optional = Object.entries(schemas).map(([name, schema]) => [name, Type.Optional(schema)] as const)
  const check = TypeCompiler.Compile(Type.Object(Object.fromEntries(optional)))
  compiled.set(schemas, check)
  return check
}

/** Checks each header that is present, and not empty, by its schema. Throws `invalid_header`. */
export function checkHeaders (headers: IncomingHttpHeaders, schemas: HeaderSchemas): void {
  const check = compiled.get(schemas) ?? compileCheck(schemas)
  if (check.Check(headers)) return
  for (const [name, { description = '' }] of Object.entries(schemas)) {
    const value = headerOf(headers, name)
    if (value !== undefined && !check.Check({ [name]: value })) {
      throw invalidHeader(name, `is not valid. ${description}`.trimEnd())
    }
  }
}

/** Any name that a header can carry. */
export const isProviderName = (name: unknown): name is string =>
  typeof name === 'string' && /^[\x21-\x7e]{1,128}$/.test(name)

/** How a name looks that may be repeated in a message: a secret in the wrong place does not. */
const NAME_TO_SHOW = /^(?=.{1,32}$)[a-z]{1,16}\d?(?:-[a-z]{1,16}\d?){0,2}$/

const canBeShown = (name: string) => NAME_TO_SHOW.test(name) && redactText(name) === name

/** The traits of a provider. Throws `unknown_provider` or `unsupported_provider`. */
export function traitsOf (
  name: string,
  providers: ReadonlyMap<string, ProviderTraits> | undefined
): ProviderTraits {
  const traits = providers === undefined ? traitsOfAny(name) : providers.get(name)
  if (traits === undefined) throw unknownProvider(name, providers)
  if (traits.unsupported === undefined) return traits
  throw providerError('unsupported_provider', `Cannot cancel batches of '${name}': ${traits.unsupported}`)
}

/** Whether calls to a provider of this name are passed on. */
export function isServed (name: string, { providers }: Pick<BatchForwarder, 'providers'>): boolean {
  const traits = providers === undefined ? traitsOfAny(name) : providers.get(name)
  return traits !== undefined && traits.unsupported === undefined
}

const traitsOfAny = (name: string): ProviderTraits | undefined => isProviderName(name) ? {} : undefined

function unknownProvider (name: string, providers: ReadonlyMap<string, ProviderTraits> | undefined): BatchCancelError {
  if (providers === undefined) {
    return providerError('unknown_provider', 'The name of a provider must be 1 to 128 visible ASCII characters.')
  }
  const available = `Available providers: ${namesOf(providers)}.`
  if (name.startsWith('@')) {
    return providerError('unknown_provider', `Providers that begin with @ exist only in Portkey's cloud. ${available}`)
  }
  const shown = canBeShown(name) ? ` '${name}'` : ''
  const hint = providers.has(name.toLowerCase()) ? ' Names are in lower case.' : ''
  return providerError('unknown_provider', `Unknown provider${shown}.${hint} ${available}`)
}

/** The providers that a call may name, for messages. */
export const namesOf = (providers: ReadonlyMap<string, ProviderTraits> | undefined): string =>
  [...providers ?? []].filter(([, { unsupported }]) => unsupported === undefined).map(([name]) => name).join(', ')

type ProviderErrorCode = 'missing_provider' | 'unknown_provider' | 'unsupported_provider'

export const providerError = (code: ProviderErrorCode, message: string) =>
  new BatchCancelError(code, message, { param: 'x-portkey-provider' })
