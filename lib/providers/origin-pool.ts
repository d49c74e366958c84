import { AsyncResource } from 'node:async_hooks'
import { MAX_CONNECTIONS_PER_ORIGIN, MAX_QUEUED_REQUESTS_PER_ORIGIN } from '../limits.js'
import type { Connection, ConnectionHandlers } from './connection.js'
import type { ResponseReader } from './response-reader.js'

/** The connections to one origin, and the requests that wait for one. */
export interface OriginPool {
  /** Whether one more request would be too many. */
  isFull (): boolean
  /** Whether no request is in progress. */
  isIdle (): boolean
  /** Sends a request as soon as there is a connection; not at all if its call ends first. */
  send (reader: ResponseReader): void
  /** Closes idle connections at once, each of the others when no request waits for it; resolves when all are closed. */
  close (): Promise<void>
}

/** @param onEmpty called when the last connection was closed */
export function createOriginPool (
  connect: (handlers: ConnectionHandlers) => Connection,
  onEmpty: () => void
): OriginPool {
  const connections = new Set<Connection>()
  /** The one that was used last comes first, so that the others reach their idle timeout. */
  const idle: Connection[] = []
  const queue = new Map<ResponseReader, (connection: Connection) => void>()
  let closing = false
  let resolveClosed = () => {}

  const handlers: ConnectionHandlers = {
    onDone (connection, reusable) {
      const sendNext = reusable ? nextQueued() : undefined
      if (sendNext !== undefined) sendNext(connection)
      else if (closing || !reusable) discard(connection)
      else idle.push(connection)
    },
    onClose (connection) {
      const index = idle.indexOf(connection)
      if (index === -1) return
      idle.splice(index, 1)
      discard(connection)
    }
  }

  const mayConnect = () => connections.size < MAX_CONNECTIONS_PER_ORIGIN

  function add (): Connection {
    const connection = connect(handlers)
    connections.add(connection)
    return connection
  }

  /** Its place is free when the socket is closed, so that there are never more sockets than connections. */
  async function discard (connection: Connection): Promise<void> {
    await connection.destroy()
    connections.delete(connection)
    const sendNext = nextQueued()
    if (sendNext !== undefined) return sendNext(add())
    if (connections.size > 0) return
    onEmpty()
    resolveClosed()
  }

  function nextQueued (): ((connection: Connection) => void) | undefined {
    const [[reader, send] = []] = queue
    if (reader !== undefined) queue.delete(reader)
    return send
  }

  function enqueue (reader: ResponseReader): void {
    // A tracer must see the request in the context of its own call, not in that of the one that frees a connection.
    queue.set(reader, AsyncResource.bind((connection: Connection) => connection.send(reader)))
    reader.carrier = { done () { queue.delete(reader) } }
  }

  return {
    isFull: () => idle.length === 0 && !mayConnect() && queue.size >= MAX_QUEUED_REQUESTS_PER_ORIGIN,
    isIdle: () => idle.length === connections.size && queue.size === 0,
    send (reader) {
      const connection = idle.pop() ?? (mayConnect() ? add() : undefined)
      if (connection === undefined) enqueue(reader)
      else connection.send(reader)
    },
    close () {
      closing = true
      for (const connection of idle.splice(0)) discard(connection)
      return connections.size === 0 ? Promise.resolve() : new Promise(resolve => { resolveClosed = resolve })
    }
  }
}
