import { timedOut } from '../errors.js'
import { setLimit, type Clock } from './clock.js'

type StartTimer = Clock['setTimer']

/** The end of the time in which one operation does its work. It waits for one thing at a time. */
export class Deadline {
  readonly #clock: Clock
  readonly #end: number
  #stop = () => {}
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

  /** Stops the timer, and each that would start later: what waits for one never continues. */
  clear (): void {
    this.#cleared = true
    this.#stop()
  }

  #start (startTimer: StartTimer, ms: number, callback: () => void): () => void {
    if (!this.#cleared) this.#stop = startTimer(ms, callback)
    return this.#stop
  }
}
