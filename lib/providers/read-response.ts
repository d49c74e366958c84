import type { IncomingHttpHeaders } from 'node:http'
import { isSameId } from '../batch/batch-id.js'
import { deepFreeze } from '../batch/raw-json.js'
import { isObject } from '../is-object.js'
import { jsonMember } from '../batch/json-member.js'
import { invalidResponse, ProviderError } from '../errors.js'
import { boundDetails, findErrorDetails, MAX_MESSAGE_LENGTH } from '../forwarder/error-body.js'
import type { BatchResult, RawJson } from '../forwarder/types.js'
import { createMask, type Mask } from '../mask.js'
import { secretsInValue } from '../secrets.js'
import type { Upstream } from './http-client.js'
import type { BatchRead, Provider, ReadContext } from './provider.js'

type UpstreamResponse = Awaited<ReturnType<Upstream>>

export interface ResponseContext extends ReadContext {
  readonly provider: Provider
  /** The secrets of the call, which the response may repeat. */
  readonly secrets: readonly string[]
  /** Those of the server, which the client must not learn from a batch either. */
  readonly serverSecrets: readonly string[]
}

/**
 * The result of a response.
 *
 * @throws ProviderError for a 4xx or 5xx
 * @throws BatchCancelError `upstream_invalid_response` for anything that is not what the provider sends
 */
export function readResponse (response: UpstreamResponse, context: ResponseContext): BatchResult {
  const { status } = response
  if (status >= 400 && status <= 599) throw providerError(response, context)
  // A redirect or an invalid status will be the same the next time.
  if (status < 200 || status > 299) {
    throw invalidResponse(`The provider responded with status ${status}.`, { repeatable: false })
  }
  const { provider, action, batchId, secrets, serverSecrets } = context
  const text = maskStrings(response.text, serverSecrets)
  const body = parseJson(text)
  const result = provider.read(body, { action, batchId })
  const headers = withoutSecrets(response.headers, secrets)
  if (result.kind === 'accepted' && action === 'cancel') return { batch: null, headers }
  if (result.kind !== 'batch') {
    throw invalidResponse(`The provider responded with status ${status}, but without a batch.`)
  }
  if (isOther(result.shownId, batchId)) throw invalidResponse('The provider returned another batch.')
  deepFreeze(result.batch)
  return { batch: result.batch, headers, raw: rawJson(text, body, result) }
}

/** The JSON of the object that the batch was read from; none if a custom `read` made the batch of something else. */
function rawJson (text: string, body: unknown, { member }: BatchRead): RawJson | undefined {
  if (!isObject(body)) return undefined
  if (member === undefined) return { text, value: body }
  const value = body[member]
  return isObject(value) ? { text: jsonMember(text, member) as string, value } : undefined
}

const isOther = (shown: unknown, requested: string) =>
  typeof shown === 'string' && shown !== '' && !isSameId(shown, requested)

/** `null` without a body, `undefined` if it is not JSON. */
function parseJson (text: string): unknown {
  if (text.trim() === '') return null
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The strings of JSON. */
const JSON_STRING = /"([^"\\]*(?:\\.[^"\\]*)*)"/gs

/** JSON whose strings repeat no secret: nearly always as it is. */
function maskStrings (json: string, secrets: readonly string[]): string {
  if (secrets.length === 0) return json
  // An escape may hide one.
  if (!json.includes('\\') && !secrets.some(secret => json.includes(secret))) return json
  const mask = createMask(secrets)
  return json.replace(JSON_STRING, (_, content: string) => `"${mask(content)}"`)
}

/** Headers that repeat no secret: nearly always the same object. */
function withoutSecrets (headers: IncomingHttpHeaders, secrets: readonly string[]): IncomingHttpHeaders {
  const values = Object.values(headers)
  const isClean = secrets.every(secret => values.every(value => value?.includes(secret) !== true))
  return isClean ? headers : maskValues(headers, createMask(secrets.flatMap(secretsInValue)))
}

/**
 * In the provider's words; a body that is not JSON counts if it is plain text, and never a page. Some providers repeat
 * the key that they refuse, and it may be the server's.
 */
function providerError (response: UpstreamResponse, { provider, secrets }: ResponseContext): ProviderError {
  const { status, text, headers } = response
  const mask = createMask(secrets.flatMap(secretsInValue))
  const body = parseJson(text)
  const plain = body === undefined && !text.includes('<') ? text : undefined
  const found = findErrorDetails(body ?? plain) ?? { message: `The provider responded with status ${status}.` }
  const code = found.code ?? provider.errorCode?.(headers)
  return new ProviderError(status, boundDetails(maskValues({ ...found, code }, mask)), maskValues(headers, mask))
}

const maskValues = <T extends object>(values: T, mask: Mask): T => Object.fromEntries(
  Object.entries(values).map(([name, value]) =>
    [name, typeof value === 'string' ? mask(value, MAX_MESSAGE_LENGTH) : value])
) as T
