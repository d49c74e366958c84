import {
  BatchCancelError, FST_BATCH_CANCEL_INVALID_OPTION, internalError, invalidResponse, notSent, ProviderError, timedOut, unreachable,
  type CallError, type ErrorDetails
} from '../errors.js'
import type { HeadersLike } from '../headers.js'
import { isObject } from '../is-object.js'
import { parseErrorBody } from './error-body.js'

/**
 * What an error of a forwarder means: a response of the provider, no response, or a bug.
 *
 * Reads the status from `status`, `statusCode` or `$metadata.httpStatusCode`, the details from the SDK's `error`
 * object, else the message, and the headers from `headers`; all of it also from the `response` that axios, got and ky
 * keep on their errors.
 */
export function classifyError (thrown: unknown): CallError {
  if (thrown instanceof BatchCancelError) return thrown
  if (thrown instanceof ProviderError && isErrorStatus(thrown.statusCode)) return thrown
  if (!isObject(thrown)) return internalError('The forwarder threw a value that is not an error.', thrown)
  if (thrown instanceof FST_BATCH_CANCEL_INVALID_OPTION) return internalError('The forwarder is misconfigured.', thrown)
  const status = statusOf(thrown)
  if (status !== undefined) return new ProviderError(status, detailsOf(thrown, status), headersOf(thrown), thrown)
  return networkError(thrown) ?? internalError(`The forwarder failed.${hintOf(thrown)}`, thrown)
}

/** What helps with an SDK's method that was taken off its object. */
const hintOf = ({ message }: Record<string, unknown>): string => /^Cannot read properties of undefined/.test(`${message}`)
  ? ' Its functions are called without `this`: wrap methods, as in ({ batchId }) => client.batches.cancel(batchId).'
  : ''

const isErrorStatus = (value: unknown): value is number =>
  Number.isInteger(value) && value as number >= 400 && value as number <= 599

function statusOf ({ status, statusCode, $metadata, response }: Record<string, unknown>): number | undefined {
  return [
    status,
    statusCode,
    isObject($metadata) ? $metadata['httpStatusCode'] : undefined,
    isObject(response) ? response['status'] ?? response['statusCode'] : undefined
  ].find(isErrorStatus)
}

function detailsOf ({ message, code, error, data, response }: Record<string, unknown>, status: number): ErrorDetails {
  if (!isObject(response)) {
    const own = typeof message === 'string' ? message : 'The forwarder gave no reason.'
    return parseErrorBody(error) ?? { message: own, code: typeof code === 'string' ? code : null }
  }
  // The message of an HTTP client has the URL, and its code is not the provider's.
  return [data, response['data'], response['body']].map(parseBody).find(details => details !== undefined) ??
    { message: `The provider responded with status ${status}.` }
}

/** Parsed, or the text: a page has no words for the client. */
function parseBody (body: unknown): ErrorDetails | undefined {
  if (typeof body !== 'string') return parseErrorBody(body)
  try {
    return parseErrorBody(JSON.parse(body))
  } catch {
    return body.includes('<') ? undefined : parseErrorBody(body)
  }
}

function headersOf ({ headers, response }: Record<string, unknown>): HeadersLike {
  if (isObject(headers)) return headers as HeadersLike
  return isObject(response) && isObject(response['headers']) ? response['headers'] as HeadersLike : undefined
}

/** Whether a request was sent before the failure, by the code or the name of the error. The first match counts. */
const NETWORK_ERRORS: ReadonlyArray<readonly [pattern: RegExp, toError: (cause: unknown) => BatchCancelError]> = [
  // No connection was established.
  [/^(ECONNREFUSED|ENOTFOUND|EAI_|EHOST|ENET|EADDRNOTAVAIL)/, notSent],
  [/^(UND_ERR_CONNECT_TIMEOUT$|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)/, notSent],
  // The client gave up waiting.
  [/^(TimeoutError|APIConnectionTimeoutError|UND_ERR_(HEADERS|BODY)_TIMEOUT)$/, timedOut],
  // Of axios and got, which have a code for each way in which a response does not come.
  [
    /^ERR_(NETWORK|CANCELED|BAD_RESPONSE|UPLOAD|READING_RESPONSE_STREAM|BODY_PARSE_FAILURE|(FR_)?TOO_MANY_REDIRECTS)$/,
    unreachable
  ],
  // `await response.json()` of a page.
  [/^SyntaxError$/, cause => invalidResponse('The forwarder could not parse the response.', { cause })],
  // Anything else of Node, undici or an SDK that is not a bug.
  [
    /^(ECONN|EPIPE|EPROTO|ETIMEDOUT|ESOCKETTIMEDOUT|UND_ERR_(?!INVALID)|HPE_|ERR_SSL|ERR_STREAM_PREMATURE)/,
    unreachable
  ],
  [/^(AbortError|HTTPParserError|APIConnectionError|APIUserAbortError)$/, unreachable]
]

const MAX_CAUSE_DEPTH = 5

/** A network error or an abort, perhaps as the cause of another error. */
function networkError (thrown: Record<string, unknown>): BatchCancelError | undefined {
  let error: unknown = thrown
  for (let depth = 0; depth < MAX_CAUSE_DEPTH && isObject(error); depth++) {
    // The SDKs leave `name` at "Error"; their class has the name.
    const names = [error['code'], error['name'], error.constructor?.name].filter(name => typeof name === 'string')
    const match = NETWORK_ERRORS.find(([pattern]) => names.some(name => pattern.test(name)))
    if (match !== undefined) return match[1](thrown)
    error = error['cause']
  }
  return undefined
}
