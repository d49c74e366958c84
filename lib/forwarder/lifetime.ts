import type { BatchCall } from './types.js'

const over = () => new DOMException('The operation is over', 'AbortError')

/** What goes on for one call, until nothing of it does any more. */
export class Operation {
  #aborter: AbortController | undefined
  #ended = false
  #listeners: Array<() => void> | undefined
  #kept: { readonly owner: object, readonly call: BatchCall, readonly value: unknown } | undefined

  /** Aborts when the operation is over. Made on first use, since most hooks never ask for it. */
  get signal (): AbortSignal {
    this.#aborter ??= new AbortController()
    if (this.#ended) this.#aborter.abort(over())
    return this.#aborter.signal
  }

  /** Calls the listener when the operation is over, unless what it returns is called before: what a signal does, at a fifth of its cost. */
  whenOver (listener: () => void): () => void {
    if (this.#ended) listener()
    else if (this.#listeners === undefined) this.#listeners = [listener]
    else this.#listeners.push(listener)
    return () => { this.#forget(listener) }
  }

  #forget (listener: () => void): void {
    const index = this.#listeners?.indexOf(listener) ?? -1
    if (index !== -1) this.#listeners?.splice(index, 1)
  }

  /** Keeps one thing of a call, for whoever owns it. */
  keep (owner: object, call: BatchCall, value: unknown): void {
    this.#kept = { owner, call, value }
  }

  /** What the owner kept of this very call, and of no copy of it. */
  kept (owner: object, call: BatchCall): unknown {
    return this.#kept?.owner === owner && this.#kept.call === call ? this.#kept.value : undefined
  }

  /** Ends the operation, and lets go of all that it held: it may outlive the call by a garbage collection or two. */
  end (): void {
    const listeners = this.#listeners
    this.#ended = true
    this.#listeners = undefined
    this.#kept = undefined
    this.#aborter?.abort(over())
    for (const listener of listeners ?? []) listener()
  }
}

/** Where a call keeps its operation, for the forwarders of this package. */
const kOperation = Symbol('fastify-batch-cancel.operation')

/** The operation of a call; `undefined` where somebody else made the call. */
export const operationOf = (call: BatchCall & { readonly [kOperation]?: Operation }): Operation | undefined => call[kOperation]

/** Calls the listener when a call is over, whoever made the call, unless what it returns is called before. */
export function whenOver (call: BatchCall, listener: () => void): () => void {
  const operation = operationOf(call)
  if (operation !== undefined) return operation.whenOver(listener)
  const { signal } = call
  signal.addEventListener('abort', listener, { once: true })
  return () => signal.removeEventListener('abort', listener)
}

/** One getter for all calls: a literal with a getter would have a hidden class of its own each time, which outlives the call. */
const SIGNAL: PropertyDescriptor & ThisType<{ [kOperation]: Operation }> = { enumerable: true, get () { return this[kOperation].signal } }

/** A call under an operation of its own. */
export function callUnder (operation: Operation, { batchId, provider, headers, request }: Omit<BatchCall, 'signal'>): BatchCall {
  const call = { batchId, provider, headers, request, [kOperation]: operation }
  return Object.defineProperty(call, 'signal', SIGNAL) as typeof call & BatchCall
}
