import { importPeer } from './import-peer.js'

/** Keys of AWS, as its own SDK has them. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

/** What is signed: a request without a body. */
export interface Unsigned {
  readonly method: string
  readonly origin: string
  /** Percent-encoded once; the signature encodes it a second time, as AWS does. */
  readonly path: string
  /** Signed as well, with names in lower case. @default {} */
  readonly headers?: Readonly<Record<string, string>>
}

/** Which service and region a signature is for. */
export interface SigningScope {
  readonly service: string
  readonly region: string
}

/** Returns the headers that prove that the owner of the keys made the request, and those that were signed with it. */
export type Sign = (request: Unsigned, keys: AwsKeys, scope: SigningScope) => Promise<Record<string, string>>

/** Signs as AWS's own signer does, at a given time; with the host among the headers. */
export type Signer = (
  request: Unsigned,
  keys: AwsKeys,
  scope: SigningScope,
  date: Date
) => Promise<Record<string, string>>

export interface SignerOptions {
  /** Loads the signer. @default AWS's own, from the optional peers */
  readonly load?: () => Promise<Signer>
  /** Unix time in milliseconds. @default Date.now */
  readonly now?: () => number
}

/** The optional peer dependencies that sign. */
export const SIGNER_PEERS = ['@smithy/signature-v4', '@smithy/hash-node'] as const

/** Signature Version 4 by AWS's own signer. Throws `internal_error` if it is not installed. */
export function createSigner ({ load = loadSigner, now = Date.now }: SignerOptions = {}): Sign {
  const signer = importPeer(SIGNER_PEERS, load)
  return async (request, keys, scope) => {
    const sign = await signer()
    const { host, ...headers } = await sign(request, keys, scope, new Date(now()))
    // The HTTP client sets the host itself, from the same origin.
    return headers
  }
}

async function loadSigner (): Promise<Signer> {
  const [{ SignatureV4 }, { Hash }] = await Promise.all([
    import('@smithy/signature-v4').catch(rethrow),
    import('@smithy/hash-node').catch(rethrow)
  ])
  const sha256 = Hash.bind(null, 'sha256')

  return async ({ method, origin, path, headers = {} }, keys, { service, region }, date) => {
    const { accessKeyId, secretAccessKey, sessionToken } = keys
    const { protocol, hostname, host } = new URL(origin)
    const credentials = { accessKeyId, secretAccessKey, ...sessionToken !== undefined && { sessionToken } }
    const signer = new SignatureV4({ service, region, credentials, sha256 })
    // Without a content type and a body: what is not there cannot differ from what was signed.
    const signed = await signer.sign(
      { method, protocol, hostname, path, headers: { ...headers, host } },
      { signingDate: date }
    )
    return signed.headers
  }
}

/** With a `catch` at the very import, esbuild leaves a package that is not installed out of a bundle. */
const rethrow = Promise.reject.bind(Promise)
