import t from 'tap'
import type { Dispatcher } from 'undici'
import { createUpstream } from '../../lib/providers/http-client.js'

const ORIGIN = 'http://provider.example'
const REQUEST = { method: 'GET', path: '/', headers: {} } as const

/** A dispatcher as its author could have written it. */
const sendBy = (dispatch: (handler: Required<Dispatcher.DispatchHandler>) => void) => {
  const dispatcher = {
    dispatch (_options: unknown, handler: Required<Dispatcher.DispatchHandler>) {
      dispatch(handler)
      return true
    }
  } as unknown as Dispatcher
  return createUpstream({ dispatcher })(ORIGIN, REQUEST, 'openai', () => () => {})
}

/** Its abort does nothing. */
const CONTROLLER: Dispatcher.DispatchController = {
  aborted: false,
  paused: false,
  reason: null,
  abort () {},
  pause () {},
  resume () {}
}

t.test('a dispatcher that throws', async t => {
  const error = new Error('no route')
  await t.rejects(sendBy(() => { throw error }), error)
})

t.test('a dispatcher that throws after it has responded', async t => {
  const response = sendBy(handler => {
    handler.onRequestStart(CONTROLLER, {})
    handler.onResponseStart(CONTROLLER, 200, {})
    handler.onResponseData(CONTROLLER, Buffer.from('{}'))
    handler.onResponseEnd(CONTROLLER, {})
    throw new Error('too late')
  })
  t.match(await response, { status: 200, text: '{}' })
})

t.test('a dispatcher that goes on after the response was given up', async t => {
  const response = sendBy(handler => {
    handler.onRequestStart(CONTROLLER, {})
    for (let n = 0; n < 100; n++) handler.onResponseStart(CONTROLLER, 103, {})
    handler.onResponseStart(CONTROLLER, 200, {})
    handler.onResponseEnd(CONTROLLER, {})
    handler.onResponseError(CONTROLLER, new Error('too late'))
  })
  await t.rejects(response, { code: 'upstream_invalid_response', repeatable: false })
})
