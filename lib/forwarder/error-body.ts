import type { ErrorDetails } from '../errors.js'
import { isObject } from '../is-object.js'

/** Where providers put their words: the first of these that is there speaks. */
const MESSAGE_KEYS = ['message', 'Message', 'msg', 'error_description', 'title']
const INNER_KEYS = ['error', 'detail', 'errors']

const DEEPEST = 4
const LONGEST_MESSAGE = 4000

/**
 * Reads an error body of any shape in which providers send one: OpenAI's and Google's object, a string, an array,
 * `detail` of FastAPI, an error inside an error. `undefined` when it has no words.
 */
export function parseErrorBody (body: unknown, depth = 0): ErrorDetails | undefined {
  if (depth > DEEPEST) return undefined
  if (typeof body === 'string') {
    return body.trim() === '' ? undefined : { message: body.trim().slice(0, LONGEST_MESSAGE) }
  }
  if (Array.isArray(body)) return parseErrorBody(body[0], depth + 1)
  if (!isObject(body)) return undefined

  const own = { type: text(body['type']), param: text(body['param']), code: codeOf(body) }
  const message = first(MESSAGE_KEYS, key => text(body[key]))
  if (message !== undefined) return { message: message.slice(0, LONGEST_MESSAGE), ...own }

  const inner = first(INNER_KEYS, key => parseErrorBody(body[key], depth + 1))
  if (inner === undefined) return undefined
  return {
    message: inner.message,
    type: inner.type ?? own.type,
    param: inner.param ?? own.param,
    code: inner.code ?? own.code
  }
}

const text = (value: unknown) => typeof value === 'string' && value !== '' ? value : undefined

/** Google's `code` repeats the HTTP status and its `status` is the code. */
function codeOf ({ code, status }: Record<string, unknown>): string | undefined {
  return typeof code === 'number' ? text(status) ?? String(code) : text(code)
}

function first<K, V> (keys: readonly K[], read: (key: K) => V | undefined): V | undefined {
  for (const key of keys) {
    const value = read(key)
    if (value !== undefined) return value
  }
  return undefined
}
