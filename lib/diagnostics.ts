import { channel } from 'node:diagnostics_channel'

/** What became of one call; no secret is in it. */
export interface CallReport {
  /** `undefined` where the call named none that is served. */
  readonly provider: string | undefined
  /** The status of the batch after a 200, else the `code` of the error. */
  readonly outcome: string | null
  /** The status of the answer. */
  readonly status: number
  /** How many cancels were sent, and how often the batch was read to settle them. */
  readonly cancels: number
  readonly reads: number
  /** Milliseconds from the request to the answer. */
  readonly duration: number
}

/** The name of the channel on which every call is reported. */
export const CALL_CHANNEL = 'fastify-batch-cancel:call'

const calls = channel(CALL_CHANNEL)

export function report (call: CallReport): void {
  if (calls.hasSubscribers) calls.publish(call)
}
