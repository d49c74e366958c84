import { badParam } from './errors.js'

/** Query parameters as they come, unchecked. */
export type Query = Readonly<Record<string, unknown>>

/** A page of a list, in OpenAI's shape. */
export function page<T extends { readonly id: string }> (items: readonly T[], { after, limit }: Query, { usual, most }: { usual: number, most: number }) {
  const count = limit === undefined ? usual : Number(limit)
  if (!Number.isInteger(count) || count < 1 || count > most) {
    throw badParam('limit', `Invalid value for 'limit': expected a whole number from 1 to ${most}.`)
  }
  const start = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1
  if (after !== undefined && start === 0) throw badParam('after', `Nothing found with id '${after}'.`)

  const data = items.slice(start, start + count)
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: start + count < items.length }
}
