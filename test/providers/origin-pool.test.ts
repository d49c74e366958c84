import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import { MAX_CONNECTIONS_PER_ORIGIN, MAX_QUEUED_REQUESTS_PER_ORIGIN } from '../../lib/limits.js'
import type { Connection, ConnectionHandlers } from '../../lib/providers/connection.js'
import { createOriginPool } from '../../lib/providers/origin-pool.js'
import { ResponseReader } from '../../lib/providers/response-reader.js'

/** A connection whose responses and end a test decides. */
interface FakeConnection extends Connection {
  /** What was sent on it. */
  readonly sent: ResponseReader[]
  respond (): void
  fail (): void
  /** The provider closes the socket. */
  close (): void
  /** The socket of a destroyed connection is gone. */
  finishDestroy (): void
  destroyed: boolean
}

function createFake () {
  const connections: FakeConnection[] = []
  function connect ({ onDone, onClose }: ConnectionHandlers): Connection {
    let finish = () => {}
    const connection: FakeConnection = {
      sent: [],
      destroyed: false,
      send (reader) { connection.sent.push(reader) },
      respond () { onDone(connection, true) },
      fail () { onDone(connection, false) },
      close () { onClose(connection) },
      finishDestroy () { finish() },
      destroy () {
        connection.destroyed = true
        return new Promise(resolve => { finish = resolve })
      }
    }
    connections.push(connection)
    return connection
  }
  let empty = 0
  const pool = createOriginPool(connect, () => { empty++ })
  return { pool, connections, timesEmpty: () => empty }
}

const REQUEST = { method: 'GET', path: '/', headers: {} } as const
const reader = () => new ResponseReader(REQUEST, () => () => {}, () => {}, () => {})

/** Lets what waits for promises run. */
const settle = async () => { for (let n = 0; n < 5; n++) await Promise.resolve() }

t.test('the connection that was used last is used first', async t => {
  const { pool, connections } = createFake()
  const [a, b, c] = [reader(), reader(), reader()]
  pool.send(a)
  pool.send(b)
  t.notOk(pool.isIdle())
  connections[0]?.respond()
  connections[1]?.respond()
  t.ok(pool.isIdle())
  pool.send(c)
  t.strictSame(connections.map(({ sent }) => sent), [[a], [b, c]])
})

t.test('a queued request takes the place of a connection that failed when its socket is closed', async t => {
  const { pool, connections } = createFake()
  for (let n = 0; n < MAX_CONNECTIONS_PER_ORIGIN; n++) pool.send(reader())
  const queued = reader()
  pool.send(queued)
  const [first] = connections as [FakeConnection]
  first.fail()
  await settle()
  t.ok(first.destroyed)
  t.equal(first.sent.length, 1, 'nothing more is sent on it')
  t.equal(connections.length, MAX_CONNECTIONS_PER_ORIGIN, 'there are never more sockets than connections')
  first.finishDestroy()
  await settle()
  t.strictSame(connections[MAX_CONNECTIONS_PER_ORIGIN]?.sent, [queued])
})

t.test('a queued request is sent in the context of its own call', async t => {
  const store = new AsyncLocalStorage<string>()
  const { pool, connections } = createFake()
  for (let n = 0; n < MAX_CONNECTIONS_PER_ORIGIN; n++) pool.send(reader())
  const [first] = connections as [FakeConnection]
  const seen: Array<string | undefined> = []
  first.send = () => { seen.push(store.getStore()) }
  store.run('queued', () => pool.send(reader()))
  store.run('another', () => first.respond())
  t.strictSame(seen, ['queued'])
})

t.test('a pool is full with as many connections and queued requests as there may be', async t => {
  const { pool, connections } = createFake()
  for (let n = 0; n < MAX_CONNECTIONS_PER_ORIGIN + MAX_QUEUED_REQUESTS_PER_ORIGIN; n++) {
    t.notOk(pool.isFull())
    pool.send(reader())
  }
  t.ok(pool.isFull())
  t.equal(connections.length, MAX_CONNECTIONS_PER_ORIGIN)
  connections[0]?.respond()
  t.notOk(pool.isFull())
})

t.test('a connection that its provider closes is removed, and the last one empties the pool', async t => {
  const { pool, connections, timesEmpty } = createFake()
  pool.send(reader())
  pool.send(reader())
  const [first, second] = connections as [FakeConnection, FakeConnection]
  first.close()
  t.notOk(first.destroyed, 'its request fails first')
  first.respond()
  first.close()
  t.ok(first.destroyed)
  first.finishDestroy()
  await settle()
  t.equal(timesEmpty(), 0)
  second.fail()
  second.finishDestroy()
  await settle()
  t.equal(timesEmpty(), 1)
  pool.send(reader())
  t.equal(connections.length, 3)
})

t.test('a pool is closed when the last socket is', async t => {
  const { pool, connections } = createFake()
  pool.send(reader())
  pool.send(reader())
  const [idle, busy] = connections as [FakeConnection, FakeConnection]
  idle.respond()
  let closed = false
  const closing = pool.close().then(() => { closed = true })
  t.ok(idle.destroyed)
  t.notOk(busy.destroyed)
  idle.finishDestroy()
  busy.respond()
  t.ok(busy.destroyed)
  await settle()
  t.notOk(closed)
  busy.finishDestroy()
  await closing
})

t.test('an empty pool is closed at once', async t => {
  const { pool, timesEmpty } = createFake()
  await pool.close()
  t.equal(timesEmpty(), 0)
})
