import type { Dispatcher } from 'undici'
import { BOOLEAN, checkOptions, invalidOption, optionName, withValue, type Rule, type Rules } from '../check-options.js'
import { isProviderName } from '../forwarder/check-call.js'
import { isObject } from '../is-object.js'
import { isForwardable } from './forwarded-headers.js'
import { parseBase } from './hosts.js'
import type { Provider, UnsupportedProvider } from './provider.js'

export interface ForwardOptions {
  /** The providers that are served, by the name in `x-portkey-provider`. @default builtIn */
  readonly providers?: Readonly<Record<string, Provider | UnsupportedProvider>>
  /**
   * The hosts that `x-portkey-custom-host` may name: `host`, `host:port` or an origin. They are reached by https, and
   * by http only if the entry says `http://`.
   *
   * @default []
   */
  readonly trustedHosts?: readonly string[]
  /**
   * The client headers that `x-portkey-forward-headers` may name.
   *
   * @default none beside a server credential; beside the client's own any that is safe to send on
   */
  readonly forwardHeaders?: readonly string[]
  /**
   * Whether the client's credential is passed on if the server has none for a provider. Set it to false if your app's
   * `Authorization` is not meant for providers.
   *
   * @default true
   */
  readonly clientCredentials?: boolean
  /**
   * Sends the requests, for an egress proxy, client certificates or a CA of your own.
   *
   * @default a pool of connections that uses no proxy from the environment
   */
  readonly dispatcher?: Dispatcher
}

const isProvider = (value: unknown) => isObject(value) &&
  (typeof value['read'] === 'function' || typeof value['unsupported'] === 'string')

const isServable = (value: unknown) => isObject(value) && !(value instanceof Map) && Object.keys(value).length > 0

/** The origin of an entry of `trustedHosts`; `undefined` if it is not one host. */
export function originOf (host: unknown): string | undefined {
  if (typeof host !== 'string' || host.includes('*')) return undefined
  const base = parseBase(/^https?:\/\//.test(host) ? host : `https://${host}`)
  return base?.path === '' ? base.origin : undefined
}

const ARRAY: Rule = { test: Array.isArray, expected: 'an array' }

const FORWARD_RULES: Rules = {
  providers: withValue({ test: isServable, expected: 'an object of providers by name, with at least one' }),
  trustedHosts: withValue(ARRAY),
  forwardHeaders: withValue(ARRAY),
  clientCredentials: withValue(BOOLEAN),
  dispatcher: withValue({
    test: value => typeof (value as Partial<Dispatcher> | null)?.dispatch === 'function',
    expected: 'a Dispatcher of undici'
  })
}

const HOST: Rule = {
  test: value => originOf(value) !== undefined,
  expected: 'a host such as \'llm.example.com:8443\' or an origin such as \'http://10.0.0.5:8000\', without wildcards'
}

const HEADER: Rule = {
  test: isForwardable,
  expected: 'the name of a header such as \'x-tenant\', but not one of the connection, the message, a proxy, ' +
    'a trace, a credential or a provider'
}

const PATH = 'forwardToProviders()'

/** @throws FST_BATCH_CANCEL_INVALID_OPTION */
export function checkForwardOptions (options: ForwardOptions): void {
  checkOptions(PATH, options, FORWARD_RULES)
  for (const [name, provider] of Object.entries(options.providers ?? {})) checkProvider(name, provider)
  checkEntries('trustedHosts', options.trustedHosts, HOST)
  checkEntries('forwardHeaders', options.forwardHeaders, HEADER)
}

function checkEntries (name: string, entries: readonly unknown[] = [], { test, expected }: Rule): void {
  const invalid = entries.findIndex(entry => !test(entry))
  if (invalid === -1) return
  const entry = withoutSecrets(String(entries[invalid]))
  throw invalidOption(`${optionName(PATH, name)} has an invalid entry '${entry}': expected ${expected}.`)
}

/** The userinfo of a URL, its query, and what follows the name of a header may be secrets. */
const withoutSecrets = (entry: string) =>
  entry.replace(/\/\/[^/]*@/, '//***@').replace(/(?<=\?).*$|(?<!^https?): .*$/, '***')

function checkProvider (name: string, provider: unknown): void {
  const path = `${optionName(PATH, 'providers')}['${name}']`
  if (!isProviderName(name)) throw invalidOption(`${path} must have a name of 1 to 128 visible ASCII characters.`)
  if (typeof provider === 'function') throw invalidOption(`${path} is a factory: call it, as in openai().`)
  if (!isProvider(provider)) throw invalidOption(`${path} must be a provider, such as openai() returns.`)
}
