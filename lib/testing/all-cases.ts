import { setTimeout } from 'node:timers/promises'
import { canRead, cancelCase, describeCalls, isCancelled, isRejected, showsStatus } from './contract-case.js'
import type { Case, Expectation } from './contract-case.js'
import { LIVE_BATCH_CASES } from './live-batch-cases.js'

/** How long a call may go on after its signal has aborted, in milliseconds. */
const ABORT_GRACE_MS = 1000

const THROW_STATUS = 'let cancel throw the provider\'s error with its status as `status`'
const THROW_AND_READ = `${THROW_STATUS}, and retrieve return the batch as it is`

const terminalCase = (status: 'completed' | 'failed' | 'expired') => cancelCase(
  status,
  isRejected(status),
  `a cancel of a batch that is ${status} gets a 409 batch_not_cancellable with the batch`,
  THROW_AND_READ
)

const isUnknown: Expectation = ({ status }) => status >= 502 && status <= 504

const isCancelling: Expectation = (result, contract) =>
  isCancelled(result, contract) || (!canRead(contract) && isRejected('cancelling')(result, contract))

const wasCancelled: Expectation = (result, contract) =>
  isRejected('cancelled')(result, contract) || (result.status === 200 && showsStatus(result, 'cancelled'))

const signalCase: Case = {
  name: 'signal',
  id: 'slow',
  promise: 'a call ends when its signal aborts',
  fix: 'pass call.signal to the provider\'s client',
  async check ({ cancel }, nextId) {
    const { calls } = await cancel(await nextId())
    const grace = new AbortController()
    await Promise.race([
      Promise.all(calls.map(({ ended }) => ended)),
      setTimeout(ABORT_GRACE_MS, undefined, { signal: grace.signal }).catch(() => {})
    ])
    grace.abort()
    const running = calls.filter(({ outcome }) => outcome === undefined)
    if (running.length === 0) return undefined
    return { observed: `${describeCalls(running).observed} within ${ABORT_GRACE_MS} ms of the abort` }
  }
}

const headersCase: Case = {
  name: 'headers',
  id: 'rateLimited',
  applies: ({ passedHeaders }) => passedHeaders !== undefined,
  promise: 'the provider\'s headers for retries, rate limits and request ids reach the client',
  fix: 'set the headers of the response as `headers` on the error, an object or a Headers',
  async check ({ cancel, contract: { passedHeaders = {} } }, nextId) {
    const result = await cancel(await nextId())
    const missing = Object.entries(passedHeaders).filter(([name, value]) => result.headers[name] !== value)
    if (missing.length === 0) return undefined
    const names = missing.map(([name]) => name).join(', ')
    return { observed: `${describeCalls(result.calls).observed} without ${names}` }
  }
}

/** Every case, in the order in which they run. */
export const ALL_CASES: readonly Case[] = [
  ...LIVE_BATCH_CASES,
  cancelCase('cancelling', isCancelling, 'a cancel of a batch that is already cancelling gets a 200', THROW_AND_READ),
  terminalCase('completed'),
  terminalCase('failed'),
  terminalCase('expired'),
  cancelCase(
    'cancelled',
    wasCancelled,
    'a batch that was cancelled before is shown as cancelled, with a 409 or the provider\'s own 200',
    THROW_AND_READ
  ),
  cancelCase('missing', ({ status }) => status === 404, 'a missing batch is a 404', THROW_STATUS),
  cancelCase(
    'unauthorized',
    ({ status }) => status === 401 || status === 403,
    'a credential without permission gets a 401 or 403',
    THROW_STATUS
  ),
  cancelCase('rateLimited', ({ status }) => status === 429, 'a rate limit of the provider is a 429', THROW_STATUS),
  headersCase,
  cancelCase(
    'unavailable',
    ({ status, code }) => status >= 500 && code !== 'internal_error',
    'a failure of the provider is a 5xx',
    THROW_STATUS
  ),
  cancelCase(
    'lost',
    (result, contract) => canRead(contract) ? isCancelled(result, contract) : isUnknown(result, contract),
    'a cancel whose response is lost is resolved by reading the batch, and is a 502 or 504 without a retrieve',
    'let cancel throw the network error as it is, and retrieve read the batch'
  ),
  cancelCase(
    'slow',
    isUnknown,
    'a cancel that the provider never responds to is a 502 or 504, since its outcome is unknown',
    'let cancel wait for the response or throw, and never return a result of its own'
  ),
  signalCase
]
