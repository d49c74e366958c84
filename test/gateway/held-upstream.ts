import type { ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { startUpstream, type Upstream } from '../support/upstream.js'
import { connectTo, DOCUMENTED, rawCancel, type RawConnection } from './program.js'

export interface HeldUpstream {
  readonly upstream: Upstream
  /** Resolves once so many requests have come. */
  readonly reached: (count: number) => Promise<void>
  /** Answers every request that has come. */
  readonly release: () => void
}

/** An upstream that holds every cancel back until it is released. */
export async function holdingUpstream (t: Test): Promise<HeldUpstream> {
  const held: Array<{ readonly id: string, readonly response: ServerResponse }> = []
  let notify = () => {}
  const upstream = await startUpstream(t, ({ path }, response) => {
    held.push({ id: path.split('/')[2] as string, response })
    notify()
  })
  return {
    upstream,
    reached: async count => { while (held.length < count) await new Promise<void>(resolve => { notify = resolve }) },
    release: () => { for (const { id, response } of held) response.end(JSON.stringify({ ...DOCUMENTED, id })) }
  }
}

export const trusting = ({ upstream }: HeldUpstream) => ({ TRUSTED_CUSTOM_HOSTS: new URL(upstream.url).host })

/** What a client has received once its cancel succeeded. */
export const COMPLETE = /\r\n\r\n[^]*"status":"cancelling"[^]*\}/

/** Cancels that are in flight, each on a kept-alive connection of its own. */
export async function cancelsInFlight (
  t: Test,
  origin: string,
  held: HeldUpstream,
  count: number
): Promise<RawConnection[]> {
  const { upstream, reached } = held
  const clients = await Promise.all(Array.from({ length: count }, () => connectTo(t, origin)))
  for (const [i, client] of clients.entries()) client.write(rawCancel(`batch_${i}`, upstream))
  await reached(count)
  return clients
}
