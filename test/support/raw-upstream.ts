import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'

/** What a raw upstream does on its socket when a request has arrived. */
export interface Reply {
  readonly send: (socket: Socket, request: string) => void
  /** The response never ends by itself: the client has to give it up. */
  readonly endless?: true
}

type Bytes = string | Buffer

const bytesOf = (parts: readonly Bytes[]) =>
  Buffer.concat(parts.map(part => typeof part === 'string' ? Buffer.from(part, 'latin1') : part))

/** Writes, and keeps the connection open for the next request. */
export const writes = (...parts: Bytes[]): Reply => ({ send: socket => { socket.write(bytesOf(parts)) } })

/** Writes, then closes the connection in order. */
export const closes = (...parts: Bytes[]): Reply => ({ send: socket => { socket.end(bytesOf(parts)) } })

/** Writes, then resets the connection. */
export const resets = (...parts: Bytes[]): Reply => ({
  send: socket => {
    if (parts.length === 0) socket.resetAndDestroy()
    else socket.write(bytesOf(parts), () => { socket.resetAndDestroy() })
  }
})

/** Writes, and nothing more after that. */
export const stalls = (...parts: Bytes[]): Reply => ({
  endless: true,
  send: socket => { if (parts.length > 0) socket.write(bytesOf(parts)) }
})

/** Writes one byte in each turn of the event loop. */
export const writesByteByByte = (...parts: Bytes[]): Reply => ({
  send: socket => { writeSlowly(socket, bytewise(bytesOf(parts))) }
})

/** Writes `parts` byte by byte, then `repeated` over and over, once in each turn of the event loop. */
export const drips = (repeated: string, ...parts: Bytes[]): Reply => ({
  endless: true,
  send: socket => { writeSlowly(socket, endlessly(bytesOf(parts), bytesOf([repeated]))) }
})

/** Writes `parts`, then `repeated` over and over, as fast as the client reads. */
export const floods = (repeated: string, ...parts: Bytes[]): Reply => ({
  endless: true,
  send: socket => {
    const block = Buffer.from(repeated.repeat(Math.ceil(64 * 1024 / repeated.length)), 'latin1')
    const write = () => { while (!socket.destroyed && socket.write(block)); }
    socket.on('drain', write)
    socket.write(bytesOf(parts))
    write()
  }
})

function * bytewise (bytes: Buffer) {
  for (const byte of bytes) yield Buffer.of(byte)
}

function * endlessly (start: Buffer, repeated: Buffer) {
  yield * bytewise(start)
  for (;;) yield repeated
}

function writeSlowly (socket: Socket, pieces: Iterator<Buffer>): void {
  const next = pieces.next()
  if (socket.destroyed || next.done === true) return
  socket.write(next.value)
  setImmediate(writeSlowly, socket, pieces)
}

/** The replies to one request after the other; the last one repeats. */
export interface Script {
  /** To requests with POST. */
  readonly cancel: readonly Reply[]
  /** To any other request. */
  readonly read: readonly Reply[]
  /** To one connection after the other as soon as it is made, before any request; later ones are served. */
  readonly accept?: readonly Reply[]
}

export interface RawUpstream {
  /** Its origin. */
  readonly url: string
  /** How many requests arrived. */
  readonly seen: { cancel: number, read: number }
  /** Every connection that was ever made. */
  readonly sockets: readonly Socket[]
  /** How many connections with an endless response are still open, once those that are being closed are gone. */
  held (): Promise<number>
  /** Stops listening, and destroys all connections. */
  close (): Promise<void>
}

/** How long a connection may take to be given up; only a failing test waits for it. */
const GRACE_MS = 2000

/** A TCP server in the place of a provider that follows a script instead of a protocol. Keeps no process alive. */
export async function startRawUpstream (t: Test, { cancel, read, accept = [] }: Script): Promise<RawUpstream> {
  const sockets: Socket[] = []
  const endless: Array<Promise<Socket>> = []
  const seen = { cancel: 0, read: 0 }

  function send (reply: Reply | undefined, socket: Socket, request: string): void {
    if (reply?.endless === true) endless.push(new Promise(resolve => { socket.once('close', () => resolve(socket)) }))
    reply?.send(socket, request)
  }

  const server = createServer({ noDelay: true }, socket => {
    sockets.push(socket.unref().on('error', () => {}))
    const first = accept[sockets.length - 1]
    if (first !== undefined) return send(first, socket, '')
    let request = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      request += text
      // No request of these tests has a body.
      if (!request.endsWith('\r\n\r\n')) return
      const kind = request.startsWith('POST ') ? 'cancel' : 'read'
      const replies = kind === 'cancel' ? cancel : read
      send(replies[Math.min(seen[kind]++, replies.length - 1)], socket, request)
      request = ''
    })
  })

  async function close (): Promise<void> {
    for (const socket of sockets) socket.destroy()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  }

  server.listen(0, '127.0.0.1').unref()
  await once(server, 'listening')
  t.teardown(close)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    sockets,
    async held () {
      const stop = new AbortController()
      const late = sleep(GRACE_MS, undefined, { signal: stop.signal }).catch(() => {})
      const gone = await Promise.race([Promise.all(endless), late])
      stop.abort()
      return gone === undefined ? sockets.filter(socket => !socket.destroyed).length : 0
    },
    close
  }
}
