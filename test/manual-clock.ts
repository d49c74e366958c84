import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../lib/clock.js'

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** Moves the time on, waking every sleeper at its own moment, in order. */
  advance (ms: number): Promise<void>
}

export function manualClock (start = 1_700_000_000_000): ManualClock {
  let now = start
  let sleepers: Array<{ at: number, wake: () => void }> = []

  return {
    now: () => now,
    sleep: (ms) => new Promise(resolve => { sleepers.push({ at: now + ms, wake: resolve }) }),
    async advance (ms) {
      const end = now + ms
      for (;;) {
        // Whoever is awake gets to run, and perhaps to sleep again, before time goes on.
        await setImmediate()
        const next = sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (next === undefined) break
        sleepers = sleepers.filter(sleeper => sleeper !== next)
        now = Math.max(now, next.at)
        next.wake()
      }
      now = end
    }
  }
}
