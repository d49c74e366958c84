import { tracingChannel } from 'node:diagnostics_channel'
import { redactText, type RedactedError } from './redact.js'

export type CallOperation = 'cancel' | 'retrieve'

/** What is known of a call when it starts. */
export interface CallStart {
  readonly operation: CallOperation
  /** `undefined` if the call named no provider that is served. */
  readonly provider: string | undefined
  readonly batchId: string
}

/** What became of a call. */
export interface CallEnd {
  /** The status of the batch after a 200, else the `code` of the error; `null` if it has none that may be shown. */
  readonly outcome: string | null
  /** The status of the response; of a call from code, the status that the route would respond with. */
  readonly status: number
  /** How many cancel requests were sent to the provider. */
  readonly attempts: number
  /** How often the batch was read to resolve the outcome; the reads of a wait do not count. */
  readonly reads: number
  /** Milliseconds from the request to the response. */
  readonly duration: number
  /** Whether the batch has been `cancelling` for longer than its provider documents. */
  readonly overdue: boolean
}

/** One call, as it is logged and published at its end. It contains no secret. */
export interface CallReport extends CallStart, CallEnd {
  /** What the call failed with, with secrets masked; set before `error` is published. */
  readonly error?: PublishedError | undefined
}

/** An error with the members that tracers read. */
export interface PublishedError extends Omit<RedactedError, 'type'> {
  readonly name: string
}

/** The message of one call: the same object in all its events; what is known at the end is set before `asyncEnd`. */
export type CallMessage = CallStart & Partial<CallReport>

/** The name of the tracing channel on which every call is published: `tracingChannel(CALL_CHANNEL)`. */
export const CALL_CHANNEL = 'fastify-batch-cancel:call'

// The type parameters have changed places in the types of Node.js.
const calls = tracingChannel<CallMessage, CallMessage>(CALL_CHANNEL)

/** Publishes the events of one call. */
export interface CallTrace {
  readonly call: CallStart
  /** Whether anybody listens. */
  readonly isActive: boolean
  /** Starts the call: runs its work in the context of the stores that subscribers bind to `start`. */
  run<T> (work: () => T): T
  /** Ends the call, once. */
  end (end: CallEnd, error?: RedactedError): void
}

/** Traces a call. Costs nothing if nobody subscribed before. */
export const traceCall = (call: CallStart): CallTrace => calls.hasSubscribers ? createTrace(call) : untraced(call)

const untraced = (call: CallStart): CallTrace => ({ call, isActive: false, run, end })
const run = <T>(work: () => T) => work()
const end = () => {}

/** Not `tracePromise`: that publishes errors and results as they are, and both may hold secrets or a user's data. */
function createTrace (call: CallStart): CallTrace {
  const message: CallMessage = { ...call }
  let state: 'new' | 'started' | 'ended' = 'new'

  function run<T> (work: () => T): T {
    state = 'started'
    return calls.start.runStores(message, () => {
      try {
        return work()
      } finally {
        calls.end.publish(message)
      }
    })
  }

  function end (end: CallEnd, error?: RedactedError): void {
    if (state === 'ended') return
    // A call that was refused before its work began.
    if (state === 'new') run(() => {})
    state = 'ended'
    Object.assign(message, end)
    if (error !== undefined) {
      Object.assign(message, { error: toPublished(error) })
      calls.error.publish(message)
    }
    calls.asyncStart.publish(message)
    calls.asyncEnd.publish(message)
  }

  return { call, isActive: true, run, end }
}

const toPublished = ({ type, ...error }: RedactedError): PublishedError => ({ name: type, ...error })

/** Words of letters, with or without a short number, and short numbers: a code, and not a token. */
const CODE = /^(?=.{1,64}$)(?:[A-Za-z]{1,40}\d{0,3}|\d{1,6})(?:[_.:-](?:[A-Za-z]{1,40}\d{0,3}|\d{1,6}))*$/

/**
 * The code of an error as an outcome; `null` if it may be anything else, since providers and hosts set any text as a code.
 *
 * @param secrets those of the client
 */
export const outcomeOf = (code: string | null, secrets: readonly string[]): string | null =>
  code !== null && CODE.test(code) && redactText(code, secrets) === code ? code : null
