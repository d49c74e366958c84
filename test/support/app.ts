import Fastify, { type FastifyInstance, type FastifyServerOptions, type InjectOptions } from 'fastify'
import type { Test } from 'tap'
import { kClock, systemClock, type Clock } from '../../lib/cancel/clock.js'
import batchCancel, { type Batch, type FastifyBatchCancelOptions } from '../../lib/index.js'

export const BATCH: Batch = {
  id: 'batch_1',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  input_file_id: 'file-1',
  completion_window: '24h',
  status: 'cancelling',
  created_at: 1_713_894_800
}

export const batch = (fields: Partial<Batch>): Batch => ({ ...BATCH, ...fields })

/** Options with a clock that skips the pauses between attempts; timeouts stay real. */
export function noPauses (options: FastifyBatchCancelOptions): FastifyBatchCancelOptions {
  const setPause: Clock['setPause'] = (_ms, callback) => systemClock.setTimer(0, callback)
  return withClock({ ...systemClock, setPause }, options)
}

/** Options with a clock of the test. */
export function withClock (clock: Clock, options: FastifyBatchCancelOptions): FastifyBatchCancelOptions {
  const hidden: FastifyBatchCancelOptions & { [kClock]: Clock } = { ...options, [kClock]: clock }
  return hidden
}

/** An app with the plugin and nothing else. */
export async function build (
  t: Test,
  options: FastifyBatchCancelOptions,
  server: FastifyServerOptions = {}
): Promise<FastifyInstance> {
  const app = Fastify({ forceCloseConnections: true, ...server })
  t.teardown(() => app.close())
  await app.register(batchCancel, options)
  return app
}

/** The same without the pauses between attempts. */
export const buildWithoutPauses: typeof build = (t, options, server) => build(t, noPauses(options), server)

export const cancel = (app: FastifyInstance, {
  id = 'batch_1',
  prefix = '',
  ...request
}: { id?: string, prefix?: string } & InjectOptions = {}) =>
  app.inject({ method: 'POST', url: `${prefix}/v1/batches/${encodeURIComponent(id)}/cancel`, ...request })
