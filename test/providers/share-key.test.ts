import t from 'tap'
import { checkForwarder } from '../../lib/forwarder/check-forwarder.js'
import {
  azureOpenAI, bedrock, forwardToProviders, openai, type BatchCall, type BatchForwarder
} from '../../lib/index.js'
import type { Headers } from '../fixtures/fixture.js'

/* Waits with the same key share one poller, which reads with the credential of the first of them. */

const HOST = 'https://llm.example.com'

const forward = forwardToProviders({
  providers: {
    openai: openai(),
    other: openai(),
    server: openai({ apiKey: 'server-key' }),
    server2: openai({ apiKey: 'server-key-2' }),
    azure: azureOpenAI(),
    bedrock: bedrock({ baseUrl: HOST })
  },
  trustedHosts: [HOST, `${HOST}:8443`],
  forwardHeaders: ['x-tenant']
})

interface Parts {
  readonly provider?: string
  readonly id?: string
  readonly headers?: Headers
}

/** The share key of a call that was prepared. */
function keyOf ({ provider = 'openai', id = 'batch_1', headers = {} }: Parts): string {
  const call: BatchCall = {
    provider,
    batchId: id,
    headers: { authorization: 'Bearer client-key', ...headers },
    request: undefined,
    signal: new AbortController().signal
  }
  forward.prepare(call)
  return forward.shareKey(call) as string
}

t.test('another credential, account, host or batch never has the same key', async t => {
  const azure = { 'x-portkey-azure-resource-name': 'res-1' }
  const aws = {
    'x-portkey-aws-access-key-id': 'AKIA1',
    'x-portkey-aws-secret-access-key': 'secret-1',
    'x-portkey-aws-region': 'us-east-1'
  }
  const job = { provider: 'bedrock', id: 'abcdefghij12' }
  const calls: Readonly<Record<string, Parts>> = {
    'a call': {},
    'another credential': { headers: { authorization: 'Bearer client-key-2' } },
    'another batch': { id: 'batch_2' },
    'another provider': { provider: 'other' },
    'an organization': { headers: { 'x-portkey-openai-organization': 'org-1' } },
    'a project': { headers: { 'x-portkey-openai-project': 'org-1' } },
    'a host': { headers: { 'x-portkey-custom-host': HOST } },
    'another port': { headers: { 'x-portkey-custom-host': `${HOST}:8443` } },
    'another path': { headers: { 'x-portkey-custom-host': `${HOST}/v1` } },
    'a forwarded header': { headers: { 'x-portkey-forward-headers': 'x-tenant', 'x-tenant': 'a' } },
    'another value of it': { headers: { 'x-portkey-forward-headers': 'x-tenant', 'x-tenant': 'b' } },
    'the credential of the server': { provider: 'server' },
    'another credential of the server': { provider: 'server2' },
    'a resource': { provider: 'azure', headers: azure },
    'another resource': { provider: 'azure', headers: { 'x-portkey-azure-resource-name': 'res-2' } },
    'another version of the API': { provider: 'azure', headers: { ...azure, 'x-portkey-azure-api-version': 'v1' } },
    'AWS keys': { ...job, headers: aws },
    'another secret': { ...job, headers: { ...aws, 'x-portkey-aws-secret-access-key': 'secret-2' } },
    // The path is the same, and so is the host: only the signature differs.
    'another region': { ...job, headers: { ...aws, 'x-portkey-aws-region': 'us-east-2' } },
    'a session': { ...job, headers: { ...aws, 'x-portkey-aws-session-token': 'session' } }
  }
  const names = new Map<string, string>()
  for (const [what, parts] of Object.entries(calls)) {
    const key = keyOf(parts)
    t.equal(names.get(key), undefined, what)
    names.set(key, what)
    t.equal(keyOf(parts), key, `${what}, again`)
    t.notMatch(key, /client-key|server-key|secret/, 'the key holds no credential')
  }
})

t.test('what is not sent makes no difference', async t => {
  const key = keyOf({})
  for (const headers of [
    { 'user-agent': 'x' },
    { 'x-portkey-trace-id': 'x' },
    { prefer: 'wait=10' },
    { 'x-tenant': 'not named to be forwarded' },
    { authorization: 'client-key' }
  ]) t.equal(keyOf({ headers }), key, JSON.stringify(headers))
  t.equal(keyOf({ provider: 'server', headers: { authorization: 'Bearer another' } }), keyOf({ provider: 'server' }))
})

t.test('a key describes one read: a wrapper around it may return something else per call', async t => {
  const call: BatchCall = {
    provider: 'openai',
    batchId: 'batch_1',
    headers: { authorization: 'Bearer client-key' },
    request: undefined,
    signal: new AbortController().signal
  }
  forward.prepare(call)
  const { cancel, retrieve, shareKey } = forward
  const wrapped: BatchForwarder['retrieve'] = (call) => retrieve(call)
  const key = forward.shareKey(call)
  for (const [what, wrapper, expected] of [
    ['a copy', { ...forward }, key],
    ['its functions', { cancel, retrieve, shareKey }, key],
    ['another cancel', { ...forward, cancel: call => cancel(call) }, key],
    ['another retrieve', { ...forward, retrieve: wrapped }, undefined],
    ['another retrieve with a key of its own', { ...forward, retrieve: wrapped, shareKey: () => 'own' }, 'own'],
    ['no retrieve', { cancel, shareKey }, undefined],
    ['no key', { cancel, retrieve }, undefined]
  ] satisfies Array<[string, BatchForwarder, string | undefined]>) {
    t.equal(checkForwarder(wrapper).shareKey(call), expected, what)
  }
})
