import { MAX_BYTES_PER_TURN } from './limits.js'

/** Shares the event loop fairly: among the batches, and between them and everything else. */
export interface WorkQueue {
  /**
   * Does one piece of work: at once if little was done in this turn of the event loop, in its turn otherwise, first
   * come, first served. `work` returns how many bytes it processed. Rejects with whatever `work` throws.
   */
  run (work: () => number): Promise<void>
}

export function createWorkQueue (): WorkQueue {
  const waiting: Array<() => void> = []
  let bytes = 0
  let scheduled = false

  const isTurnOver = () => bytes >= MAX_BYTES_PER_TURN

  function scheduleTurn () {
    if (scheduled) return
    scheduled = true
    setImmediate(startTurn)
  }

  function startTurn () {
    scheduled = false
    bytes = 0
    while (waiting.length > 0 && !isTurnOver()) waiting.shift()?.()
    if (waiting.length > 0) scheduleTurn()
  }

  return {
    run: (work) => new Promise((resolve, reject) => {
      const piece = () => {
        try {
          bytes += work()
          resolve()
        } catch (error) {
          reject(error)
        }
      }
      scheduleTurn()
      if (waiting.length === 0 && !isTurnOver()) piece()
      else waiting.push(piece)
    })
  }
}

/** Work in steps: each yields the number of bytes that it processed. */
export type Steps<T> = Generator<number, T, void>

/** Does every step in its turn. */
export async function runInTurns<T> (queue: WorkQueue, steps: Steps<T>): Promise<T> {
  for (;;) {
    let step!: IteratorResult<number, T>
    await queue.run(() => {
      step = steps.next()
      return step.done === true ? 0 : step.value
    })
    if (step.done === true) return step.value
  }
}

/** Does all steps at once, for work that is known to be small. */
export function runAtOnce<T> (steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}
