import { isBatch } from '../../schemas/batch.js'
import { batchProblem } from '../batch/batch-problem.js'
import { completeBatch } from '../batch/complete-batch.js'
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
  /** A bug of the forwarder that does not change the outcome. */
  readonly warning?: Error
}

/** The checked result of a cancel; without a batch if the provider accepted it and returned none. */
export type CheckedResult = CheckedBatch | NoBatch

export interface NoBatch {
  readonly batch: null
  readonly headers: ResponseHeaders
  readonly warning?: undefined
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
      return checkResult('cancel', result)
    },
    ...retrieve !== undefined && {
      async retrieve (call) {
        let result: unknown
        try {
          result = await retrieve(call)
        } catch (error) {
          throw classifyError(error)
        }
        const checked = checkResult('retrieve', result)
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

function checkResult (name: string, result: unknown): CheckedResult {
  if (result === null) return { batch: null, headers: {} }
  if (!isObject(result)) {
    throw invalidResult(`The forwarder's ${name} returned ${kindOf(result)}; expected a batch, { batch } or null.`)
  }
  if (result['object'] === 'batch' || !('batch' in result)) return checkBatch(name, result, {}, undefined)
  const headers = pickResponseHeaders(result['headers'] as HeadersLike)
  if (result['batch'] === null) return { batch: null, headers }
  return checkBatch(name, result['batch'], headers, result['raw'] as RawJson | undefined)
}

const kindOf = (value: unknown) => Array.isArray(value) ? 'an array' : typeof value

function checkBatch (name: string, batch: unknown, headers: ResponseHeaders, raw: RawJson | undefined): CheckedBatch {
  if (!isBatch(batch)) {
    throw invalidResult(`The forwarder's ${name} returned an object that is not a batch: ${batchProblem(batch)}.`)
  }
  try {
    return { batch, json: batchJson(batch, raw), headers }
  } catch (error) {
    // The id and the status are known all the same, and the status decides.
    const known = completeBatch({ id: batch.id, status: batch.status })
    const warning = new Error(`The forwarder's ${name} returned a batch that cannot be serialized.`, { cause: error })
    return { batch: known, json: JSON.stringify(known), headers, warning }
  }
}
