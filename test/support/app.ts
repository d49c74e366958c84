import Fastify, { type FastifyInstance, type FastifyServerOptions, type InjectOptions } from 'fastify'
import type { Test } from 'tap'
import { kClock, systemClock, type Timers } from '../../lib/cancel/clock.js'
import batchCancel, { type Batch, type FastifyBatchCancelOptions } from '../../lib/index.js'

/** A clock that sleeps through no pause. */
export const HURRIED: Timers = { ...systemClock, sleep: async () => {} }

export const BATCH: Batch = {
  id: 'batch_1',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  input_file_id: 'file-1',
  completion_window: '24h',
  status: 'cancelling',
  created_at: 1_713_894_800
}

export const batch = (told: Partial<Batch>): Batch => ({ ...BATCH, ...told })

/** An app with the plugin and nothing else. */
export async function build (t: Test, options: FastifyBatchCancelOptions, server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = Fastify({ forceCloseConnections: true, ...server })
  t.teardown(() => app.close())
  const hurried: FastifyBatchCancelOptions & { [kClock]: Timers } = { [kClock]: HURRIED, ...options }
  await app.register(batchCancel, hurried)
  return app
}

export const cancel = (app: FastifyInstance, { id = 'batch_1', prefix = '', ...request }: { id?: string, prefix?: string } & InjectOptions = {}) =>
  app.inject({ method: 'POST', url: `${prefix}/v1/batches/${encodeURIComponent(id)}/cancel`, ...request })
