/** The listeners of each signal, all behind one listener of ours. */
const listenersOf = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls the listener once when the signal aborts, or at once if it has. Returns a function that unregisters it.
 *
 * Many calls may share one signal, such as that of a shutdown: Node warns of a leak from 11 listeners on.
 */
export function onAbort (signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener()
    return () => {}
  }
  const listeners = listenersOf.get(signal) ?? listenTo(signal)
  // A function of its own, so that the same listener can be registered twice.
  const registered = () => listener()
  listeners.add(registered)
  return () => { listeners.delete(registered) }
}

function listenTo (signal: AbortSignal): Set<() => void> {
  const listeners = new Set<() => void>()
  listenersOf.set(signal, listeners)
  signal.addEventListener('abort', () => { for (const listener of listeners) listener() }, { once: true })
  return listeners
}
