import { setImmediate } from 'node:timers/promises'
import t from 'tap'
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
