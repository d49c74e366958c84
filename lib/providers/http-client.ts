import type { IncomingHttpHeaders } from 'node:http'
import { Agent, errors, type Dispatcher } from 'undici'
import { invalidResponse } from '../errors.js'
import type { UpstreamRequest } from './provider.js'

export interface UpstreamAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** What every request says of itself, unless its provider says otherwise. */
export const OWN_HEADERS = { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'fastify-batch-cancel' }

/** Calls the listener when the call is over, unless what it returns is called before. */
type WhenOver = (listener: () => void) => () => void

/** Sends one request and reads its whole answer, unless it is over before. Throws undici's network errors, and `upstream_invalid_response` for an answer nobody would send. */
export interface Upstream {
  (origin: string, request: UpstreamRequest, whenOver: WhenOver): Promise<UpstreamAnswer>
  /** Closes idle connections once requests in progress are done; it may be used again. */
  close (): Promise<void>
}

/** A batch is a few kilobytes; anything like this is no batch. */
const LARGEST_ANSWER = 1024 * 1024

/** Longer than the pause between two reads of a batch that is waited for, so that these need no connection of their own; in milliseconds. */
const IDLE = 20_000

/** The one HTTP client: pools of kept-alive connections, no time limit but that of the call, no redirect followed, no cookie kept, no proxy taken from the environment. */
export function createUpstream ({ dispatcher }: { readonly dispatcher?: Dispatcher | undefined } = {}): Upstream {
  const newAgent = () => new Agent({ maxResponseSize: LARGEST_ANSWER, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: IDLE })
  let agent = newAgent()

  const send = (origin: string, { method, path, headers, body }: UpstreamRequest, whenOver: WhenOver) => new Promise<UpstreamAnswer>((resolve, reject) => {
    const through = dispatcher ?? agent
    through.dispatch({ origin, path, method, headers, body: body ?? null }, new AnswerReader(whenOver, resolve, reject))
  })

  async function close (): Promise<void> {
    const closing = agent
    agent = newAgent()
    await closing.close()
  }

  return Object.assign(send, { close })
}

/** Collects an answer as it comes: a stream of undici's for each, and a signal, would cost more than all else that is done for a call. */
class AnswerReader implements Dispatcher.DispatchHandler {
  readonly #whenOver: WhenOver
  readonly #resolve: (answer: UpstreamAnswer) => void
  readonly #reject: (error: unknown) => void
  readonly #parts: Buffer[] = []
  #status = 0
  #headers: IncomingHttpHeaders = {}
  #settled = () => {}

  constructor (whenOver: WhenOver, resolve: (answer: UpstreamAnswer) => void, reject: (error: unknown) => void) {
    this.#whenOver = whenOver
    this.#resolve = resolve
    this.#reject = reject
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    // undici may start a request anew.
    this.#settled()
    this.#settled = this.#whenOver(() => controller.abort(new errors.RequestAbortedError()))
  }

  /** Informational answers come first. */
  onResponseStart (_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    this.#status = status
    this.#headers = headers
  }

  onResponseData (_controller: Dispatcher.DispatchController, part: Buffer): void {
    this.#parts.push(part)
  }

  onResponseEnd (): void {
    this.#settled()
    const encoding = this.#headers['content-encoding']
    if (isEncoded(encoding)) this.#reject(invalidResponse(`The answer came encoded as ${encoding}.`))
    else this.#resolve({ status: this.#status, headers: this.#headers, text: decode(this.#parts) })
  }

  onResponseError (_controller: Dispatcher.DispatchController, error: Error): void {
    this.#settled()
    this.#reject(tooLarge(error) ? invalidResponse('The answer was larger than 1 MiB.', { cause: error }) : error)
  }
}

/** Some servers begin with a byte order mark, which is no JSON. */
const decode = (parts: Buffer[]) => (parts.length === 1 ? parts[0] as Buffer : Buffer.concat(parts)).toString().replace(/^\ufeff/, '')

const isEncoded = (encoding: string | undefined) => encoding !== undefined && !/^(identity)?$/i.test(encoding)

const tooLarge = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE'
