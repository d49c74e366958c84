import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { parseConfig } from '../../gateway/config.js'
import { startUpstream } from '../support/upstream.js'
import { ask, DOCUMENTED, originFrom, runMain, startUncovered } from './program.js'

const KEY = 'sk-secret-of-the-server'
const env = { OPENAI_API_KEY: KEY, EMPTY_KEY: '', SPACED_KEY: 'Bearer sk', LINE_KEY: 'sk\n' }

const parse = (config: unknown, sandbox = true) =>
  parseConfig(typeof config === 'string' ? config : JSON.stringify(config), { file: 'gateway.json', env, sandbox })

t.test('a configuration', async t => {
  t.strictSame(parse({}), { trustedHosts: [], keyed: [] })
  const config = parse({
    providers: {
      openai: { apiKeyFrom: 'OPENAI_API_KEY', baseUrl: 'https://llm.example.com/v1' },
      vllm: { type: 'openai', baseUrl: 'http://127.0.0.1:8000/v1' },
      anthropic: {}
    },
    trustedHosts: ['a', 'b:1'],
    defaultProvider: 'vllm'
  })
  t.strictSame(Object.keys(config.providers ?? {}), ['openai', 'vllm', 'anthropic'], 'exactly these')
  t.match(config, { trustedHosts: ['a', 'b:1'], defaultProvider: 'vllm', keyed: ['openai'] })
  t.equal(parse({ defaultProvider: 'groq' }).defaultProvider, 'groq', 'a built-in one')
  t.equal(parse({ defaultProvider: 'sandbox' }).defaultProvider, 'sandbox')
  t.strictSame(Object.keys(parse({ providers: { sandbox: { type: 'openai' } } }, false).providers ?? {}), ['sandbox'])
})

const INVALID = [
  { config: '{', problem: /^it is not valid JSON\. / },
  { config: '', problem: /^it is not valid JSON\. / },
  { config: [], problem: /^expected a JSON object with / },
  { config: 'null', problem: /^expected a JSON object with / },
  {
    config: { provider: {} },
    problem: /^unknown key 'provider' in the configuration\. Valid keys: providers, trustedHosts, defaultProvider\.$/
  },
  { config: { providers: [] }, problem: /^"providers" must be an object/ },
  { config: { providers: null }, problem: /^"providers" must be an object/ },
  { config: { providers: {} }, problem: /^"providers" is empty\./ },
  { config: { providers: { 'a b': {} } }, problem: /^provider 'a b' needs another name/ },
  { config: { providers: { '': {} } }, problem: /^provider '' needs another name/ },
  { config: { providers: { sandbox: { type: 'openai' } } }, problem: /^provider 'sandbox' is the embedded sandbox\. / },
  { config: { providers: { openai: 'OPENAI_API_KEY' } }, problem: /^provider 'openai' must be an object, / },
  {
    config: { providers: { openai: { apiKey: KEY } } },
    problem: /^unknown key 'apiKey' in provider 'openai'\. Valid keys: type, baseUrl, apiKeyFrom\.$/
  },
  { config: { providers: { vllm: {} } }, problem: /^provider 'vllm': "type" must be one of openai, groq, / },
  { config: { providers: { vllm: { type: 'toString' } } }, problem: /^provider 'vllm': "type" must be one of / },
  { config: { providers: { vllm: { type: null } } }, problem: /^provider 'vllm': "type" must be one of / },
  { config: { providers: { openai: { baseUrl: '' } } }, problem: /^provider 'openai': "baseUrl" must be an http / },
  { config: { providers: { openai: { baseUrl: null } } }, problem: /^provider 'openai': "baseUrl" must be an http / },
  { config: { providers: { openai: { baseUrl: 'ftp://a' } } }, problem: /^provider 'openai': .*baseUrl/ },
  ...[KEY, 'abc123', null].map(apiKeyFrom => ({
    config: { providers: { openai: { apiKeyFrom } } },
    problem: /^provider 'openai': "apiKeyFrom" must be the name of an environment variable in upper case, and not /
  })),
  {
    config: { providers: { openai: { apiKeyFrom: 'NO_KEY' } } },
    problem: /^provider 'openai': the environment variable NO_KEY is not set\. Set it to the key\.$/
  },
  {
    config: { providers: { openai: { apiKeyFrom: 'EMPTY_KEY' } } },
    problem: /^provider 'openai': the environment variable EMPTY_KEY is empty\. Set it to the key\.$/
  },
  {
    config: { providers: { openai: { apiKeyFrom: 'SPACED_KEY' } } },
    problem: /^provider 'openai': the environment variable SPACED_KEY must be the key alone, /
  },
  {
    config: { providers: { openai: { apiKeyFrom: 'LINE_KEY' } } },
    problem: /^provider 'openai': the environment variable LINE_KEY must be the key alone, /
  },
  {
    config: { providers: { 'azure-openai': { apiKeyFrom: 'OPENAI_API_KEY' } } },
    problem: /^provider 'azure-openai': .*baseUrl/
  },
  { config: { trustedHosts: 'a' }, problem: /^"trustedHosts" must be an array of hosts/ },
  { config: { trustedHosts: [''] }, problem: /^"trustedHosts" must be an array of hosts/ },
  {
    config: { defaultProvider: 'vllm' },
    problem: /^"defaultProvider" must be one of the providers that are served: openai, .*, sandbox\.$/
  },
  { config: { defaultProvider: 1 }, problem: /^"defaultProvider" must be one of / },
  {
    config: { providers: { openai: {} }, defaultProvider: 'groq' },
    problem: /^"defaultProvider" must be one of the providers that are served: openai, sandbox\.$/
  }
]

const PREFIX = 'Invalid configuration gateway.json: '

function messageOf (config: unknown): string {
  try {
    parse(config)
  } catch (error) {
    return (error as Error).message
  }
  return 'valid'
}

t.test('a configuration that is not valid', async t => {
  for (const { config, problem } of INVALID) {
    const message = messageOf(config)
    t.equal(message.slice(0, PREFIX.length), PREFIX)
    t.match(message.slice(PREFIX.length), problem)
    t.notMatch(message, KEY, 'a key is never repeated')
  }
  t.throws(() => parse({ defaultProvider: 'sandbox' }, false), { message: /"defaultProvider" must be one of / })
})

t.test('any configuration is either read or refused in one sentence without a key', async t => {
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom('openai', 'OPENAI_API_KEY', KEY, 'https://a', 'SPACED_KEY'))
  const provider = fc.oneof(value, fc.record({ type: value, baseUrl: value, apiKeyFrom: value }, { requiredKeys: [] }))
  const name = fc.oneof(fc.string(), fc.constantFrom('openai', 'bedrock', '__proto__'))
  const config = fc.record({
    providers: fc.oneof(value, fc.dictionary(name, provider)),
    trustedHosts: value,
    defaultProvider: value
  }, { requiredKeys: [] })
  fc.assert(fc.property(config, config => {
    const message = messageOf(config)
    return message === 'valid' || (message.startsWith(PREFIX) && !message.includes(KEY))
  }))
  t.pass('for every one')
})

t.test('the program with a configuration', async t => {
  const upstream = await startUpstream(t, () => ({ body: { ...DOCUMENTED, id: 'batch_1' } }))
  const file = join(t.testdir({
    'gateway.json': JSON.stringify({
      providers: {
        mine: { type: 'openai', baseUrl: `${upstream.url}/v1`, apiKeyFrom: 'MY_KEY' },
        theirs: { type: 'openai', baseUrl: `${upstream.url}/v1` }
      },
      trustedHosts: [new URL(upstream.url).host],
      defaultProvider: 'mine'
    })
  }), 'gateway.json')

  await t.test('serves exactly its providers, with the keys that it names', async t => {
    const program = startUncovered(t, { MY_KEY: KEY, SANDBOX: 'off' }, ['--config', file])
    const origin = await originFrom(program)
    const banner = `cancel    curl -X POST ${origin}/v1/batches/$BATCH_ID/cancel -H 'x-portkey-provider: mine'\n`
    t.match(program.stdout(), banner)
    t.equal(program.stderr(), '', 'only this machine can reach it')

    const cancel = (provider: string) => ask(`${origin}/v1/batches/batch_1/cancel`, {
      method: 'POST',
      headers: { authorization: 'Bearer of-the-client', 'x-portkey-provider': provider }
    })
    for (const { provider, sent } of [
      // An empty header names no provider.
      { provider: '', sent: `Bearer ${KEY}` },
      { provider: 'mine', sent: `Bearer ${KEY}` },
      { provider: 'theirs', sent: 'Bearer of-the-client' }
    ]) {
      t.equal((await cancel(provider)).status, 200)
      t.equal(upstream.requests.at(-1)?.headers.authorization, sent)
    }
    t.match(await cancel('openai'), { status: 400, error: { code: 'unknown_provider' } })
    program.child.kill('SIGTERM')
    t.equal(await program.ended, 0)
  })

  await t.test('a warning if others can use the keys', async t => {
    const { stdout, stderr } = await runMain(t, { MY_KEY: KEY, HOST: '0.0.0.0', SANDBOX: 'off' }, ['--config', file])
    t.match(stdout, '/cancel -H \'x-portkey-provider: mine\'\n')
    t.equal(stderr, 'Anyone who can reach 0.0.0.0 can cancel batches with the server\'s keys for mine: ' +
      'put authentication in front of the gateway, or listen on 127.0.0.1.\n')
  })

  await t.test('one that is not valid ends the program before it listens', async t => {
    const problem = 'provider \'mine\': the environment variable MY_KEY is not set. Set it to the key.'
    const notSet = `Invalid configuration ${file}: ${problem}\n`
    for (const { path, message } of [
      { path: file, message: notSet },
      { path: `${file}.missing`, message: /^Cannot read the configuration .*gateway\.json\.missing: ENOENT.*\.\n$/ }
    ]) {
      const { exitCode, app, stdout, stderr } = await runMain(t, {}, ['--config', path])
      t.strictSame({ exitCode, app, stdout }, { exitCode: 1, app: undefined, stdout: '' })
      t.match(stderr, message)
    }
  })
})
