import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { listenFault, readEnvironment } from '../../gateway/environment.js'
import { originOf } from '../../gateway/gateway.js'
import { ask, DOCUMENTED, listen, originFrom, runMain, startUncovered } from './program.js'

const DEFAULTS = {
  host: '127.0.0.1',
  port: 8787,
  logLevel: 'warn',
  trustedHosts: [],
  allowedOrigins: [],
  sandbox: true
}

t.test('the environment', async t => {
  t.strictSame(readEnvironment({}), DEFAULTS)
  t.strictSame(readEnvironment({
    HOST: '::',
    PORT: '0',
    LOG_LEVEL: 'info',
    TRUSTED_CUSTOM_HOSTS: ' a:1, https://b ,',
    ALLOWED_ORIGINS: 'https://Gateway.example.com, http://localhost:3000',
    SANDBOX: 'off'
  }), {
    host: '::',
    port: 0,
    logLevel: 'info',
    trustedHosts: ['a:1', 'https://b'],
    allowedOrigins: ['https://gateway.example.com', 'http://localhost:3000'],
    sandbox: false
  })
  for (const HOST of ['127.0.0.1', 'localhost', '::1', 'fe80::1%eth0', 'gateway.example.com']) {
    t.equal(readEnvironment({ HOST }).host, HOST)
  }
})

t.test('flags win over the environment, even over a value that is not valid', async t => {
  const env = { PORT: '99999', HOST: '', LOG_LEVEL: 'loud', TRUSTED_CUSTOM_HOSTS: 'a' }
  const flags = { port: '1', host: 'localhost', logLevel: 'info', trustedHosts: ['b', 'c'] }
  t.strictSame(readEnvironment(env, flags), {
    ...DEFAULTS, port: 1, host: 'localhost', logLevel: 'info', trustedHosts: ['b', 'c']
  })
})

t.test('values that are not valid', async t => {
  for (const PORT of ['70000', 'http', '-1', '', '80 ']) {
    const message = `Invalid PORT '${PORT}': expected a whole number from 0 to 65535.`
    t.throws(() => readEnvironment({ PORT }), { message })
    t.throws(() => readEnvironment({}, { port: PORT }), { message: message.replace('PORT', '--port') })
  }
  t.throws(() => readEnvironment({ LOG_LEVEL: 'loud' }), { message: /^Invalid LOG_LEVEL 'loud': expected one of / })
  t.throws(() => readEnvironment({}, { logLevel: '' }), { message: /^Invalid --log-level '': expected one of fatal, / })
  for (const HOST of ['', ' ', 'http://localhost', 'a b']) {
    const message = `Invalid HOST '${HOST}': expected a host name or an IP address.`
    t.throws(() => readEnvironment({ HOST }), { message })
  }
  for (const SANDBOX of ['', 'false', 'OFF', '0']) {
    const message = `Invalid SANDBOX '${SANDBOX}': expected one of on, off.`
    t.throws(() => readEnvironment({ SANDBOX }), { message })
  }
  for (const origin of ['*', 'a.example', 'https://a/', 'https://a/b', 'ftp://a', 'null', 'http://a:80', 'file:///a']) {
    const expected = 'origins such as https://gateway.example.com, without a path'
    t.throws(() => readEnvironment({ ALLOWED_ORIGINS: `https://ok, ${origin}` }), {
      message: `Invalid ALLOWED_ORIGINS '${origin}': expected ${expected}.`
    })
  }
})

t.test('why the gateway cannot listen', async t => {
  const fault = (code: string) => listenFault('a', 1, Object.assign(new Error('listen failed'), { code }))
  for (const [code, why] of [
    ['EADDRINUSE', 'the port is already in use. Choose another one with PORT or --port.'],
    ['EADDRNOTAVAIL', 'this machine does not have that address. Choose another one with HOST or --host.'],
    ['EACCES', 'this user is not allowed to use the port. Choose one from 1024 with PORT or --port.'],
    ['ENOTFOUND', 'the host name cannot be resolved. Choose another one with HOST or --host.'],
    ['EINVAL', 'listen failed.']
  ] as const) {
    t.equal(fault(code), `Cannot listen on a:1: ${why}`)
  }
})

t.test('what cannot work is said in one sentence, and the program ends with 1', async t => {
  const { port } = (await listen(t)).server.address() as AddressInfo
  const IN_USE = `Cannot listen on 127.0.0.1:${port}: ` +
    'the port is already in use. Choose another one with PORT or --port.\n'
  const INVALID = [
    { env: { PORT: String(port) }, message: IN_USE },
    { env: { SANDBOX: 'no' }, message: 'Invalid SANDBOX \'no\': expected one of on, off.\n' },
    { env: { TRUSTED_CUSTOM_HOSTS: 'a b' }, message: /^.*\n$/ }
  ]
  for (const { env, message } of INVALID) {
    const { exitCode, stdout, stderr } = await runMain(t, env)
    t.equal(exitCode, 1)
    t.match(stderr, message)
    t.equal(stdout, '')
  }
  const { stdout, stderr, ended } = startUncovered(t, { PORT: String(port) })
  t.equal(await ended, 1)
  t.equal(stderr(), IN_USE)
  t.equal(stdout(), '')
})

t.test('the program prints where it is, works as printed, and ends cleanly', async t => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const program = startUncovered(t)
    const { child, stdout, ended } = program
    await originFrom(program)
    t.match(stdout(), /^fastify-batch-cancel listens on http:\/\/127\.0\.0\.1:\d+\n/)
    const [, url = '', header = ''] = /curl -X POST (\S+) -H '([^']+)'/.exec(stdout()) ?? []
    const response = await fetch(url, { method: 'POST', headers: [header.split(': ') as [string, string]] })
    t.strictSame(await response.json(), DOCUMENTED)
    t.equal((await fetch(/page +(\S+)/.exec(stdout())?.[1] as string)).status, 200)
    t.match(await (await fetch(/retrieve +curl (\S+)/.exec(stdout())?.[1] as string)).json(), { id: 'batch_abc123' })
    child.kill(signal)
    t.equal(await ended, 0, signal)
  }
})

t.test('SANDBOX=off leaves the sandbox out', async t => {
  const { app, stdout } = await runMain(t, { SANDBOX: 'off' })
  const origin = originOf(app as FastifyInstance)
  t.equal(stdout, [
    `fastify-batch-cancel listens on ${origin}`,
    '',
    `  page      ${origin}/docs`,
    `  cancel    curl -X POST ${origin}/v1/batches/$BATCH_ID/cancel` +
      ' -H \'x-portkey-provider: openai\' -H "authorization: Bearer $API_KEY"',
    '\n'
  ].join('\n'))
  t.match(await ask(`${origin}/sandbox/v1/batches/batch_abc123`), { status: 404 })
})

t.test('HOST and ALLOWED_ORIGINS reach the gateway', async t => {
  const { app } = await runMain(t, { HOST: 'localhost', ALLOWED_ORIGINS: 'https://gateway.example.com' })
  const url = `${originOf(app as FastifyInstance)}/healthz`
  const status = async (host: string) => (await ask(url, { headers: { host } })).status
  t.strictSame(await Promise.all(['gateway.example.com', 'localhost', 'evil.example.com'].map(status)), [200, 200, 403])
})
