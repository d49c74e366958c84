import type { Socket } from 'node:net'
import type { buildConnector, Dispatcher } from 'undici'
import { IDLE_TIMEOUT_MS, MAX_RESPONSE_HEADER_BYTES } from '../limits.js'
import { createMeter } from './meter.js'
import type { Carrier, ResponseReader } from './response-reader.js'
import { dispatchTraced, NO_TRACE } from './trace-context.js'

/** Sends one request at a time. */
export interface Connection {
  send (reader: ResponseReader): void
  /** Closes the socket at once, even while it is being connected. Resolves when it is closed. */
  destroy (): Promise<void>
}

/** What a connection reports to the pool that it belongs to. */
export interface ConnectionHandlers {
  /** The request is done; `reusable` if its whole response was read, so that another one may be sent. */
  readonly onDone: (connection: Connection, reusable: boolean) => void
  /** The socket was closed. */
  readonly onClose: (connection: Connection) => void
}

/** Makes a connection to an origin; no socket is opened before the first request. */
export type Connect = (origin: string, handlers: ConnectionHandlers) => Connection

/** "Connections" that are all one dispatcher of the operator's, which has the sockets. */
export const connectBy = (dispatcher: Dispatcher): Connect => (origin, { onDone }) => {
  const connection: Connection = {
    send (reader) {
      reader.carrier = carrier
      dispatch(dispatcher, origin, reader)
    },
    destroy: async () => {}
  }
  const carrier: Carrier = { done (reusable) { onDone(connection, reusable) } }
  return connection
}

function dispatch (dispatcher: Dispatcher, origin: string, reader: ResponseReader): void {
  const { method, path, headers: own, body = null, trace = NO_TRACE } = reader.request
  try {
    dispatchTraced(own, trace, headers => { dispatcher.dispatch({ origin, path, method, headers, body }, reader) })
  } catch (error) {
    // Some dispatchers throw, such as a MockAgent without a match.
    reader.abort(error as Error)
  }
}

type OpenSocket = (...args: Parameters<buildConnector.connector>) => Socket

/** Connections of our own: clients of undici, each with one socket. */
export function createConnect (undici: typeof import('undici')): Connect {
  // One for all connections, since it remembers TLS sessions. It returns the socket, which its type leaves out.
  const openSocket = undici.buildConnector({}) as unknown as OpenSocket

  return (origin, { onDone, onClose }) => {
    const meter = createMeter()
    let socket: Socket | undefined
    let reader: ResponseReader
    /** How many requests the socket has carried. */
    let requests = 0

    const client = new undici.Client(origin, {
      // The meter's limit comes first: above its own, undici makes an error for each further header.
      maxHeaderSize: 2 * MAX_RESPONSE_HEADER_BYTES,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_TIMEOUT_MS,
      connect (options, callback) {
        requests = 0
        socket = openSocket(options, callback)
        meter.attach(socket)
      }
    })
    client.on('disconnect', () => { onClose(connection) })

    const carrier: Carrier = {
      started () {
        requests++
        meter.start(reader)
      },
      progressed: meter.progressed,
      done (reusable) {
        meter.stop()
        onDone(connection, reusable)
      },
      isFresh: () => requests === 1
    }

    const sendNow = () => { dispatch(client, origin, reader) }

    const connection: Connection = {
      send (next) {
        reader = next
        reader.carrier = carrier
        // Reads once more what has arrived on a reused socket: bytes of a provider that sent too much must not become
        // the next response. undici looks at the end of this turn of the event loop, but that has read already.
        if (requests === 0) sendNow()
        else setImmediate(sendNow)
      },
      destroy () {
        const closed = client.destroy()
        // While the socket is being connected undici would keep it until its own time limit.
        socket?.destroy(new Error('The connection is no longer needed'))
        return closed
      }
    }
    return connection
  }
}
