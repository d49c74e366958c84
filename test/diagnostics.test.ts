import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { CALL_CHANNEL, ProviderError, type CallReport } from '../lib/index.js'
import { BATCH, buildWithoutPauses, cancel } from './support/app.js'

t.test('every call is reported, without a secret', async t => {
  const reports: CallReport[] = []
  const note = (report: unknown) => { reports.push(report as CallReport) }
  subscribe(CALL_CHANNEL, note)
  t.teardown(() => unsubscribe(CALL_CHANNEL, note))

  const answers = [new ProviderError(503, { message: 'busy' }), BATCH]
  const app = await buildWithoutPauses(t, {
    forward: {
      async cancel () {
        const answer = answers.shift()
        if (answer instanceof Error) throw answer
        return answer ?? { ...BATCH, status: 'completed' }
      },
      async retrieve () { return { ...BATCH, status: 'in_progress' } }
    }
  })
  await cancel(app, { headers: { 'x-portkey-provider': 'x', authorization: 'Bearer secret' } })
  await cancel(app, { headers: { 'x-portkey-provider': 'x' } })
  await cancel(app)
  await cancel(app, { headers: { 'x-portkey-provider': 'x', 'content-type': 'garbage' }, payload: 'x' })
  t.match(reports, [
    { provider: 'x', outcome: 'cancelling', status: 200, attempts: 2, reads: 1, duration: Number },
    { provider: 'x', outcome: 'batch_not_cancellable', status: 409, attempts: 1, reads: 0 },
    { provider: undefined, outcome: 'missing_provider', status: 400, attempts: 0, reads: 0 },
    { provider: 'x', outcome: 'FST_ERR_CTP_INVALID_MEDIA_TYPE', status: 415, attempts: 0, reads: 0 }
  ])
  t.notMatch(JSON.stringify(reports), 'secret')
})
