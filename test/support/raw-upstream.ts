import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'

/** What is done on a socket in answer to one request, byte by byte. */
export interface Act {
  readonly play: (socket: Socket, request: string) => void
  /** The answer never ends by itself: whoever asked has to give it up. */
  readonly endless?: true
}

type Bytes = string | Buffer

const bytesOf = (parts: readonly Bytes[]) => Buffer.concat(parts.map(part => typeof part === 'string' ? Buffer.from(part, 'latin1') : part))

/** Writes and leaves the socket open for the next request. */
export const says = (...parts: Bytes[]): Act => ({ play: socket => { socket.write(bytesOf(parts)) } })

/** Writes and closes the socket in order. */
export const ends = (...parts: Bytes[]): Act => ({ play: socket => { socket.end(bytesOf(parts)) } })

/** Writes and breaks the connection. */
export const resets = (...parts: Bytes[]): Act => ({
  play: socket => {
    if (parts.length === 0) socket.resetAndDestroy()
    else socket.write(bytesOf(parts), () => { socket.resetAndDestroy() })
  }
})

/** Writes and never comes to an end. */
export const stalls = (...parts: Bytes[]): Act => ({ endless: true, play: socket => { if (parts.length > 0) socket.write(bytesOf(parts)) } })

/** Writes one byte a turn of the event loop. */
export const dribbles = (...parts: Bytes[]): Act => ({ play: socket => { writeSlowly(socket, bytewise(bytesOf(parts))) } })

/** The same, and then for ever the same bytes again and again, each time in one turn. */
export const drips = (forever: string, ...parts: Bytes[]): Act => ({
  endless: true,
  play: socket => { writeSlowly(socket, endlessly(bytesOf(parts), bytesOf([forever]))) }
})

/** Writes as much as the other side takes, for ever. */
export const floods = (...parts: Bytes[]): Act => ({
  endless: true,
  play: socket => {
    const chunk = Buffer.alloc(64 * 1024, ' ')
    const pour = () => { while (!socket.destroyed && socket.write(chunk)); }
    socket.on('drain', pour)
    socket.write(bytesOf(parts))
    pour()
  }
})

function * bytewise (bytes: Buffer) {
  for (const byte of bytes) yield Buffer.of(byte)
}

function * endlessly (start: Buffer, piece: Buffer) {
  yield * bytewise(start)
  for (;;) yield piece
}

function writeSlowly (socket: Socket, pieces: Iterator<Buffer>): void {
  const next = pieces.next()
  if (socket.destroyed || next.done === true) return
  socket.write(next.value)
  setImmediate(writeSlowly, socket, pieces)
}

/** What is done for one request after the other, the last act for good. */
export interface Script {
  readonly cancel: readonly Act[]
  readonly read: readonly Act[]
  /** What is done to one connection after the other as soon as it is there; those after them are served. */
  readonly accept?: readonly Act[]
}

export interface RawUpstream {
  /** Where it listens, without a slash at the end. */
  readonly url: string
  /** How many requests came. */
  readonly seen: { cancel: number, read: number }
  /** Every connection that was ever made. */
  readonly sockets: readonly Socket[]
  /** How many connections with an answer that never ends are still there, once those that are being given up are gone. */
  held (): Promise<number>
  /** Listens no more and breaks what is open. */
  close (): Promise<void>
}

/** How long a connection may take to be given up, in milliseconds; only a test that fails waits for it. */
const GRACE = 2000

/** A TCP server in the place of a provider that keeps to a script and to no protocol. It keeps no process alive. */
export async function startRawUpstream (t: Test, { cancel, read, accept = [] }: Script): Promise<RawUpstream> {
  const sockets: Socket[] = []
  const endless: Array<Promise<Socket>> = []
  const seen = { cancel: 0, read: 0 }

  function play (act: Act | undefined, socket: Socket, request: string): void {
    if (act?.endless === true) endless.push(new Promise(resolve => { socket.once('close', () => resolve(socket)) }))
    act?.play(socket, request)
  }

  const server = createServer({ noDelay: true }, socket => {
    sockets.push(socket.unref().on('error', () => {}))
    const first = accept[sockets.length - 1]
    if (first !== undefined) return play(first, socket, '')
    let request = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      request += text
      // No request of the plugin to this provider has a body.
      if (!request.endsWith('\r\n\r\n')) return
      const kind = request.startsWith('POST ') ? 'cancel' : 'read'
      const acts = kind === 'cancel' ? cancel : read
      play(acts[Math.min(seen[kind]++, acts.length - 1)], socket, request)
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
      const late = sleep(GRACE, undefined, { signal: stop.signal }).catch(() => {})
      const gone = await Promise.race([Promise.all(endless), late])
      stop.abort()
      return gone === undefined ? sockets.filter(socket => !socket.destroyed).length : 0
    },
    close
  }
}
