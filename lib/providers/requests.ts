import { internalError } from '../errors.js'
import type { UpstreamRequest } from './provider.js'

/** A request whose path has parts in braces: `{id}`, or the name of a part of the place. */
export interface RequestTemplate {
  readonly method: UpstreamRequest['method']
  /** Path and query below the base URL. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** @example get('/batches/{id}') */
export const get = (path: string): RequestTemplate => ({ method: 'GET', path })

/** @example del('/batches/{id}') */
export const del = (path: string): RequestTemplate => ({ method: 'DELETE', path })

/**
 * @param options `json`: the body, if the provider expects one
 * @example post('/batches/{id}/cancel')
 */
export function post (path: string, { json }: { readonly json?: unknown } = {}): RequestTemplate {
  if (json === undefined) return { method: 'POST', path }
  return { method: 'POST', path, headers: { 'content-type': 'application/json' }, body: JSON.stringify(json) }
}

/** A template with further headers. */
export const withHeaders = (template: RequestTemplate, headers: Readonly<Record<string, string>>): RequestTemplate =>
  ({ ...template, headers: { ...template.headers, ...headers } })

/**
 * Returns a function that fills the parts in braces. Each value becomes one segment of the path, percent-encoded once.
 *
 * @example compilePath('/batches/{id}')({ id: 'a/b' }) // '/batches/a%2Fb'
 */
export function compilePath (path: string): (values: Readonly<Record<string, unknown>>) => string {
  const parts = path.split(/[{}]/)
  return values => {
    let filled = ''
    for (let index = 0; index < parts.length; index++) {
      const part = parts[index] as string
      filled += index % 2 === 0 ? part : segment(path, part, values[part])
    }
    return filled
  }
}

function segment (path: string, name: string, value: unknown): string {
  if (typeof value !== 'string') throw internalError(`A provider has no value for '{${name}}' in ${path}.`)
  return encodeURIComponent(value)
}
