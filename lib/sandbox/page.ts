import { invalidParam } from './errors.js'

/** Query parameters as they arrive, unchecked. */
export type Query = Readonly<Record<string, unknown>>

/** How many items a page has. */
export interface PageSize {
  readonly default: number
  readonly max: number
}

/** Returns a page of a list, in OpenAI's shape. */
export function page<T extends { readonly id: string }> (items: readonly T[], { after, limit }: Query, size: PageSize) {
  const count = limit === undefined ? size.default : Number(limit)
  if (!Number.isInteger(count) || count < 1 || count > size.max) {
    throw invalidParam('limit', `Invalid value for 'limit': expected a whole number from 1 to ${size.max}.`)
  }
  const start = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1
  if (after !== undefined && start === 0) throw invalidParam('after', `Nothing found with id '${after}'.`)

  const data = items.slice(start, start + count)
  const hasMore = start + count < items.length
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: hasMore }
}
