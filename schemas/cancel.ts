import { Type, type Static, type TSchema } from '@sinclair/typebox'
import type { FastifySchema } from 'fastify'
import type {} from '@fastify/swagger'
import { Batch, BatchError, BatchRequestCounts, CANCELLED_STATUSES } from './batch.js'
import { ErrorResponse } from './error.js'
import { EXAMPLE_ANSWERS, EXAMPLE_ERRORS, type ErrorExample } from './examples.js'
import { StringEnum } from './typebox.js'

export const CancelParams = Type.Object({
  id: Type.String({
    minLength: 1,
    maxLength: 512,
    // Printable, no path segment that climbs, and none beyond U+FFFF: those count once in JSON Schema and twice in JavaScript.
    pattern: '^(?!\\.{1,2}$)[\\u0020-\\u007e\\u00a0-\\u2027\\u202a-\\ud7ff\\ue000-\\uffff]+$',
    description: 'The batch to cancel.',
    examples: ['batch_abc123']
  })
})

/**
 * The request headers that the route itself reads, whichever hook carries the call. None has an example of its own:
 * Swagger UI would fill it in and send it.
 */
export const CancelHeaders = {
  'x-portkey-config': Type.String({ description: 'Several of these headers in one: a flat JSON object in which a key `k` stands for the header `x-portkey-k`, and `api_key` for `Authorization`. Such as `{"provider":"openai","request_timeout":10000}`. It wins over the headers.' }),
  'x-portkey-request-timeout': Type.String({ pattern: '^[0-9]{1,9}$', description: 'How long the client waits, in milliseconds; 0 for as long as the server does. It ends the answer, not the cancel.' }),
  'x-portkey-trace-id': Type.String({ description: 'Echoed in the answer when it is 1 to 128 visible ASCII characters.' }),
  'x-stainless-retry-count': Type.String({ description: 'How often a client of OpenAI\'s kind has repeated this call by itself. From 1 on a batch that is cancelled already is no error.' })
}

/** The request header of a route that waits. */
export const WaitHeader = {
  prefer: Type.String({ description: '`wait=N`: answer when the batch is terminal, after N seconds at the latest (RFC 7240). Anything else is ignored.' })
}

export type CancelParams = Static<typeof CancelParams>

/** The named schemas that the route's schema refers to. */
export const NAMED_SCHEMAS = [Batch, BatchError, BatchRequestCounts, ErrorResponse] as const

export interface CancelSchemaOptions {
  /** The names that `x-portkey-provider` may have, the example first; without them any. */
  readonly providers?: readonly string[] | undefined
  /** The provider of a call that names none; without it the header is required. */
  readonly defaultProvider?: string | undefined
  /** The request headers that providers take. */
  readonly headers?: Readonly<Record<string, TSchema>>
  /** Whether `Prefer: wait` is granted. */
  readonly waits?: boolean
}

/** No examples here: an OpenAPI 3.0 document has no place for those of a header's schema. */
const Text = (description: string) => Type.String({ description })

const COMMON_HEADERS = {
  'x-request-id': Text('The id of the request at the provider, else here.'),
  'x-portkey-trace-id': Text('The trace id of the request, else the id of the request.')
}

const ASKED_HEADERS = {
  ...COMMON_HEADERS,
  'x-portkey-provider': Text('The provider that was asked.'),
  'x-portkey-retry-attempt-count': Text('How many cancels were sent to the provider, minus one.')
}

const RETRY_HEADERS = {
  ...ASKED_HEADERS,
  'retry-after': Text('When to call again: seconds or a date.'),
  'retry-after-ms': Text('When to call again, in milliseconds.'),
  'x-should-retry': Text('Whether the provider wants the call to be repeated.')
}

const error = (description: string, headers: Record<string, TSchema>, examples: Record<string, ErrorExample>) => ({
  description,
  headers,
  content: {
    'application/json': {
      schema: Type.Ref(ErrorResponse.$id as string),
      examples: Object.fromEntries(Object.entries(examples).map(([name, value]) => [name, { value }]))
    }
  }
})

const responses = {
  200: {
    description: 'The batch is being cancelled, or was cancelled by this call. A batch that was `cancelling` already is no error.',
    headers: {
      ...ASKED_HEADERS,
      'preference-applied': Text('The wait that was granted, in seconds.'),
      'retry-after': Text('When to look at the batch again, where a wait ended before the batch did.'),
      'x-batch-source': StringEnum(['provider', 'retrieved', 'assumed'], { description: 'Where the status comes from: the answer to the cancel, a read after it, or the fact that the provider accepted the cancel.' })
    },
    content: {
      'application/json': {
        schema: Type.Intersect([
          Type.Ref(Batch.$id as string),
          Type.Object({ status: StringEnum(CANCELLED_STATUSES, { description: 'Whether the cancel is under way or done.' }) }, { additionalProperties: true })
        ]),
        examples: EXAMPLE_ANSWERS
      }
    }
  },
  400: error('The call cannot be carried out as it is. Nothing was sent, but for an error of the provider.', COMMON_HEADERS, EXAMPLE_ERRORS[400]),
  401: error('The credential is missing, or the provider refused it.', ASKED_HEADERS, EXAMPLE_ERRORS[401]),
  403: error('The provider does not let this credential cancel the batch.', ASKED_HEADERS, EXAMPLE_ERRORS[403]),
  404: error('There is no such batch.', ASKED_HEADERS, EXAMPLE_ERRORS[404]),
  409: error('The batch is completed, failed, expired or was cancelled before. The batch stands beside the error.', {
    ...ASKED_HEADERS,
    'x-should-retry': Text('`false`: this answer is final.')
  }, EXAMPLE_ERRORS[409]),
  413: error('The body is larger than the server takes.', COMMON_HEADERS, EXAMPLE_ERRORS[413]),
  415: error('The content type is none.', COMMON_HEADERS, EXAMPLE_ERRORS[415]),
  429: error('The provider wants fewer calls; nothing was done.', RETRY_HEADERS, EXAMPLE_ERRORS[429]),
  500: error('An error of the server, or of the provider.', COMMON_HEADERS, EXAMPLE_ERRORS[500]),
  502: error('The provider gave no answer that can be used, so it is not known whether the batch was cancelled.', ASKED_HEADERS, EXAMPLE_ERRORS[502]),
  503: error('The provider cannot be used now.', RETRY_HEADERS, EXAMPLE_ERRORS[503]),
  504: error('The provider did not answer in time, so it is not known whether the batch was cancelled.', ASKED_HEADERS, EXAMPLE_ERRORS[504]),
  '4XX': error('The provider, or the server that hosts this route, refused the call.', COMMON_HEADERS, EXAMPLE_ERRORS['4XX']),
  '5XX': error('The provider, or the server that hosts this route, failed.', COMMON_HEADERS, EXAMPLE_ERRORS['5XX'])
}

/** The schema of the route: what it takes and every way in which it answers. */
export function cancelBatchSchema ({ providers, defaultProvider, headers = {}, waits = false }: CancelSchemaOptions = {}) {
  const description = 'The provider that holds the batch.' + (defaultProvider === undefined ? '' : ` Default: \`${defaultProvider}\`.`)
  const examples = [defaultProvider ?? providers?.[0] ?? 'openai']
  const provider = providers === undefined ? Type.String({ minLength: 1, description, examples }) : StringEnum(providers, { description, examples })
  const optional = Object.entries({ ...CancelHeaders, ...waits && WaitHeader, ...headers }).map(([name, schema]) => [name, Type.Optional(schema)])
  return {
    operationId: 'cancelBatch',
    tags: ['Batch'],
    summary: 'Cancel a batch',
    description: 'Cancels a batch that is being processed. This is permanent: a cancelled batch cannot be resumed. Requests in progress may complete, queued requests are cancelled, an output file is made of all completed requests, and only those are charged. Wait a few seconds before you retrieve the batch again, and look at its `output_file_id`: partial results may be useful.',
    params: CancelParams,
    headers: Type.Object({
      'x-portkey-provider': defaultProvider === undefined ? provider : Type.Optional(provider),
      ...Object.fromEntries(optional) as Record<string, TSchema>
    }),
    // A copy: hosts edit schemas in their onRoute hooks.
    response: { ...responses }
  } satisfies FastifySchema
}
