import type { CallError } from '../errors.js'
import { internalError } from '../errors.js'
import type { CheckedBatch } from '../forwarder/check-forwarder.js'
import { backoffMs, MAX_READS, retryAfterMs } from './backoff.js'
import { logError, type Operation } from './operation.js'
import { isRepeatable } from './outcome.js'

/** A batch as it was read; `missing`: the provider says that it does not exist; `unreadable`: nothing was learned. */
export type ReadResult = CheckedBatch | 'missing' | 'unreadable'

/** Reads the batch to resolve the outcome of a cancel. */
export async function readBatch (operation: Operation): Promise<ReadResult> {
  if (operation.forwarder.retrieve === undefined) return 'unreadable'
  try {
    return await retrieveBatch(operation)
  } catch (error) {
    return (error as CallError).statusCode === 404 ? 'missing' : 'unreadable'
  }
}

/**
 * Reads the batch, again if there is no response.
 *
 * @throws ProviderError if the provider refused
 * @throws BatchCancelError if there was no usable response
 */
export async function retrieveBatch (operation: Operation, read = 1): Promise<CheckedBatch> {
  const { forwarder: { retrieve }, call, deadline, log, progress } = operation
  if (retrieve === undefined) throw internalError('The forwarder has no retrieve function.')
  progress.reads++
  try {
    return await deadline.half(retrieve(call))
  } catch (error) {
    logError(log, 'warn', call.headers, error, 'reading the batch failed')
    const delay = delayBeforeReread(operation, error as CallError, read)
    if (delay === undefined) throw error
    await deadline.sleep(delay)
    return await retrieveBatch(operation, read + 1)
  }
}

/** Milliseconds until the next read; `undefined` after the last. */
function delayBeforeReread (operation: Operation, error: CallError, reads: number): number | undefined {
  const { clock, deadline, random } = operation
  if (!isRepeatable(error) || reads === MAX_READS) return undefined
  const delay = retryAfterMs(error.headers, clock.date()) ?? backoffMs(reads, random())
  return delay < deadline.left() ? delay : undefined
}
