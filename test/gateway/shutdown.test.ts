import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { constants } from 'node:os'
import t from 'tap'
import { createGateway, originOf } from '../../gateway/gateway.js'
import {
  closingTime,
  createShutdown,
  trackConnections,
  type Shutdown,
  type ShutdownOptions
} from '../../gateway/shutdown.js'
import { cancelsInFlight, COMPLETE, holdingUpstream, trusting } from './held-upstream.js'
import { connectTo, listen, originFrom, start, startInShell, startUncovered, untilReported } from './program.js'

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

for (const signal of SIGNALS) {
  t.test(`${signal} closes idle and half-sent connections at once`, { timeout: 30_000 }, async t => {
    const { child, ended, ...program } = startUncovered(t)
    const origin = await originFrom({ child, ended, ...program })
    const silent = await connectTo(t, origin)
    const half = await connectTo(t, origin)
    half.write('POST /v1/batches/batch_1/cancel HTTP/1.1\r\nhost: localhost\r\n')
    const bodies = await Promise.all(['/v1/batches/batch_1/cancel', '/sandbox/v1/files', '/unknown'].map(async path => {
      const connection = await connectTo(t, origin)
      connection.write([
        `POST ${path} HTTP/1.1`,
        'host: localhost',
        'x-portkey-provider: sandbox',
        'content-type: multipart/form-data; boundary=b',
        // Its response shows that the request has arrived.
        'expect: 100-continue',
        'content-length: 9',
        '',
        'half'
      ].join('\r\n'))
      await connection.received(/100 Continue/)
      return connection
    }))
    const keptAlive = await connectTo(t, origin)
    keptAlive.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await keptAlive.received(/"status":"ok"/)

    child.kill(signal)
    await Promise.all([silent, half, keptAlive, ...bodies].map(({ closed }) => closed))
    t.equal(await ended, 0)
    t.notMatch(keptAlive.text(), /connection: close/i, 'it was open until the signal')
    t.equal(program.stderr(), '')
  })
}

t.test('running cancels finish, on connections that would be kept alive', { timeout: 30_000 }, async t => {
  const held = await holdingUpstream(t)
  const program = startUncovered(t, trusting(held))
  const origin = await originFrom(program)
  const clients = await cancelsInFlight(t, origin, held, 5)
  const idle = await connectTo(t, origin)
  program.child.kill('SIGTERM')
  await idle.closed
  held.release()
  await Promise.all(clients.map(({ closed }) => closed))
  for (const client of clients) {
    t.match(client.text(), /^HTTP\/1\.1 200 OK\r\n/)
    t.match(client.text(), COMPLETE)
    t.match(client.text(), /\r\nconnection: close\r\n/i)
  }
  t.equal(await program.ended, 0)
})

t.test('a half-sent request behind a running cancel is dropped, the cancel is not', { timeout: 30_000 }, async t => {
  const held = await holdingUpstream(t)
  const program = startUncovered(t, trusting(held))
  const origin = await originFrom(program)
  const [client] = await cancelsInFlight(t, origin, held, 1)
  const idle = await connectTo(t, origin)
  client?.write('POST /v1/batches/batch_2/cancel HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n')
  program.child.kill('SIGTERM')
  await idle.closed
  held.release()
  await client?.closed
  t.match(client?.text(), COMPLETE)
  t.equal(client?.text().match(/HTTP\/1\.1/g)?.length, 1)
  t.equal(await program.ended, 0)
})

t.test('a second signal is reported and loses no cancel', { timeout: 30_000 }, async t => {
  const held = await holdingUpstream(t)
  const program = startUncovered(t, trusting(held))
  const origin = await originFrom(program)
  const clients = await cancelsInFlight(t, origin, held, 20)
  const idle = await connectTo(t, origin)
  program.child.kill('SIGINT')
  await idle.closed
  program.child.kill('SIGINT')
  await untilReported(program, /\n/)
  held.release()
  await Promise.all(clients.map(({ closed }) => closed))
  t.equal(clients.filter(client => COMPLETE.test(client.text())).length, 20)
  t.equal(await program.ended, 0)
  t.equal(program.stderr(), 'Received SIGINT again while running cancels finish, for up to 31 seconds; ' +
    'one more signal ends the process at once and leaves their outcome unknown.\n')
})

t.test('a third signal ends at once', { timeout: 30_000 }, async t => {
  const held = await holdingUpstream(t)
  const program = start(t, trusting(held))
  const origin = await originFrom(program)
  const [client] = await cancelsInFlight(t, origin, held, 1)
  const idle = await connectTo(t, origin)
  program.child.kill('SIGTERM')
  await idle.closed
  program.child.kill('SIGTERM')
  await untilReported(program, /\n/)
  program.child.kill('SIGTERM')
  t.equal(await program.ended, 143)
  await client?.closed
  t.equal(client?.text(), '')
})

t.test('a gateway whose shell ends on the signal closes all the same', { timeout: 30_000 }, async t => {
  const held = await holdingUpstream(t)
  const program = startInShell(t, { ...trusting(held), npm_lifecycle_event: 'npx' })
  const origin = await originFrom(program)
  const [client] = await cancelsInFlight(t, origin, held, 1)
  const idle = await connectTo(t, origin)
  program.child.kill('SIGTERM')
  await idle.closed
  held.release()
  await client?.closed
  t.match(client?.text(), COMPLETE)
  t.equal(await program.ended, 'SIGTERM', 'the shell\'s own end, known once nobody writes any more')
})

t.test('a client that does not read its responses cannot keep the gateway open', { timeout: 30_000 }, async t => {
  const app = await listen(t, { timeout: 50 })
  const client = await connectTo(t, originOf(app))
  client.pause()
  // More than the buffers of both ends hold.
  client.write('GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(20))
  await new Promise(resolve => app.server.once('request', resolve))
  await app.close()
  t.pass('closed')
})

t.test('work that began before its request was complete finishes', { timeout: 30_000 }, async t => {
  const connections = trackConnections()
  const server = createServer()
  connections.watch(server)
  server.listen(0, '127.0.0.1')
  t.teardown(() => { server.close() })
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const idle = await connectTo(t, origin)
  const client = await connectTo(t, origin)
  client.write('POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf')
  const [request, response] = await once(server, 'request')
  connections.begin(request)
  connections.drain()
  await idle.closed
  response.end('done')
  await client.closed
  t.match(client.text(), /^HTTP\/1\.1 200 OK\r\n[^]*connection: close\r\n[^]*done/i)
})

t.test('every address of localhost is watched', { timeout: 30_000 }, async t => {
  const app = await listen(t, {}, 'localhost')
  const origins = (app.addresses() as AddressInfo[]).map(({ address, port }) =>
    `http://${address.includes(':') ? `[${address}]` : address}:${port}`)
  const connections = await Promise.all(origins.map(origin => connectTo(t, origin)))
  for (const connection of connections) {
    connection.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /half')
    await connection.received(/"ok"/)
  }
  await Promise.all([app.close(), ...connections.map(({ closed }) => closed)])
  t.ok(connections.length >= 1)
})

t.test('a connection that arrives while the gateway closes is closed', { timeout: 30_000 }, async t => {
  const app = await createGateway({ logLevel: 'silent' })
  let proceed = () => {}
  const closing = new Promise<void>(resolve => {
    // Of two hooks this is the second: the gateway is closing, and still listens.
    app.addHook('preClose', () => { resolve(); return new Promise<void>(resolve => { proceed = resolve }) })
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const closed = app.close()
  await closing
  const connection = await connectTo(t, originOf(app))
  await connection.closed
  proceed()
  await closed
  t.equal(connection.text(), '')
})

interface State extends Shutdown {
  readonly exits: number[]
  readonly reports: string[]
  readonly closed: { readonly resolve: () => void, readonly reject: (error: Error) => void }
  closes: number
  time: number
}

function shutdown (): State {
  const exits: number[] = []
  const reports: string[] = []
  let closed = { resolve: () => {}, reject: (_error: Error) => {} }
  const closing = new Promise<void>((resolve, reject) => { closed = { resolve, reject } })
  const options: ShutdownOptions = {
    close: () => { state.closes++; return closing },
    exit: code => { exits.push(code) },
    report: sentence => { reports.push(sentence) },
    now: () => state.time,
    timeout: 1500
  }
  const state: State = { ...createShutdown(options), exits, reports, closed, closes: 0, time: 7 }
  return state
}

t.test('signals, in their order', async t => {
  await t.test('closing that ends exits with 0', async t => {
    const state = shutdown()
    state.onSignal('SIGTERM')
    state.closed.resolve()
    await new Promise(setImmediate)
    t.match(state, { exits: [0], reports: [], closes: 1 })
  })

  await t.test('closing that fails exits with 1 and says why', async t => {
    const state = shutdown()
    state.onSignal('SIGTERM')
    state.closed.reject(new Error('no luck.'))
    await new Promise(setImmediate)
    t.match(state, { exits: [1], reports: ['Closing failed: no luck.'] })
  })

  for (const [first, second, third] of [['SIGTERM', 'SIGINT', 'SIGTERM'], ['SIGINT', 'SIGTERM', 'SIGINT']] as const) {
    await t.test(`${first}, ${second}, ${third}`, async t => {
      const state = shutdown()
      state.onSignal(first)
      state.time += 1499
      state.onSignal(second)
      t.strictSame(state.exits, [])
      t.match(state.reports, [new RegExp(`^Received ${second} again .* up to 2 seconds`)])
      state.onSignal(third)
      t.strictSame(state.exits, [128 + constants.signals[third]])
      t.equal(state.reports.length, 1)
      t.equal(state.closes, 1, 'it is closed once')
    })
  }

  await t.test('after the timeout the second signal ends at once', async t => {
    const state = shutdown()
    state.onSignal('SIGTERM')
    state.time += 1500
    state.onSignal('SIGTERM')
    t.match(state, { exits: [143], reports: [] })
  })

  await t.test('closing that began without a signal', async t => {
    const state = shutdown()
    state.begin()
    state.begin()
    state.onSignal('SIGTERM')
    t.match(state, { exits: [], reports: [], closes: 1 }, 'the first signal adds nothing')
    state.time += 1500
    state.onSignal('SIGTERM')
    t.match(state, { exits: [143], reports: [] })
  })

  t.equal(closingTime(30_000), 31_000)
})
