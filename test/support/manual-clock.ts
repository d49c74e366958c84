import { setImmediate } from 'node:timers/promises'
import type { Timers } from '../../lib/cancel/clock.js'

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Timers {
  /** Moves the time on, waking every sleeper at its own moment, in order. */
  advance (ms: number): Promise<void>
  /** Moves the time on until nobody sleeps any more or, for a work that sleeps for ever, until `ms` are over. */
  run (ms: number): Promise<void>
  /** Wakes the next sleeper at its moment. */
  step (): Promise<void>
  /** How many sleep. */
  readonly sleepers: number
}

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

export function manualClock (start = 1_700_000_000_000): ManualClock {
  let now = start
  const sleepers = new Set<Sleeper>()

  function after (ms: number, wake: () => void) {
    const sleeper = { at: now + Math.max(0, ms), wake }
    sleepers.add(sleeper)
    return () => { sleepers.delete(sleeper) }
  }

  function next (end: number): Sleeper | undefined {
    let first: Sleeper | undefined
    for (const sleeper of sleepers) if (sleeper.at <= end && (first === undefined || sleeper.at < first.at)) first = sleeper
    return first
  }

  async function stepUntil (end: number): Promise<boolean> {
    // Whoever is awake gets to run, and perhaps to sleep again, before time goes on.
    await setImmediate()
    const sleeper = next(end)
    if (sleeper === undefined) return false
    sleepers.delete(sleeper)
    now = sleeper.at
    sleeper.wake()
    return true
  }

  async function run (ms: number): Promise<void> {
    const end = now + ms
    while (await stepUntil(end));
  }

  return {
    now: () => now,
    sleep: (ms) => new Promise(resolve => { after(ms, resolve) }),
    after,
    run,
    async step () { await stepUntil(Infinity) },
    async advance (ms) {
      const end = now + ms
      await run(ms)
      now = end
    },
    get sleepers () { return sleepers.size }
  }
}
