import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { request, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { createGateway, type GatewayOptions } from '../../gateway/gateway.js'
import { main } from '../../gateway/main.js'
import { run, WITHOUT_COVERAGE, type Program } from '../support/program.js'
import { ROOT } from '../support/root.js'
import type { Upstream } from '../support/upstream.js'

export const DOCUMENTED = {
  id: 'batch_abc123',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  errors: null,
  input_file_id: 'file-abc123',
  completion_window: '24h',
  status: 'cancelling',
  output_file_id: null,
  error_file_id: null,
  created_at: 1713894800,
  in_progress_at: 1713894900,
  cancelled_at: 1713895200,
  completed_at: null,
  request_counts: { total: 100, completed: 45, failed: 0 },
  metadata: { description: 'Daily batch job' }
}

/** A gateway in this process that listens on a free port. */
export async function listen (t: Test, options: GatewayOptions = {}, host = '127.0.0.1'): Promise<FastifyInstance> {
  const app = await createGateway({ logLevel: 'silent', ...options })
  t.teardown(() => app.close())
  await app.listen({ host, port: 0 })
  return app
}

const START = fileURLToPath(new URL('build/gateway/start.js', ROOT))

export interface InProcess {
  readonly exitCode: number | undefined
  readonly app: FastifyInstance | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program in this process, which is a lot faster, until it listens or has ended. */
export async function runMain (t: Test, env: NodeJS.ProcessEnv = {}, args: readonly string[] = []): Promise<InProcess> {
  let stdout = ''
  let stderr = ''
  let app: FastifyInstance | undefined
  const exitCode = await main({
    args,
    env: { PORT: '0', LOG_LEVEL: 'silent', ...env },
    print: text => { stdout += `${text}\n` },
    printError: text => { stderr += `${text}\n` },
    onListening: listening => {
      app = listening
      t.teardown(() => listening.close())
    }
  })
  return { exitCode, app, stdout, stderr }
}

/** A cache of compiled code would blur the coverage. */
const ENV: NodeJS.ProcessEnv = { ...process.env, PORT: '0', NODE_DISABLE_COMPILE_CACHE: '1' }

/** Runs the program as `npm start` does, but from its source, and without a compile cache unless `env` says so. */
export const start = (t: Test, env: NodeJS.ProcessEnv = {}, args: readonly string[] = []): Program =>
  run(t, process.execPath, [START, ...args], { ...ENV, ...env })

/** The same without coverage, which doubles the time of a start: for what another test covers. */
export const startUncovered: typeof start = (t, env, args) => start(t, { ...WITHOUT_COVERAGE, ...env }, args)

/** The same in a shell that passes no signal on, whatever shell it is. */
export const startInShell = (t: Test, env: Record<string, string>): Program => run(
  t,
  'sh',
  ['-c', '"$0" "$@"; exit $?', process.execPath, START],
  { ...ENV, ...env }
)

/** Waits until the program has printed its last line, and returns the origin it listens on. */
export async function originFrom ({ child, stdout, stderr, ended }: Program): Promise<string> {
  const ending = ended.then(code => { throw new Error(`The program ended with ${code}: ${stderr()}`) })
  const output = child.stdout as NonNullable<ChildProcess['stdout']>
  while (!/^ {2}(retrieve|cancel) [^]*\n\n$/m.test(stdout())) await Promise.race([once(output, 'data'), ending])
  ending.catch(() => {})
  return /listens on (\S+)/.exec(stdout())?.[1] as string
}

/** Waits until the program has printed a line to stderr that matches. */
export async function untilReported ({ child, stderr }: Program, line: RegExp): Promise<void> {
  while (!line.test(stderr())) await once(child.stderr as NonNullable<ChildProcess['stderr']>, 'data')
}

export interface RawConnection {
  readonly write: (bytes: string) => void
  /** Everything that the server has sent so far. */
  readonly text: () => string
  /** Resolves once the server has sent what matches. */
  readonly received: (bytes: RegExp) => Promise<void>
  /** Resolves once the connection is closed, by whichever side. */
  readonly closed: Promise<void>
  /** Stops reading, for good. */
  readonly pause: () => void
  readonly destroy: () => void
}

/** A TCP connection, byte by byte; a reset is one way to be closed. */
export async function connectTo (t: Test, origin: string): Promise<RawConnection> {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname.replace(/^\[|\]$/g, ''))
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  let text = ''
  socket.on('error', () => {}).on('data', chunk => { text += String(chunk) })
  return {
    write: bytes => { socket.write(bytes) },
    text: () => text,
    received: async bytes => { while (!bytes.test(text)) await once(socket, 'data') },
    closed: new Promise(resolve => { socket.once('close', () => resolve()) }),
    pause: () => { socket.pause() },
    destroy: () => { socket.destroy() }
  }
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The error in an envelope of JSON. */
  readonly error: unknown
}

interface Asked {
  readonly method?: string
  readonly headers?: Record<string, string>
}

/** One request on a connection of its own, with any headers, which `fetch` would not send. */
export async function ask (url: string, { method = 'GET', headers = {} }: Asked = {}): Promise<Answer> {
  const asked = request(url, { method, headers, agent: false }).end()
  const [response] = await once(asked, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  const body = Buffer.concat(chunks).toString()
  const isJson = String(response.headers['content-type']).startsWith('application/json')
  return {
    status: response.statusCode,
    headers: response.headers,
    body,
    error: isJson ? (JSON.parse(body) as { error?: unknown }).error : undefined
  }
}

/** The bytes of a cancel that goes to an upstream which stands in for OpenAI. */
export const rawCancel = (id: string, upstream: Upstream): string => [
  `POST /v1/batches/${id}/cancel HTTP/1.1`,
  'host: localhost',
  'content-length: 0',
  'x-portkey-provider: openai',
  'authorization: Bearer k',
  `x-portkey-custom-host: ${upstream.url}`,
  '\r\n'
].join('\r\n')
