import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { operation, PATH } from '../support/document.js'
import { startGateway } from './place.js'
import { ROOT } from './tools.js'

/* Swagger UI as someone sees it, in Debian's chromium. UPDATE_SCREENSHOTS=1 writes the pictures of the README anew. */

const { CHROMIUM = '/usr/bin/chromium', UPDATE_SCREENSHOTS } = process.env

/** It starts as root, too, and calls nobody. */
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

const WIDTH = 1100

type Json = Record<string, any>

const ANSWER = '.live-responses-table .response'

/** The page with an answer to whatever is filled in. */
async function execute (page: Page): Promise<{ status: string, body: Json }> {
  const answered = page.waitForResponse(response => response.request().method() === 'POST')
  await page.click('button.execute')
  const body = await (await answered).json() as Json
  const shown = page.locator(`${ANSWER} .highlight-code pre`).first()
  await shown.filter({ hasText: body['error']?.code ?? body['id'] }).waitFor()
  return { status: await page.innerText(`${ANSWER} .response-col_status`), body: JSON.parse(await shown.innerText()) as Json }
}

/** A part of the page, from one element to another. */
async function picture (page: Page, name: string, from: string, to: { below: string } | { height: number }): Promise<void> {
  if (UPDATE_SCREENSHOTS === undefined) return
  const scrolled = await page.evaluate('document.activeElement?.blur(), scrollY') as number
  const edge = (selector: string, side: 'top' | 'bottom') => page.$eval(selector, (element, side) => element.getBoundingClientRect()[side], side)
  const y = await edge(from, 'top') + scrolled - 20
  const height = 'height' in to ? to.height : await edge(to.below, 'bottom') + scrolled - y
  await page.screenshot({ path: join(ROOT, 'docs', name), fullPage: true, clip: { x: 0, y, width: WIDTH, height } })
}

async function openPage (t: Test, url: string, errors: string[]): Promise<Page> {
  if (!existsSync(CHROMIUM)) throw new Error(`There is no ${CHROMIUM}: install chromium, or set CHROMIUM to its path.`)
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
  t.teardown(() => browser.close())
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 900 } })
  page.on('pageerror', error => errors.push(error.message))
  page.on('console', message => { if (message.type() === 'error') errors.push(message.text()) })
  page.on('request', request => { if (!request.url().startsWith(url) && !request.url().startsWith('data:')) errors.push(`asked ${request.url()}`) })
  await page.goto(`${url}/docs`)
  return page
}

t.test('the page of npm start', async t => {
  const { url } = await startGateway(t, UPDATE_SCREENSHOTS === undefined ? 0 : 8787)
  const errors: string[] = []
  const page = await openPage(t, url, errors)

  await page.waitForSelector('button.execute')
  t.equal(await page.locator('.opblock').count(), 1, 'one operation')
  t.equal((await page.innerText('.opblock-summary-path')).replaceAll('\u200b', ''), PATH, 'the cancel')
  await page.click('.opblock-summary-control')
  await page.waitForSelector('button.execute', { state: 'detached' })
  await page.click('.opblock-summary-control')
  await page.waitForSelector('button.execute')
  t.pass('it closes and opens')

  const parameter = (name: string) => page.locator(`tr[data-param-name="${name}"]`)
  t.equal(await parameter('id').locator('input').inputValue(), 'batch_abc123', 'the id is filled in')
  t.equal(await parameter('x-portkey-provider').locator('select').inputValue(), 'sandbox', 'so is the provider')
  t.equal(await page.locator('.parameters tr[data-param-name]').count(), operation.parameters.length, 'every parameter is there')
  const filled = await page.$$eval('.parameters input[type=text]', inputs => inputs.map(input => (input as unknown as { value: string }).value).filter(value => value !== ''))
  t.strictSame(filled, ['batch_abc123'], 'and no other has a value')
  await picture(page, 'swagger-ui.png', '.information-container', { height: 806 })

  const documented = (operation.responses[200]?.content['application/json'].examples as Json)['cancelling'].value as Json
  t.strictSame(await execute(page), { status: '200', body: documented }, 'Execute: 200, the documented batch')
  t.match(await page.innerText(ANSWER), /x-batch-source: provider/, 'with its headers')
  await picture(page, 'swagger-ui-answer.png', '.btn-group', { below: '.live-responses-table' })

  await parameter('id').locator('input').fill('batch_completed')
  const ended = await execute(page)
  t.match(ended, { status: /^409/, body: { error: { code: 'batch_not_cancellable' }, batch: { id: 'batch_completed', status: 'completed' } } }, 'a batch that has ended: 409')

  await parameter('id').locator('input').fill('')
  await page.click('button.execute')
  await page.waitForSelector('tr[data-param-name="id"] input.invalid')
  t.pass('no id: the page itself refuses')

  t.equal(await page.locator('.opblock tr.response[data-code]').count(), Object.keys(operation.responses).length, 'every documented answer is shown')
  // Chromium itself says so of each answer over 399.
  t.strictSame(errors.filter(error => !/^Failed to load resource: .* 409 /.test(error)), [], 'no error, and nobody else was asked')
})
