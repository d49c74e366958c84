import type { BatchCall } from './forwarder.js'

/** What goes on for one call, until nothing of it does any more. */
export interface Operation {
  /** Aborts when the operation is over. Made on first use, since most hooks never ask for it. */
  readonly signal: AbortSignal
  /** Calls the listener when the operation is over: what a signal does, at a fifth of its cost. */
  whenOver (listener: () => void): void
  /** Ends the operation. */
  end (): void
}

const over = () => new DOMException('The operation is over', 'AbortError')

export function createOperation (): Operation {
  let aborter: AbortController | undefined
  let ended = false
  const listeners: Array<() => void> = []

  return {
    get signal () {
      aborter ??= new AbortController()
      if (ended) aborter.abort(over())
      return aborter.signal
    },
    whenOver (listener) {
      if (ended) listener()
      else listeners.push(listener)
    },
    end () {
      ended = true
      aborter?.abort(over())
      for (const listener of listeners) listener()
    }
  }
}

/** Where a call keeps its operation, for the forwarders of this package. */
export const kOperation = Symbol('fastify-batch-cancel.operation')

/** Calls the listener when a call is over, whoever made the call. */
export function whenOver (call: BatchCall & { readonly [kOperation]?: Operation }, listener: () => void): void {
  const operation = call[kOperation]
  if (operation !== undefined) operation.whenOver(listener)
  else call.signal.addEventListener('abort', listener, { once: true })
}

/** The same call under an operation of its own, for what goes on when the first one is over. */
export const withOperation = ({ batchId, provider, headers, request }: BatchCall, operation: Operation): BatchCall => ({
  batchId,
  provider,
  headers,
  request,
  get signal () { return operation.signal },
  [kOperation]: operation
} as BatchCall)
