import { builtIn, providerFactories, type ForwardOptions } from 'fastify-batch-cancel'

type Providers = NonNullable<ForwardOptions['providers']>

/** What a configuration file says. */
export interface GatewayConfig {
  /** Exactly the providers to serve, besides the sandbox; `undefined` serves every built-in one. */
  readonly providers?: Providers
  readonly trustedHosts: readonly string[]
  readonly defaultProvider?: string
  /** The providers that use a key of the server. */
  readonly keyed: readonly string[]
}

export interface ConfigContext {
  /** The file's name, for messages. */
  readonly file: string
  /** Where `apiKeyFrom` finds its variables. */
  readonly env: NodeJS.ProcessEnv
  /** Whether the provider `sandbox` is served. */
  readonly sandbox: boolean
}

/**
 * Reads the text of a configuration file.
 *
 * Keys never stand in the file: `apiKeyFrom` names the environment variable that has one. A provider without it is
 * called with the client's credential. `type` is the provider whose API is spoken; it defaults to the provider's name.
 *
 * @example
 * ```json
 * {
 *   "providers": {
 *     "openai": { "apiKeyFrom": "OPENAI_API_KEY" },
 *     "my-server": { "type": "openai", "baseUrl": "http://127.0.0.1:8000/v1" }
 *   },
 *   "trustedHosts": ["llm.example.com"],
 *   "defaultProvider": "openai"
 * }
 * ```
 * @throws Error with one sentence for the first thing that is not valid. It never repeats what may be a key.
 */
export function parseConfig (text: string, context: ConfigContext): GatewayConfig {
  const fail: Fail = (problem) => { throw new Error(`Invalid configuration ${context.file}: ${problem}`) }
  const config = parseObject(text, fail)
  checkKeys('the configuration', config, ['providers', 'trustedHosts', 'defaultProvider'], fail)
  const { providers, trustedHosts = [], defaultProvider } = config
  const entries = providers === undefined ? [] : readProviders(providers, context, fail)
  const named = Object.fromEntries(entries.map(({ name, provider }) => [name, provider]))
  const served = providers === undefined ? builtIn : named
  const names = [...Object.keys(served), ...context.sandbox ? ['sandbox'] : []]
  return {
    ...providers !== undefined && { providers: served },
    trustedHosts: readTrustedHosts(trustedHosts, fail),
    ...defaultProvider !== undefined && { defaultProvider: readDefault(defaultProvider, names, fail) },
    keyed: entries.filter(({ hasKey }) => hasKey).map(({ name }) => name)
  }
}

type Fail = (problem: string) => never
type JsonObject = Readonly<Record<string, unknown>>

interface Entry {
  readonly name: string
  readonly provider: Providers[string]
  readonly hasKey: boolean
}

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

function parseObject (text: string, fail: Fail): JsonObject {
  const value = parseJson(text, fail)
  return isObject(value) ? value : fail('expected a JSON object with providers, trustedHosts or defaultProvider.')
}

function parseJson (text: string, fail: Fail): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // The parser's own message quotes the text.
    return fail('it is not valid JSON. Look for missing quotes and commas, or a comma after the last item.')
  }
}

function checkKeys (what: string, object: JsonObject, valid: readonly string[], fail: Fail): void {
  const unknown = Object.keys(object).find(key => !valid.includes(key))
  if (unknown !== undefined) fail(`unknown key '${unknown}' in ${what}. Valid keys: ${valid.join(', ')}.`)
}

function readProviders (providers: unknown, context: ConfigContext, fail: Fail): Entry[] {
  if (!isObject(providers)) return fail('"providers" must be an object with one entry per provider.')
  const entries = Object.entries(providers)
  if (entries.length === 0) fail('"providers" is empty. Name at least one, or leave it out to serve all built-in ones.')
  return entries.map(([name, options]) => readProvider(name, options, context, fail))
}

/** What `x-portkey-provider` can carry, and a response can repeat. */
const NAME = /^[\x21-\x7e]{1,128}$/

function readProvider (name: string, options: unknown, { env, sandbox }: ConfigContext, fail: Fail): Entry {
  const what = `provider '${name}'`
  if (!NAME.test(name)) fail(`${what} needs another name: 1 to 128 visible ASCII characters.`)
  if (sandbox && name === 'sandbox') fail(`${what} is the embedded sandbox. Choose another name, or set SANDBOX=off.`)
  if (!isObject(options)) return fail(`${what} must be an object, which may be empty.`)
  checkKeys(what, options, ['type', 'baseUrl', 'apiKeyFrom'], fail)
  const failHere: Fail = (problem) => fail(`${what}: ${problem}`)
  const apiKey = readKey(options['apiKeyFrom'], env, failHere)
  const provider = createProvider(readType(options['type'] ?? name, failHere), {
    ...readBaseUrl(options['baseUrl'], failHere),
    ...apiKey
  }, failHere)
  return { name, provider, hasKey: apiKey.apiKey !== undefined }
}

type ProviderType = keyof typeof providerFactories

function readType (type: unknown, fail: Fail): ProviderType {
  const isType = typeof type === 'string' && Object.hasOwn(providerFactories, type)
  if (isType) return type as ProviderType
  return fail(`"type" must be one of ${Object.keys(providerFactories).join(', ')}.`)
}

function readBaseUrl (baseUrl: unknown, fail: Fail): { readonly baseUrl?: string } {
  if (baseUrl === undefined) return {}
  return isText(baseUrl) ? { baseUrl } : fail('"baseUrl" must be an http or https URL.')
}

/** Upper case only, so that most keys that were written in place of a name are refused without repeating them. */
const VARIABLE = /^[A-Z_][A-Z0-9_]{0,127}$/

/** The key in the variable that `apiKeyFrom` names; without a name, no key. */
function readKey (variable: unknown, env: NodeJS.ProcessEnv, fail: Fail): { readonly apiKey?: string } {
  if (variable === undefined) return {}
  if (typeof variable !== 'string' || !VARIABLE.test(variable)) {
    return fail('"apiKeyFrom" must be the name of an environment variable in upper case, and not the key itself.')
  }
  const apiKey = env[variable]
  if (apiKey === undefined) return fail(`the environment variable ${variable} is not set. Set it to the key.`)
  if (apiKey === '') return fail(`the environment variable ${variable} is empty. Set it to the key.`)
  if (!/^[\x21-\x7e]+$/.test(apiKey)) {
    return fail(`the environment variable ${variable} must be the key alone, without 'Bearer', spaces and line breaks.`)
  }
  return { apiKey }
}

interface CreateOptions {
  readonly baseUrl?: string
  readonly apiKey?: string
}

/** The only use of the provider layer. Its own sentences say which option a type does not take. */
function createProvider (type: ProviderType, options: CreateOptions, fail: Fail): Providers[string] {
  try {
    return providerFactories[type](options)
  } catch (error) {
    return fail((error as Error).message)
  }
}

function readTrustedHosts (hosts: unknown, fail: Fail): readonly string[] {
  const isList = Array.isArray(hosts) && hosts.every(isText)
  return isList ? hosts : fail('"trustedHosts" must be an array of hosts, such as ["llm.example.com"].')
}

function readDefault (name: unknown, names: readonly string[], fail: Fail): string {
  const isServed = typeof name === 'string' && names.includes(name)
  return isServed ? name : fail(`"defaultProvider" must be one of the providers that are served: ${names.join(', ')}.`)
}
