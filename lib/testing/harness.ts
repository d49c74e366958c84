import type { OutgoingHttpHeaders } from 'node:http'
import Fastify from 'fastify'
import { isBatch, type Batch } from '../../schemas/batch.js'
import { isSameId } from '../batch/batch-id.js'
import type { BatchForwarder } from '../forwarder/types.js'
import { fastifyBatchCancel } from '../plugin.js'
import { batchOf, recordForwarder, type ForwarderCall, type ForwarderMethod } from './recorder.js'
import type { Contract } from './setup.js'

/** The response to one cancel, and what the forwarder did for it. */
export interface CancelResult {
  readonly status: number
  /** The `code` of an error. */
  readonly code: string | undefined
  /** The batch, also if it was returned beside an error. */
  readonly batch: unknown
  readonly headers: OutgoingHttpHeaders
  readonly calls: readonly ForwarderCall[]
}

/** What the forwarder's `retrieve` returned. */
export interface ReadResult {
  /** `undefined` if it did not return a valid batch, and that of the call. */
  readonly batch: Batch | undefined
  readonly calls: readonly ForwarderCall[]
}

/** The forwarder behind the plugin, for one case. */
export interface Harness {
  readonly contract: Contract
  /** Cancels a batch as a client does. */
  cancel (id: string): Promise<CancelResult>
  /** Reads a batch with the forwarder's `retrieve`; only if it has one. */
  read (id: string): Promise<ReadResult>
}

interface TransportResponse {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly body: string
}

/** How a call reaches the forwarder. */
interface Transport {
  send (method: ForwarderMethod, id: string): Promise<TransportResponse>
  close (): Promise<void>
}

/** Runs `check` with a harness of its own. */
export async function withHarness<T> (contract: Contract, check: (harness: Harness) => Promise<T>): Promise<T> {
  const { recorded, calls } = recordForwarder(contract.forwarder)
  const transport = openApp(contract, recorded)

  async function send (method: ForwarderMethod, id: string) {
    const first = calls.length
    const response = await transport.send(method, id)
    return { ...response, calls: calls.slice(first).filter(({ call }) => call.batchId === id) }
  }

  async function cancel (id: string): Promise<CancelResult> {
    const { status, headers, body, calls } = await send('cancel', id)
    const json = JSON.parse(body) as { error?: { code?: string | null }, batch?: unknown }
    const code = json.error?.code ?? undefined
    return { status, code, batch: status === 200 ? json : json.batch, headers, calls }
  }

  async function read (id: string): Promise<ReadResult> {
    const { calls } = await send('retrieve', id)
    const outcome = calls[0]?.outcome
    const batch = outcome?.kind === 'returned' ? batchOf(outcome.value) : undefined
    return { batch: isBatch(batch) && isSameId(batch.id, id) ? batch : undefined, calls }
  }

  try {
    return await check({ contract, cancel, read })
  } finally {
    await transport.close()
  }
}

/** The route under this prefix uses `retrieve` as its `cancel`: so it, too, gets a call, a time limit and a signal. */
const READ_PREFIX = '/read'

/** Says that the client retries by itself, so that the plugin makes one attempt per call. Reads are not affected. */
const ONE_ATTEMPT = { 'x-stainless-retry-count': '0' }

/** Sends calls over HTTP, but without a socket, to a Fastify with the plugin. */
function openApp ({ defaultProvider, headers, timeout }: Contract, forwarder: BatchForwarder): Transport {
  const app = Fastify({ routerOptions: { maxParamLength: 512 } })
  const options = { timeout, maxWait: 0, ...defaultProvider !== undefined && { defaultProvider } }
  const { retrieve, providers } = forwarder
  app.register(fastifyBatchCancel, { ...options, forward: forwarder })
  if (retrieve !== undefined) {
    const forward = { cancel: retrieve, ...providers !== undefined && { providers } }
    app.register(fastifyBatchCancel, { ...options, forward, prefix: READ_PREFIX })
  }

  return {
    async send (method, id) {
      const prefix = method === 'retrieve' ? READ_PREFIX : ''
      const { statusCode, headers: received, body } = await app.inject({
        method: 'POST',
        url: `${prefix}/v1/batches/${encodeURIComponent(id)}/cancel`,
        headers: { ...ONE_ATTEMPT, ...headers }
      })
      return { status: statusCode, headers: received, body }
    },
    close: async () => await app.close()
  }
}
