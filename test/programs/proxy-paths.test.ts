import fc, { type Arbitrary } from 'fast-check'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { createBatchCanceller, forwardToProviders, type BatchCanceller, type Provider } from '../../lib/index.js'
import { make, type Fixture, type Headers, type Scenario } from '../fixtures/fixture.js'
import { FIXTURES } from '../fixtures/index.js'
import { buildWithoutPauses } from '../support/app.js'
import { runs } from '../support/exhaustive.js'
import { noNginx, startNginx } from '../support/nginx.js'
import { startUpstream, type Recorded } from '../support/upstream.js'

/*
 * What a provider is asked for if a real reverse proxy stands in front of it, which decodes and normalizes paths: only
 * the batch with the id of the call, whatever the caller sends.
 */

/** What servers take for a separator, a parent folder, the end of a path or of a line, decoded once, twice or oddly. */
const PIECES = [
  '..', '.', '/', '//', '\\', '../', '/..', '/../', '..\\', './', '%2e%2e', '%2E', '%2f', '%2F', '%5c', '%252e%252e',
  '%252f', '%255c', '%25', '%', '..%2f', '%2f..%2f', '%2e%2e%2f', '..;/', ';', ';x=1', '?', '?x=1', '&x=1', '#', '%3f',
  '%23', '%26', '%00', '\0', '%0d%0a', '\r\n', ' ', '\t', '+', '%20', ':', ':cancel', '/cancel', '@', '*', '~', '=',
  ',', '%c0%ae', '%u002e', '\u2024', '\uff0e', '\u2215',
  'é', '\u{1f600}', 'files', 'v1', 'x', '1', 'http://evil.example/'
]

/** A value that is fine with something else in it, or nothing but that. */
const hostile = (value: string): Arbitrary<string> => {
  const pieces = fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 5 }).map(parts => parts.join(''))
  const inserted = fc.tuple(pieces, fc.nat(value.length))
    .map(([piece, at]) => value.slice(0, at) + piece + value.slice(at))
  return fc.oneof(
    pieces,
    inserted,
    inserted.map(encodeURIComponent),
    pieces.map(piece => piece + value),
    fc.constant(value)
  )
}

const FORWARDED = [
  'x-original-url', 'x-rewrite-url', 'x-forwarded-prefix', 'x-http-method-override', 'transfer-encoding', 'host',
  'content-length', 'connection', 'upgrade', 'x-team', ':path', 'x-accel-redirect', 'expect'
]

interface Call {
  readonly id: string
  readonly headers: Headers
}

/** Calls with one hostile value in a part that the caller controls. */
function callsTo (
  { name, credentials: { accounts } }: Fixture,
  provider: Provider,
  id: string,
  account: Headers,
  nginx: string
): Arbitrary<Call> {
  const headers = { 'x-portkey-provider': name, ...account }
  const own = Object.keys({ ...accounts, ...provider.headers }).filter(header => header !== 'authorization')
  const anyHeader = fc.constantFrom(...own, 'x-portkey-trace-id')
    .chain(header => hostile((account as Record<string, string>)[header] ?? accounts[header] ?? 'a')
      .map(value => [header, value] as const))
  const keyOf = (header: string) => header.replace('x-portkey-', '').replaceAll('-', '_')
  return fc.oneof(
    { weight: 4, arbitrary: hostile(id).map(id => ({ id, headers })) },
    { weight: 2, arbitrary: anyHeader.map(([header, value]) => ({ id, headers: { ...headers, [header]: value } })) },
    anyHeader.map(([header, value]) => ({ id, headers: { ...headers, ...asConfig({ [keyOf(header)]: value }) } })),
    hostile('/v1').map(path => ({ id, headers: { ...headers, ...asConfig({ custom_host: nginx + path }) } })),
    fc.tuple(fc.constantFrom(...FORWARDED), hostile('/v1/files')).map(([header, value]) =>
      ({ id, headers: { ...headers, 'x-portkey-forward-headers': header, [header]: value } }))
  )
}

/** Text of a config, so that a value may have any character. */
const asConfig = (config: Headers): Headers => ({
  'x-portkey-config': JSON.stringify(config)
    .replace(/[^\x20-\x7e]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
})

/** A request by its parts, decoded as nginx does. */
interface Parts {
  readonly method: string
  readonly segments: readonly string[]
  readonly parameters: readonly string[]
}

function partsOf ({ method, path }: Pick<Recorded, 'method' | 'path'>): Parts {
  const [before = '', query] = path.split('?')
  // Bytes, since a base URL of a client may be no UTF-8.
  const decoded = before.replace(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  return {
    method,
    segments: decoded.slice(1).split('/'),
    parameters: query === undefined ? [] : query.split('&').map(parameter => parameter.split('=')[0] as string)
  }
}

/** The cancel and the read of a scenario, whose segments are `undefined` if the id or the account fills them. */
function expectedParts ({ cancel, retrieve, base }: Scenario, id: string) {
  const names = decodeURIComponent(id).split('/').filter(name => /[\d-]/.test(name))
  return [cancel, retrieve].map(({ method, path }) => {
    const { segments, ...parts } = partsOf({ method, path: path.slice(base.length) })
    const isFilled = (segment: string) => names.some(name => segment === name || segment === `${name}:cancel`)
    return { ...parts, segments: segments.map(segment => isFilled(segment) ? undefined : segment) }
  })
}

type ExpectedParts = ReturnType<typeof expectedParts>[number]

/** Names and ARNs may be sent whole or by their last part, and an encoded one is decoded. */
const lastPart = (id: string) => id.split(/\/|%2f/i).at(-1) as string

/** Whether a request, as it is behind nginx, is one for the batch that was asked for. */
function isForBatch (request: Recorded, id: string, expected: readonly ExpectedParts[]): boolean {
  const { method, segments, parameters } = partsOf(request)
  const isClean = segments.every(segment => segment !== '' && segment !== '.' && segment !== '..')
  // An id may itself end with ":cancel".
  const isShown = segments.some(segment => [segment, segment.replace(/:cancel$/, '')].includes(lastPart(id)))
  return isClean && isShown && expected.some(one => {
    const ending = segments.slice(-one.segments.length)
    return method === one.method && parameters.join() === one.parameters.join() &&
      ending.length === one.segments.length &&
      ending.every((segment, index) => one.segments[index] === undefined || one.segments[index] === segment)
  })
}

const RUNS = runs({ usual: 20, exhaustive: 60 })

const LONG_IDS = { routerOptions: { maxParamLength: 2048 } }

/** Makes a call from code, or over the route if only that reads a part of it. */
async function makeCall (app: FastifyInstance, canceller: BatchCanceller, { id, headers }: Call): Promise<void> {
  const { 'x-portkey-provider': provider = '' } = headers
  if (!Object.hasOwn(headers, 'x-portkey-config')) {
    for (const run of [canceller.cancel, canceller.retrieve]) {
      // Whatever becomes of it: the batch does not exist.
      await run({ provider, batchId: id, headers }).catch(() => {})
    }
    return
  }
  const url = `/v1/batches/${encodeURIComponent(id)}`
  await app.inject({ method: 'POST', url: `${url}/cancel`, headers })
  await app.inject({ url, headers })
}

t.test('behind nginx only paths of the batch are seen', { skip: noNginx ?? false }, async t => {
  const upstream = await startUpstream(t, () => ({ status: 404, body: {} }))
  const { requests } = upstream
  const nginx = await startNginx(t, upstream.url)
  for (const fixture of FIXTURES) {
    const { name, ids, hosts: { serverOptions }, scenarios } = fixture
    const { id = ids.valid[0], base, headers } = scenarios[0]
    // A hostile value may be a valid one of another scenario, such as a version of Azure's API.
    const expected = scenarios.flatMap(scenario => expectedParts(scenario, scenario.id ?? ids.valid[0]))
    t.ok(expected.every(({ segments }) => segments.includes(undefined)), `${name}: the id is known in the path`)
    for (const [what, options, account] of [
      ['the client\'s key', {}, headers],
      // A full name has its own account.
      ['the server\'s key', { ...!id.includes('/') && serverOptions, apiKey: 'server-key' }, {}]
    ] as const) {
      const provider = make(fixture, { ...options, baseUrl: nginx + base })
      const forward = forwardToProviders({
        providers: { [name]: provider },
        trustedHosts: [nginx],
        forwardHeaders: ['x-team']
      })
      const canceller = createBatchCanceller({ forward })
      const app = await buildWithoutPauses(t, { canceller, retrieve: true }, LONG_IDS)
      const stray: string[] = []
      let sent = 0
      await fc.assert(fc.asyncProperty(callsTo(fixture, provider, id, account, nginx), async call => {
        requests.length = 0
        await makeCall(app, canceller, call)
        sent += requests.length
        const wrong = requests.filter(request => !isForBatch(request, call.id, expected))
        stray.push(...wrong.map(({ method, path }) => `${method} ${path} for ${JSON.stringify(call)}`))
      }), { ...RUNS, examples: [[{ id, headers: { 'x-portkey-provider': name, ...account } }]] })
      t.strictSame(stray.slice(0, 3), [], `${name}, ${what}: ${sent} requests`)
      t.ok(sent > 0)
      await canceller.close()
    }
  }
})
