import {
  BatchCancelError, internalError, notSent, ProviderError, timedOut, unreachable, type CallError, type ErrorDetails
} from '../errors.js'
import type { HeadersLike } from '../headers.js'
import { isObject } from '../is-object.js'
import { parseErrorBody } from './error-body.js'

/**
 * What an error of a forwarder means: a response of the provider, no response, or a bug.
 *
 * Reads the status from `status`, `statusCode` or `$metadata.httpStatusCode`, the details from the SDK's `error`
 * object, else the message, and the headers from `headers`.
 */
export function classifyError (thrown: unknown): CallError {
  if (thrown instanceof BatchCancelError) return thrown
  if (thrown instanceof ProviderError && isErrorStatus(thrown.statusCode)) return thrown
  if (!isObject(thrown)) return internalError('The forwarder threw a value that is not an error.', thrown)
  const status = statusOf(thrown)
  if (status !== undefined) return new ProviderError(status, detailsOf(thrown), headersOf(thrown), thrown)
  return networkError(thrown) ?? internalError('The forwarder failed.', thrown)
}

const isErrorStatus = (value: unknown): value is number =>
  Number.isInteger(value) && value as number >= 400 && value as number <= 599

function statusOf ({ status, statusCode, $metadata, response }: Record<string, unknown>): number | undefined {
  return [
    status,
    statusCode,
    isObject($metadata) ? $metadata['httpStatusCode'] : undefined,
    // axios, got and ky keep the response on the error.
    isObject(response) ? response['status'] ?? response['statusCode'] : undefined
  ].find(isErrorStatus)
}

function detailsOf (thrown: Record<string, unknown>): ErrorDetails {
  const message = typeof thrown['message'] === 'string' ? thrown['message'] : 'The forwarder gave no reason.'
  const code = typeof thrown['code'] === 'string' ? thrown['code'] : null
  const response = isObject(thrown['response']) ? thrown['response'] : {}
  return parseErrorBody(thrown['error']) ?? parseErrorBody(response['data']) ?? { message, code }
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
