import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import * as lib from '../../lib/index.js'
import type { Provider, ProviderFactory } from '../../lib/index.js'
import { BATCH, buildWithoutPauses, cancel } from '../support/app.js'
import { batchIn, requestOf } from '../support/provider.js'
import { ROOT } from '../support/root.js'
import { startUpstream } from '../support/upstream.js'

/* Every code block of docs/custom-provider.md is run, and does what the text around it says. */

const page = readFileSync(new URL('docs/custom-provider.md', ROOT), 'utf8')
const blocks = [...page.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
  .map(([, language = '', code = '']) => ({ language, code }))

const IMPORT = /^import (?:(\w+), )?(?:(\w+)|\{([^}]*)\}) from '([^']+)'$/gm

/** Runs a block as a module; the package is the source of this repository. */
async function run (code: string): Promise<Record<string, unknown>> {
  const exported = [...code.matchAll(/^export const (\w+)/gm)].map(([, name]) => name)
  const body = code
    .replace(IMPORT, (_, first: string | undefined, only: string | undefined, names = '', from: string) => {
      const defaults = [first, only].filter(name => name !== undefined).map(name => `default: ${name}`)
      return `const { ${[...defaults, names].join(', ')} } = await load('${from}')`
    })
    .replace(/^export /gm, '')
  type Run = (load: unknown) => Promise<Record<string, unknown>>
  const AsyncFunction = run.constructor as new (...parts: string[]) => Run
  const load = (name: string) => name === 'fastify-batch-cancel' ? lib : import(name)
  return await new AsyncFunction('load', `${body}\nreturn { ${exported.join(', ')} }`)(load)
}

/** The block that exports a name. */
const blockOf = (name: string) => blocks.find(({ code }) => code.includes(`export const ${name} `))?.code ?? ''

t.test('every block is run by a test below', async t => {
  const tested = ['app', 'forClients', 'regional', 'signed', 'counting', 'seen'].map(blockOf)
  const acme = blocks[2]?.code
  t.strictSame(blocks.filter(({ language, code }) => language !== 'js' || ![...tested, acme].includes(code)), [])
  t.equal(blocks.length, 7)
})

t.test('a server that speaks OpenAI\'s API', async t => {
  const { app } = await run(blockOf('app')) as { app: FastifyInstance }
  t.teardown(() => app.close())
  const unknown = await cancel(app, { headers: { 'x-portkey-provider': 'openai' } })
  t.match(unknown.json(), { error: { message: 'Unknown provider \'openai\'. Available providers: my-vllm.' } })

  const { acme, forClients, forTheServer } = await run(blockOf('forClients')) as {
    acme: ProviderFactory
    forClients: Provider
    forTheServer: Provider
  }
  t.equal(forClients.serverCredential, undefined)
  t.type(forTheServer.serverCredential, 'function')
  const upstream = await startUpstream(t, () => ({ body: { data: { ...BATCH, status: 'canceled' } } }))
  const provider = acme({ baseUrl: upstream.url, apiKey: 'k' }) as Provider
  const forward = lib.forwardToProviders({ providers: { acme: provider } })
  const response = await cancel(await buildWithoutPauses(t, { defaultProvider: 'acme', forward }))
  t.match(response.json(), { id: 'batch_1', status: 'cancelled' })
})

t.test('a provider with a shape of its own', async t => {
  const { acme } = await run(blocks[2]?.code ?? '') as { acme: ProviderFactory }
  const headers = { authorization: 'Bearer key' }
  t.match(await requestOf(acme(), 'cancel', 'job-00c0ffee', { headers }), {
    origin: 'https://api.acme.example',
    method: 'POST',
    path: '/v1/jobs/job-00c0ffee:cancel',
    headers
  })
  const job = { id: 'job-00c0ffee', status: 'BROKEN', created: '2026-03-01', ended: 1772359200123, error: 'Bad line.' }
  t.match(batchIn(acme(), job, job.id), {
    status: 'failed',
    created_at: 1772323200,
    failed_at: 1772359200,
    errors: { data: [{ message: 'Bad line.' }] },
    provider_batch: job
  })
  t.throws(() => acme({ apiKey: 'Bearer key' }), { message: /^acme\(\{ apiKey \}\) must be/ })
})

t.test('credentials', async t => {
  const { signed } = await run(blockOf('signed')) as { signed: ProviderFactory }
  const signature = createHmac('sha256', 'secret').update('POST /v1/jobs/1/stop').digest('hex')
  t.match(await requestOf(signed({ apiKey: 'secret' }), 'cancel', '1', { credential: 'secret' }), {
    headers: { 'x-signature': signature, 'content-type': 'application/json' },
    body: '{}'
  })
})

t.test('a place that the client names', async t => {
  const { regional } = await run(blockOf('regional')) as { regional: (options?: object) => Provider }
  const headers = { authorization: 'Bearer key', 'x-acme-region': 'eu' }
  t.match(await requestOf(regional(), 'retrieve', 'job-1', { headers }), {
    origin: 'https://eu.acme.example',
    path: '/v1/eu/jobs/job-1'
  })
  const call = async (options: object, own: object = headers) => {
    const forward = lib.forwardToProviders({ providers: { regional: regional(options) } })
    const app = await buildWithoutPauses(t, { defaultProvider: 'regional', forward })
    return (await cancel(app, { id: 'job-1', headers: { ...own } })).json().error
  }
  const param = 'x-acme-region'
  t.match(await call({}, { authorization: 'Bearer key' }), { code: 'invalid_header', param })
  t.match(await call({}, { ...headers, [param]: 'evil.example/' }), { code: 'invalid_header', param })
  t.match(await call({ region: 'us' }), { code: 'provider_mismatch', param })
  t.match(await call({ apiKey: 'key' }), { code: 'invalid_header', param })
  t.throws(() => regional({ region: 'EU' }), { message: 'regional({ region }) must be a region such as eu.' })
})

t.test('reading bodies in your own way', async t => {
  const { counting } = await run(blockOf('counting')) as { counting: ProviderFactory }
  t.match(batchIn(counting(), { run: '1', left: 3, stopped: true }, '1'), { id: '1', status: 'cancelled' })
  t.match(batchIn(counting(), { run: '1', left: 0 }, '1'), { status: 'completed' })
  t.equal(batchIn(counting(), null, '1', 'cancel'), null)
  t.equal(batchIn(counting(), { error: 'x' }, '1'), undefined)
})

t.test('testing it', async t => {
  const { seen } = await run(blockOf('seen'))
  t.match(seen, {
    requests: ['POST /v1/jobs/job-1:cancel'],
    status: 200,
    batch: { id: 'job-1', status: 'cancelling', provider_batch: { status: 'STOPPING' } }
  })
})
