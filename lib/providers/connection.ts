import type { Socket } from 'node:net'
import type { Dispatcher } from 'undici'
import {
  IDLE_TIMEOUT_MS, MAX_RESPONSE_CHUNKS, MAX_RESPONSE_HEADER_BYTES, MAX_RESPONSE_WIRE_BYTES
} from '../limits.js'
import { tooMuch, type Carrier, type ResponseReader } from './response-reader.js'

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
  const carrier: Carrier = {
    started () {},
    done (reusable) { onDone(connection, reusable) },
    // Nothing is known about the socket.
    isFresh: () => false
  }
  return connection
}

function dispatch (dispatcher: Dispatcher, origin: string, reader: ResponseReader): void {
  const { method, path, headers, body = null } = reader.request
  try {
    dispatcher.dispatch({ origin, path, method, headers, body }, reader)
  } catch (error) {
    // Some dispatchers throw, such as a MockAgent without a match.
    reader.abort(error as Error)
  }
}

/** Connections of our own: clients of undici, each with one socket. */
export function createConnect (undici: typeof import('undici')): Connect {
  // One for all connections, since it remembers TLS sessions. It returns the socket, which its type leaves out.
  const openSocket = undici.buildConnector({}) as (...args: Parameters<ReturnType<typeof undici.buildConnector>>) => Socket

  return (origin, { onDone, onClose }) => {
    let socket: Socket
    /** The reader of the response that is being received. */
    let reading: ResponseReader | undefined
    let sent: ResponseReader
    let requests = 0
    let bytes = 0
    let reads = 0

    const client = new undici.Client(origin, {
      maxHeaderSize: MAX_RESPONSE_HEADER_BYTES,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: IDLE_TIMEOUT_MS,
      connect (options, callback) { socket = openSocket(options, callback) }
    })
    client.on('connect', () => {
      requests = 0
      socket.on('data', check)
    })
    client.on('disconnect', () => { onClose(connection) })

    /** Sees everything before undici does: it has no limit on trailers, framing and empty lines, or for one response. */
    function check (chunk: Buffer): void {
      bytes += chunk.length
      // Bytes that belong to no response: whatever follows them is not to be trusted.
      if (reading === undefined) socket.destroy()
      else if (bytes > MAX_RESPONSE_WIRE_BYTES) reading.abort(tooMuch(`more than ${MAX_RESPONSE_WIRE_BYTES} bytes`))
      else if (++reads > MAX_RESPONSE_CHUNKS) reading.abort(tooMuch(`more than ${MAX_RESPONSE_CHUNKS} pieces`))
    }

    const carrier: Carrier = {
      started () {
        reading = sent
        requests++
        bytes = 0
        reads = 0
      },
      done (reusable) {
        reading = undefined
        onDone(connection, reusable)
      },
      isFresh: () => requests === 1
    }

    const connection: Connection = {
      send (reader) {
        sent = reader
        reader.carrier = carrier
        dispatch(client, origin, reader)
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
