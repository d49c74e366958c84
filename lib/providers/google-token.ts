import { createHash, createPrivateKey, sign, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { BatchCancelError, notSent, ProviderError } from '../errors.js'
import { parseErrorBody } from '../forwarder/error-body.js'
import { isObject } from '../is-object.js'
import {
  MAX_CACHED_TOKENS, MAX_PRIVATE_KEY_CHARACTERS, MAX_RSA_BITS, MAX_TOKEN_EXCHANGES, MIN_RSA_BITS,
  TOKEN_EXPIRY_MARGIN_MS, TOKEN_TIMEOUT_MS
} from '../limits.js'
import { createMask } from '../mask.js'
import { isToken, type SendRequest, type SentResponse } from './provider.js'

/** What is used of the key file of a service account; everything else in it is ignored. */
export interface ServiceAccount {
  readonly client_email: string
  readonly private_key: string
}

/** An access token as Google returns it, and the seconds for which it is valid. */
export interface Token {
  readonly access_token?: unknown
  readonly expires_in?: unknown
}

/** Exchanges the signature of a service account for an access token. */
export type ExchangeToken = (account: ServiceAccount, send: SendRequest) => Promise<Token>

export interface TokensOptions {
  /** Exchanges a signature for a token. @default at Google's token endpoint */
  readonly exchange?: ExchangeToken
  /** Monotonic time in milliseconds: a token lasts as long, whatever the wall clock is set to. @default performance.now */
  readonly now?: () => number
}

interface CachedToken {
  readonly token: Promise<string>
  /** Monotonic time in milliseconds until which the token is used. */
  until: number
}

/**
 * Returns a function that returns the access token of a service account. Tokens are cached by a hash of the whole
 * credential until shortly before they expire; calls at the same time share one exchange.
 *
 * @throws BatchCancelError `missing_credentials` for a private key that is not an RSA key of 2048 to 4096 bits
 * @throws BatchCancelError `upstream_busy` if too many exchanges are in progress
 * @throws BatchCancelError `upstream_unreachable` if Google's token endpoint failed: nothing was sent to the provider
 * @throws ProviderError if Google refused the service account
 */
export function createTokens ({ now = () => performance.now(), exchange = exchangeAtGoogle }: TokensOptions = {}) {
  const cache = new Map<string, CachedToken>()
  let exchanges = 0

  function request (hash: string, account: ServiceAccount, send: SendRequest): CachedToken {
    if (exchanges >= MAX_TOKEN_EXCHANGES) throw tooManyExchanges()
    exchanges++
    const entry: CachedToken = { token: requestToken().finally(() => { exchanges-- }), until: Infinity }

    async function requestToken (): Promise<string> {
      try {
        const { access_token: token, expires_in: seconds = 0 } = await exchange(account, send)
        if (!isToken(token)) throw notSent(new Error('Google\'s token endpoint returned no access token.'))
        entry.until = now() + Number(seconds) * 1000 - TOKEN_EXPIRY_MARGIN_MS
        return token
      } catch (error) {
        cache.delete(hash)
        throw error
      }
    }

    return entry
  }

  return async function accessToken (account: ServiceAccount, send: SendRequest): Promise<string> {
    const hash = hashOf(account)
    const cached = cache.get(hash)
    const entry = cached !== undefined && cached.until > now() ? cached : request(hash, account, send)
    // The one that was used last is at the end.
    cache.delete(hash)
    cache.set(hash, entry)
    if (cache.size > MAX_CACHED_TOKENS) cache.delete(cache.keys().next().value as string)
    return await entry.token
  }
}

const hashOf = ({ client_email: email, private_key: key }: ServiceAccount) =>
  createHash('sha256').update(JSON.stringify([email, key])).digest('base64')

const tooManyExchanges = () => new BatchCancelError(
  'upstream_busy',
  'Too many access tokens are being requested. Nothing was sent; try again later.',
  { outcome: 'retryable', headers: { 'retry-after': '1' } }
)

/* The exchange: RFC 7523, as google-auth-library 10.9.1 does it (`JWT`), which signs on the event loop. */

/**
 * The only host that gets a signature: no value of a key file chooses another one, such as `token_uri` or the
 * `external_account` of other key files, which would have files and URLs read.
 */
const TOKEN_ORIGIN = 'https://oauth2.googleapis.com'
const TOKEN_PATH = '/token'
const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const LIFETIME_SECONDS = 3600

const exchangeAtGoogle: ExchangeToken = async (account, send) => {
  const key = parsePrivateKey(account)
  const issuedAt = Math.floor(Date.now() / 1000)
  const assertion = await signAssertion(key, {
    iss: account.client_email,
    scope: SCOPE,
    aud: TOKEN_ORIGIN + TOKEN_PATH,
    exp: issuedAt + LIFETIME_SECONDS,
    iat: issuedAt
  })
  const { status, text } = await post(send, assertion)
  const body = parseJson(text)
  if (status !== 200) throw refusalOf(status, body, assertion)
  if (!isObject(body)) throw notSent(new Error('Google\'s token endpoint returned no JSON object.'))
  return body
}

const PEM = /^\s*-----BEGIN (RSA )?PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END \1PRIVATE KEY-----\s*$/

/**
 * The first bytes of an RSA key in PKCS #1 (RFC 8017), perhaps within PKCS #8 (RFC 5958), up to the length of its
 * modulus. From 2048 to 4096 bits every length takes two bytes, so that only these are fixed places.
 */
const RSA_KEY = /^3082.{4}020100(?:300d06092a864886f70d01010105000482.{4}3082.{4}020100)?0282(.{4})/

const MIN_MODULUS_BYTES = MIN_RSA_BITS / 8 + 1
const MAX_MODULUS_BYTES = MAX_RSA_BITS / 8 + 1

/** Looks at length and kind before OpenSSL does: parsing a large key, or one of DSA, takes seconds. */
function parsePrivateKey ({ private_key: pem }: ServiceAccount): KeyObject {
  const match = pem.length <= MAX_PRIVATE_KEY_CHARACTERS ? PEM.exec(pem) : null
  if (match === null) throw invalidKey()
  const [, pkcs1, base64 = ''] = match
  const der = Buffer.from(base64, 'base64')
  const modulusBytes = parseInt(RSA_KEY.exec(der.toString('hex', 0, 64))?.[1] ?? '', 16)
  if (!(modulusBytes >= MIN_MODULUS_BYTES && modulusBytes <= MAX_MODULUS_BYTES)) throw invalidKey()
  try {
    return createPrivateKey({ key: der, format: 'der', type: pkcs1 === undefined ? 'pkcs8' : 'pkcs1' })
  } catch {
    throw invalidKey()
  }
}

const invalidKey = () => new BatchCancelError(
  'missing_credentials',
  `The private_key of the service account must be an RSA key of ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits in PEM form.`,
  { param: 'authorization' }
)

const signAsync = promisify<string, Buffer, KeyObject, Buffer>(sign)

let lastSignature: Promise<unknown> = Promise.resolve()

/** Off the event loop, and one at a time: a key that is made to be slow must not keep all threads of Node busy. */
async function signAssertion (key: KeyObject, claims: object): Promise<string> {
  const content = [{ alg: 'RS256' }, claims].map(toBase64Url).join('.')
  const signing = lastSignature.then(() => signAsync('RSA-SHA256', Buffer.from(content), key))
  lastSignature = signing.catch(() => {})
  const signature = await signing.catch(() => { throw invalidKey() })
  return `${content}.${signature.toString('base64url')}`
}

const toBase64Url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** Throws nothing that contains the assertion, with which anybody gets a token. */
async function post (send: SendRequest, assertion: string): Promise<SentResponse> {
  try {
    return await send(TOKEN_ORIGIN, {
      method: 'POST',
      path: TOKEN_PATH,
      headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' },
      body: new URLSearchParams({ grant_type: GRANT_TYPE, assertion }).toString()
    })
  } catch (error) {
    if (error instanceof BatchCancelError && error.code === 'upstream_busy') throw error
    const reason = assertionMask(assertion)(reasonOf(error as Error))
    throw notSent(new Error(`Google's token endpoint did not return a token: ${reason}`))
  }
}

const assertionMask = (assertion: string) => createMask([assertion, ...assertion.split('.')])

function reasonOf ({ name, message, cause }: Error): string {
  if (name === 'AbortError') return `no response within ${TOKEN_TIMEOUT_MS} milliseconds`
  return cause instanceof Error ? cause.message : message
}

function parseJson (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A 4xx means to the client that its credential was refused, whatever its status. It may repeat the assertion. */
function refusalOf (status: number, body: unknown, assertion: string): BatchCancelError | ProviderError {
  const returned = `Google's token endpoint returned ${status}.`
  if (status < 400 || status >= 500) return notSent(new Error(returned))
  const reason = parseErrorBody(body)?.message ?? returned
  const code = isObject(body) && typeof body['error'] === 'string' ? body['error'] : null
  const mask = assertionMask(assertion)
  return new ProviderError(status === 429 ? status : 401, {
    message: `No access token for the service account: ${mask(reason)}`,
    code: code === null ? null : mask(code)
  })
}
