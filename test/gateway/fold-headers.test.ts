import { runInNewContext } from 'node:vm'
import t from 'tap'
import { foldHeaders } from '../../gateway/fold-headers.js'
import { retrieveDocument } from '../support/document.js'

/* The plugin of the page without a browser, on the parameters of the document; the browser test shows it in one. */

type System = Parameters<ReturnType<typeof foldHeaders>['wrapComponents']['parameters']>[1]

const PATH_METHOD = ['/v1/batches/{id}/cancel', 'post']

const element = (type: unknown, props: object | null, ...children: unknown[]) => ({ type, props, children })

/** As Swagger UI has it: maps, and a list with a size. */
const parameters = (retrieveDocument?.paths['/v1/batches/{id}/cancel']?.post?.parameters ?? []).map(parameter =>
  new Map<string, unknown>(Object.entries(parameter)) as unknown as { get (name: string): never })
const list = {
  filter: (test: (parameter: (typeof parameters)[number]) => boolean) => ({ size: parameters.filter(test).length })
}

/** The page with a provider, and what it shows. */
function open (provider: string | undefined) {
  const shown = new Map<string, boolean>()
  const system: System = {
    React: { createElement: element },
    layoutSelectors: { isShown: (key, byDefault) => shown.get(key.join()) ?? byDefault },
    layoutActions: { show: (key, isShown) => { shown.set(key.join(), isShown) } },
    specSelectors: { parameterValues: () => new Map(Object.entries({ 'header.x-portkey-provider': provider as string })) }
  }
  const { wrapComponents } = foldHeaders(system)
  const row = wrapComponents.parameterRow('Row', system)
  const whole = wrapComponents.parameters('List', system)
  return {
    names: () => parameters.filter(rawParam => row({ rawParam, pathMethod: PATH_METHOD }) !== null)
      .map(parameter => parameter.get('name') as string),
    toggle: () => (whole({ parameters: list, pathMethod: PATH_METHOD }) as ReturnType<typeof element>)
      .children[1] as { props: { onClick: () => void, 'aria-expanded': boolean }, children: string[] }
  }
}

t.test('only what matters for the chosen provider is shown', async t => {
  const common = ['id', 'x-portkey-provider', 'prefer']
  t.strictSame(open('sandbox').names(), common)
  t.strictSame(open(undefined).names(), common)
  t.strictSame(open('google').names(), [...common, 'x-goog-api-key'])
})

t.test('the other headers are shown when asked, and folded again', async t => {
  const page = open('sandbox')
  t.strictSame(page.toggle().children, [`Show ${parameters.length - 3} more headers`])
  t.equal(page.toggle().props['aria-expanded'], false)
  page.toggle().props.onClick()
  t.equal(page.names().length, parameters.length)
  t.strictSame(page.toggle().children, ['Show fewer headers'])
  t.equal(page.toggle().props['aria-expanded'], true)
  page.toggle().props.onClick()
  t.equal(page.names().length, 3)
})

t.test('the plugin needs nothing from outside of itself, since the page gets its text', async t => {
  const restored = runInNewContext(`(${foldHeaders.toString()})`) as typeof foldHeaders
  const { wrapComponents } = restored({ React: { createElement: element } })
  t.type(wrapComponents.parameters, 'function')
})
