import { isBatch } from '../../schemas/batch.js'
import { parseErrorBody } from './error-body.js'
import { isObject } from '../is-object.js'
import { BatchCancelError, internalError, ProviderError, timedOut, unreachable, unsent, type ErrorDetails } from '../errors.js'
import type { Batch, BatchCall, BatchForwarder } from './types.js'
import { pickResponseHeaders, type ResponseHeaders, type HeadersLike } from '../headers.js'
import { textOf } from '../batch/raw-json.js'

/** What a hook answered, once it was looked at. */
export interface Answer<T extends Batch | null = Batch | null> {
  readonly batch: T
  /** Of the provider's headers those that reach the client; the others would be kept as long as somebody waits. */
  readonly headers: ResponseHeaders
}

/** A forwarder that is held to its word: it answers an `Answer` or throws a `BatchCancelError` or `ProviderError`. */
export interface Hook {
  cancel (call: BatchCall): Promise<Answer>
  retrieve?: (call: BatchCall) => Promise<Answer<Batch>>
}

export function checkForwarder ({ cancel, retrieve }: BatchForwarder): Hook {
  return {
    async cancel (call) {
      try {
        return readAnswer(await cancel(call))
      } catch (error) {
        throw readThrown(error)
      }
    },
    ...retrieve !== undefined && {
      async retrieve (call) {
        try {
          const { batch, headers } = readAnswer(await retrieve(call))
          if (batch === null) throw internalError('The hook\'s retrieve answered null.')
          return { batch, headers }
        } catch (error) {
          throw readThrown(error)
        }
      }
    }
  }
}

function readAnswer (value: unknown): Answer {
  if (value === null) return { batch: null, headers: {} }
  if (!isObject(value)) throw internalError(`The hook answered ${typeof value}, which is neither a batch nor null.`)
  if (value['object'] !== 'batch' && 'batch' in value) {
    return { batch: value['batch'] === null ? null : checked(value['batch']), headers: pickResponseHeaders(value['headers'] as HeadersLike) }
  }
  return { batch: checked(value), headers: {} }
}

function checked (value: unknown): Batch {
  // A batch that has its text was checked when it was parsed.
  if (isObject(value) && (textOf(value) !== undefined || isBatch(value))) return value as Batch
  throw internalError('The hook answered an object that the Batch schema refuses.')
}

export function readThrown (thrown: unknown): BatchCancelError | ProviderError {
  if (thrown instanceof BatchCancelError || (thrown instanceof ProviderError && statusOf({ status: thrown.statusCode }) !== undefined)) return thrown
  if (!isObject(thrown)) return internalError('The hook threw something that is no error.', thrown)
  const status = statusOf(thrown)
  if (status !== undefined) return new ProviderError(status, detailsOf(thrown), headersOf(thrown), thrown)
  return lost(thrown) ?? internalError('The hook failed.', thrown)
}

function statusOf ({ status, statusCode, $metadata }: Record<string, unknown>): number | undefined {
  const candidates = [status, statusCode, isObject($metadata) ? $metadata['httpStatusCode'] : undefined]
  return candidates.find((value): value is number => Number.isInteger(value) && value as number >= 400 && value as number <= 599)
}

function detailsOf (thrown: Record<string, unknown>): ErrorDetails {
  const message = typeof thrown['message'] === 'string' ? thrown['message'] : 'The hook gave no reason.'
  const code = typeof thrown['code'] === 'string' ? thrown['code'] : null
  return parseErrorBody(thrown['error']) ?? { message, code }
}

const headersOf = ({ headers }: Record<string, unknown>) => isObject(headers) ? headers as HeadersLike : undefined

const NETWORK_CODE = /^(E(CONN|HOST|NET|AI_|PIPE|PROTO|(SOCKET)?TIMEDOUT|NOTFOUND|ADDRNOTAVAIL)|UND_ERR_(?!INVALID)|HPE_|ERR_(TLS|SSL|STREAM_PREMATURE)|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)/
const ABORT_NAME = /^(AbortError|HTTPParserError|API(Connection|UserAbort)Error)$/
const TIMEOUT = /^(TimeoutError|APIConnectionTimeoutError|UND_ERR_(HEADERS|BODY)_TIMEOUT)$/
/** Failures that come before a connection does. */
const UNSENT_CODE = /^(ECONNREFUSED|ENOTFOUND|EAI_|EHOST|ENET|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO)/
const DEEPEST_CAUSE = 5

/** No answer came: a network error or an abort, of Node, of undici or of an SDK, perhaps as the cause of another. */
function lost (thrown: Record<string, unknown>): BatchCancelError | undefined {
  let error: unknown = thrown
  for (let depth = 0; depth < DEEPEST_CAUSE && isObject(error); depth++) {
    // The SDKs leave `name` at "Error": their class tells.
    const names = [error['code'], error['name'], error.constructor?.name].filter(name => typeof name === 'string')
    if (names.some(name => UNSENT_CODE.test(name))) return unsent(thrown)
    if (names.some(name => TIMEOUT.test(name))) return timedOut(thrown)
    if (names.some(name => NETWORK_CODE.test(name) || ABORT_NAME.test(name))) return unreachable(thrown)
    error = error['cause']
  }
  return undefined
}
