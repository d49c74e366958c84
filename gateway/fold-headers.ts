/** What is used of Swagger UI 5: `parameter` and the lists are of Immutable.js. */
interface Parameter {
  get (name: 'in' | 'name'): string
  get (name: 'x-providers'): { includes (provider: string | undefined): boolean } | undefined
}

type PathMethod = readonly string[]

interface RowProps { readonly rawParam: Parameter, readonly pathMethod: PathMethod }

interface ListProps {
  readonly parameters: { filter (test: (parameter: Parameter) => boolean): { readonly size: number } }
  readonly pathMethod: PathMethod
}

interface System {
  readonly React: { createElement (type: unknown, props: object | null, ...children: unknown[]): unknown }
  readonly layoutSelectors: { isShown (key: readonly string[], byDefault: boolean): boolean }
  readonly layoutActions: { show (key: readonly string[], isShown: boolean): void }
  readonly specSelectors: { parameterValues (pathMethod: PathMethod): { get (name: string): string | undefined } }
}

/**
 * A plugin of Swagger UI. An operation reads some 35 headers, of which a call needs few: the page shows the provider,
 * `prefer` and the headers of the chosen provider, and the others when asked.
 *
 * Its source text runs in the browser, so that it uses nothing from outside of itself.
 */
export function foldHeaders ({ React: { createElement } }: Pick<System, 'React'>) {
  const isShown = (parameter: Parameter, provider: string | undefined) => parameter.get('in') === 'path' ||
    ['x-portkey-provider', 'prefer'].includes(parameter.get('name')) ||
    parameter.get('x-providers')?.includes(provider) === true

  const stateOf = (pathMethod: PathMethod, { layoutSelectors, specSelectors }: System) => ({
    provider: specSelectors.parameterValues(pathMethod).get('header.x-portkey-provider'),
    showsAll: layoutSelectors.isShown(['all-headers', ...pathMethod], false)
  })

  return {
    wrapComponents: {
      parameterRow: (row: unknown, system: System) => (props: RowProps) => {
        const { provider, showsAll } = stateOf(props.pathMethod, system)
        return showsAll || isShown(props.rawParam, provider) ? createElement(row, props) : null
      },
      parameters: (list: unknown, system: System) => (props: ListProps) => {
        const { parameters, pathMethod } = props
        const { provider, showsAll } = stateOf(pathMethod, system)
        const folded = parameters.filter(parameter => !isShown(parameter, provider)).size
        const toggle = createElement('button', {
          className: 'btn all-headers',
          'aria-expanded': showsAll,
          onClick: () => system.layoutActions.show(['all-headers', ...pathMethod], !showsAll)
        }, showsAll ? 'Show fewer headers' : `Show ${folded} more headers`)
        return createElement('div', null, createElement(list, props), toggle)
      }
    }
  }
}
