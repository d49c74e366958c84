import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { BatchCancelError, invalidResponse } from '../errors.js'
import {
  MAX_INFORMATIONAL_RESPONSES, MAX_RESPONSE_BYTES, MAX_RESPONSE_CHUNKS, MAX_RESPONSE_HEADERS
} from '../limits.js'
import type { TracedRequest } from './trace-context.js'

export interface UpstreamResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Registers a listener for the end of the call. Returns a function that unregisters it. */
export type OnCallEnd = (listener: () => void) => () => void

/** What sends the request of a reader. */
export interface Carrier {
  /** The request is about to be written. */
  started? (): void
  /** A part of the response has come: informational, headers, or a piece of the body. */
  progressed? (): void
  /** Nothing more is to come; `reusable` if the whole response was read. */
  done (reusable: boolean): void
  /** Whether this is the first request on its connection; `undefined` if that is not known. */
  isFresh? (): boolean
}

/**
 * One request and its response, read piece by piece within the limits: a stream and a signal of its own for each would
 * cost more than everything else that is done for a call.
 */
export class ResponseReader implements Dispatcher.DispatchHandler {
  readonly request: TracedRequest
  carrier: Carrier | undefined
  readonly #resolve: (response: UpstreamResponse) => void
  readonly #reject: (error: unknown) => void
  #unregister = () => {}
  #controller: Dispatcher.DispatchController | undefined
  #settled = false
  #status = 0
  #headers: IncomingHttpHeaders = {}
  #informational = 0
  #chunks = 0
  #bytes = 0
  #body: Buffer = NO_BYTES

  constructor (
    request: TracedRequest,
    onCallEnd: OnCallEnd,
    resolve: (response: UpstreamResponse) => void,
    reject: (error: unknown) => void
  ) {
    this.request = request
    this.#resolve = resolve
    this.#reject = reject
    this.#unregister = onCallEnd(() => this.abort(new DOMException('The call is over', 'AbortError')))
  }

  get settled (): boolean {
    return this.#settled
  }

  /** Ends the request with an error, and closes its connection. */
  abort (error: Error): void {
    if (this.#settled) return
    this.#controller?.abort(error)
    // undici reports the abort of a request that it has begun, and of no other.
    if (!this.#settled) this.#fail(error)
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#settled) controller.abort(new Error('The call is over'))
    else this.carrier?.started?.()
  }

  /** Informational responses come first. */
  onResponseStart (_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 && ++this.#informational > MAX_INFORMATIONAL_RESPONSES) {
      return this.abort(tooMuch(`more than ${MAX_INFORMATIONAL_RESPONSES} informational responses`))
    }
    this.carrier?.progressed?.()
    if (Object.keys(headers).length > MAX_RESPONSE_HEADERS) {
      return this.abort(tooMuch(`more than ${MAX_RESPONSE_HEADERS} headers`))
    }
    this.#status = status
    this.#headers = headers
  }

  onResponseData (_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.carrier?.progressed?.()
    const bytes = this.#bytes + chunk.length
    if (bytes > MAX_RESPONSE_BYTES) return this.abort(tooMuch(`a body of more than ${MAX_RESPONSE_BYTES} bytes`))
    if (++this.#chunks > MAX_RESPONSE_CHUNKS) {
      return this.abort(tooMuch(`a body of more than ${MAX_RESPONSE_CHUNKS} chunks`))
    }
    this.#body = this.#chunks === 1 ? chunk : append(this.#body, this.#bytes, chunk)
    this.#bytes = bytes
  }

  onResponseEnd (): void {
    if (this.#settled) return
    const encoding = this.#headers['content-encoding']
    this.#settle(true)
    if (isEncoded(encoding)) {
      return this.#reject(invalidResponse(`The response has the content-encoding '${shown(encoding)}'.`, {
        repeatable: false
      }))
    }
    this.#resolve({ status: this.#status, headers: this.#headers, text: decode(this.#body, this.#bytes) })
  }

  onResponseError (_controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.#settled) this.#fail(toCallError(error, this.carrier?.isFresh?.() === true))
  }

  #fail (error: unknown): void {
    this.#settle(false)
    this.#reject(error)
  }

  #settle (reusable: boolean): void {
    this.#settled = true
    this.#unregister()
    this.carrier?.done(reusable)
  }
}

const NO_BYTES = Buffer.alloc(0)

/** A small buffer to begin with, for bodies that come byte by byte. */
const MIN_BUFFER_BYTES = 1024

/**
 * Copies a chunk to the end of the body, in a larger buffer if it does not fit: a body in tiny chunks would otherwise
 * take hundreds of times its size. The first chunk is undici's own buffer and full, so that it is never written to.
 */
function append (body: Buffer, length: number, chunk: Buffer): Buffer {
  const needed = length + chunk.length
  const fits = needed <= body.length
  const target = fits ? body : Buffer.allocUnsafe(Math.max(2 * needed, MIN_BUFFER_BYTES))
  if (!fits) body.copy(target, 0, 0, length)
  chunk.copy(target, length)
  return target
}

/** Some servers begin with a byte order mark, which is not JSON. */
const decode = (body: Buffer, length: number) => body.toString('utf8', 0, length).replace(/^\ufeff/, '')

const isEncoded = (encoding: string | undefined): encoding is string =>
  encoding !== undefined && !/^(identity)?$/i.test(encoding)

/** A header may repeat a credential, and this one reaches the log. */
const shown = (encoding: string) => /^(?:gzip|x-gzip|br|zstd|deflate|compress)$/i.test(encoding) ? encoding : 'unknown'

/** A response that exceeds a limit, which the same request would get again. */
export const tooMuch = (what: string) => invalidResponse(`The response has ${what}.`, { repeatable: false })

/** Errors of undici that mean more than a failed connection. */
function toCallError (error: Error & { readonly code?: unknown }, isFresh: boolean): Error {
  if (error instanceof BatchCancelError) return error
  if (error.code === 'UND_ERR_HEADERS_OVERFLOW') return tooMuch('more bytes of headers than the dispatcher allows')
  if (error.name !== 'HTTPParserError') return error
  // undici's own error has the bytes of the response, which may repeat a credential.
  const cause = Object.assign(new Error(error.message), { name: error.name })
  // A reused connection may be out of step because of the response before; a response that breaks off is not malformed.
  const repeatable = !isFresh || error.message.includes('EOF')
  return repeatable ? cause : invalidResponse('The response is not valid HTTP.', { repeatable, cause })
}
