import { Type, type TSchema } from '@sinclair/typebox'
import { Batch, BatchError, BatchRequestCounts } from './batch.js'
import { ErrorResponse } from './error.js'
import { EXAMPLE_ERRORS, type BatchExample, type Examples } from './examples.js'
import { StringEnum } from './typebox.js'

/** The named schemas that the schemas of both operations refer to. */
export const NAMED_SCHEMAS = [Batch, BatchError, BatchRequestCounts, ErrorResponse] as const

/** Without examples, since header schemas in OpenAPI 3.0 have none. */
const Text = (description: string) => Type.String({ description })

/** Headers of every response. */
export const COMMON_HEADERS = {
  'x-request-id': Text('The request id of the provider, otherwise of this server.'),
  'x-portkey-trace-id': Text('The trace id of the request, otherwise the request id.')
}

/** Headers of a response to a call that named a valid provider. */
export const PROVIDER_HEADERS = {
  ...COMMON_HEADERS,
  'x-portkey-provider': Text('The provider of the call.'),
  'x-portkey-retry-attempt-count': Text('How many times the request to the provider was retried.')
}

/** Headers of a response that says when to retry. */
const RETRY_HEADERS = {
  ...PROVIDER_HEADERS,
  'retry-after': Text('When to retry: a number of seconds or an HTTP date.'),
  'retry-after-ms': Text('When to retry, in milliseconds.'),
  'x-should-retry': Text('Whether the provider recommends a retry.')
}

const BATCH_HEADERS = {
  ...PROVIDER_HEADERS,
  'preference-applied': Text('The wait that was granted, in seconds.'),
  'retry-after': Text('When to retrieve the batch again, if the wait ended before the batch was terminal.')
}

type Headers = Readonly<Record<string, TSchema>>

/** A response as a route's schema has it. */
export interface ResponseSchema {
  description: string
  headers: Headers
  content: { 'application/json': { schema: TSchema, examples: Examples<object> } }
}

/** What `x-batch-source` may say in the response of an operation. */
interface BatchSource {
  readonly values: readonly string[]
  readonly description: string
}

/** A 200 with a batch. */
export function batchResponse (
  description: string,
  { values, description: source }: BatchSource,
  schema: TSchema,
  examples: Examples<BatchExample>
): ResponseSchema {
  return {
    description,
    headers: { ...BATCH_HEADERS, 'x-batch-source': StringEnum(values, { description: source }) },
    content: { 'application/json': { schema, examples } }
  }
}

/** An error response: OpenAI's envelope. */
export function errorResponse (
  description: string,
  headers: Headers,
  examples: Examples<ErrorResponse>
): ResponseSchema {
  return {
    description,
    headers,
    content: {
      'application/json': {
        schema: Type.Ref(ErrorResponse.$id as string),
        examples: Object.fromEntries(Object.entries(examples).map(([name, value]) => [name, { value }]))
      }
    }
  }
}

/** The error responses of both operations. */
export const ERROR_RESPONSES = {
  400: errorResponse(
    'Invalid request. Nothing was sent upstream, unless the error is the provider\'s own.',
    COMMON_HEADERS,
    EXAMPLE_ERRORS[400]
  ),
  401: errorResponse(
    'The credential is missing, or the provider rejected it.',
    PROVIDER_HEADERS,
    EXAMPLE_ERRORS[401]
  ),
  403: errorResponse(
    'The credential has no permission for this operation, or the server does not allow the call.',
    PROVIDER_HEADERS,
    EXAMPLE_ERRORS[403]
  ),
  404: errorResponse('The batch does not exist.', PROVIDER_HEADERS, EXAMPLE_ERRORS[404]),
  429: errorResponse('The provider\'s rate limit was exceeded. Nothing was done.', RETRY_HEADERS, EXAMPLE_ERRORS[429]),
  500: errorResponse('An internal error of the server or of the provider.', COMMON_HEADERS, EXAMPLE_ERRORS[500]),
  502: errorResponse('The provider did not return a usable response.', PROVIDER_HEADERS, EXAMPLE_ERRORS[502]),
  503: errorResponse(
    'The provider is unavailable, or too many calls to it are in progress.',
    RETRY_HEADERS,
    EXAMPLE_ERRORS[503]
  ),
  504: errorResponse('The provider did not respond in time.', PROVIDER_HEADERS, EXAMPLE_ERRORS[504]),
  '4XX': errorResponse(
    'The provider, or the server that hosts this route, rejected the call.',
    COMMON_HEADERS,
    EXAMPLE_ERRORS['4XX']
  ),
  '5XX': errorResponse(
    'The provider, or the server that hosts this route, failed.',
    COMMON_HEADERS,
    EXAMPLE_ERRORS['5XX']
  )
}
