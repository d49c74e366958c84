import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { withTimeout, type Clock } from '../../lib/cancel/clock.js'
import { Deadline } from '../../lib/cancel/deadline.js'
import { manualClock } from '../support/manual-clock.js'

t.test('what waits for a cleared deadline never continues, and leaves no timer', async t => {
  const clock = manualClock()
  const deadline = new Deadline(clock, 1000)
  new Deadline(clock, 1000).clear()
  const continued: string[] = []
  deadline.sleep(10).then(() => continued.push('before'))
  deadline.clear()
  deadline.sleep(10).then(() => continued.push('after'))
  await clock.run(1000)
  await setImmediate()
  t.strictSame(continued, [])
  t.equal(clock.timers, 0)
})

t.test('a fork ends at the same time', async t => {
  const clock = manualClock()
  const deadline = new Deadline(clock, 1000)
  await clock.advance(400)
  t.equal(deadline.fork().left(), 600)
  await clock.advance(900)
  t.equal(deadline.left(), 0, 'never negative')
})

t.test('what arrives while the event loop stands still is read before a request is given up', async t => {
  for (const { lateMs, workMs, isRead } of [
    { lateMs: 0, workMs: 501, isRead: false },
    { lateMs: 300, workMs: 850, isRead: true },
    { lateMs: 300, workMs: 1101, isRead: false },
    { lateMs: 60_000, workMs: 61_400, isRead: true },
    { lateMs: 60_000, workMs: 61_600, isRead: false }
  ]) {
    const clock = manualClock()
    let delay = lateMs
    /** Whose first timer is late. */
    const late: Clock = {
      ...clock,
      setTimer (ms, callback) {
        const stop = clock.setTimer(ms + delay, callback)
        delay = 0
        return stop
      }
    }
    for (const limited of [
      (work: Promise<string>) => new Deadline(late, 1000).half(work),
      (work: Promise<string>) => withTimeout(work, 500, late, () => new Error('late'))
    ]) {
      delay = lateMs
      const result = limited(clock.sleep(workMs).then(() => 'response')).catch((error: unknown) => error)
      await clock.run(100_000)
      t.equal(await result === 'response', isRead, JSON.stringify({ lateMs, workMs }))
    }
    t.equal(clock.timers, 0)
  }
})
