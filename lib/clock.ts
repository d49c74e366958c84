import { setTimeout } from 'node:timers/promises'

/** Time as this package sees it, so that a test can be the one to move it. */
export interface Clock {
  /** Unix time in milliseconds. */
  now (): number
  /** Resolves after `ms` milliseconds; does not keep the process alive. */
  sleep (ms: number): Promise<void>
}

export const systemClock: Clock = {
  now: Date.now,
  sleep: (ms) => setTimeout(ms, undefined, { ref: false })
}
