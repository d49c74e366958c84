import { setMaxListeners } from 'node:events'
import { onAbort } from '../on-abort.js'
import type { BatchCall } from './types.js'

/** The time in which work for one call goes on: it ends once, and then every listener has been called. */
class Lifetime {
  #controller: AbortController | undefined
  #listeners: Set<() => void> | undefined
  #ended = false

  /** Created on first use, since most forwarders never ask for it. */
  get signal (): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      // OpenAI's SDK (6.49) adds a listener for each request and never removes it: Node would warn of a leak.
      setMaxListeners(0, this.#controller.signal)
      if (this.#ended) this.#controller.abort(endOfCall())
    }
    return this.#controller.signal
  }

  /** Calls the listener at the end; cheaper than a signal for each call. Returns a function that unregisters it. */
  onEnd (listener: () => void): () => void {
    if (this.#ended) {
      listener()
      return () => {}
    }
    this.#listeners ??= new Set()
    this.#listeners.add(listener)
    return () => { this.#listeners?.delete(listener) }
  }

  end (): void {
    const listeners = this.#listeners
    this.#ended = true
    this.#listeners = undefined
    this.#controller?.abort(endOfCall())
    for (const listener of listeners ?? []) listener()
  }
}

const endOfCall = () => new DOMException('The call is over', 'AbortError')

/**
 * A call that was created here. Its state is in private fields: in a `WeakMap` it would stay until the next major
 * garbage collection, with the request that it refers to.
 */
class OwnCall {
  readonly batchId: string
  readonly provider: string
  readonly headers: BatchCall['headers']
  readonly request: BatchCall['request']
  readonly #lifetime = new Lifetime()
  /** The value of one store. */
  #stored: { readonly store: object, readonly value: unknown } | undefined

  constructor ({ batchId, provider, headers, request }: Omit<BatchCall, 'signal'>) {
    this.batchId = batchId
    this.provider = provider
    this.headers = headers
    this.request = request
    Object.defineProperty(this, 'signal', SIGNAL)
  }

  static lifetimeOf (call: object): Lifetime | undefined {
    return #lifetime in call ? call.#lifetime : undefined
  }

  /** The value of a store; `undefined` if the call has none. */
  static valueOf (call: object, store: object): unknown {
    return #stored in call && call.#stored?.store === store ? call.#stored.value : undefined
  }

  /** Sets the value of a store; `false` if something else created the call, or it has the value of another store. */
  static trySet (call: object, store: object, value: unknown): boolean {
    if (!(#stored in call) || (call.#stored !== undefined && call.#stored.store !== store)) return false
    call.#stored = { store, value }
    return true
  }
}

/** One descriptor for all calls: an object literal with a getter would get a hidden class of its own each time. */
const SIGNAL: PropertyDescriptor & ThisType<object> = {
  // Enumerable and the call's own, so that `{ ...call }` has it.
  enumerable: true,
  get () { return (OwnCall.lifetimeOf(this) as Lifetime).signal }
}

/** Creates a call; `endCall` ends it. */
export const createCall = (facts: Omit<BatchCall, 'signal'>): BatchCall =>
  new OwnCall(facts) as OwnCall & Pick<BatchCall, 'signal'>

/** Aborts the call's signal and calls its listeners. */
export function endCall (call: BatchCall): void {
  OwnCall.lifetimeOf(call)?.end()
}

/** Calls the listener when the call is over, whatever created the call. Returns a function that unregisters it. */
export function onCallEnd (call: BatchCall, listener: () => void): () => void {
  const lifetime = OwnCall.lifetimeOf(call)
  if (lifetime !== undefined) return lifetime.onEnd(listener)
  return onAbort(call.signal, listener)
}

/** One value for each call. A copy of a call is another call, since it may differ. */
export interface CallStore<T> {
  get (call: BatchCall): T | undefined
  set (call: BatchCall, value: T): void
}

export function createCallStore<T extends object> (): CallStore<T> {
  /** For calls that something else created, and for those that another store uses. */
  const others = new WeakMap<BatchCall, T>()
  const store: CallStore<T> = {
    get: (call) => (OwnCall.valueOf(call, store) as T | undefined) ?? others.get(call),
    set (call, value) { if (!OwnCall.trySet(call, store, value)) others.set(call, value) }
  }
  return store
}
