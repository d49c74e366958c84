import { inspect, isDeepStrictEqual } from 'node:util'
import { Errors } from '@sinclair/typebox/errors'
import { Batch, BatchError, BatchRequestCounts, isBatch } from '../../schemas/batch.js'
import { isSameId } from '../batch/batch-id.js'
import { idProblem } from '../batch/batch-problem.js'
import { ProviderError } from '../errors.js'
import { classifyError } from '../forwarder/classify-error.js'
import type { BatchCall, BatchForwarder } from '../forwarder/types.js'
import { isObject } from '../is-object.js'

export type ForwarderMethod = 'cancel' | 'retrieve'

type Outcome =
  | { readonly kind: 'returned', readonly value: unknown }
  | { readonly kind: 'threw', readonly error: unknown }

/** One call of one function of the forwarder. */
export interface ForwarderCall {
  readonly method: ForwarderMethod
  readonly call: BatchCall
  /** `undefined` while the call is running. */
  outcome: Outcome | undefined
  /** Whether the forwarder changed the headers of the call. */
  changedHeaders: boolean
  /** Resolves when the call has returned or thrown. */
  readonly ended: Promise<void>
}

/** Returns the same forwarder, and a growing list of its calls. */
export function recordForwarder (forwarder: BatchForwarder): { recorded: BatchForwarder, calls: ForwarderCall[] } {
  const calls: ForwarderCall[] = []

  function record<T> (method: ForwarderMethod, run: (call: BatchCall) => Promise<T>) {
    return async (call: BatchCall): Promise<T> => {
      const headers = { ...call.headers }
      const work = (async () => await run(call))()
      const end = (outcome: Outcome) => {
        entry.outcome = outcome
        entry.changedHeaders = !isDeepStrictEqual({ ...call.headers }, headers)
      }
      const ended = work.then(value => end({ kind: 'returned', value }), error => end({ kind: 'threw', error }))
      const entry: ForwarderCall = { method, call, outcome: undefined, changedHeaders: false, ended }
      calls.push(entry)
      await ended
      return await work
    }
  }

  const { cancel, retrieve } = forwarder
  const recorded = {
    ...forwarder,
    cancel: record('cancel', cancel),
    ...retrieve !== undefined && { retrieve: record('retrieve', retrieve) }
  }
  return { recorded, calls }
}

/** What a forwarder did, in the words of a sentence. */
export interface Observation {
  readonly observed: string
  /** How to fix it, if it is wrong whatever the call was. */
  readonly fix?: string
}

const RETURN_BATCH = 'return a batch in OpenAI\'s shape, alone or as { batch, headers }'
const RETURN_BATCH_OR_NULL = `${RETURN_BATCH}, or null if the cancel was accepted but no batch was returned`
const RETURN_ID_OF_CALL = 'return the batch with the id of the call'
const RETURN_PLAIN_JSON = 'return values that JSON has, such as strings in place of BigInts'
const THROW_STATUS = 'throw the provider\'s error with its status as `status`, or the network error as it is'

export function describeCall ({ method, call, outcome }: ForwarderCall): Observation {
  if (outcome === undefined) return { observed: `${method} did not return` }
  const { observed, fix } = outcome.kind === 'threw'
    ? describeError(outcome.error)
    : describeValue(method, outcome.value, call.batchId)
  return { observed: `${method} ${observed}`, ...fix !== undefined && { fix: `let ${method} ${fix}` } }
}

function describeValue (method: ForwarderMethod, value: unknown, batchId: string): Observation {
  const batch = batchOf(value)
  if (isBatch(batch)) return describeBatch(batch, batchId)
  if (batch === null && method === 'cancel') return { observed: 'returned null' }
  const fix = method === 'cancel' ? RETURN_BATCH_OR_NULL : RETURN_BATCH
  if (!isObject(batch)) return { observed: `returned ${abbreviate(batch)}`, fix }
  const [error] = Errors(Batch, [BatchError, BatchRequestCounts], batch)
  const field = `${error?.path.slice(1)} is ${abbreviate(error?.value)}`
  return { observed: `returned an object that is not a valid batch (${field})`, fix }
}

function describeBatch (batch: Batch, batchId: string): Observation {
  if (!isSameId(batch.id, batchId)) {
    return { observed: `returned another batch (${idProblem(batch.id, batchId)})`, fix: RETURN_ID_OF_CALL }
  }
  try {
    JSON.stringify(batch)
    return { observed: `returned a batch with status '${batch.status}'` }
  } catch (error) {
    return { observed: `returned a batch that JSON cannot express (${firstLineOf(error)})`, fix: RETURN_PLAIN_JSON }
  }
}

function describeError (error: unknown): Observation {
  const classified = classifyError(error)
  const text = abbreviate(error instanceof Error ? `${error.constructor.name}: ${error.message}` : error)
  if (classified instanceof ProviderError) return { observed: `threw a ${classified.statusCode} (${text})` }
  if (classified.code === 'internal_error') {
    return { observed: `threw ${text}, which has no status and is not a network error`, fix: THROW_STATUS }
  }
  return { observed: `threw ${text}, which counts as ${classified.code}` }
}

/** Returns the batch of what a forwarder returned, valid or not. */
export const batchOf = (value: unknown): unknown =>
  isObject(value) && value['object'] !== 'batch' && 'batch' in value ? value['batch'] : value

const firstLineOf = (error: unknown) => abbreviate((error as Error).message.split('\n', 1)[0])

const abbreviate = (value: unknown) => inspect(value, { depth: 0, breakLength: Infinity }).slice(0, 120)
