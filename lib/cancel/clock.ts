/** Time as the engine sees it, so that a test can control it. */
export interface Clock {
  /** Monotonic time in milliseconds: only differences mean anything. Setting the system's clock does not move it. */
  now (): number
  /** Unix time in milliseconds, for dates only. */
  date (): number
  /** Calls back after `ms` milliseconds. Returns a function that cancels the timer. */
  setTimer (ms: number, callback: () => void): () => void
  /** The same for a pause between two attempts, which a test may skip. */
  setPause (ms: number, callback: () => void): () => void
}

function setTimer (ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  setTimer,
  setPause: setTimer
}

/** The most that is waited for what arrived while the event loop stood still. */
const MAX_GRACE_MS = 1000

/**
 * Calls back when a time limit of `ms` milliseconds is over. An event loop that was busy, or a process that was stopped,
 * sees its timers before what arrived in the meantime: then that gets as much time as the timer was late.
 */
export function setLimit (clock: Clock, ms: number, callback: () => void): () => void {
  const end = clock.now() + ms
  let stop = clock.setTimer(ms, () => {
    const late = Math.min(clock.now() - end, MAX_GRACE_MS)
    if (late > 0) stop = clock.setTimer(late, callback)
    else callback()
  })
  return () => { stop() }
}

/** The result of the work, or the error of `late` if it does not come within `ms` milliseconds. The work goes on. */
export function withTimeout<T> (work: Promise<T>, ms: number, clock: Clock, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = setLimit(clock, ms, () => reject(late()))
    work.then(value => { stop(); resolve(value) }, error => { stop(); reject(error) })
  })
}

/** The option under which tests pass a clock of their own. */
export const kClock = Symbol('fastify-batch-cancel.clock')
