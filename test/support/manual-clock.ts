import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../lib/cancel/clock.js'

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  sleep (ms: number): Promise<void>
  /** Moves time forward, firing every timer at its own moment, in order. */
  advance (ms: number): Promise<void>
  /** Moves time forward until no timer is left or, if there is always another one, until `ms` have passed. */
  run (ms: number): Promise<void>
  /** Fires the next timer at its moment. */
  step (): Promise<void>
  /** Sets the wall clock forward or back; monotonic time goes on. */
  setWallClock (byMs: number): void
  /** How many timers are running. */
  readonly timers: number
}

interface Timer {
  readonly at: number
  readonly callback: () => void
}

export function manualClock (start = 1_700_000_000_000): ManualClock {
  let now = start
  let offset = 0
  const timers = new Set<Timer>()

  function setTimer (ms: number, callback: () => void) {
    const timer = { at: now + Math.max(0, ms), callback }
    timers.add(timer)
    return () => { timers.delete(timer) }
  }

  function nextTimer (end: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of timers) if (timer.at <= end && (first === undefined || timer.at < first.at)) first = timer
    return first
  }

  async function stepUntil (end: number): Promise<boolean> {
    // Code that is ready to run goes first, and perhaps sets timers, before time moves.
    await setImmediate()
    const timer = nextTimer(end)
    if (timer === undefined) return false
    timers.delete(timer)
    now = timer.at
    timer.callback()
    return true
  }

  async function run (ms: number): Promise<void> {
    const end = now + ms
    while (await stepUntil(end));
  }

  return {
    now: () => now,
    date: () => now + offset,
    setTimer,
    setPause: setTimer,
    sleep: (ms) => new Promise(resolve => { setTimer(ms, resolve) }),
    run,
    async step () { await stepUntil(Infinity) },
    async advance (ms) {
      const end = now + ms
      await run(ms)
      now = end
    },
    setWallClock (byMs) { offset += byMs },
    get timers () { return timers.size }
  }
}
