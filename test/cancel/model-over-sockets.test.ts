import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { createBatchCanceller, type BatchCancellerOptions } from '../../lib/cancel/canceller.js'
import { kClock, systemClock, type Clock } from '../../lib/cancel/clock.js'
import { BatchCancelError, ProviderError } from '../../lib/errors.js'
import { forwardToProviders, openai } from '../../lib/index.js'
import { batch } from '../support/app.js'
import { runs } from '../support/exhaustive.js'

/*
 * A provider whose truth is known, over raw TCP, with many calls at once on shared connections: it fails at random, and
 * no call may return anything that contradicts what the provider knows, or claim to know nothing although a complete
 * response was sent. MODEL_ROUNDS sets how long it runs, MODEL_SEED where it starts.
 */

const ROUNDS = Number(process.env['MODEL_ROUNDS'] ?? runs({ usual: 3, exhaustive: 8 }).numRuns)
const SEED = Number(process.env['MODEL_SEED'] ?? 1)
const CALLS_AT_ONCE = 100

/** A pseudorandom number generator (mulberry32): from 0 to 1. */
function randomFrom (seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/* What goes over the wire. */

const head = (start: string, ...headers: string[]) => [`HTTP/1.1 ${start}`, ...headers, '', ''].join('\r\n')
const whole = (body: string, start = '200 OK', ...headers: string[]) =>
  head(start, `content-length: ${Buffer.byteLength(body)}`, ...headers) + body
const chunked = (body: string, size: number) => {
  const chunks = body.match(new RegExp(`[^]{1,${size}}`, 'g')) as string[]
  return head('200 OK', 'transfer-encoding: chunked') +
    chunks.map(chunk => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('') + '0\r\n\r\n'
}

/** One timer after the other, since timers of different lengths may fire in another order on a busy machine. */
function drip (socket: Socket, text: string, pieces: number): void {
  const size = Math.ceil(text.length / pieces)
  socket.write(text.slice(0, size))
  if (text.length > size) setTimeout(drip, 2, socket, text.slice(size), pieces - 1)
}

const later = (ms: number, action: () => void) => { setTimeout(action, ms) }

/** How the provider responds. */
interface Way {
  readonly name: string
  /** Whether the complete response arrives at a client that keeps to HTTP and to its limits. */
  readonly complete: boolean
  /** Whether more happens on the connection after the response, so that the next one may be lost. */
  readonly dirty?: true
  readonly send: (socket: Socket, json: string) => void
}

const COMPLETE: readonly Way[] = [
  { name: 'plain', complete: true, send: (socket, json) => { socket.write(whole(json)) } },
  { name: 'plain', complete: true, send: (socket, json) => { socket.write(whole(json)) } },
  { name: 'plain', complete: true, send: (socket, json) => { socket.write(whole(json)) } },
  { name: 'late', complete: true, send: (socket, json) => { later(50, () => { socket.write(whole(json)) }) } },
  { name: 'dripped', complete: true, send: (socket, json) => { drip(socket, whole(json), 20) } },
  { name: 'byte a chunk', complete: true, send: (socket, json) => { socket.write(chunked(json, 1)) } },
  { name: 'chunks, dripped', complete: true, send: (socket, json) => { drip(socket, chunked(json, 7), 10) } },
  { name: 'large', complete: true, send: (socket, json) => { socket.write(whole(json + ' '.repeat(500_000))) } },
  {
    name: 'large, dripped',
    complete: true,
    send: (socket, json) => { drip(socket, whole(json + ' '.repeat(500_000)), 10) }
  },
  {
    name: 'connection: close',
    complete: true,
    send: (socket, json) => { socket.end(whole(json, '200 OK', 'connection: close')) }
  },
  {
    name: 'connection: close, left open',
    complete: true,
    send: (socket, json) => { socket.write(whole(json, '200 OK', 'connection: close')) }
  },
  { name: 'closed after it', complete: true, send: (socket, json) => { socket.end(whole(json)) } },
  { name: 'no length', complete: true, send: (socket, json) => { socket.end(head('200 OK') + json) } },
  {
    name: 'reset a little later',
    complete: true,
    dirty: true,
    send: (socket, json) => {
      socket.write(whole(json))
      later(20, () => { socket.resetAndDestroy() })
    }
  },
  {
    name: 'early hints',
    complete: true,
    send: (socket, json) => { socket.write(head('103 Early Hints', 'x: y').repeat(5) + whole(json)) }
  },
  {
    name: 'early hints, then late',
    complete: true,
    send: (socket, json) => {
      socket.write(head('102 Processing'))
      later(20, () => { socket.write(whole(json)) })
    }
  },
  {
    name: 'trailers',
    complete: true,
    send: (socket, json) => { socket.write(chunked(json, 100).slice(0, -2) + 'x-a: 1\r\n\r\n') }
  },
  {
    name: 'an empty line after it',
    complete: true,
    dirty: true,
    send: (socket, json) => {
      socket.write(whole(json))
      later(1, () => { socket.write('\r\n') })
    }
  },
  {
    name: 'another response after it',
    complete: true,
    dirty: true,
    send: (socket, json) => { socket.write(whole(json) + whole('{"id":"batch_evil"}')) }
  },
  {
    name: 'another response a little later',
    complete: true,
    dirty: true,
    send: (socket, json) => {
      socket.write(whole(json))
      later(1, () => { socket.write(whole('{"id":"batch_evil"}')) })
    }
  },
  {
    name: 'garbage a little later',
    complete: true,
    dirty: true,
    send: (socket, json) => {
      socket.write(whole(json))
      later(1, () => { socket.write('garbage') })
    }
  }
]

const INCOMPLETE: readonly Way[] = [
  { name: 'reset', complete: false, send: socket => { socket.resetAndDestroy() } },
  { name: 'closed', complete: false, send: socket => { socket.end() } },
  { name: 'half a head', complete: false, send: socket => { socket.end('HTTP/1.1 200 OK\r\ncontent-le') } },
  { name: 'half a body', complete: false, send: (socket, json) => { socket.end(whole(json).slice(0, -5)) } },
  {
    name: 'half a body, reset',
    complete: false,
    send: (socket, json) => { socket.write(whole(json).slice(0, -5), () => { socket.resetAndDestroy() }) }
  },
  {
    name: '100-continue',
    complete: false,
    send: (socket, json) => { socket.write(head('100 Continue') + whole(json)) }
  },
  { name: 'garbage', complete: false, send: socket => { socket.write('garbage\r\n\r\n') } },
  {
    name: 'gzip',
    complete: false,
    send: (socket, json) => { socket.write(whole(json, '200 OK', 'content-encoding: gzip')) }
  },
  { name: '{}', complete: false, send: socket => { socket.write(whole('{}')) } },
  { name: 'a page', complete: false, send: socket => { socket.write(whole('<html></html>')) } },
  {
    name: 'another batch',
    complete: false,
    send: socket => { socket.write(whole(JSON.stringify(batch({ id: 'batch_x' })))) }
  },
  { name: 'redirect', complete: false, send: socket => { socket.write(whole('', '302 Found', 'location: /')) } },
  { name: '500', complete: false, send: socket => { socket.write(whole('{}', '500 Oh')) } },
  { name: '503', complete: false, send: socket => { socket.write(whole('{}', '503 Oh')) } },
  { name: '408', complete: false, send: socket => { socket.write(whole('{}', '408 Late')) } },
  {
    name: 'early hints, reset',
    complete: false,
    send: socket => { socket.write(head('103 Early Hints'), () => socket.resetAndDestroy()) }
  },
  {
    name: 'flood',
    complete: false,
    send: socket => {
      const block = '1\r\n \r\n'.repeat(10_000)
      const write = () => { while (!socket.destroyed && socket.write(block)); }
      socket.on('drain', write).write(head('200 OK', 'transfer-encoding: chunked'))
      write()
    }
  }
]

/* The provider. */

interface ModelBatch {
  status: 'in_progress' | 'cancelling' | 'cancelled' | 'completed'
  /** What was responded to this batch's requests, in order, for messages. */
  readonly history: string[]
  /** Whether a complete response said what became of the batch. */
  known: boolean
  /** What is done for each request; then only complete responses. */
  readonly random: () => number
  faults: number
}

/** Connections on which a complete response may be lost because of the one before. */
const dirtySockets = new WeakSet<Socket>()

function respond (model: ModelBatch, id: string, isCancel: boolean, socket: Socket): void {
  const { random } = model
  const isFault = model.faults > 0 && random() < 0.75
  if (isFault) model.faults--
  const ways = isFault ? INCOMPLETE : COMPLETE
  const way = ways[Math.floor(random() * ways.length)] as Way
  // The effect may happen although the response is lost.
  const takesEffect = isCancel && (!isFault || random() < 0.5)
  if (model.status === 'in_progress' && random() < 0.1) model.status = 'completed'
  const isRejected = isCancel && model.status !== 'in_progress'
  if (takesEffect && model.status === 'in_progress') model.status = 'cancelling'
  if (!isCancel && model.status === 'cancelling' && random() < 0.3) model.status = 'cancelled'

  const counts = way.complete && !dirtySockets.has(socket) && !socket.writableEnded
  if (counts && (isCancel ? !isRejected : model.status !== 'in_progress')) model.known = true
  if (way.dirty) dirtySockets.add(socket)
  model.history.push(`${isCancel ? 'cancel' : 'read'}[${way.name}] ${model.status}${counts ? '' : '?'}`)
  if (isRejected && way.complete) socket.write(whole('{"error":{"message":"Cannot cancel."}}', '409 Conflict'))
  else way.send(socket, JSON.stringify(batch({ id, status: model.status })))
}

async function startModel (t: Test) {
  const batches = new Map<string, ModelBatch>()
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, socket => {
    sockets.add(socket)
    let request = ''
    socket.setEncoding('latin1')
    socket.on('error', () => {})
    socket.on('close', () => { sockets.delete(socket) })
    socket.on('data', (text: string) => {
      request += text
      if (!request.endsWith('\r\n\r\n')) return
      const [, method, id] = /^(\w+) \/v1\/batches\/([^/ ]+)/.exec(request) as RegExpExecArray
      request = ''
      respond(batches.get(id as string) as ModelBatch, id as string, method === 'POST', socket)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, batches }
}

/* The calls. */

const noPauses: Clock = { ...systemClock, setPause: (_ms, callback) => systemClock.setTimer(0, callback) }

/** What is wrong about the outcome of a call; `undefined` if nothing is. */
function contradiction (model: ModelBatch, result: { status: string } | Error): string | undefined {
  if (!(result instanceof Error)) {
    return model.status === 'completed' || model.status === 'in_progress' ? `returned ${result.status}` : undefined
  }
  if (!(result instanceof BatchCancelError || result instanceof ProviderError)) return `threw ${result.stack}`
  if (result instanceof BatchCancelError && result.code === 'batch_not_cancellable') {
    return model.status === 'completed' ? undefined : 'threw batch_not_cancellable'
  }
  // A rejection that no read confirms is passed on, unless this call may have cancelled the batch.
  const isCancelled = model.status === 'cancelling' || model.status === 'cancelled'
  if (result.statusCode < 500 && isCancelled) return `threw ${result.statusCode}`
  return model.known ? `threw ${result.statusCode} ${result.message}` : undefined
}

t.test(`${ROUNDS} times ${CALLS_AT_ONCE} calls at once to a provider that fails at random`, async t => {
  const { url, batches } = await startModel(t)
  const options: BatchCancellerOptions & { [kClock]: Clock } = {
    forward: forwardToProviders({ providers: { openai: openai({ baseUrl: `${url}/v1`, apiKey: 'sk-key' }) } }),
    [kClock]: noPauses
  }
  const canceller = createBatchCanceller(options)
  const outcomes = { cancelled: 0, ended: 0, unknown: 0 }

  for (let round = 0; round < ROUNDS; round++) {
    const seed = SEED + round
    const random = randomFrom(seed)
    const calls = Array.from({ length: CALLS_AT_ONCE }, async (_, n) => {
      const batchId = `batch_${seed}_${n}`
      const model: ModelBatch = {
        status: random() < 0.1 ? 'completed' : 'in_progress',
        history: [],
        known: false,
        random: randomFrom(Math.floor(random() * 2 ** 32)),
        faults: Math.floor(random() * 7)
      }
      batches.set(batchId, model)
      const result = await canceller.cancel({ provider: 'openai', batchId })
        .then(({ batch }) => batch, (error: unknown) => error as Error)
      const problem = contradiction(model, result)
      if (problem !== undefined) t.fail(`${problem} (seed ${seed}): ${model.history.join(' > ')}`)
      if (!(result instanceof Error)) outcomes.cancelled++
      else if ('code' in result && result.code === 'batch_not_cancellable') outcomes.ended++
      else outcomes.unknown++
      batches.delete(batchId)
    })
    await Promise.all(calls)
  }
  await canceller.close()
  t.ok(Object.values(outcomes).every(count => count > 0), JSON.stringify(outcomes))
})
