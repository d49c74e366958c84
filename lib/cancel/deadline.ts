import { timedOut } from '../errors.js'
import { setLimit, type Clock } from './clock.js'

type StartTimer = Clock['setTimer']

/** The end of the time in which one operation does its work. */
export class Deadline {
  readonly #clock: Clock
  readonly #end: number
  #timers: Set<() => void> | undefined
  #cleared = false

  /** @param timeout milliseconds from now */
  constructor (clock: Clock, timeout: number) {
    this.#clock = clock
    this.#end = clock.now() + timeout
  }

  /** Milliseconds that are left; never negative. */
  left (): number {
    return Math.max(0, this.#end - this.#clock.now())
  }

  /** The result of the work, or `upstream_timeout` after half of the time left, so that another request has time. */
  half<T> (work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const startLimit: StartTimer = (ms, callback) => setLimit(this.#clock, ms, callback)
      const stop = this.#start(startLimit, this.left() / 2, () => reject(timedOut()))
      work.then(value => { stop(); resolve(value) }, error => { stop(); reject(error) })
    })
  }

  sleep (ms: number): Promise<void> {
    return new Promise(resolve => { this.#start(this.#clock.setPause, ms, resolve) })
  }

  /** Another one that ends at the same time, with timers of its own. */
  fork (): Deadline {
    return new Deadline(this.#clock, this.left())
  }

  /** Stops all timers, those that would start later included: what waits for one never continues. */
  clear (): void {
    this.#cleared = true
    for (const stop of this.#timers ?? []) stop()
  }

  #start (startTimer: StartTimer, ms: number, callback: () => void): () => void {
    if (this.#cleared) return () => {}
    const timers = this.#timers ??= new Set()
    const cancelTimer = startTimer(ms, () => {
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
}
