import type { FastifyReply } from 'fastify'
import { isTerminal, notCancellable, type Cancellation } from '../cancel/cancel-batch.js'
import { withTimeout } from '../cancel/clock.js'
import { timedOut } from '../errors.js'
import type { BatchCall } from '../forwarder/types.js'
import { headerOf } from '../headers.js'
import type { Hook } from '../forwarder/check-forwarder.js'
import type { Settings } from '../options.js'
import { withStatus } from '../batch/raw-json.js'
import { createWaits, type Waited } from '../cancel/poller.js'

/** How long the client of a call waits: for the cancel, and where it prefers so for the end of the batch. */
export interface Patience {
  /** The result of the work, or `upstream_timeout` where the client's own limit ends before it; the work goes on. */
  untilLimit (work: Promise<Cancellation>, call: BatchCall): Promise<Cancellation>
  /** The batch when it is terminal, or as it was last seen. Throws `batch_not_cancellable` where it ended otherwise. */
  wait (cancellation: Cancellation, call: BatchCall, start: number, reply: FastifyReply): Promise<Cancellation>
  /** Ends every wait at once, and begins none. */
  end (): void
}

export function createPatience ({ clock, forwarder: { shareKey }, maxWait }: Settings, { retrieve }: Hook): Patience {
  const waits = retrieve === undefined ? undefined : createWaits({ retrieve, keyOf, clock })

  function keyOf (call: BatchCall): string | undefined {
    try {
      const key: unknown = shareKey?.(call)
      if (key === undefined || typeof key === 'string') return key
      // Nobody else hears of a promise that fails.
      if (key instanceof Promise) key.catch(() => {})
      throw new TypeError('shareKey should answer a string.')
    } catch (error) {
      // The cancel was accepted: a bug of the hook must not hide that.
      call.request.log.error({ err: error }, 'shareKey failed')
      return undefined
    }
  }

  function untilLimit (work: Promise<Cancellation>, { headers }: BatchCall): Promise<Cancellation> {
    const limit = clientLimit(headers)
    return limit === undefined ? work : withTimeout(work, limit, clock, timedOut)
  }

  async function wait (cancellation: Cancellation, call: BatchCall, start: number, reply: FastifyReply): Promise<Cancellation> {
    const limit = clientLimit(call.headers) ?? Infinity
    const granted = grantedWait(call, Math.min(maxWait, limit))
    if (waits === undefined || granted === undefined) return cancellation
    reply.header('preference-applied', `wait=${granted}`)
    const left = start + granted * 1000 - clock.now()
    if (isTerminal(cancellation.batch) || left <= 0 || hasLeft(reply)) return cancellation

    const { waited, leave } = waits.join(call, left)
    reply.raw.once('close', leave)
    const result = await waited
    reply.raw.off('close', leave)
    return settle(cancellation, result, reply)
  }

  return { untilLimit, wait, end: () => waits?.close() }
}

/** Whether the client is gone; HTTP/2 tells it of the stream. */
const hasLeft = ({ raw }: FastifyReply) => raw.destroyed || (raw as { stream?: { destroyed: boolean } }).stream?.destroyed === true

/** What a wait has shown; a batch that looks live again is one whose provider lags. */
function settle (cancellation: Cancellation, { answer, next }: Waited, reply: FastifyReply): Cancellation {
  if (next !== undefined) reply.header('retry-after', String(Math.ceil(next / 1000)))
  if (answer === undefined) return cancellation
  const { status } = answer.batch
  if (status === 'cancelling' || status === 'cancelled') return { ...answer, source: 'retrieved', accepted: cancellation.accepted }
  if (isTerminal(answer.batch)) throw notCancellable(answer)
  return { ...answer, batch: withStatus(answer.batch, 'cancelling'), source: 'assumed', accepted: cancellation.accepted }
}

/** The client's own time-out in milliseconds, where it has one. */
function clientLimit (headers: BatchCall['headers']): number | undefined {
  const asked = Number(headerOf(headers, 'x-portkey-request-timeout') ?? 0)
  return asked === 0 ? undefined : asked
}

/** The members of a list; a comma in quotes parts none (RFC 9110). */
const PREFERENCES = /(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/g
const WAIT = /^\s*wait\s*(?:[=;]|$)/i
const SECONDS = /^[^=;]*=\s*("?)(\d+)\1\s*(?:;|$)/

/** The whole seconds of the first `wait` in `Prefer`, as far as they are granted (RFC 7240). */
function grantedWait ({ headers }: BatchCall, maxWait: number): number | undefined {
  const wait = headerOf(headers, 'prefer')?.match(PREFERENCES)?.find(preference => WAIT.test(preference)) ?? ''
  const seconds = Math.min(Number(SECONDS.exec(wait)?.[2]), Math.floor(maxWait / 1000))
  return seconds >= 1 ? seconds : undefined
}
