import { systemClock } from '../cancel/clock.js'
import { canRead, faultOfActs, isCancelled, isRefused, one, shows, type Case, type Kept } from './case.js'
import { LIVE_CASES } from './live-cases.js'

/** How long a hook may take to end once its signal aborted, in milliseconds. */
const GRACE = 1000

const THROW = 'let cancel throw the provider\'s error with its status as `status`'
const STATES = `${THROW}, and retrieve answer the batch as it is`

const ended = (status: 'completed' | 'failed' | 'expired') =>
  one(status, isRefused(status), `a batch that is ${status} is a 409 batch_not_cancellable with the batch beside it`, STATES)

const isUnknown: Kept = ({ status }) => status >= 502 && status <= 504

/** What a hook without `retrieve` cannot settle goes out as the provider worded it. */
const orRefused = (kept: Kept): Kept => (seen, contract) => kept(seen, contract) || (!canRead(contract) && isRefused('cancelling')(seen, contract))

const signal: Case = {
  name: 'signal',
  id: 'slow',
  promise: 'what a hook does for a call ends when its signal aborts',
  change: 'hand call.signal on to the client of the provider',
  async play ({ cancel }, fresh) {
    const { acts } = await cancel(await fresh())
    await new Promise<void>(resolve => {
      const stop = systemClock.setTimer(GRACE, resolve)
      Promise.all(acts.map(({ over }) => over)).then(() => { stop(); resolve() })
    })
    const left = acts.filter(({ outcome }) => outcome === undefined)
    return left.length === 0 ? undefined : { did: `${faultOfActs(left).did} within ${GRACE} ms of the abort` }
  }
}

const headers: Case = {
  name: 'headers',
  id: 'rateLimited',
  needs: ({ passed }) => passed !== undefined,
  promise: 'the provider\'s headers for retries, limits and request ids reach the client',
  change: 'put the response\'s headers on the error as `headers`, an object or a Headers',
  async play ({ cancel, contract: { passed = {} } }, fresh) {
    const seen = await cancel(await fresh())
    const lost = Object.entries(passed).filter(([name, value]) => seen.headers[name] !== value).map(([name]) => name)
    return lost.length === 0 ? undefined : { did: `${faultOfActs(seen.acts).did} without ${lost.join(', ')}` }
  }
}

/** Every promise, in the order in which they are checked. */
export const CASES: readonly Case[] = [
  ...LIVE_CASES,
  one('cancelling', orRefused(isCancelled), 'a batch that is cancelling already is a 200', STATES),
  ended('completed'),
  ended('failed'),
  ended('expired'),
  one('cancelled', (seen, contract) => isRefused('cancelled')(seen, contract) || (seen.status === 200 && shows(seen, 'cancelled')),
    'a batch that was cancelled before is shown so, beside a 409 or as the provider\'s own 200', STATES),
  one('missing', ({ status }) => status === 404, 'no batch is a 404', THROW),
  one('unauthorized', ({ status }) => status === 401 || status === 403, 'a credential that may not is a 401 or 403', THROW),
  one('rateLimited', ({ status }) => status === 429, 'a limit of the provider is a 429', THROW),
  headers,
  one('unavailable', ({ status, code }) => status >= 500 && code !== 'internal_error', 'a provider that fails is a 5xx', THROW),
  one('lost', (seen, contract) => canRead(contract) ? isCancelled(seen, contract) : isUnknown(seen, contract),
    'a cancel whose answer is lost is settled by reading the batch, or else a 502 or 504',
    'let cancel throw the network\'s error as it came, and retrieve read the batch'),
  one('slow', isUnknown, 'a provider that never answers is a 502 or 504, since the outcome is not known',
    'let cancel wait for the answer or throw, and never answer for the provider'),
  signal
]
