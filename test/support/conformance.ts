import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { forwardToProviders } from '../../lib/index.js'
import { make, UNREPORTED, type Case, type Fixture, type Scenario } from '../fixtures/fixture.js'
import { buildWithoutPauses, cancel } from './app.js'
import { violations } from './document.js'
import { startUpstream, type Upstream } from './upstream.js'

const NO_RESPONSE = { status: 502, answer: { error: { code: 'upstream_unreachable' } } } as const
const NOT_A_BATCH = { status: 502, answer: { error: { code: 'upstream_invalid_response' } } } as const

/** Bodies that are a batch nowhere. */
const NO_BATCHES = ['<html>', [], { ok: true }, { status: 'success' }]

/** What every provider does, in its own words. */
export function commonCases (fixture: Fixture, { id = fixture.ids.valid[0], secret }: Scenario): Case[] {
  const { statuses, body, live, accepted, notBatches, error, refusal, details } = fixture.responses
  const ended = (['completed', 'failed', 'expired', 'cancelled'] as const).filter(status => statuses.includes(status))
  const isEmptyAccepted = accepted !== undefined
  const notCancelled = [...NO_BATCHES, ...isEmptyAccepted ? [] : ['', {}], ...notBatches]
  return [
    ...isEmptyAccepted ? unseenCases(fixture, accepted[0]) : seenCases(fixture, id),
    ...statuses.includes('cancelling')
      ? [{
          what: 'cancelling already',
          cancel: { status: refusal, body: error('No.', 'state') },
          reads: [{ body: body('cancelling') }],
          status: 200,
          answer: { id: /./, status: 'cancelling' },
          source: 'retrieved',
          requests: 2
        }]
      : [],
    ...ended.map((status): Case => ({
      what: `it is ${status}`,
      cancel: { status: refusal, body: error('No.', 'state') },
      reads: [{ body: body(status) }],
      status: 409,
      answer: {
        error: { message: `Cannot cancel a batch with status '${status}'.`, code: 'batch_not_cancellable' },
        batch: { status }
      },
      responseHeaders: { 'x-should-retry': 'false' },
      requests: 2
    })),
    {
      what: 'cancelled by the first request of a client that retries',
      headers: { 'x-stainless-retry-count': '1' },
      cancel: { status: refusal, body: error('No.', 'state') },
      reads: [{ body: body('cancelled') }],
      status: 200,
      answer: { status: 'cancelled' },
      source: 'retrieved'
    },
    {
      what: 'cancelled before the first request of a client that retries',
      attempts: 1,
      cancel: { status: refusal, body: error('No.', 'state') },
      reads: [{ body: body('cancelled') }],
      status: 409,
      answer: { batch: { status: 'cancelled' } }
    },
    {
      what: 'refused, and the batch cannot be read',
      cancel: { status: refusal, body: error('Not now.', 'busy') },
      reads: [{ status: 403 }],
      status: refusal,
      answer: { error: { message: 'Not now.', ...details('busy') } },
      requests: 2
    },
    {
      what: 'refused, and reading it fails for ever',
      cancel: { status: refusal, body: error('Cannot now.', 'busy') },
      reads: [{ status: 503 }],
      status: refusal,
      answer: { error: { message: 'Cannot now.', ...details('busy') } },
      requests: 4
    },
    {
      what: 'refused, and it is still being processed',
      cancel: { status: refusal, body: error('Not yet.', 'busy') },
      reads: [{ body: body(live) }],
      status: refusal,
      answer: { error: { message: 'Not yet.' } }
    },
    {
      what: 'no such batch',
      cancel: { status: 404, body: error('Not found.', 'gone') },
      status: 404,
      answer: { error: { message: 'Not found.', code: 'batch_not_found', ...details('gone') } },
      requests: 1
    },
    {
      what: 'a bad key, which it repeats',
      cancel: { status: 401, body: error(`Bad key ${secret}.`, 'key') },
      status: 401,
      answer: { error: { message: 'Bad key ***.', ...details('key') } },
      requests: 1
    },
    {
      what: 'not allowed',
      cancel: { status: 403, body: error('Not yours.', 'denied') },
      status: 403,
      answer: { error: { message: 'Not yours.', ...details('denied') } },
      requests: 1
    },
    {
      what: 'a limit',
      attempts: 1,
      cancel: { status: 429, headers: { 'retry-after': '60' }, body: error('Slow down.', 'limit') },
      status: 429,
      answer: { error: { message: 'Slow down.', ...details('limit') } },
      responseHeaders: { 'retry-after': '60' },
      requests: 1
    },
    {
      what: 'an error of the server',
      attempts: 1,
      cancel: { status: 500, body: error('Oh.', 'oh') },
      reads: [{ status: 500, body: error('Oh.', 'oh') }],
      status: 500,
      answer: { error: { message: 'Oh.', code: 'upstream_error', ...details('oh') } }
    },
    ...notCancelled.map((sent): Case => ({
      what: `not a batch: ${JSON.stringify(sent)}`.slice(0, 200),
      attempts: 1,
      cancel: { body: sent },
      reads: [{ body: sent }],
      ...NOT_A_BATCH
    })),
    { what: 'a closed connection', attempts: 1, ...NO_RESPONSE }
  ]
}

/** For a provider whose cancel returns the batch. */
function seenCases ({ responses }: Fixture, id: string): Case[] {
  const { body, live, cancelShows = ['cancelling', 'cancelled'] } = responses
  return [
    ...cancelShows.map((status): Case => ({
      what: status,
      cancel: { body: body(status) },
      status: 200,
      answer: { id, object: 'batch', status },
      source: 'provider',
      requests: 1
    })),
    {
      what: 'accepted, but the old status is shown',
      cancel: { body: body(live) },
      status: 200,
      answer: { id, status: 'cancelling' },
      source: 'assumed',
      requests: 1
    },
    {
      what: 'accepted, but it had just completed',
      cancel: { body: body('completed') },
      status: 409,
      answer: { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed' } },
      requests: 1
    }
  ]
}

/** For a provider whose cancel returns no batch. */
function unseenCases ({ responses: { statuses, body, live, accepted = [{}] } }: Fixture, first: unknown): Case[] {
  const assumed = { status: 200, source: 'assumed' } as const
  const shown = (['cancelling', 'cancelled'] as const).filter(status => statuses.includes(status))
  return [
    ...shown.map((status): Case => ({
      what: `accepted, and ${status}`,
      cancel: { body: first },
      reads: [{ body: body(status) }],
      status: 200,
      answer: { status },
      source: 'retrieved',
      requests: 2
    })),
    ...accepted.map((sent): Case => ({
      what: `accepted with ${JSON.stringify(sent)}, but the old status is shown`,
      cancel: { body: sent },
      reads: [{ body: body(live) }],
      answer: { status: 'cancelling' },
      requests: 2,
      ...assumed
    })),
    {
      what: 'accepted, but it had just completed',
      cancel: { body: first },
      reads: [{ body: body('completed') }],
      status: 409,
      answer: { error: { code: 'batch_not_cancellable' }, batch: { status: 'completed' } }
    },
    {
      what: 'accepted, and the read is refused',
      cancel: { body: first },
      reads: [{ status: 403 }],
      answer: { ...UNREPORTED, status: 'cancelling' },
      requests: 2,
      ...assumed
    },
    {
      what: 'accepted, and nobody responds to the read',
      cancel: { body: first },
      answer: { status: 'cancelling', cancelling_at: null },
      ...assumed
    },
    {
      what: 'accepted, and the read returns a page',
      cancel: { body: first },
      reads: [{ body: '<html>' }],
      answer: { status: 'cancelling' },
      ...assumed
    },
    {
      what: 'accepted, and the read returns nothing',
      cancel: { body: first },
      reads: [{ body: {} }],
      answer: { status: 'cancelling' },
      ...assumed
    }
  ]
}

/** Plays a scenario against the route, with a real server as the provider; the document checks every response. */
export async function conform (t: Test, fixture: Fixture, scenario: Scenario): Promise<void> {
  const { name } = fixture
  const { base, make: ownMake = (baseUrl: string) => make(fixture, { baseUrl }) } = scenario
  const upstream = await startUpstream(t)
  const forward = forwardToProviders({ providers: { [name]: ownMake(upstream.url + base) } })
  const app = await buildWithoutPauses(t, { forward }, { routerOptions: { maxParamLength: 512 } })
  const common = scenario.common === false ? [] : commonCases(fixture, scenario)
  for (const one of [...common, ...scenario.cases ?? []]) await playCase(t, { fixture, scenario, upstream, app }, one)
}

interface Stage {
  readonly fixture: Fixture
  readonly scenario: Scenario
  readonly upstream: Upstream
  readonly app: FastifyInstance
}

async function playCase (t: Test, { fixture, scenario, upstream, app }: Stage, one: Case): Promise<void> {
  const { name, ids } = fixture
  const { what, headers = {}, attempts, status, answer, source, responseHeaders = {}, requests } = one
  const { id: scenarioId = ids.valid[0] } = scenario
  const { id = scenarioId, reads = [] } = one
  const path = (url: string) => url.split('?')[0]
  let read = 0
  upstream.requests.length = 0
  upstream.answer = (request, response) => {
    const isCancel = request.method === scenario.cancel.method &&
      (id !== scenarioId || path(request.path) === path(scenario.cancel.path))
    const answer = isCancel ? one.cancel : reads[Math.min(read++, reads.length - 1)]
    if (answer === undefined) response.destroy()
    return answer
  }
  const response = await cancel(app, {
    id,
    headers: {
      'x-portkey-provider': name,
      ...scenario.headers,
      ...attempts === 1 && { 'x-stainless-retry-count': '0' },
      ...headers
    }
  })

  t.equal(response.statusCode, status, `${what}: ${response.body}`)
  t.match(response.json(), answer, what)
  t.match(response.headers, { ...source !== undefined && { 'x-batch-source': source }, ...responseHeaders }, what)
  t.strictSame(violations(response), [], what)
  if (requests !== undefined) t.equal(upstream.requests.length, requests, 'how many requests were sent')
  if (id !== scenarioId) return
  const expected = [scenario.cancel, scenario.retrieve]
  for (const [index, sent] of upstream.requests.slice(0, 2).entries()) {
    const isRead = sent.method === scenario.retrieve.method && path(sent.path) === path(scenario.retrieve.path)
    t.match(sent, expected[Number(index > 0 && isRead)], isRead ? 'the read' : 'the cancel')
  }
}
