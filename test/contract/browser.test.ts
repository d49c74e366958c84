import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { document, operation, PATH, RETRIEVE_PATH, retrieveDocument, retrieveOperation } from '../support/document.js'
import { ROOT } from '../support/root.js'
import { startGateway } from './target.js'

/* Swagger UI in a real browser: Debian's chromium. UPDATE_SCREENSHOTS=1 overwrites the screenshots of the docs. */

const { CHROMIUM = '/usr/bin/chromium', UPDATE_SCREENSHOTS } = process.env

/** Lets it start as root, and keeps it from making requests of its own. */
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'
]

const WIDTH = 1100

/** The port of the README's examples, so that screenshots show it. */
const README_PORT = 8787

type Json = Record<string, any>

const CANCEL = '#operations-Batch-cancelBatch'
const RETRIEVE = '#operations-Batch-retrieveBatch'
const LIVE_RESPONSE = '.live-responses-table .response'

const parameter = (page: Page, name: string, block = CANCEL) => page.locator(`${block} tr[data-param-name="${name}"]`)

/** Executes the operation with the values on the page; returns what the page shows. */
async function execute (page: Page, block = CANCEL): Promise<{ status: string, body: Json }> {
  const received = page.waitForResponse(response => response.url().includes('/v1/batches/'))
  await page.click(`${block} button.execute`)
  const body = await (await received).json() as Json
  const shown = page.locator(`${block} ${LIVE_RESPONSE} .highlight-code pre`).first()
  await shown.filter({ hasText: body['error']?.code ?? body['id'] }).waitFor()
  return {
    status: await page.innerText(`${block} ${LIVE_RESPONSE} .response-col_status`),
    body: JSON.parse(await shown.innerText()) as Json
  }
}

/** Takes a screenshot that starts at one element, and ends at another. */
async function screenshot (page: Page, name: string, from: string, { below }: { below: string }) {
  if (UPDATE_SCREENSHOTS === undefined) return
  const scrolled = await page.evaluate('document.activeElement?.blur(), scrollY') as number
  const edge = (selector: string, side: 'top' | 'bottom') =>
    page.$eval(selector, (element, side) => element.getBoundingClientRect()[side], side)
  const y = await edge(from, 'top') + scrolled - 20
  const height = await edge(below, 'bottom') + scrolled - y
  await page.screenshot({ path: fileURLToPath(new URL(`docs/${name}`, ROOT)), fullPage: true, clip: { x: 0, y, width: WIDTH, height } })
}

/** Opens the page; collects its errors, and requests to other servers. */
async function openPage (t: Test, url: string, errors: string[]): Promise<Page> {
  if (!existsSync(CHROMIUM)) {
    throw new Error(`${CHROMIUM} does not exist. Install chromium, or set CHROMIUM to its path.`)
  }
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
  t.teardown(() => browser.close())
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 900 } })
  page.on('pageerror', error => errors.push(error.message))
  page.on('console', message => { if (message.type() === 'error') errors.push(message.text()) })
  page.on('request', request => {
    if (!request.url().startsWith(url) && !request.url().startsWith('data:')) errors.push(`request to ${request.url()}`)
  })
  await page.goto(`${url}/docs`)
  return page
}

/** The values of all text inputs of an operation that are not empty. */
const filledInputs = (page: Page, block = CANCEL) => page.$$eval(`${block} .parameters input[type=text]`, inputs =>
  inputs.map(input => (input as unknown as { value: string }).value).filter(value => value !== ''))

async function testPage (t: Test, page: Page) {
  const operations = Object.values((retrieveDocument ?? document).paths).flatMap(item => Object.keys(item))
  t.equal(await page.locator('.opblock').count(), operations.length, 'every operation is shown')
  const path = await page.innerText(`${CANCEL} .opblock-summary-path`)
  t.equal(path.replaceAll('\u200b', ''), PATH, 'the cancel')
  await page.click(`${CANCEL} .opblock-summary-control`)
  await page.waitForSelector(`${CANCEL} button.execute`, { state: 'detached' })
  await page.click(`${CANCEL} .opblock-summary-control`)
  await page.waitForSelector(`${CANCEL} button.execute`)
  t.pass('it can be collapsed and expanded')

  t.equal(await parameter(page, 'id').locator('input').inputValue(), 'batch_abc123', 'the id is filled in')
  const provider = await parameter(page, 'x-portkey-provider').locator('select').inputValue()
  t.equal(provider, 'sandbox', 'the provider is filled in')
  await testHeaders(t, page)
  t.strictSame(await filledInputs(page), ['batch_abc123'], 'no other parameter has a value')
  const responses = await page.locator(`${CANCEL} tr.response[data-code]`).count()
  t.equal(responses, Object.keys(operation.responses).length, 'every documented response is shown')
}

const parameterNames = (page: Page) => page.$$eval(`${CANCEL} .parameters tr[data-param-name]`, rows =>
  rows.map(row => (row as unknown as { dataset: { paramName: string } }).dataset.paramName))

const COMMON = ['id', 'x-portkey-provider', 'prefer']

/** The headers of the chosen provider are shown, the others when asked. */
async function testHeaders (t: Test, page: Page) {
  const provider = parameter(page, 'x-portkey-provider').locator('select')
  t.strictSame(await parameterNames(page), COMMON, 'few parameters are shown')
  await provider.selectOption('google')
  t.strictSame(await parameterNames(page), [...COMMON, 'x-goog-api-key'], 'and those of the chosen provider')
  await provider.selectOption('sandbox')

  const toggle = page.locator(`${CANCEL} button.all-headers`)
  await toggle.click()
  const names = await parameterNames(page)
  t.strictSame(operation.parameters.map(({ name }) => name).filter(name => !names.includes(name)), [], 'and all')
  await toggle.click()
  t.strictSame(await parameterNames(page), COMMON, 'and few again')
}

/** From the top of the operation to the button that executes it, without scrolling. */
async function testSize (t: Test, page: Page) {
  for (const size of [{ width: 1280, height: 900 }, { width: 390, height: 844 }]) {
    await page.setViewportSize(size)
    const side = (selector: string, side: 'top' | 'bottom') =>
      page.$eval(selector, (element, side) => element.getBoundingClientRect()[side], side)
    const height = await side(`${CANCEL} button.execute`, 'bottom') - await side(CANCEL, 'top')
    t.ok(height <= size.height, `${height} pixels at ${size.width} by ${size.height}`)
  }
  await page.setViewportSize({ width: WIDTH, height: 900 })
}

async function testRetrieve (t: Test, page: Page) {
  const path = await page.innerText(`${RETRIEVE} .opblock-summary-path`)
  t.equal(path.replaceAll('\u200b', ''), RETRIEVE_PATH, 'the retrieval')
  t.strictSame(await filledInputs(page, RETRIEVE), ['batch_abc123'], 'only the id has a value')
  const expected = { status: /^200/, body: { id: 'batch_abc123', status: 'in_progress' } }
  t.match(await execute(page, RETRIEVE), expected, 'executing it returns the batch')
}

async function testCancel (t: Test, page: Page) {
  const { cancelling } = operation.responses[200]?.content['application/json'].examples as Json
  const expected = { status: '200', body: cancelling.value as Json }
  t.strictSame(await execute(page), expected, 'executing the cancel returns the documented batch')
  t.match(await page.innerText(`${CANCEL} ${LIVE_RESPONSE}`), /x-batch-source: provider/, 'with its headers')
  await screenshot(page, 'swagger-ui-answer.png', `${CANCEL} .btn-group`, { below: `${CANCEL} .live-responses-table` })

  await parameter(page, 'id').locator('input').fill('batch_completed')
  t.match(await execute(page), {
    status: /^409/,
    body: { error: { code: 'batch_not_cancellable' }, batch: { id: 'batch_completed', status: 'completed' } }
  }, 'a batch that has ended: 409')

  await parameter(page, 'id').locator('input').fill('')
  await page.click(`${CANCEL} button.execute`)
  await page.waitForSelector(`${CANCEL} tr[data-param-name="id"] input.invalid`)
  t.pass('without an id, the page itself reports an error')
}

t.test('the docs page of npm start', async t => {
  const { url } = await startGateway(t, UPDATE_SCREENSHOTS === undefined ? 0 : README_PORT)
  const errors: string[] = []
  const page = await openPage(t, url, errors)
  await page.waitForSelector(`${CANCEL} button.execute`)

  await testPage(t, page)
  await testSize(t, page)
  t.notOk(await page.locator('.try-out').first().isVisible(), 'no other button is named Cancel')
  await screenshot(page, 'swagger-ui.png', '.information-container', { below: `${CANCEL} button.execute` })
  if (retrieveOperation !== undefined) await testRetrieve(t, page)
  await testCancel(t, page)

  // Chromium itself logs every response with a status of 400 or more.
  const unexpected = errors.filter(error => !/^Failed to load resource: .* 409 /.test(error))
  t.strictSame(unexpected, [], 'no errors, and no requests to other servers')
})
