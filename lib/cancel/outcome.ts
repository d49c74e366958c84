import { ProviderError, type CallError } from '../errors.js'

/**
 * What a failed attempt says about the batch. `rejected`: perhaps the batch is in the wrong state. `retryable`: nothing
 * was done, and it may be tried again. `unknown`: the cancel may have been carried out. `final`: anything else.
 */
export type FailureKind = 'rejected' | 'retryable' | 'unknown' | 'final'

/** The statuses of a provider that are not `final` by default; a 5xx that is not listed is `unknown`. */
const KIND_BY_STATUS: ReadonlyMap<number, FailureKind> = new Map<number, FailureKind>([
  [400, 'rejected'],
  [408, 'unknown'],
  [409, 'rejected'],
  [412, 'rejected'],
  [422, 'rejected'],
  [429, 'retryable'],
  [501, 'final']
])

export function failureKind (error: CallError): FailureKind {
  if (!(error instanceof ProviderError)) return error.outcome
  return KIND_BY_STATUS.get(error.statusCode) ?? (error.statusCode >= 500 ? 'unknown' : 'final')
}

/** Whether the same request may be sent again after this failure. */
export function isRepeatable (error: CallError): boolean {
  const kind = failureKind(error)
  if (kind !== 'unknown' && kind !== 'retryable') return false
  return error instanceof ProviderError || error.repeatable
}
