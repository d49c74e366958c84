import type { IncomingHttpHeaders } from 'node:http'
import t from 'tap'
import { watsonx, type WatsonxOptions } from '../../lib/index.js'
import { BATCH_STATUSES } from '../../schemas/batch.js'
import { BEARER, UNREPORTED } from '../fixtures/fixture.js'
import { WATSONX, WATSONX_PROJECT, WATSONX_REGION, WATSONX_SPACE } from '../fixtures/watsonx.js'
import { batchIn, located } from '../support/provider.js'
import { refuseCalls, type RefusedCall } from '../support/refused.js'

t.test('every status', async t => {
  const read = (body: unknown) => batchIn(watsonx(), body, 'b-1')
  const late = { ...WATSONX, created_at: 1772183793309, expires_at: 0, cancelling_at: 1772183799600 }
  t.strictSame(read(late), {
    ...UNREPORTED,
    ...WATSONX,
    id: 'b-1',
    created_at: 1772183793,
    expires_at: null,
    cancelling_at: 1772183800,
    provider_batch: late
  })
  for (const status of BATCH_STATUSES) t.strictSame(read({ ...WATSONX, status }), { ...WATSONX, status })
  const paused = { ...WATSONX, status: 'paused' }
  for (const body of [paused, { ...paused, created_at: 1772183793309 }, {}, [], null, undefined]) {
    t.equal(read(body), undefined)
  }
})

t.test('where a batch is', async t => {
  const project = { 'x-ibm-project-id': 'p-1' }
  const space = { 'x-ibm-space-id': 's-1' }
  const good: Array<[WatsonxOptions, IncomingHttpHeaders, string, object]> = [
    [{}, { [WATSONX_REGION]: 'eu-de', [WATSONX_PROJECT]: 'p-1' }, 'https://eu-de.ml.cloud.ibm.com', project],
    [{}, { [WATSONX_REGION]: 'ap-south-1', [WATSONX_SPACE]: 's-1' }, 'https://ap-south-1.aws.wxai.ibm.com', space],
    [{ region: 'jp-tok' }, { [WATSONX_PROJECT]: 'p-1' }, 'https://jp-tok.ml.cloud.ibm.com', project],
    [{ projectId: 'p-1' }, { [WATSONX_REGION]: 'eu-de' }, 'https://eu-de.ml.cloud.ibm.com', project],
    [{ spaceId: 's-1' }, { [WATSONX_REGION]: 'eu-de' }, 'https://eu-de.ml.cloud.ibm.com', space]
  ]
  for (const [options, headers, origin, owner] of good) {
    const region = new URL(origin).hostname.split('.')[0]
    t.strictSame(
      located(watsonx(options), 'b', headers),
      { base: { origin, path: '' }, place: { region, owner } }
    )
    t.ok(watsonx().ownsOrigin(origin), origin)
  }
  t.strictSame(
    located(watsonx(), 'b', { [WATSONX_PROJECT]: 'p-1' }, true),
    { base: undefined, place: { region: '', owner: project } },
    'another base needs no region'
  )

  const bad: Array<[IncomingHttpHeaders, string]> = [
    [{ [WATSONX_PROJECT]: 'p-1' }, WATSONX_REGION],
    [{ [WATSONX_REGION]: '', [WATSONX_PROJECT]: 'p-1' }, WATSONX_REGION],
    [{ [WATSONX_REGION]: 'eu-de' }, WATSONX_PROJECT],
    [{ [WATSONX_REGION]: 'eu-de', [WATSONX_PROJECT]: '', [WATSONX_SPACE]: '' }, WATSONX_PROJECT],
    [{ [WATSONX_REGION]: 'eu-de', [WATSONX_PROJECT]: 'p-1', [WATSONX_SPACE]: 's-1' }, WATSONX_SPACE]
  ]
  for (const [headers, param] of bad) t.match(located(watsonx(), 'b', headers), { code: 'invalid_header', param })
})

t.test('refused before anything is sent', async t => {
  const call = (header: string, value: string): RefusedCall => ({
    what: `${header}: ${value}`,
    id: 'batch_1',
    headers: { ...BEARER, [WATSONX_REGION]: 'us-south', [WATSONX_PROJECT]: 'b6ca1d58', [header]: value },
    code: 'invalid_header',
    param: header
  })
  const regions = [
    'evil.example/', 'us-south.evil.example', 'us-south:443', 'us-south@evil', 'US-SOUTH', '127.0.0.1', 'us-south\\',
    'us-south?', 'us-south#', '-us', 'us-', 'a', 'us-south-12'
  ]
  const owners = ['a b', 'a/b', 'é', 'x'.repeat(65), 'a\tb']
  await refuseCalls(t, 'watsonx', () => watsonx(), [
    ...regions.map(region => call(WATSONX_REGION, region)),
    ...[WATSONX_PROJECT, WATSONX_SPACE].flatMap(header => owners.map(owner => call(header, owner)))
  ])
})

t.test('options that cannot work', async t => {
  const cases: Array<[object, string]> = [
    [{ region: 'evil.example/' }, 'watsonx({ region }) must be a region such as \'us-south\'.'],
    [{ region: 5 }, 'watsonx({ region }) must be a region such as \'us-south\'.'],
    [{ projectId: 'a b' }, 'watsonx({ projectId }) must be the id of a project.'],
    [{ spaceId: '' }, 'watsonx({ spaceId }) must be the id of a space.'],
    [{ projectId: 'p', spaceId: 's' }, 'watsonx({ projectId, spaceId }) exclude each other.'],
    [{ apiKey: 'k', projectId: 'p' }, 'watsonx({ apiKey }) needs region or baseUrl.'],
    [{ apiKey: 'k', region: 'us-south' }, 'watsonx({ apiKey }) needs projectId or spaceId.']
  ]
  for (const [options, message] of cases) {
    t.throws(() => watsonx(options), { code: 'FST_BATCH_CANCEL_INVALID_OPTION', message })
  }
  t.doesNotThrow(() => watsonx({ apiKey: 'k', baseUrl: 'https://x.example', spaceId: 's' }))
})
