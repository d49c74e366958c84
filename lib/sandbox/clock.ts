import { setTimeout } from 'node:timers/promises'

/** The time of the sandbox; a test can provide a clock of its own, to control it. */
export interface SandboxClock {
  /** Returns the Unix time in milliseconds. */
  now (): number
  /** Resolves after `ms` milliseconds. */
  sleep (ms: number): Promise<void>
}

/** The system's time. A batch that is still running does not keep the process alive. */
export const systemClock: SandboxClock = {
  now: Date.now,
  sleep: (ms) => setTimeout(ms, undefined, { ref: false })
}
