import { internalError } from '../errors.js'

/** Access keys as AWS's own SDK takes and finds them. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

/** A request without a body, to be signed. */
export interface Unsigned {
  readonly method: 'GET' | 'POST'
  readonly origin: string
  /** Encoded once; the signature encodes it a second time, as AWS does. */
  readonly path: string
}

/** Returns the headers that sign a request with the keys. */
export type Sign = (request: Unsigned, keys: AwsKeys, region: string) => Promise<Record<string, string>>

/** Signs as AWS's own signer does, at a given time; the headers include the host. */
export type Signer = (request: Unsigned, keys: AwsKeys, region: string, at: Date) => Promise<Record<string, string>>

export interface SignerOptions {
  /** Loads AWS's signer. @default from the optional peers `@smithy/signature-v4` and `@smithy/hash-node` */
  readonly load?: () => Promise<Signer>
  /** Unix time in milliseconds. @default Date.now */
  readonly now?: () => number
}

const SERVICE = 'bedrock'

/**
 * Returns a function that signs with AWS Signature Version 4, by AWS's own signer, which is loaded with the first
 * request that needs it.
 *
 * @throws BatchCancelError `internal_error` if the optional peers are not installed; the next request tries again
 */
export function createSigner ({ load = loadSigner, now = Date.now }: SignerOptions = {}): Sign {
  let loaded: Promise<Signer> | undefined

  async function signer (): Promise<Signer> {
    try {
      return await (loaded ??= load())
    } catch (error) {
      loaded = undefined
      throw internalError(
        'Requests to Bedrock need two optional packages: npm install @smithy/signature-v4 @smithy/hash-node.',
        error
      )
    }
  }

  return async (request, keys, region) => {
    const sign = await signer()
    const { host, ...headers } = await sign(request, keys, region, new Date(now()))
    // The HTTP client sets the host itself, from the same origin.
    return headers
  }
}

async function loadSigner (): Promise<Signer> {
  const [{ SignatureV4 }, { Hash }] = await Promise.all([import('@smithy/signature-v4'), import('@smithy/hash-node')])
  const sha256 = Hash.bind(null, 'sha256')

  return async ({ method, origin, path }, { accessKeyId, secretAccessKey, sessionToken }, region, at) => {
    const { protocol, hostname, host } = new URL(origin)
    const credentials = { accessKeyId, secretAccessKey, ...sessionToken !== undefined && { sessionToken } }
    const signer = new SignatureV4({ service: SERVICE, region, credentials, sha256 })
    // Without a content type or a body: what is not sent cannot differ from what was signed.
    const { headers } = await signer.sign({ method, protocol, hostname, path, headers: { host } }, { signingDate: at })
    return headers
  }
}
