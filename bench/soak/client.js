import { Agent, request } from 'node:http'
import { pickByShare } from '../lib/random.js'

/** What clients do. `leaves`: they disconnect after a moment. */
const CALLS = [
  { share: 78, method: 'POST', action: '/cancel' },
  { share: 10, method: 'POST', action: '/cancel', headers: { prefer: 'wait=3' } },
  { share: 10, method: 'GET', action: '' },
  { share: 2, method: 'POST', action: '/cancel', leaves: true }
]

const MAX_STAY_MS = 200
const TICK_MS = 10

/**
 * Sends so many calls a second, whether the ones before have their responses or not, each for a batch of its own.
 * `responses` counts them by what came; `confirmed` are the batches whose cancel was a 200; `wrong` are responses that
 * no fault explains.
 */
export function startLoad (origin, rate) {
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity })
  const begun = performance.now()
  const inFlight = new Set()
  const load = { sent: 0, responses: {}, confirmed: [], wrong: [], inFlight: () => inFlight.size, stop }
  const timer = setInterval(sendDue, TICK_MS)

  function sendDue () {
    const due = Math.floor((performance.now() - begun) / 1000 * rate)
    while (load.sent < due) {
      const result = send(pickByShare(CALLS), `batch_${load.sent++}`).then(count)
      inFlight.add(result)
      result.then(() => inFlight.delete(result))
    }
  }

  function send ({ method, action, headers, leaves = false }, id) {
    return new Promise(resolve => {
      const end = (result) => resolve({ id, method, leaves, ...result })
      const sent = request(`${origin}/v1/batches/${id}${action}`, { method, headers, agent }, response => {
        let text = ''
        response.setEncoding('utf8').on('data', chunk => { text += chunk })
        response.on('end', () => end({ status: response.statusCode, text })).on('error', error => end({ error }))
      })
      sent.on('error', error => end({ error })).end()
      if (leaves) setTimeout(() => sent.destroy(), Math.random() * MAX_STAY_MS)
    })
  }

  function count (result) {
    const kind = kindOf(result)
    load.responses[kind] = (load.responses[kind] ?? 0) + 1
    if (result.status === 200 && result.method === 'POST') load.confirmed.push(result.id)
    if (isWrong(result)) load.wrong.push(result)
  }

  /** Sends no more; resolves when every call has ended. */
  async function stop () {
    clearInterval(timer)
    await Promise.all(inFlight)
    agent.destroy()
  }

  return load
}

function kindOf ({ status, text, leaves, error }) {
  if (error !== undefined) return leaves ? 'the client left' : `no response: ${error.code}`
  return status === 200 ? '200' : `${status} ${JSON.parse(text).error.code ?? ''}`.trim()
}

const STATUSES = { POST: ['cancelling', 'cancelled'], GET: ['in_progress'] }

/** Only the provider's own 429 and 5xx, and 502 and 504 for an unknown outcome, may come in place of the batch. */
function isWrong ({ id, method, status, text, leaves, error }) {
  if (error !== undefined) return !leaves
  if (status !== 200) return status !== 429 && !(status >= 500 && JSON.parse(text).error.code !== 'internal_error')
  const batch = JSON.parse(text)
  return batch.id !== id || !STATUSES[method].includes(batch.status)
}
