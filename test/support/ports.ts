import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * A port that no client gets for an outgoing connection while the server is down: a client that connected to its own
 * port would take it from the server.
 */
export async function freePort (): Promise<number> {
  const port = 20_000 + Math.floor(Math.random() * 12_000)
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    server.close()
    await once(server, 'close')
    return port
  } catch {
    return await freePort()
  }
}

/** Resolves when something listens; rejects with the error of `failing`, which rejects if nothing ever will. */
export async function listening (port: number, failing: Promise<never>): Promise<void> {
  // It may also reject when nobody waits any more.
  failing.catch(() => {})
  while (!await connects(port)) await Promise.race([sleep(20), failing])
}

/** Resolves when nothing listens any more. */
export async function refusing (port: number): Promise<void> {
  while (await connects(port)) await sleep(20)
}

async function connects (port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
