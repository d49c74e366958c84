import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Test } from 'tap'
import { CALL_CHANNEL } from '../../lib/index.js'

const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error']

/** Passes on every message that is published about a call, whatever its event, until the test ends. */
export function subscribeToCalls (t: Test, listener: (message: unknown) => void): void {
  for (const name of [CALL_CHANNEL, ...EVENTS.map(event => `tracing:${CALL_CHANNEL}:${event}`)]) {
    subscribe(name, listener)
    t.teardown(() => unsubscribe(name, listener))
  }
}
