import { anthropic } from './anthropic.js'
import { azureAI, azureOpenAI } from './azure.js'
import { bedrockOpenAI } from './bedrock-openai.js'
import { bedrock } from './bedrock.js'
import { claudePlatformAWS } from './claude-platform-aws.js'
import { cohere } from './cohere.js'
import * as compatible from './compatible.js'
import { databricks } from './databricks.js'
import { google } from './google.js'
import { mistral } from './mistral.js'
import type { Provider, UnsupportedProvider } from './provider.js'
import { together } from './together.js'
import { vertex } from './vertex.js'
import { watsonx } from './watsonx.js'
import { xai } from './xai.js'

/** A factory for each provider, by the name in `x-portkey-provider`. */
export const providerFactories = {
  openai: compatible.openai,
  groq: compatible.groq,
  deepinfra: compatible.deepinfra,
  parasail: compatible.parasail,
  cerebras: compatible.cerebras,
  moonshot: compatible.moonshot,
  dashscope: compatible.dashscope,
  zhipu: compatible.zhipu,
  siliconflow: compatible.siliconflow,
  morph: compatible.morph,
  voyage: compatible.voyage,
  nebius: compatible.nebius,
  qianfan: compatible.qianfan,
  'azure-openai': azureOpenAI,
  'azure-ai': azureAI,
  anthropic,
  'claude-platform-aws': claudePlatformAWS,
  bedrock,
  'bedrock-openai': bedrockOpenAI,
  'vertex-ai': vertex,
  google,
  'mistral-ai': mistral,
  'together-ai': together,
  cohere,
  'x-ai': xai,
  'novita-ai': compatible.novita,
  ppio: compatible.ppio,
  digitalocean: compatible.digitalocean,
  watsonx,
  databricks
}

type BuiltIn = keyof typeof providerFactories

const NO_CANCEL = 'it has no way to cancel a batch.'

/** Providers that are known and cannot keep the promise of a cancel, with the reason. */
const UNSUPPORTED: Readonly<Record<string, UnsupportedProvider>> = {
  'fireworks-ai': { unsupported: 'its only way to stop a batch is to delete the job and its record.' },
  doubleword: { unsupported: 'a cancel there turns a finished batch into a cancelled one.' },
  openrouter: { unsupported: NO_CANCEL },
  'perplexity-ai': { unsupported: NO_CANCEL },
  sambanova: { unsupported: NO_CANCEL },
  huggingface: { unsupported: NO_CANCEL },
  deepseek: { unsupported: NO_CANCEL }
}

/** Makes each provider when it is first read: an app with a forwarder of its own reads none. */
function lazyProviders (): Record<BuiltIn, Provider> {
  const providers = {}
  for (const [name, factory] of Object.entries(providerFactories) as ReadonlyArray<[BuiltIn, () => Provider]>) {
    let provider: Provider | undefined
    Object.defineProperty(providers, name, { enumerable: true, get: () => (provider ??= factory()) })
  }
  return providers as Record<BuiltIn, Provider>
}

/** Every provider that the package knows, with the credentials of the client. */
export const builtIn: Readonly<Record<BuiltIn, Provider> & Record<string, Provider | UnsupportedProvider>> =
  Object.assign(lazyProviders(), UNSUPPORTED)
