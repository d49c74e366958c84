import type { BatchForwarder } from './types.js'

type ShareKey = NonNullable<BatchForwarder['shareKey']>
type Retrieve = NonNullable<BatchForwarder['retrieve']>

const readsOf = new WeakMap<ShareKey, Retrieve>()

/** Ties a share key to the read that it describes: a wrapper around that read may return something else per call. */
export function tieShareKey (shareKey: ShareKey, retrieve: Retrieve): ShareKey {
  readsOf.set(shareKey, retrieve)
  return shareKey
}

/** The share key of a forwarder; none if the key belongs to another read than the forwarder's own. */
export function shareKeyOf ({ shareKey, retrieve }: BatchForwarder): ShareKey | undefined {
  if (shareKey === undefined) return undefined
  const read = readsOf.get(shareKey)
  return read === undefined || read === retrieve ? shareKey : undefined
}
