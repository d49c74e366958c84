import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { onAbort } from '../lib/on-abort.js'

t.test('any number of listeners on one signal, without a warning', async t => {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const controller = new AbortController()
  let calls = 0
  const count = () => { calls++ }
  const unregister = Array.from({ length: 500 }, () => onAbort(controller.signal, count))
  for (const stop of unregister.slice(0, 100)) stop()
  t.equal(calls, 0)
  controller.abort()
  t.equal(calls, 400)
  controller.abort()
  t.equal(calls, 400, 'once')
  await turn()
  t.strictSame(warnings, [])
})

t.test('a signal that has aborted calls back at once', async t => {
  let calls = 0
  const unregister = onAbort(AbortSignal.abort(), () => { calls++ })
  t.equal(calls, 1)
  unregister()
  t.equal(calls, 1)
})

t.test('a listener that is unregistered while others are called is not called', async t => {
  const controller = new AbortController()
  const { signal } = controller
  const called: string[] = []
  onAbort(signal, () => {
    called.push('first')
    stopSecond()
  })
  const stopSecond = onAbort(signal, () => { called.push('second') })
  onAbort(signal, () => { called.push('third') })
  controller.abort()
  t.strictSame(called, ['first', 'third'])
})
