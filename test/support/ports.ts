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

/** Resolves when something listens; the caller has to notice if nothing ever will. */
export async function listening (port: number): Promise<void> {
  while (!await connects(port)) await sleep(20)
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
