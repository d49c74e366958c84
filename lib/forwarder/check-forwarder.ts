import { isBatch } from '../../schemas/batch.js'
import { isSameId } from '../batch/batch-id.js'
import { batchProblem, idProblem } from '../batch/batch-problem.js'
import { batchJson } from '../batch/raw-json.js'
import { internalError, invalidResult } from '../errors.js'
import { pickResponseHeaders, type HeadersLike, type ResponseHeaders } from '../headers.js'
import { isObject } from '../is-object.js'
import { classifyError } from './classify-error.js'
import { shareKeyOf } from './share-key.js'
import type { Batch, BatchCall, BatchForwarder, RawJson } from './types.js'

/** A batch that satisfies the schema, and the JSON that the client gets. */
export interface CheckedBatch {
  readonly batch: Batch
  /** As the provider wrote it, if the forwarder passed that on. */
  readonly json: string
  /** The provider's headers that reach the client. */
  readonly headers: ResponseHeaders
}

/** The checked result of a cancel; without a batch if the provider accepted it and returned none. */
export type CheckedResult = CheckedBatch | NoBatch

export interface NoBatch {
  readonly batch: null
  readonly headers: ResponseHeaders
}

/** A forwarder that returns checked results, and throws nothing but a `BatchCancelError` or a `ProviderError`. */
export interface CheckedForwarder {
  readonly cancel: (call: BatchCall) => Promise<CheckedResult>
  readonly retrieve?: (call: BatchCall) => Promise<CheckedBatch>
  /** `undefined` if there is nothing to wait for. */
  readonly prepare: (call: BatchCall) => Promise<void> | undefined
  readonly shareKey: (call: BatchCall) => string | undefined
  readonly warm: () => Promise<void>
  readonly close: () => Promise<void>
}

export function checkForwarder (forwarder: BatchForwarder): CheckedForwarder {
  const { cancel, retrieve, prepare, warm, close } = forwarder
  const shareKey = shareKeyOf(forwarder)
  return {
    async cancel (call) {
      let result: unknown
      try {
        result = await cancel(call)
      } catch (error) {
        throw classifyError(error)
      }
      return checkResult('cancel', result, call.batchId)
    },
    ...retrieve !== undefined && {
      async retrieve (call) {
        let result: unknown
        try {
          result = await retrieve(call)
        } catch (error) {
          throw classifyError(error)
        }
        const checked = checkResult('retrieve', result, call.batchId)
        if (checked.batch === null) throw invalidResult('The forwarder\'s retrieve returned null.')
        return checked
      }
    },
    prepare (call) {
      try {
        const pending = prepare?.(call)
        return pending instanceof Promise ? pending.catch(error => { throw prepareError(error) }) : undefined
      } catch (error) {
        throw prepareError(error)
      }
    },
    shareKey: (call) => checkShareKey(shareKey?.(call)),
    async warm () {
      // Compiles the check, whatever it returns.
      isBatch(undefined)
      await warm?.()
    },
    close: async () => { await close?.() }
  }
}

/** What goes wrong before anything is sent is never the provider's response, whatever status the error has. */
function prepareError (error: unknown) {
  const classified = classifyError(error)
  return classified === error ? classified : internalError('The forwarder\'s prepare failed.', error)
}

function checkShareKey (key: unknown): string | undefined {
  if (key === undefined || typeof key === 'string') return key
  // Nobody else handles a promise that rejects.
  if (key instanceof Promise) key.catch(() => {})
  throw new TypeError('The forwarder\'s shareKey should return a string or undefined.')
}

function checkResult (name: string, result: unknown, batchId: string): CheckedResult {
  if (result === null) return { batch: null, headers: {} }
  if (!isObject(result)) {
    throw invalidResult(`The forwarder's ${name} returned ${kindOf(result)}; expected a batch, { batch } or null.`)
  }
  if (result['object'] === 'batch' || !('batch' in result)) return checkBatch(name, result, batchId, {})
  const headers = pickResponseHeaders(result['headers'] as HeadersLike)
  if (result['batch'] === null) return { batch: null, headers }
  return checkBatch(name, result['batch'], batchId, headers, result['raw'] as RawJson | undefined)
}

const kindOf = (value: unknown) => Array.isArray(value) ? 'an array' : typeof value

function checkBatch (
  name: string,
  batch: unknown,
  batchId: string,
  headers: ResponseHeaders,
  raw?: RawJson
): CheckedBatch {
  if (!isBatch(batch)) {
    throw invalidResult(`The forwarder's ${name} returned an object that is not a batch: ${batchProblem(batch)}.`)
  }
  if (!isSameId(batch.id, batchId)) {
    throw invalidResult(`The forwarder's ${name} returned another batch: ${idProblem(batch.id, batchId)}.`)
  }
  try {
    return { batch, json: batchJson(batch, raw), headers }
  } catch (error) {
    throw invalidResult(`The forwarder's ${name} returned a batch that cannot be serialized as JSON.`, error)
  }
}
