import { internalError } from '../errors.js'

/** Keys of AWS, such as its own SDK takes and finds them. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

/** What is signed: a request without a body. */
export interface Unsigned {
  readonly method: 'GET' | 'POST'
  readonly origin: string
  /** Encoded once; the signature encodes it a second time, as AWS does. */
  readonly path: string
}

/** The headers that make a request one of the owner of the keys. */
export type Sign = (request: Unsigned, keys: AwsKeys, region: string) => Promise<Record<string, string>>

/** Signs as AWS's own signer does, at a given time; with the host among the headers. */
export type Signer = (request: Unsigned, keys: AwsKeys, region: string, at: Date) => Promise<Record<string, string>>

export interface SignerOptions {
  /** Finds AWS's signer. Default: the optional peers `@smithy/signature-v4` and `@smithy/hash-node`. */
  readonly load?: () => Promise<Signer>
  /** Unix time in milliseconds. */
  readonly now?: () => number
}

const SERVICE = 'bedrock'

/**
 * Signature Version 4 by AWS's own signer, which is loaded with the first request that needs it. Throws
 * `internal_error` where it is not installed.
 */
export function createSigner ({ load = loadSigner, now = Date.now }: SignerOptions = {}): Sign {
  let loaded: Promise<Signer> | undefined

  async function signer (): Promise<Signer> {
    try {
      return await (loaded ??= load())
    } catch (error) {
      throw internalError('Install @smithy/signature-v4 and @smithy/hash-node to sign requests to Bedrock.', error)
    }
  }

  return async (request, keys, region) => {
    const sign = await signer()
    const { host, ...headers } = await sign(request, keys, region, new Date(now()))
    // The HTTP client sets the host by itself, from the same origin.
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
    // Without a content type and a body: what is not there cannot differ from what was signed.
    const { headers } = await signer.sign({ method, protocol, hostname, path, headers: { host } }, { signingDate: at })
    return headers
  }
}
