import type { TSchema } from '@sinclair/typebox'
import type { BatchStatus } from '../../schemas/batch.js'
import { checkOptions, milliseconds, OBJECT, STRING, type Rules } from '../check-options.js'
import { bearer } from './auth.js'
import { defineProvider } from './define-provider.js'
import type { ProviderFactory } from './definition.js'
import { OPENAI_ID, type IdGrammar } from './ids.js'
import { readOpenAIBatch } from './openai-shape.js'
import type { Provider, ProviderOptions, Source } from './provider.js'
import { del, get, post } from './requests.js'

/** A server that speaks OpenAI's batch API: everything in which it differs. */
export interface OpenAICompatibleDefinition {
  /** As in `x-portkey-provider`. */
  readonly name: string
  /** Where the API starts, such as `https://llm.example.com/v1`. */
  readonly baseUrl: string
  /** The name of the factory in messages about options. @default `name` in camel case */
  readonly factory?: string
  /** How a batch is cancelled: `POST …/batches/{id}/cancel` or `DELETE …/batches/{id}`. @default `POST` */
  readonly cancelMethod?: 'POST' | 'DELETE'
  /** Statuses of its own, in lower case, and what they are to OpenAI. @default {} */
  readonly statuses?: Readonly<Record<string, BatchStatus>>
  /** @default letters, digits and `_ . : = ~ + -` */
  readonly id?: IdGrammar
  /** How long a batch is `cancelling` at most, in milliseconds, as `source` documents it. @default not known */
  readonly cancellingTime?: number
  /** The member of a batch that has its id. @default `id`, else `batch_id` */
  readonly batchIdField?: string
  /** Upstream headers that are sent with every request. @default {} */
  readonly requestHeaders?: Readonly<Record<string, string>>
  /** Request headers that it reads, each with its schema. @default {} */
  readonly headers?: Readonly<Record<string, TSchema>>
  /** Those that choose an account: refused beside a server credential. @default [] */
  readonly accountHeaders?: readonly string[]
  /** Upstream headers, and the request headers of which the first present one is sent as them. @default {} */
  readonly sends?: Readonly<Record<string, readonly string[]>>
  /** Where the facts come from. */
  readonly source?: Source
}

const RULES: Rules = {
  name: STRING,
  baseUrl: STRING,
  factory: STRING,
  cancelMethod: { test: value => value === 'POST' || value === 'DELETE', expected: '\'POST\' or \'DELETE\'' },
  statuses: OBJECT,
  id: OBJECT,
  cancellingTime: milliseconds(1),
  batchIdField: STRING,
  requestHeaders: OBJECT,
  headers: OBJECT,
  accountHeaders: { test: Array.isArray, expected: 'an array of header names' },
  sends: OBJECT,
  source: OBJECT
}

/**
 * A provider that speaks OpenAI's batch API. Returns its factory or, with options, a provider.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION if the definition or an option cannot work
 * @example
 * const vllm = openaiCompatible({ name: 'my-vllm', baseUrl: 'http://vllm:8000/v1', cancelMethod: 'DELETE' })
 * forwardToProviders({ providers: { 'my-vllm': vllm({ apiKey }) } })
 */
export function openaiCompatible (definition: OpenAICompatibleDefinition): ProviderFactory
export function openaiCompatible (definition: OpenAICompatibleDefinition, options: ProviderOptions): Provider<string>
export function openaiCompatible (
  definition: OpenAICompatibleDefinition,
  options?: ProviderOptions
): ProviderFactory | Provider<string> {
  checkOptions('openaiCompatible()', definition, RULES)
  const { cancelMethod, statuses, batchIdField, id = OPENAI_ID, ...basics } = definition
  const factory = defineProvider({
    ...basics,
    id,
    auth: bearer(),
    cancel: cancelMethod === 'DELETE' ? del('/batches/{id}') : post('/batches/{id}/cancel'),
    retrieve: get('/batches/{id}'),
    read: (body, context) => readOpenAIBatch(body, context, { statuses, batchIdField })
  })
  return options === undefined ? factory : factory(options)
}
