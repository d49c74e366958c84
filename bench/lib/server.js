import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort, start } from './processes.js'

/**
 * Starts a module that listens on `PORT`, as a process that can be asked questions; resolves when it is ready.
 * `pin` makes a command run on some core.
 */
export async function startServer (module, env = {}, { flags = [], pin = (command, args) => [command, args] } = {}) {
  const port = await freePort()
  const [command, args] = pin(process.execPath, [...flags, fileURLToPath(module)])
  const running = start(command, args, { env: { ...env, PORT: String(port) }, ipc: true })
  const server = { origin: `http://127.0.0.1:${port}`, running }
  if (await nextMessage(server) !== 'ready') throw new Error(`${module} did not start: ${running.complaint()}`)
  return server
}

/** What the process answers. */
export async function ask (server, message = 'look') {
  server.running.child.send(message)
  return await nextMessage(server)
}

async function nextMessage ({ running }) {
  const ended = running.ended.then(() => { throw new Error(`A process has ended: ${running.complaint()}`) })
  const [message] = await Promise.race([once(running.child, 'message'), ended])
  return message
}
