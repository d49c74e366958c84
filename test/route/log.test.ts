import t, { type Test } from 'tap'
import { BatchCancelError, ProviderError, type BatchForwarder } from '../../lib/index.js'
import { BATCH, batch, buildWithoutPauses, cancel } from '../support/app.js'

/** The log lines of one cancel over a forwarder. */
async function logOf (t: Test, forward: BatchForwarder): Promise<Array<{ level: number, msg: string, err?: object }>> {
  const lines: string[] = []
  const logger = { level: 'info', stream: { write: (line: string) => { lines.push(line) } } }
  const app = await buildWithoutPauses(t, { defaultProvider: 'x', forward }, { logger, disableRequestLogging: true })
  await cancel(app)
  return lines.map(line => JSON.parse(line))
}

t.test('the log says that a batch was not cancelled only if that is known', async t => {
  const gone = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  for (const { what, cancel, retrieve, msg } of [
    { what: 'a 403', cancel: new ProviderError(403, { message: 'no' }), msg: 'the batch was not cancelled' },
    { what: 'a 500', cancel: new ProviderError(500, { message: 'no' }), msg: 'the outcome of the cancel is not known' },
    { what: 'no response', cancel: gone, msg: 'the outcome of the cancel is not known' },
    { what: 'no connection', cancel: refused, msg: 'the batch was not cancelled' },
    {
      what: 'a batch that had ended',
      cancel: new ProviderError(409, { message: 'no' }),
      retrieve: batch({ status: 'completed' }),
      msg: 'the batch was not cancelled'
    },
    { what: 'garbage', cancel: undefined, msg: 'the outcome of the cancel is not known' },
    {
      what: 'a missing credential',
      cancel: new BatchCancelError('missing_credentials', 'none'),
      msg: 'the batch was not cancelled'
    }
  ]) {
    const lines = await logOf(t, {
      async cancel () {
        if (cancel !== undefined) throw cancel
        return undefined as never
      },
      ...retrieve !== undefined && { retrieve: async () => retrieve }
    })
    t.strictSame(lines.map(({ msg }) => msg), [msg], what)
  }
})

t.test('a bug of a forwarder that does not change the outcome is logged', async t => {
  const lines = await logOf(t, { cancel: async () => ({ ...BATCH, big: 1n }) as never })
  t.match(lines, [
    {
      level: 50,
      msg: 'the forwarder has a bug',
      err: { message: /^The forwarder's cancel returned a batch that cannot be serialized/ }
    }
  ])
})

t.test('a wrong result is logged with the field that is wrong', async t => {
  const lines = await logOf(t, { cancel: async () => ({ ...BATCH, status: 'canceled' }) as never })
  t.match(lines, [
    {
      level: 50,
      err: { stack: /The forwarder's cancel returned an object that is not a batch: status is 'canceled'\./ }
    }
  ])
})
