import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { CALL_CHANNEL, ProviderError, type CallReport } from '../lib/index.js'
import { BATCH, build, cancel } from './support/app.js'

t.test('every call is reported, without a secret', async t => {
  const reports: CallReport[] = []
  const note = (report: unknown) => { reports.push(report as CallReport) }
  subscribe(CALL_CHANNEL, note)
  t.teardown(() => unsubscribe(CALL_CHANNEL, note))

  const answers = [new ProviderError(503, { message: 'busy' }), BATCH]
  const app = await build(t, {
    forward: {
      async cancel () { const answer = answers.shift(); if (answer instanceof Error) throw answer; return answer ?? { ...BATCH, status: 'completed' } },
      async retrieve () { return { ...BATCH, status: 'in_progress' } }
    }
  })
  await cancel(app, { headers: { 'x-portkey-provider': 'x', authorization: 'Bearer secret' } })
  await cancel(app, { headers: { 'x-portkey-provider': 'x' } })
  await cancel(app)
  await cancel(app, { headers: { 'content-type': 'garbage' }, payload: 'x' })
  t.match(reports, [
    { provider: 'x', outcome: 'cancelling', status: 200, cancels: 2, reads: 1, duration: Number },
    { provider: 'x', outcome: 'batch_not_cancellable', status: 409, cancels: 1, reads: 0 },
    { provider: undefined, outcome: 'missing_provider', status: 400, cancels: 0, reads: 0 },
    { provider: undefined, outcome: 'FST_ERR_CTP_INVALID_MEDIA_TYPE', status: 415, cancels: 0, reads: 0 }
  ])
  t.notMatch(JSON.stringify(reports), 'secret')
})
