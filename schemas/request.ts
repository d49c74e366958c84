import { Type, type Static, type TObject, type TSchema } from '@sinclair/typebox'
import { StringEnum } from './typebox.js'

/** Request headers by name (lower case), each with the schema of its value. */
export type HeaderSchemas = Readonly<Record<string, TSchema>>

/** The path parameter of both operations. */
export const BatchParams = Type.Object({
  id: Type.String({
    minLength: 1,
    maxLength: 512,
    // Only characters up to U+FFFF: beyond it, JSON Schema counts one character and JavaScript two.
    pattern: '^(?!\\.{1,2}$)[\\u0020-\\u007e\\u00a0-\\u2027\\u202a-\\ud7ff\\ue000-\\uffff]+$',
    description: 'The id of the batch.',
    examples: ['batch_abc123']
  })
})

export type BatchParams = Static<typeof BatchParams>

/**
 * The request headers that the route itself reads in both operations, with any forwarder. They have no
 * examples, because Swagger UI would fill them in and send them.
 */
export const RequestHeaders = {
  'x-portkey-config': Type.String({
    description: 'A flat JSON object that combines several of these headers: key `k` stands for the header ' +
      '`x-portkey-k`, and `api_key` for `Authorization`. It takes precedence over the headers. A config with a ' +
      'single target stands for that target. ' +
      'Example: `{"provider":"openai","request_timeout":10000}`.'
  }),
  'x-portkey-request-timeout': Type.String({
    pattern: '^[0-9]{1,9}$',
    description: 'How long the client waits for the response, in milliseconds; 0 means as long as the server allows. ' +
      'When the time is up, only the response ends: a cancel in progress continues.'
  }),
  'x-portkey-trace-id': Type.String({
    description: 'Returned in the response if it consists of 1 to 128 visible ASCII characters.'
  })
}

/** The request headers that only the cancel reads. */
export const RetryCountHeader = {
  'x-stainless-retry-count': Type.String({
    description: 'How many times an OpenAI client has already retried this call. ' +
      'If it is 1 or more, a batch that is already cancelled is not an error.'
  })
}

/** The request header of a registration in which `Prefer: wait` is available. */
const WaitHeader = {
  prefer: Type.String({
    description: '`wait=N` delays the response until the batch is terminal, for at most N seconds (RFC 7240). ' +
      'Other preferences are ignored.'
  })
}

/** What the schema of an operation says about its request. */
export interface BatchSchemaOptions {
  /**
   * The valid values of `x-portkey-provider`; the first one is the example.
   *
   * @default any name
   */
  readonly providers?: readonly string[] | undefined
  /** The provider of a call that does not name one. Without it, `x-portkey-provider` is required. */
  readonly defaultProvider?: string | undefined
  /** Whether the server chooses the provider of a call that does not name one. @default false */
  readonly choosesProvider?: boolean | undefined
  /** The request headers that each served provider reads, by provider. See {@link headerReaders}. */
  readonly headersByProvider?: ReadonlyMap<string, HeaderSchemas> | undefined
  /** Further request headers, which are not attributed to any provider. */
  readonly headers?: HeaderSchemas | undefined
  /**
   * Whether `Prefer: wait` is available.
   *
   * @default false
   */
  readonly waits?: boolean | undefined
}

const readersByHeaders = new WeakMap<object, ReadonlyMap<string, readonly string[]>>()

/**
 * The providers that read each header, for headers that not every provider reads. They are kept beside the schema,
 * since Ajv's strict mode refuses keywords that JSON Schema does not define.
 *
 * @param headers the `headers` of a schema that `cancelBatchSchema` or `retrieveBatchSchema` returned
 */
export const headerReaders = (headers: object): ReadonlyMap<string, readonly string[]> =>
  readersByHeaders.get(headers) ?? new Map()

/** The schema of the request headers: what every call needs first, what only some providers read last. */
export function requestHeaders (own: HeaderSchemas, options: BatchSchemaOptions): TObject {
  const { headersByProvider = new Map<string, HeaderSchemas>(), headers = {}, waits = false } = options
  const { defaultProvider, choosesProvider = defaultProvider !== undefined } = options
  const { authorization, ...others }: HeaderSchemas = Object.assign({}, headers, ...headersByProvider.values())
  const provider = providerHeader(options)
  const optional = { ...authorization && { authorization }, ...waits && WaitHeader, ...own, ...others }
  const schema = Type.Object({
    'x-portkey-provider': choosesProvider ? Type.Optional(provider) : provider,
    ...Object.fromEntries(Object.entries(optional).map(([name, value]) => [name, Type.Optional(value)]))
  })
  readersByHeaders.set(schema, readersOf(headersByProvider))
  return schema
}

function providerHeader ({ providers, defaultProvider, choosesProvider = false }: BatchSchemaOptions): TSchema {
  const chosen = choosesProvider ? ' Without it the server chooses the provider.' : ''
  const suffix = defaultProvider === undefined ? chosen : ` Default: \`${defaultProvider}\`.`
  const description = `The provider that holds the batch.${suffix}`
  const examples = [defaultProvider ?? providers?.[0] ?? 'openai']
  return providers === undefined
    ? Type.String({ minLength: 1, description, examples })
    : StringEnum(providers, { description, examples })
}

function readersOf (headersByProvider: ReadonlyMap<string, HeaderSchemas>): Map<string, readonly string[]> {
  const readers = new Map<string, string[]>()
  for (const [provider, headers] of headersByProvider) {
    for (const name of Object.keys(headers)) readers.set(name, [...readers.get(name) ?? [], provider])
  }
  return new Map([...readers].filter(([, providers]) => providers.length < headersByProvider.size))
}
