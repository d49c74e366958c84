import { setTimeout as wait } from 'node:timers/promises'

/** Time as this package sees it, so that a test can be the one to move it. */
export interface Clock {
  /** Unix time in milliseconds. */
  now (): number
  /** Resolves after `ms` milliseconds. */
  sleep (ms: number): Promise<void>
}

/** A clock whose timers can be stopped. */
export interface Timers extends Clock {
  /** Calls `wake` after `ms` milliseconds unless what it returns is called before. */
  after (ms: number, wake: () => void): () => void
}

/** The time of calls: whoever waits in it keeps the process alive. */
export const systemClock: Timers = {
  now: Date.now,
  sleep: (ms) => wait(ms),
  after (ms, wake) {
    const timer = setTimeout(wake, ms)
    return () => clearTimeout(timer)
  }
}

/** The result of the work, or the error of `late` where it does not come within `ms`; the work goes on. */
export function withTimeout<T> (work: Promise<T>, ms: number, { after }: Timers, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = after(ms, () => reject(late()))
    work.then(value => { stop(); resolve(value) }, error => { stop(); reject(error) })
  })
}

/** The time of work that nobody is owed: it keeps no process alive. */
export const idleClock: Clock = {
  now: Date.now,
  sleep: (ms) => wait(ms, undefined, { ref: false })
}

/** The option under which tests hand a clock of their own to the plugin. */
export const kClock = Symbol('fastify-batch-cancel.clock')
