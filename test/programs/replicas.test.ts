import { EventEmitter, once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import OpenAI from 'openai'
import t, { type Test } from 'tap'
import { batch } from '../support/app.js'
import { copyExample } from '../support/code-blocks.js'
import { noNginx, startNginxWith } from '../support/nginx.js'
import { freePort, listening, refusing } from '../support/ports.js'
import { run, WITHOUT_COVERAGE, type Program } from '../support/program.js'
import { ROOT } from '../support/root.js'
import { startUpstream, type Recorded, type UpstreamResponse } from '../support/upstream.js'

/* The example 'replicas' behind a real nginx, while its replicas die, are terminated and are started again. */

const EXAMPLE_PORTS = [3001, 3002, 3003]
const CLIENTS = 12
/** So many cancels are in progress at a replica when it ends. */
const IN_PROGRESS = 4

type Status = 'in_progress' | 'cancelling' | 'cancelled'

interface Held {
  readonly id: string
  /** Sends the response that the provider has held back. */
  readonly release: () => void
}

interface Provider {
  readonly url: string
  readonly batches: ReadonlyMap<string, Status>
  /** How many cancels of a batch have arrived. */
  readonly cancels: ReadonlyMap<string, number>
  /**
   * Holds back the responses to the cancels that one replica sends, until `count` of them are in progress. Every other
   * one is not carried out either before its response is released.
   */
  hold (replica: number, count: number): Promise<readonly Held[]>
}

/**
 * A provider that takes a cancel of a batch once, and rejects every later one. Batches whose ids begin with `quick` are
 * `cancelled` at once, the others first `cancelling`. Each replica has a path of its own.
 */
async function startProvider (t: Test): Promise<Provider> {
  const batches = new Map<string, Status>()
  const cancels = new Map<string, number>()
  const holding = new Map<string, Held[]>()
  const arrivals = new EventEmitter()

  function cancel (id: string): UpstreamResponse {
    const status = batches.get(id)
    if (status !== undefined) return { status: 400, body: { error: { message: `The batch is already ${status}.` } } }
    batches.set(id, id.startsWith('quick') ? 'cancelled' : 'cancelling')
    return { body: batch({ id, status: batches.get(id) as Status }) }
  }

  const read = (id: string): UpstreamResponse => ({ body: batch({ id, status: batches.get(id) ?? 'in_progress' }) })

  const { url } = await startUpstream(t, ({ method, path }: Recorded, response) => {
    const [, replica, , , id] = path.split('/') as [string, string, string, string, string]
    if (method === 'GET') return read(id)
    cancels.set(id, (cancels.get(id) ?? 0) + 1)
    const held = holding.get(replica)
    if (held === undefined) return cancel(id)
    const early = held.length % 2 === 0 ? cancel(id) : undefined
    held.push({
      id,
      release () {
        const { status = 200, body } = early ?? cancel(id)
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      }
    })
    arrivals.emit('held')
  })

  async function hold (replica: number, count: number): Promise<readonly Held[]> {
    const held: Held[] = []
    holding.set(String(replica), held)
    while (held.length < count) await once(arrivals, 'held')
    holding.delete(String(replica))
    return held
  }

  return { url, batches, cancels, hold }
}

interface Replica {
  readonly index: number
  readonly port: number
  readonly start: () => Promise<void>
  /** Sends a signal to the process that was started last, and returns it. */
  readonly signal: (signal: NodeJS.Signals) => Program
}

async function createReplica (t: Test, example: URL, provider: Provider, index: number): Promise<Replica> {
  const port = await freePort()
  let program: Program

  async function start (): Promise<void> {
    program = run(t, process.execPath, [fileURLToPath(new URL('replica.js', example))], {
      ...WITHOUT_COVERAGE,
      PORT: String(port),
      LOG_LEVEL: 'warn',
      OPENAI_API_KEY: 'sk-server',
      OPENAI_BASE_URL: `${provider.url}/${index}/v1`
    })
    const { ended, stderr } = program
    await listening(port, ended.then(code => { throw new Error(`Replica ${index} ended with ${code}: ${stderr()}`) }))
  }

  function signal (signal: NodeJS.Signals): Program {
    program.child.kill(signal)
    return program
  }

  return { index, port, start, signal }
}

const readConfiguration = () => readFile(new URL('examples/replicas/nginx.conf', ROOT), 'utf8')

/** The example's configuration, with the ports of the test. */
async function startProxy (t: Test, replicas: readonly Replica[]): Promise<string> {
  const port = await freePort()
  const ports = new Map([[8080, port], ...replicas.map(({ index, port }) => [EXAMPLE_PORTS[index], port] as const)])
  const configuration = (await readConfiguration())
    .replace(/(?<=listen |127\.0\.0\.1:)\d+/g, number => String(ports.get(Number(number))))
  return await startNginxWith(t, port, configuration)
}

interface Load {
  /** The batches that were asked to be cancelled, with what the client got. */
  readonly results: ReadonlyMap<string, unknown>
  readonly stop: () => Promise<void>
}

/** Clients that cancel one batch after the other. Their own retries are off, so that only the proxy spares errors. */
function startLoad (t: Test, origin: string): Load {
  const client = new OpenAI({ baseURL: `${origin}/v1`, apiKey: 'token-of-the-client', maxRetries: 0 })
  const results = new Map<string, unknown>()
  const stopping = new AbortController()

  async function cancelUntilStopped (): Promise<void> {
    while (!stopping.signal.aborted) {
      const id = `${results.size % 2 === 0 ? 'quick' : 'slow'}_${results.size}`
      results.set(id, undefined)
      results.set(id, await client.batches.cancel(id).catch(error => error))
    }
  }

  const clients = Array.from({ length: CLIENTS }, cancelUntilStopped)
  t.teardown(() => { stopping.abort() })
  return {
    results,
    async stop () {
      stopping.abort()
      await Promise.all(clients)
    }
  }
}

const isCancelled = (id: string, result: unknown) => {
  const { id: returned, status } = result as { readonly id?: string, readonly status?: Status }
  return returned === id && (status === 'cancelling' || status === 'cancelled')
}

t.test('replicas die and are replaced under load', { skip: noNginx ?? false, timeout: 120_000 }, async t => {
  const provider = await startProvider(t)
  const example = await copyExample('replicas', 'examples-replicas')
  const replicas = await Promise.all(EXAMPLE_PORTS.map((_, index) => createReplica(t, example, provider, index)))
  await Promise.all(replicas.map(({ start }) => start()))
  const load = startLoad(t, await startProxy(t, replicas))

  for (const { index, signal, start } of replicas) {
    await provider.hold(index, IN_PROGRESS)
    t.equal(await signal('SIGKILL').ended, 'SIGKILL', `replica ${index} dies with ${IN_PROGRESS} cancels in progress`)
    await start()
  }

  for (const { index, port, signal, start } of replicas) {
    const held = await provider.hold(index, IN_PROGRESS)
    const { ended } = signal('SIGTERM')
    await refusing(port)
    for (const { release } of held) release()
    t.equal(await ended, 0, `replica ${index} carries ${IN_PROGRESS} cancels to their end, and exits`)
    t.strictSame(held.map(({ id }) => provider.cancels.get(id)), held.map(() => 1), 'none of them is repeated')
    await start()
  }

  await load.stop()
  const ids = [...load.results.keys()]
  const repeated = [...provider.cancels.values()].filter(count => count > 1)
  t.comment(`${ids.length} batches, ${repeated.length} repeated cancels`)
  t.strictSame(ids.filter(id => !provider.batches.has(id)), [], 'every batch is cancelled at the provider')
  const failed = [...load.results].filter(([id, result]) => !isCancelled(id, result))
  t.strictSame(failed, [], 'every client gets its cancelled batch, and no error')
})

const HEALTH = 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n'
const cancelOf = (id: string) => `POST /v1/batches/${id}/cancel HTTP/1.1\r\nhost: a\r\n`
const LAST_RESPONSE = /HTTP\/1\.1 200 OK\r\n[^]*connection: close\r\n[^]*"cancelling"/i

t.test('a replica that closes responds to what has arrived, and exits', { timeout: 60_000 }, async t => {
  const provider = await startProvider(t)
  const replica = await createReplica(t, await copyExample('replicas', 'examples-replica'), provider, 0)
  await replica.start()
  const inProgress = await sendTo(replica.port, HEALTH + cancelOf('slow_1') + '\r\n')
  const [held] = await provider.hold(0, 1)
  const half = await sendTo(replica.port, HEALTH + cancelOf('slow_2'))
  const { ended } = replica.signal('SIGTERM')
  await refusing(replica.port)
  half.socket.write('\r\n')
  held?.release()
  t.match(await inProgress.ended, LAST_RESPONSE, 'a call in progress')
  t.match(await half.ended, LAST_RESPONSE, 'a call that was half sent')
  t.equal(await ended, 0)
})

/** Sends text to a replica, and resolves when the check of its health in it has its response. */
async function sendTo (port: number, text: string) {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  let received = ''
  socket.on('data', chunk => { received += String(chunk) })
  const ended = once(socket, 'close').then(() => received)
  socket.write(text)
  while (!received.includes('"ok"')) await once(socket, 'data')
  return { socket, ended }
}

t.test('docs/deployment.md has the directives of the example', async t => {
  const configuration = await readConfiguration()
  const directives = [...configuration.matchAll(/^ *((?:proxy|keepalive|merge|error)_?\w* [^;]+);$/gm)]
    .map(([, directive]) => `\`${directive}`)
  const text = await readFile(new URL('docs/deployment.md', ROOT), 'utf8')
  t.strictSame(directives.filter(directive => !text.includes(directive)), [])
  t.ok(directives.length >= 10)
})
