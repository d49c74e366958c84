import type { ErrorDetails } from '../errors.js'
import { isObject } from '../is-object.js'

/** The members in which providers put their words; the first that has any counts. */
const MESSAGE_KEYS = ['message', 'Message', 'msg', 'error_description', 'title']
const INNER_KEYS = ['error', 'detail', 'errors', 'message']

const MAX_DEPTH = 4
export const MAX_MESSAGE_LENGTH = 4000
const MAX_DETAIL_LENGTH = 128

/**
 * Reads an error body of any shape that providers send: OpenAI's and Google's object, a string, an array, `detail` of
 * FastAPI, an error inside an error. `undefined` if it has no words.
 */
export function parseErrorBody (body: unknown): ErrorDetails | undefined {
  const details = findErrorDetails(body)
  return details && boundDetails(details)
}

/** Limits the details to 4,000 characters of a message and 128 of anything else. */
export function boundDetails ({ message, ...details }: ErrorDetails): ErrorDetails {
  const bounded = Object.entries(details).map(([name, value]: [string, string | null | undefined]) =>
    [name, typeof value === 'string' ? value.slice(0, MAX_DETAIL_LENGTH) : value])
  return { message: message.slice(0, MAX_MESSAGE_LENGTH), ...Object.fromEntries(bounded) }
}

/** The details in full length. */
export function findErrorDetails (body: unknown, depth = 0): ErrorDetails | undefined {
  if (depth > MAX_DEPTH) return undefined
  if (typeof body === 'string') return body.trim() === '' ? undefined : { message: body.trim() }
  if (Array.isArray(body)) return findErrorDetails(body[0], depth + 1)
  if (!isObject(body)) return undefined

  const own = { type: text(body['type']), param: text(body['param']), code: codeOf(body) }
  const message = firstOf(MESSAGE_KEYS, key => text(body[key]))
  if (message !== undefined) return { message, ...own }

  const inner = firstOf(INNER_KEYS, key => findErrorDetails(body[key], depth + 1))
  if (inner === undefined) return undefined
  return {
    message: inner.message,
    type: inner.type ?? own.type,
    param: inner.param ?? own.param,
    code: inner.code ?? own.code
  }
}

const text = (value: unknown) => typeof value === 'string' && value !== '' ? value : undefined

/**
 * Google's `code` repeats the HTTP status, and its `status` is the code. AWS has the code in `__type`, perhaps in a
 * namespace: `com.amazon.coral.validate#ValidationException`.
 */
function codeOf ({ code, status, __type: type }: Record<string, unknown>): string | undefined {
  if (typeof code === 'number') return text(status) ?? String(code)
  return text(code) ?? text(type)?.split('#').at(-1)
}

function firstOf<K, V> (keys: readonly K[], read: (key: K) => V | undefined): V | undefined {
  for (const key of keys) {
    const value = read(key)
    if (value !== undefined) return value
  }
  return undefined
}
