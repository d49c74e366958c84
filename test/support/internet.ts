import net, { type Socket } from 'node:net'
import tls from 'node:tls'
import type { Test } from 'tap'
import { startUpstream, type Recorded, type UpstreamResponse } from './upstream.js'

export interface Internet {
  /** The origins to which a connection was opened, in order. */
  readonly contacts: string[]
  readonly requests: Recorded[]
}

/** Stands for the whole internet: whatever host this process connects to, one server gets the request. */
export async function catchAll (t: Test, answer: (request: Recorded) => UpstreamResponse): Promise<Internet> {
  const { url, requests } = await startUpstream(t, request =>
    // A connection for each request, so that each is seen.
    ({ ...answer(request), headers: { connection: 'close' } }))
  const internet: Internet = { contacts: [], requests }
  const port = Number(new URL(url).port)
  const connect = net.connect
  const reach = (scheme: string) => (to: { host: string, port: number | string }): Socket => {
    const host = to.host.includes(':') && !to.host.startsWith('[') ? `[${to.host}]` : to.host
    internet.contacts.push(new URL(`${scheme}//${host}:${to.port}`).origin)
    const socket = connect({ port, host: '127.0.0.1' })
    if (scheme === 'https:') socket.once('connect', () => socket.emit('secureConnect'))
    return socket
  }
  t.intercept(net, 'connect', { value: reach('http:') })
  t.intercept(tls, 'connect', { value: reach('https:') })
  return internet
}
