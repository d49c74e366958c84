import type { OutgoingHttpHeaders } from 'node:http'
import Fastify from 'fastify'
import { isBatch, type Batch } from '../../schemas/batch.js'
import { fastifyBatchCancel } from '../plugin.js'
import type { Contract } from './setup.js'
import { batchOf, watch, type Act } from './recorder.js'

/** What a client got for one cancel, and what the hook did for it. */
export interface Seen {
  readonly id: string
  readonly status: number
  /** The `code` of an error. */
  readonly code: string | undefined
  /** The batch, or the one beside an error. */
  readonly batch: unknown
  readonly headers: OutgoingHttpHeaders
  readonly acts: readonly Act[]
}

/** What the hook's `retrieve` answered. */
export interface Read {
  /** `undefined` where that was no batch. */
  readonly batch: Batch | undefined
  readonly acts: readonly Act[]
}

/** A Fastify with the plugin and the hook, for one case. */
export interface Stage {
  readonly contract: Contract
  /** Cancels a batch through the route. */
  cancel (id: string): Promise<Seen>
  /** Reads a batch by the hook's `retrieve`, where it has one. */
  read (id: string): Promise<Read>
}

/** Under this prefix the hook's `retrieve` stands in the place of a `cancel`, so that the plugin gives it a call, a time and a signal. */
const READ = '/read'

export async function onStage<T> (contract: Contract, play: (stage: Stage) => Promise<T>): Promise<T> {
  const app = Fastify({ routerOptions: { maxParamLength: 512 } })
  const { forwarder, defaultProvider, timeout } = contract
  const { watched, acts } = watch(forwarder)
  const { retrieve, providers } = watched
  const common = { timeout, maxWait: 0, ...defaultProvider !== undefined && { defaultProvider } }
  app.register(fastifyBatchCancel, { ...common, forward: watched })
  if (retrieve !== undefined) {
    app.register(fastifyBatchCancel, { ...common, forward: { cancel: retrieve, ...providers !== undefined && { providers } }, prefix: READ })
  }

  const ask = async (id: string, prefix = '') => {
    const first = acts.length
    const response = await app.inject({
      method: 'POST',
      url: `${prefix}/v1/batches/${encodeURIComponent(id)}/cancel`,
      // A client that repeats calls by itself gets one cancel a call, so that each case sees what one is answered.
      headers: { 'x-stainless-retry-count': '0', ...contract.headers }
    })
    return { response, acts: acts.slice(first).filter(({ call }) => call.batchId === id) }
  }

  async function cancel (id: string): Promise<Seen> {
    const { response: { statusCode: status, headers, body }, acts } = await ask(id)
    const told = JSON.parse(body) as { error?: { code?: string | null }, batch?: unknown }
    return { id, status, code: told.error?.code ?? undefined, batch: status === 200 ? told : told.batch, headers, acts }
  }

  async function read (id: string): Promise<Read> {
    const { acts } = await ask(id, READ)
    const outcome = acts[0]?.outcome
    const batch = outcome?.kind === 'answered' ? batchOf(outcome.value) : undefined
    return { batch: isBatch(batch) ? batch : undefined, acts }
  }

  try {
    return await play({ contract, cancel, read })
  } finally {
    await app.close()
  }
}
