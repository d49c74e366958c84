import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { MAX_BYTES_PER_TURN } from '../../lib/sandbox/limits.js'
import { createWorkQueue, runAtOnce, runInTurns } from '../../lib/sandbox/work-queue.js'

t.test('little work is done at once, without a turn of the event loop', async t => {
  const queue = createWorkQueue()
  const done: number[] = []
  for (let piece = 0; piece < 3; piece++) {
    queue.run(() => {
      done.push(piece)
      return 10
    })
  }
  t.same(done, [0, 1, 2])
})

t.test('work beyond the bytes of one turn waits for the next turns, in order', async t => {
  const pieces = fc.array(fc.integer({ min: 0, max: 2 * MAX_BYTES_PER_TURN }), { maxLength: 30 })
  await fc.assert(fc.asyncProperty(pieces, async (sizes) => {
    const queue = createWorkQueue()
    const done: number[] = []
    let turn: number[] = []
    const work = Promise.all(sizes.map((bytes, index) => queue.run(() => {
      done.push(index)
      turn.push(bytes)
      return bytes
    })))
    const checkTurn = () => {
      // All but the last piece of a turn fit into it.
      const bytes = turn.slice(0, -1).reduce((sum, size) => sum + size, 0)
      if (bytes >= MAX_BYTES_PER_TURN) throw new Error(`${bytes} bytes in one turn`)
      turn = []
    }
    checkTurn()
    while (done.length < sizes.length) {
      await setImmediate()
      checkTurn()
    }
    await work
    return done.every((piece, index) => piece === index) && done.length === sizes.length
  }))
})

t.test('a new turn begins even if nothing waited for it', async t => {
  const queue = createWorkQueue()
  let done = 0
  const piece = () => {
    done += 1
    return MAX_BYTES_PER_TURN
  }
  queue.run(piece)
  await setImmediate()
  queue.run(piece)
  t.equal(done, 2)
})

t.test('an error of one piece rejects that piece only', async t => {
  const queue = createWorkQueue()
  const failed = queue.run(() => { throw new Error('broken') })
  const waiting = [queue.run(() => MAX_BYTES_PER_TURN), queue.run(() => 1)]
  await t.rejects(failed, { message: 'broken' })
  await t.resolves(Promise.all(waiting))
})

t.test('work in steps returns its result, in turns or at once', async t => {
  function * steps (): Generator<number, string> {
    yield MAX_BYTES_PER_TURN
    yield MAX_BYTES_PER_TURN
    return 'done'
  }
  t.equal(runAtOnce(steps()), 'done')
  t.equal(await runInTurns(createWorkQueue(), steps()), 'done')
})
