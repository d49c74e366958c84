import { inspect, isDeepStrictEqual } from 'node:util'
import { Value } from '@sinclair/typebox/value'
import { Batch, BatchError, BatchRequestCounts, isBatch } from '../../schemas/batch.js'
import { isObject } from '../is-object.js'
import { ProviderError } from '../errors.js'
import type { BatchCall, BatchForwarder } from '../forwarder/types.js'
import { classifyError } from '../forwarder/classify-error.js'

type Part = 'cancel' | 'retrieve'

type Outcome =
  | { readonly kind: 'answered', readonly value: unknown }
  | { readonly kind: 'threw', readonly error: unknown }

/** One call of one function of the hook. */
export interface Act {
  readonly part: Part
  readonly call: BatchCall
  /** `undefined` while it goes on. */
  outcome: Outcome | undefined
  /** Whether the hook changed the headers of the call. */
  changedHeaders: boolean
  /** Resolves when it has answered or thrown. */
  readonly over: Promise<void>
}

/** The same hook, and a list of all that it does from now on. */
export function watch (forwarder: BatchForwarder): { readonly watched: BatchForwarder, readonly acts: Act[] } {
  const acts: Act[] = []

  function watching<T> (part: Part, run: (call: BatchCall) => Promise<T>) {
    return async (call: BatchCall): Promise<T> => {
      const headers = { ...call.headers }
      const work = (async () => await run(call))()
      const note = (outcome: Outcome) => {
        act.outcome = outcome
        act.changedHeaders = !isDeepStrictEqual({ ...call.headers }, headers)
      }
      const over = work.then(value => note({ kind: 'answered', value }), error => note({ kind: 'threw', error }))
      const act: Act = { part, call, outcome: undefined, changedHeaders: false, over }
      acts.push(act)
      await over
      return await work
    }
  }

  const { cancel, retrieve } = forwarder
  const watched = { ...forwarder, cancel: watching('cancel', cancel), ...retrieve !== undefined && { retrieve: watching('retrieve', retrieve) } }
  return { watched, acts }
}

/** What an act was, in the words of a sentence; `change` where the hook broke its word whatever was asked of it. */
export interface Account {
  readonly did: string
  readonly change?: string
}

const ANSWER_BATCH = 'answer a batch in OpenAI\'s shape, alone or as { batch, headers }'
const THROW_STATUS = 'throw the provider\'s error with its status as `status`, or the network\'s error as it came'

export function account ({ part, outcome }: Act): Account {
  if (outcome === undefined) return { did: `${part} did not answer` }
  const { did, change } = outcome.kind === 'threw' ? accountOfError(outcome.error) : accountOfValue(part, outcome.value)
  return { did: `${part} ${did}`, ...change !== undefined && { change: `let ${part} ${change}` } }
}

function accountOfValue (part: Part, value: unknown): Account {
  const batch = batchOf(value)
  if (batch === null) return part === 'cancel' ? { did: 'answered null' } : { did: 'answered null', change: ANSWER_BATCH }
  if (isBatch(batch)) return { did: `answered a batch that is '${batch.status}'` }
  const orNull = part === 'cancel' ? `${ANSWER_BATCH}, or null where the cancel was accepted and no batch shown` : ANSWER_BATCH
  if (!isObject(batch)) return { did: `answered ${brief(batch)}`, change: orNull }
  const [error] = Value.Errors(Batch, [BatchError, BatchRequestCounts], batch)
  return { did: `answered an object that is no batch (${error?.path.slice(1)} is ${brief(error?.value)})`, change: orNull }
}

function accountOfError (error: unknown): Account {
  const read = classifyError(error)
  const words = brief(error instanceof Error ? `${error.constructor.name}: ${error.message}` : error)
  if (read instanceof ProviderError) return { did: `threw a ${read.statusCode} (${words})` }
  if (read.code === 'internal_error') return { did: `threw ${words}, which has no status and is no error of the network`, change: THROW_STATUS }
  return { did: `threw ${words}, which counts as ${read.code}` }
}

/** The batch in what a hook answered, be it one or not. */
export const batchOf = (value: unknown): unknown =>
  isObject(value) && value['object'] !== 'batch' && 'batch' in value ? value['batch'] : value

const brief = (value: unknown) => inspect(value, { depth: 0, breakLength: Infinity }).slice(0, 120)
