import type { IncomingHttpHeaders } from 'node:http'
import { Agent, errors, type Dispatcher } from 'undici'
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

/** Longer than the pause between two reads of a batch that is waited for, so that these need no connection of their own; in milliseconds. */
const IDLE = 20_000

/** The one HTTP client: pools of kept-alive connections, no time limit but that of the call, no redirect followed, no cookie kept, no proxy taken from the environment. */
export function createUpstream (): Upstream {
  const agent = new Agent({ maxResponseSize: LARGEST_ANSWER, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: IDLE })

  return (origin, { method, path, headers, body = null }, whenOver) => new Promise((resolve, reject) => {
    const request = {
      origin,
      path,
      method,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'fastify-batch-cancel', ...headers },
      body
    }
    agent.dispatch(request, answerReader(whenOver, resolve, reject))
  })
}

/** Collects an answer as it comes: a stream of undici's for each, and a signal, would cost more than all else that is done for a call. */
function answerReader (whenOver: (listener: () => void) => void, resolve: (answer: UpstreamAnswer) => void, reject: (error: unknown) => void): Dispatcher.DispatchHandler {
  const parts: Buffer[] = []
  let status = 0
  let headers: IncomingHttpHeaders = {}

  return {
    onRequestStart (controller) {
      whenOver(() => controller.abort(new errors.RequestAbortedError()))
    },
    // Informational answers come first.
    onResponseStart (_controller, statusCode, told) {
      status = statusCode
      headers = told
    },
    onResponseData (_controller, part) {
      parts.push(part)
    },
    onResponseEnd () {
      if (encoded(headers)) reject(invalidResponse(`The answer came encoded as ${headers['content-encoding']}.`))
      else resolve({ status, headers, text: decode(parts) })
    },
    onResponseError (_controller, error) {
      reject(tooLarge(error) ? invalidResponse('The answer was larger than 1 MiB.', error) : error)
    }
  }
}

/** Some servers begin with a byte order mark, which is no JSON. */
const decode = (parts: Buffer[]) => (parts.length === 1 ? parts[0] as Buffer : Buffer.concat(parts)).toString().replace(/^\ufeff/, '')

const encoded = ({ 'content-encoding': encoding = '' }: IncomingHttpHeaders) => !/^(identity)?$/i.test(encoding)

const tooLarge = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE'
