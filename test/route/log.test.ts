import type { InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { BatchCancelError, ProviderError, type BatchForwarder } from '../../lib/index.js'
import { BATCH, batch, buildWithoutPauses, cancel } from '../support/app.js'

interface Line {
  readonly level: number
  readonly msg: string
  readonly err?: { readonly stack: string }
}

const CANCEL: InjectOptions = { method: 'POST', url: '/v1/batches/batch_1/cancel' }
const RETRIEVE: InjectOptions = { url: '/v1/batches/batch_1' }

/** The log lines of one request over a forwarder. */
async function logOf (t: Test, forward: BatchForwarder, request = CANCEL, level = 'info'): Promise<Line[]> {
  const lines: string[] = []
  const logger = { level, stream: { write: (line: string) => { lines.push(line) } } }
  const options = { defaultProvider: 'x', forward, ...forward.retrieve !== undefined && { retrieve: true } }
  const app = await buildWithoutPauses(t, options, { logger, disableRequestLogging: true })
  await app.inject(request)
  return lines.map(line => JSON.parse(line))
}

const INFO = 30
const WARN = 40
const ERROR = 50

t.test('every call has one line', async t => {
  const denied = new ProviderError(403, { message: 'no', code: 'permission_denied' })
  const call = { operation: 'cancel', provider: 'x', batchId: 'batch_1', overdue: false, duration: Number }
  const accepting: BatchForwarder = { cancel: async () => BATCH, retrieve: async () => batch({ status: 'completed' }) }
  const failing: BatchForwarder = {
    cancel: async () => { throw denied },
    retrieve: async () => { throw new ProviderError(404, { message: 'no' }) }
  }
  const broken: BatchForwarder = { cancel: async () => null, retrieve: async () => undefined as never }
  for (const { what, forward, request = CANCEL, lines } of [
    {
      what: 'a cancel',
      forward: accepting,
      lines: [
        { ...call, level: INFO, msg: 'the cancel succeeded', outcome: 'cancelling', status: 200, attempts: 1, reads: 0 }
      ]
    },
    {
      what: 'a read',
      forward: accepting,
      request: RETRIEVE,
      lines: [
        { ...call, level: INFO, msg: 'the batch was retrieved', outcome: 'completed', operation: 'retrieve', reads: 1 }
      ]
    },
    {
      what: 'a cancel that the provider refused',
      forward: failing,
      lines: [
        {
          ...call,
          level: INFO,
          msg: 'the batch was not cancelled',
          outcome: 'permission_denied',
          status: 403,
          attempts: 1,
          reads: 0,
          err: { message: 'no' }
        }
      ]
    },
    {
      what: 'a read of a batch that does not exist',
      forward: failing,
      request: RETRIEVE,
      lines: [
        { level: WARN, msg: 'reading the batch failed' },
        { level: INFO, msg: 'the batch was not retrieved', outcome: 'batch_not_found', status: 404, operation: 'retrieve' }
      ]
    },
    {
      what: 'a read that failed',
      forward: broken,
      request: RETRIEVE,
      lines: [
        { level: WARN, msg: 'reading the batch failed' },
        { level: ERROR, msg: 'the batch was not retrieved', outcome: 'internal_error', status: 500 }
      ]
    },
    {
      what: 'a call that names a provider that cannot be',
      forward: accepting,
      request: { ...CANCEL, headers: { 'x-portkey-provider': 'a b' } },
      lines: [
        { level: INFO, msg: 'the batch was not cancelled', outcome: 'unknown_provider', status: 400, attempts: 0 }
      ]
    }
  ]) {
    const logged = await logOf(t, forward, { ...request, headers: { authorization: 'Bearer s3cret', ...request.headers } })
    t.match(logged, lines, what)
    t.equal(logged.length, lines.length, what)
    t.notMatch(JSON.stringify(logged), 's3cret', what)
  }
})

t.test('calls have no line above their level', async t => {
  const denied: BatchForwarder = { cancel: async () => { throw new ProviderError(403, { message: 'no' }) } }
  const broken: BatchForwarder = { cancel: async () => undefined as never }
  t.strictSame(await logOf(t, { cancel: async () => BATCH }, CANCEL, 'warn'), [])
  t.strictSame(await logOf(t, denied, CANCEL, 'warn'), [])
  t.strictSame((await logOf(t, broken, CANCEL, 'warn')).length, 1)
  t.strictSame(await logOf(t, broken, CANCEL, 'silent'), [])
})

t.test('an app without a logger, and one whose logger has no levels, can be called', async t => {
  const infos: object[] = []
  const nothing = () => {}
  const loggerInstance = {
    level: 'info',
    info: (details: object) => { infos.push(details) },
    warn: nothing,
    error: nothing,
    fatal: nothing,
    debug: nothing,
    trace: nothing,
    silent: nothing,
    child: () => loggerInstance
  }
  for (const server of [{}, { loggerInstance, disableRequestLogging: true }]) {
    const app = await buildWithoutPauses(t, { defaultProvider: 'x', forward: async () => BATCH }, server)
    t.equal((await cancel(app)).statusCode, 200)
  }
  t.match(infos, [{ operation: 'cancel', outcome: 'cancelling' }])
})

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

t.test('no line has the batch, whose metadata belongs to customers', async t => {
  const completed = batch({ status: 'completed', metadata: { patient: 'Jane Roe' } })
  const refused = new ProviderError(409, { message: 'no' })
  const [line] = await logOf(t, { cancel: async () => { throw refused }, retrieve: async () => completed })
  t.match(line, { outcome: 'batch_not_cancellable', err: { code: 'batch_not_cancellable' } })
  t.notMatch(JSON.stringify(line), /patient|Jane|file-1/)
})

t.test('a wrong result is logged with what is wrong with it, and is a 500 whose outcome is not known', async t => {
  const cycle: Record<string, unknown> = { ...BATCH }
  cycle['more'] = { cycle }
  for (const { what, result, reason } of [
    {
      what: 'a field',
      result: { ...BATCH, status: 'canceled' },
      reason: 'cancel returned an object that is not a batch: status is \'canceled\'.'
    },
    {
      what: 'another batch',
      result: { ...BATCH, id: 'batch_2' },
      reason: 'cancel returned another batch: id is \'batch_2\', but the call is for \'batch_1\'.'
    },
    {
      what: 'a BigInt',
      result: { ...BATCH, big: 1n },
      reason: 'cancel returned a batch that cannot be serialized as JSON.'
    },
    {
      what: 'a cycle',
      result: { batch: cycle },
      reason: 'cancel returned a batch that cannot be serialized as JSON.'
    }
  ]) {
    const lines = await logOf(t, { cancel: async () => result as never })
    t.match(lines, [{
      level: 50,
      msg: 'the outcome of the cancel is not known',
      outcome: 'internal_error',
      status: 500,
      attempts: 1
    }], what)
    t.ok(lines[0]?.err?.stack.includes(`The forwarder's ${reason}`), what)
  }
})
