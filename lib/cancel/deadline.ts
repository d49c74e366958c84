import { timedOut } from '../errors.js'
import type { Clock } from './clock.js'

/** The end of the time in which one operation does its work. */
export interface Deadline {
  /** Milliseconds that are left; never negative. */
  left (): number
  /** The result of the work, or `upstream_timeout` after half of the time left, so that another request has time. */
  half<T> (work: Promise<T>): Promise<T>
  sleep (ms: number): Promise<void>
  /** Stops all timers: whatever still waits for one never continues. */
  clear (): void
}

/** @param timeout milliseconds from now */
export function createDeadline (clock: Clock, timeout: number): Deadline {
  const end = clock.now() + timeout
  const timers = new Set<() => void>()
  const left = () => Math.max(0, end - clock.now())

  function start (set: Clock['setTimer'], ms: number, callback: () => void): () => void {
    const cancelTimer = set(ms, () => {
      timers.delete(stop)
      callback()
    })
    const stop = () => {
      timers.delete(stop)
      cancelTimer()
    }
    timers.add(stop)
    return stop
  }

  return {
    left,
    half: (work) => new Promise((resolve, reject) => {
      const stop = start(clock.setTimer, left() / 2, () => reject(timedOut()))
      work.then(value => { stop(); resolve(value) }, error => { stop(); reject(error) })
    }),
    sleep: (ms) => new Promise(resolve => { start(clock.setPause, ms, resolve) }),
    clear () { for (const stop of timers) stop() }
  }
}
