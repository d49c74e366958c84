import { createHash, createPrivateKey } from 'node:crypto'
import { parseErrorBody } from '../forwarder/error-body.js'
import { isObject } from '../is-object.js'
import { BatchCancelError, internalError, ProviderError, notSent } from '../errors.js'
import { isToken } from './provider.js'

/** What is used of the key file of a service account; nothing else of it is looked at. */
export interface ServiceAccount {
  readonly client_email: string
  readonly private_key: string
}

/** An access token, and the unix time in milliseconds when it ends. */
export interface Token {
  readonly access_token?: string | null | undefined
  readonly expiry_date?: number | null | undefined
}

/** Exchanges the signature of a service account for a token, at Google's own token endpoint. */
export type Authorize = (account: ServiceAccount) => Promise<Token>

export interface TokensOptions {
  /** Finds what asks for tokens. Default: `JWT` of the optional peer `google-auth-library`. */
  readonly load?: () => Promise<Authorize>
  /** Unix time in milliseconds. */
  readonly now?: () => number
}

/** A token is asked for anew this long before it ends, in milliseconds. */
const EARLY = 5 * 60_000

/** How many service accounts are remembered; the one that was not used for longest is forgotten first. */
const MOST = 1000

/**
 * Access tokens of service accounts, remembered by a hash of the whole credential until shortly before they end; calls
 * at the same time share one request for a token.
 *
 * Throws `internal_error` where google-auth-library is not installed, `missing_credentials` for a private key that
 * cannot sign, a `ProviderError` where Google gives no token, and what says that nobody answered.
 */
export function createTokens ({ load = loadJwt, now = Date.now }: TokensOptions = {}) {
  const remembered = new Map<string, { token: Promise<string>, until: number }>()
  let loaded: Promise<Authorize> | undefined

  async function authorizer (): Promise<Authorize> {
    try {
      return await (loaded ??= load())
    } catch (error) {
      throw internalError('Install google-auth-library to use service accounts of Google.', error)
    }
  }

  function ask (hash: string, account: ServiceAccount) {
    const entry = { token: fetchToken(), until: Infinity }

    async function fetchToken (): Promise<string> {
      try {
        const authorize = await authorizer()
        checkKey(account)
        const { access_token: token, expiry_date: ends } = await authorize(account).catch(error => { throw refusalOf(error) })
        if (typeof token !== 'string' || !isToken(token)) throw notSent(new Error('Google answered without an access token.'))
        entry.until = Number(ends ?? 0) - EARLY
        return token
      } catch (error) {
        remembered.delete(hash)
        throw error
      }
    }

    return entry
  }

  return async function accessToken (account: ServiceAccount): Promise<string> {
    const hash = createHash('sha256').update(JSON.stringify([account.client_email, account.private_key])).digest('base64')
    const known = remembered.get(hash)
    const entry = known !== undefined && known.until > now() ? known : ask(hash, account)
    remembered.delete(hash)
    remembered.set(hash, entry)
    if (remembered.size > MOST) remembered.delete(remembered.keys().next().value as string)
    return entry.token
  }
}

function checkKey ({ private_key: key }: ServiceAccount): void {
  if (isRsaKey(key)) return
  throw new BatchCancelError('missing_credentials', 'The private_key of the service account is no RSA key in PEM form.', { param: 'authorization' })
}

function isRsaKey (pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa'
  } catch {
    return false
  }
}

/** What Google's refusal of a token is to the client: its credential was refused, whatever status that had. */
function refusalOf (error: unknown): BatchCancelError | ProviderError {
  const { status, response } = error as { status?: number, response?: { data?: unknown } }
  // No token, so no request: nothing was sent to the provider.
  if (status === undefined) return notSent(error)
  const data = response?.data
  const details = parseErrorBody(data) ?? { message: `Google's token endpoint answered ${status}.` }
  const kind = isObject(data) && typeof data['error'] === 'string' ? data['error'] : null
  // A token endpoint that fails has sent nothing to the provider, either.
  if (status >= 500) return notSent(error)
  const passed = status === 429
  return new ProviderError(passed ? status : 401, { ...details, message: `No access token for the service account: ${details.message}`, code: kind }, undefined, error)
}

const SCOPES = ['https://www.googleapis.com/auth/cloud-platform']

/** How long the token endpoint may take, in milliseconds. */
const PATIENCE = 10_000

/**
 * `JWT` asks https://oauth2.googleapis.com/token, which is written into google-auth-library: no value of a key file
 * chooses where the signature goes. (`GoogleAuth` would follow `external_account`, which reads files and URLs.)
 */
async function loadJwt (): Promise<Authorize> {
  const { JWT } = await import('google-auth-library')
  return ({ client_email: email, private_key: key }) => new JWT({
    email,
    key,
    scopes: SCOPES,
    // Neither logs of the environment's choice nor its proxies: the library's own client would heed both.
    useAuthRequestParameters: false,
    transporterOptions: {
      fetchImplementation: (...request: Parameters<typeof fetch>) => fetch(...request),
      redirect: 'error',
      timeout: PATIENCE,
      retryConfig: { retry: 0 }
    }
  }).authorize()
}
