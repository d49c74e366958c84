import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long responses may take to be written once every cancel has ended, in milliseconds. */
const WRITE_GRACE_MS = 1000

/** How long closing takes at most, in milliseconds, if one cancel takes at most `timeout`. */
export const closingTime = (timeout: number): number => timeout + WRITE_GRACE_MS

export interface Connections {
  /** Watches the connections of a server. Call it before the server gets its request handler. */
  watch (server: Server): void
  /** Marks a request as being worked on: its connection stays open until it has its response. */
  begin (request: IncomingMessage): void
  /** Closes what is idle or half sent, now and from now on; responses in progress are the last of their connections. */
  drain (): void
  /** Destroys every connection that is still open. */
  destroy (): void
}

/**
 * The open connections, with the responses in progress on each.
 *
 * Node's own `server.close()` leaves two kinds open: a connection whose response was in progress lives on until its
 * keep-alive time is over, and one that has sent nothing or half a request lives on forever.
 */
export function trackConnections (): Connections {
  const connections = new Map<Socket, Set<ServerResponse>>()
  const begun = new WeakSet<IncomingMessage>()
  let draining = false

  const isOwed = ({ req }: ServerResponse) => req.complete || begun.has(req)

  function closeIfUnused (socket: Socket, responses: ReadonlySet<ServerResponse>): void {
    if (![...responses].some(isOwed)) socket.destroySoon()
  }

  /** Only the last response of a connection says that it closes: a client may have sent its next request already. */
  function markLast (responses: ReadonlySet<ServerResponse>): void {
    const unsent = [...responses].filter(({ headersSent }) => !headersSent)
    for (const response of unsent.slice(0, -1)) response.removeHeader('connection')
    unsent.at(-1)?.setHeader('connection', 'close')
  }

  function onConnection (socket: Socket): void {
    connections.set(socket, new Set())
    socket.once('close', () => connections.delete(socket))
    if (draining) socket.destroy()
  }

  function onRequest ({ socket }: IncomingMessage, response: ServerResponse): void {
    const responses = connections.get(socket) as Set<ServerResponse>
    responses.add(response)
    if (draining) markLast(responses)
    response.once('close', () => {
      responses.delete(response)
      if (draining) closeIfUnused(socket, responses)
    })
  }

  return {
    watch: (server) => { server.on('connection', onConnection).on('request', onRequest) },
    begin: (request) => { begun.add(request) },
    drain () {
      draining = true
      for (const [socket, responses] of connections) {
        markLast(responses)
        closeIfUnused(socket, responses)
      }
    },
    destroy () {
      for (const socket of connections.keys()) socket.destroy()
    }
  }
}

export interface ShutdownOptions {
  /** Closes the app; resolves once every running cancel has ended. */
  readonly close: () => Promise<unknown>
  readonly exit: (code: number) => void
  /** Prints one sentence for the operator. */
  readonly report: (sentence: string) => void
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number
  /** How long closing may take, in milliseconds, before a second signal ends the process. */
  readonly timeout: number
}

export interface Shutdown {
  /** Closes the app, once, and then exits with 0. */
  readonly begin: () => void
  /**
   * What SIGINT and SIGTERM do: the first begins; a second within `timeout` is only reported, since Ctrl-C reaches a
   * process under npm twice; any other exits at once, with the code that shells give to the signal.
   */
  readonly onSignal: (signal: NodeJS.Signals) => void
}

export function createShutdown ({ close, exit, report, now, timeout }: ShutdownOptions): Shutdown {
  let begunAt: number | undefined
  let signals = 0

  function begin (): void {
    if (begunAt !== undefined) return
    begunAt = now()
    close().then(() => exit(0), (error: Error) => {
      report(`Closing failed: ${error.message}`)
      exit(1)
    })
  }

  function onSignal (signal: NodeJS.Signals): void {
    begin()
    signals++
    const isLate = now() - (begunAt as number) >= timeout
    if (signals > 2 || isLate) exit(128 + constants.signals[signal])
    else if (signals === 2) report(waiting(signal, timeout))
  }

  return { begin, onSignal }
}

const waiting = (signal: NodeJS.Signals, timeout: number) =>
  `Received ${signal} again while running cancels finish, for up to ${Math.ceil(timeout / 1000)} seconds; ` +
  'one more signal ends the process at once and leaves their outcome unknown.'

/** How often a gateway under npm looks for its parent, in milliseconds. */
const PARENT_INTERVAL_MS = 500

/**
 * Resolves once the parent process has ended. It does not keep this process alive.
 *
 * npm and npx run a program in a shell and send the signals that they get to that shell. Debian's `sh` (dash) ends on
 * SIGTERM without passing it on, which would leave the gateway running on its port. Ctrl-C reaches every process by
 * itself; a SIGINT for npm alone goes no further than dash. A supervisor should start the program without npm.
 */
export async function parentEnd (): Promise<void> {
  const parent = process.ppid
  while (process.ppid === parent) await sleep(PARENT_INTERVAL_MS, undefined, { ref: false })
}
