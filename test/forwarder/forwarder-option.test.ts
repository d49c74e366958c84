import OpenAI from 'openai'
import t from 'tap'
import {
  azureOpenAI, bedrock, builtIn, createBatchCanceller, forwardToProviders, google, openai,
  openaiCompatible, providerFactories, type BatchCancellerOptions, type FastifyBatchCancelOptions
} from '../../lib/index.js'
import { BATCH, build } from '../support/app.js'

const cancel = async () => BATCH
const sdk = new OpenAI({ apiKey: 'sk' })

class Forwarder {
  readonly batch = BATCH
  async cancel () { return this.batch }
}

const WRAPPED = 'use { cancel: ({ batchId, signal }) => client.batches.cancel(batchId, { signal }) }, and the same for ' +
  'retrieve.'
const METHOD = `has cancel as a method of a class, but the functions of a forwarder are called without \`this\`: use ${
  WRAPPED.slice(4)}`
const PROVIDER = 'is a provider, not a forwarder: use forwardToProviders({ providers: { name: provider } }).'
const PROVIDERS = 'is an object of providers, not a forwarder: use forwardToProviders({ providers }).'

t.test('what is not a forwarder is refused with what to write instead', async t => {
  for (const { what, forward, sentence } of [
    { what: 'forwardToProviders', forward: forwardToProviders, sentence: 'must be what forwardToProviders() returns: call it.' },
    {
      what: 'a factory',
      forward: openai,
      sentence: 'is the factory openai(), not a forwarder: ' +
        'use forwardToProviders({ providers: { \'openai\': openai() } }).'
    },
    {
      what: 'a factory with a name of its own',
      forward: azureOpenAI,
      sentence: 'is the factory azureOpenAI(), not a forwarder: ' +
        'use forwardToProviders({ providers: { \'azure-openai\': azureOpenAI() } }).'
    },
    {
      what: 'a factory of the host',
      forward: openaiCompatible({ name: 'my-vllm', baseUrl: 'http://vllm:8000/v1' }),
      sentence: /^options\.forward is the factory myVllm\(\), not a forwarder/
    },
    { what: 'a provider', forward: openai({ apiKey: 'sk' }), sentence: PROVIDER },
    { what: 'a provider of another shape', forward: google(), sentence: PROVIDER },
    { what: 'all providers', forward: builtIn, sentence: PROVIDERS },
    { what: 'some providers', forward: { bedrock: bedrock() }, sentence: PROVIDERS },
    { what: 'the options of forwardToProviders', forward: { providers: { openai: openai() } }, sentence: PROVIDERS },
    {
      what: 'a canceller',
      forward: createBatchCanceller({ forward: cancel }),
      sentence: 'is a canceller, not a forwarder: give it to the plugin as its option canceller.'
    },
    { what: 'a client', forward: sdk, sentence: `is the client of an SDK, not a forwarder: ${WRAPPED}` },
    { what: 'the batches of a client', forward: sdk.batches, sentence: METHOD },
    { what: 'an instance of a class', forward: new Forwarder(), sentence: METHOD },
    {
      what: 'a misspelt retrieve',
      forward: { cancel, retreive: cancel },
      sentence: /^Unknown option 'retreive' in options\.forward\. Did you mean 'retrieve'\?/
    },
    { what: 'nothing of a forwarder', forward: {}, sentence: 'must be a function or an object with a function cancel.' },
    { what: 'null', forward: null, sentence: 'must be a function or an object with a function cancel.' }
  ]) {
    const message = typeof sentence === 'string' ? `options.forward ${sentence}` : sentence
    await t.rejects(build(t, { forward } as unknown as FastifyBatchCancelOptions), {
      code: 'FST_BATCH_CANCEL_INVALID_OPTION',
      message: message as string
    }, what)
    if (typeof sentence !== 'string') continue
    t.throws(
      () => createBatchCanceller({ forward } as unknown as BatchCancellerOptions),
      { message: `createBatchCanceller({ forward }) ${sentence}` },
      what
    )
  }
})

t.test('every factory is refused as a forwarder', async t => {
  for (const [name, factory] of Object.entries(providerFactories)) {
    t.throws(() => createBatchCanceller({ forward: factory as never }), { message: / is the factory \w+\(\)/ }, name)
  }
})

t.test('an option that belongs to the forwarder is refused with its place', async t => {
  for (const { option, place } of [
    { option: { providers: { openai: openai() } }, place: 'forwardToProviders({ providers })' },
    { option: { trustedHosts: ['vllm'] }, place: 'forwardToProviders({ trustedHosts })' },
    { option: { forwardHeaders: [] }, place: 'forwardToProviders({ forwardHeaders })' },
    { option: { clientCredentials: false }, place: 'forwardToProviders({ clientCredentials })' },
    { option: { dispatcher: undefined }, place: 'forwardToProviders({ dispatcher })' },
    { option: { apiKey: 'sk' }, place: 'forwardToProviders({ providers: { openai: openai({ apiKey }) } })' },
    { option: { baseUrl: 'https://x' }, place: 'forwardToProviders({ providers: { openai: openai({ baseUrl }) } })' }
  ]) {
    const [name = ''] = Object.keys(option)
    await t.rejects(build(t, option as unknown as FastifyBatchCancelOptions), {
      code: 'FST_BATCH_CANCEL_INVALID_OPTION',
      message: `Unknown option '${name}' in options. It belongs to the forwarder: forward: ${place}.`
    }, name)
  }
})
