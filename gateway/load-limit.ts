import underPressure from '@fastify/under-pressure'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { refuse } from './refuse.js'

/**
 * The mean delay of the event loop, in milliseconds, above which new requests are refused.
 *
 * A cancel with three attempts, each of them read, takes some 15 turns of the loop. With a delay of a second per turn
 * that is half of its 30 seconds; above, the gateway could no longer promise an outcome in time. Utilization is no
 * measure of overload here: a gateway that works at full speed is at 100 % with a delay of a few milliseconds.
 */
const MAX_EVENT_LOOP_DELAY_MS = 1000

/** How often the delay is measured, in milliseconds, and so how long a refusal is valid at least. */
const SAMPLE_INTERVAL_MS = 1000

/**
 * Refuses new requests with a 503 while the event loop is saturated. Requests that were accepted are never aborted.
 *
 * `isExempt` names the requests that are always taken: part of the work that was accepted, and the liveness check.
 */
export async function limitLoad (app: FastifyInstance, isExempt: (request: FastifyRequest) => boolean): Promise<void> {
  await app.register(underPressure, {
    maxEventLoopDelay: MAX_EVENT_LOOP_DELAY_MS,
    sampleInterval: SAMPLE_INTERVAL_MS,
    // It only measures: its own refusal has neither our envelope nor an exemption.
    pressureHandler: () => {}
  })
  app.addHook('onRequest', (request, reply, done) => {
    if (!app.isUnderPressure() || isExempt(request)) return done()
    refuse(request, reply, {
      status: 503,
      message: 'The gateway is overloaded. Nothing was sent; try again after the time in retry-after.',
      code: 'gateway_overloaded',
      headers: { 'retry-after': String(SAMPLE_INTERVAL_MS / 1000) }
    })
  })
}
