import { timedOut } from './errors.js'

/** The time of one operation. */
export interface Deadline {
  /** Aborts when the operation's time is over. Made on first use, since most hooks never ask for it. */
  readonly signal: AbortSignal
  /** The result of the work, or `upstream_timeout` where that does not come within `patience` (ms), the work going on. */
  within<T> (work: Promise<T>, patience: number): Promise<T>
}

/** @param timeout the operation's time in milliseconds, counted from the start of the work */
export function createDeadline (timeout: number): Deadline {
  let aborter: AbortController | undefined
  let over = false

  function end () {
    over = true
    aborter?.abort(timedOut())
  }

  return {
    get signal () {
      if (aborter === undefined) {
        aborter = new AbortController()
        if (over) aborter.abort(timedOut())
      }
      return aborter.signal
    },
    within: (work, patience) => new Promise((resolve, reject) => {
      let timer = setTimeout(() => {
        reject(timedOut())
        const left = timeout - patience
        if (left > 0) timer = setTimeout(end, left)
        else end()
      }, Math.min(patience, timeout))
      const settle = <A>(tell: (value: A) => void) => (value: A) => {
        clearTimeout(timer)
        tell(value)
      }
      work.then(settle(resolve), settle(reject))
    })
  }
}
