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

const lifetimes = new WeakMap<object, Lifetime>()

/** One descriptor for all calls: an object literal with a getter would get a hidden class of its own each time. */
const SIGNAL: PropertyDescriptor & ThisType<object> = {
  // Enumerable and the call's own, so that `{ ...call }` has it.
  enumerable: true,
  get () { return (lifetimes.get(this) as Lifetime).signal }
}

/** Creates a call; `endCall` ends it. */
export function createCall ({ batchId, provider, headers, request }: Omit<BatchCall, 'signal'>): BatchCall {
  const call = { batchId, provider, headers, request }
  lifetimes.set(call, new Lifetime())
  return Object.defineProperty(call, 'signal', SIGNAL) as typeof call & Pick<BatchCall, 'signal'>
}

/** Aborts the call's signal and calls its listeners. */
export function endCall (call: BatchCall): void {
  lifetimes.get(call)?.end()
}

/** Calls the listener when the call is over, whatever created the call. Returns a function that unregisters it. */
export function onCallEnd (call: BatchCall, listener: () => void): () => void {
  const lifetime = lifetimes.get(call)
  if (lifetime !== undefined) return lifetime.onEnd(listener)
  return onAbort(call.signal, listener)
}
