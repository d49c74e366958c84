import { openaiCompatible, type OpenAICompatible } from './openai.js'
import type { Provider, ProviderOptions, Refusal } from './provider.js'

/** A factory for each provider, by the name that `x-portkey-provider` gives. */
export const providerFactories: Readonly<Record<OpenAICompatible, (options?: ProviderOptions) => Provider>> = openaiCompatible

const NO_CANCEL = 'It has no way to cancel a batch.'

/** Providers that are known and cannot keep the promise of a cancel, with the reason. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  'fireworks-ai': { refusal: 'Its only way to stop a batch is to delete the job and its record.' },
  doubleword: { refusal: 'A cancel there turns a finished batch into a cancelled one.' },
  openrouter: { refusal: NO_CANCEL },
  'perplexity-ai': { refusal: NO_CANCEL },
  sambanova: { refusal: NO_CANCEL },
  huggingface: { refusal: NO_CANCEL },
  databricks: { refusal: NO_CANCEL },
  deepseek: { refusal: NO_CANCEL }
}

/** Every provider that the package knows, with the credentials of the client. */
export const builtIn: Readonly<Record<OpenAICompatible, Provider> & Record<string, Provider | Refusal>> = {
  ...Object.fromEntries(Object.entries(providerFactories).map(([name, factory]) => [name, factory()])) as Record<OpenAICompatible, Provider>,
  ...REFUSALS
}
