import type { IncomingHttpHeaders } from 'node:http'
import { headerOf } from '../headers.js'
import type { ProviderOptions, Resolvable, SendRequest, UnsignedRequest } from './provider.js'

/** How a provider is given its credential. `C` is the kind of credential, `O` the options of the factory. */
export interface Auth<C, O = ProviderOptions, P = unknown> {
  /** The upstream headers that `toHeaders` sets: no client adds them. */
  readonly sets: readonly string[]
  /** The credential among the client's headers; `undefined` if the provider can use none of them. */
  readonly fromClient: (headers: Readonly<IncomingHttpHeaders>) => C | undefined
  /** The credential among the server's options. @default the option `apiKey` */
  readonly fromServer?: (options: O) => Resolvable<C> | undefined
  /**
   * The upstream headers that carry a credential, for a request that is complete but for them. `send` is for what has to
   * be exchanged for another credential first.
   */
  readonly toHeaders: (
    credential: C,
    request: UnsignedRequest<P>,
    send: SendRequest
  ) => Record<string, string> | Promise<Record<string, string>>
}

const BEARER = /^(?:bearer +)?(?!bearer$)([\x21-\x7e]+)$/i

/** The token of an `Authorization` header, with or without `Bearer` before it; nothing of another scheme. */
export const bearerToken = ({ authorization }: Readonly<IncomingHttpHeaders>): string | undefined =>
  authorization === undefined ? undefined : BEARER.exec(authorization.trim())?.[1]

/** The credential goes out as `Authorization: Bearer …`; the client sends it in `Authorization`. */
export const bearer = (): Auth<string> => ({
  sets: ['authorization'],
  fromClient: bearerToken,
  toHeaders: token => ({ authorization: `Bearer ${token}` })
})

/**
 * The credential goes out in a header of its own; the client sends it there or in `Authorization`.
 *
 * @example headerKey('x-goog-api-key')
 */
export const headerKey = (name: string): Auth<string> => ({
  sets: [name, 'authorization'],
  fromClient: headers => headerOf(headers, name) ?? bearerToken(headers),
  toHeaders: key => ({ [name]: key })
})
