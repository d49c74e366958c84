import { internalError } from '../errors.js'
import type { Base } from './provider.js'

/** Where an API starts, by its URL; `undefined` if the URL has a part that a base URL must not have. */
export function parseBase (url: string): Base | undefined {
  const parsed = /[?#@\\]/.test(url) ? undefined : parseUrl(url)
  if (parsed?.protocol !== 'https:' && parsed?.protocol !== 'http:') return undefined
  return { origin: parsed.origin, path: withoutEndingSlashes(parsed.pathname) }
}

function parseUrl (url: string): URL | undefined {
  try {
    return new URL(url)
  } catch {
    return undefined
  }
}

/** A loop, since a regular expression takes quadratic time for many slashes elsewhere in the path. */
function withoutEndingSlashes (path: string): string {
  let end = path.length
  while (path[end - 1] === '/') end--
  return path.slice(0, end)
}

/** One label of a host name; `xn--` would be another name in disguise. */
const LABEL = '(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'

/**
 * Tests whether an origin is https on one of the domains, on the default port. `*` stands for letters, digits and
 * hyphens within one label.
 *
 * @example originTest(['*.openai.azure.com'])('https://my-resource.openai.azure.com') // true
 */
export function originTest (domains: readonly string[]): (origin: string) => boolean {
  const hosts = domains.map(domain => domain.split('.').map(labelPattern).join('\\.'))
  const pattern = new RegExp(`^https://(?:${hosts.join('|')})$`)
  return origin => pattern.test(origin)
}

const labelPattern = (label: string) => label === '*' ? LABEL : label.replaceAll('*', '[a-z0-9-]{1,61}')

/** Segments that no parser of URLs changes: none begins with a dot, encoded or not. */
const PLAIN_PATH = /^(?:\/(?!\.|%2e)[\w.~!$&'()*+,;=:@%-]*)+(?:\?[\w.~!$&()*+,;=:@%/?-]+)?$/i

/**
 * Checks that a request goes to the origin of its base and to the path as it is written, right before it is sent.
 *
 * @throws BatchCancelError `internal_error`, since every part was checked before
 */
export function checkUrl ({ origin }: Base, path: string): void {
  // Parsing takes as long as many other steps of a call together, so that it is left to the paths that may need it.
  if (PLAIN_PATH.test(path) || isKept(origin, path)) return
  throw internalError(`A provider made a URL that leads elsewhere: ${JSON.stringify(origin + path)}.`)
}

function isKept (origin: string, path: string): boolean {
  const url = parseUrl(origin + path)
  return url?.origin === origin && url.pathname + url.search === path
}
