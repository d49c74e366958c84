import { channel } from 'node:diagnostics_channel'

/** What became of one call. It contains no secret. */
export interface CallReport {
  /** `undefined` if the call named no provider that is served. */
  readonly provider: string | undefined
  /** The status of the batch after a 200, else the `code` of the error. */
  readonly outcome: string | null
  /** The status of the response. */
  readonly status: number
  /** How many cancel requests were sent to the provider. */
  readonly attempts: number
  /** How often the batch was read to resolve the outcome. */
  readonly reads: number
  /** Milliseconds from the request to the response. */
  readonly duration: number
}

/** The name of the diagnostics channel on which every call is published. */
export const CALL_CHANNEL = 'fastify-batch-cancel:call'

const calls = channel(CALL_CHANNEL)

export function publishCall (report: CallReport): void {
  if (calls.hasSubscribers) calls.publish(report)
}
