import { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { Agent } from 'undici'
import { invalidResponse } from '../errors.js'
import type { UpstreamRequest } from './provider.js'

export interface UpstreamAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Sends one request and reads its whole answer, unless it is over before. Throws undici's network errors, and `upstream_invalid_response` for an answer nobody would send. */
export type Upstream = (origin: string, request: UpstreamRequest, whenOver: (listener: () => void) => void) => Promise<UpstreamAnswer>

/** A batch is a few kilobytes; anything like this is no batch. */
const LARGEST_ANSWER = 1024 * 1024

/** The one HTTP client: pools of kept-alive connections, no time limit but that of the call, no redirect followed, no cookie kept, no proxy taken from the environment. */
export function createUpstream (): Upstream {
  const agent = new Agent({ maxResponseSize: LARGEST_ANSWER, headersTimeout: 0, bodyTimeout: 0 })

  return async (origin, { method, path, headers, body = null }, whenOver) => {
    // undici takes an emitter for a signal, at a fifth of an AbortSignal's cost.
    const signal = new EventEmitter()
    whenOver(() => signal.emit('abort'))
    try {
      const response = await agent.request({
        origin,
        path,
        method,
        headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'fastify-batch-cancel', ...headers },
        body,
        signal
      })
      const text = await response.body.text()
      if (encoded(response.headers)) throw invalidResponse(`The answer came encoded as ${response.headers['content-encoding']}.`)
      return { status: response.statusCode, headers: response.headers, text }
    } catch (error) {
      throw tooLarge(error) ? invalidResponse('The answer was larger than 1 MiB.', error) : error
    }
  }
}

const encoded = ({ 'content-encoding': encoding = '' }: IncomingHttpHeaders) => !/^(identity)?$/i.test(encoding)

const tooLarge = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE'
