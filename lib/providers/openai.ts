import { Type, type TSchema } from '@sinclair/typebox'
import { BATCH_STATUSES, BatchMetadata, BatchRequestCounts, BatchUsage, isBatch, type Batch, type BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { isObject } from '../is-object.js'
import { headerOf } from '../headers.js'
import { bearerToken, checkProviderOptions, parseBase, type Base, type Provider, type ProviderOptions } from './provider.js'
import { valueOrNull, batchErrors, unixSeconds, stringOrNull } from './parse-fields.js'

/** How a provider speaks OpenAI's shape: all that is its own. */
export interface Dialect {
  readonly baseUrl: string
  /** Request headers of ours, and the upstream headers that they are sent as. */
  readonly sends?: Readonly<Record<string, { readonly as: string, readonly schema: TSchema, readonly account?: boolean }>>
  /** Where a cancel is a DELETE of the batch. */
  readonly cancelMethod?: 'DELETE'
  /** Statuses of its own, in lower case, and what they are to OpenAI. */
  readonly statuses?: Readonly<Record<string, BatchStatus>>
}

const Text = (description: string) => Type.String({ pattern: '^[\\x21-\\x7e]{1,256}$', description })

/**
 * The providers that speak OpenAI's shape. Sources: the official npm packages openai and groq-sdk; else the
 * documentation of each provider. A new one takes one line here.
 */
const DIALECTS = {
  openai: {
    baseUrl: 'https://api.openai.com/v1',
    sends: {
      'x-portkey-openai-organization': { as: 'openai-organization', account: true, schema: Text('The organization at OpenAI.') },
      'x-portkey-openai-project': { as: 'openai-project', account: true, schema: Text('The project at OpenAI.') },
      'x-portkey-openai-beta': { as: 'openai-beta', schema: Text('The beta features of OpenAI to use.') },
      'openai-beta': { as: 'openai-beta', schema: Text('The same, under OpenAI\'s own name.') }
    }
  },
  groq: { baseUrl: 'https://api.groq.com/openai/v1' },
  deepinfra: { baseUrl: 'https://api.deepinfra.com/v1/openai' },
  parasail: { baseUrl: 'https://api.parasail.io/v1' },
  cerebras: { baseUrl: 'https://api.cerebras.ai/v1', cancelMethod: 'DELETE' },
  moonshot: { baseUrl: 'https://api.moonshot.ai/v1' },
  dashscope: { baseUrl: 'https://dashscope.aliyuncs.com/compatible-mode/v1' },
  zhipu: { baseUrl: 'https://open.bigmodel.cn/api/paas/v4' },
  siliconflow: { baseUrl: 'https://api.siliconflow.cn/v1', statuses: { in_queue: 'validating' } },
  morph: { baseUrl: 'https://api.morphllm.com/v1' }
} satisfies Record<string, Dialect>

export type OpenAICompatible = keyof typeof DIALECTS

/** A factory for each provider that speaks OpenAI's shape. */
export const openaiCompatible = Object.fromEntries(
  Object.entries(DIALECTS).map(([name, dialect]) => [name, (options: ProviderOptions = {}) => speaking(dialect, name, options)])
) as Record<OpenAICompatible, (options?: ProviderOptions) => Provider<string>>

/** OpenAI, or with a `baseUrl` any server that speaks its shape, such as vLLM. Throws when an option cannot work. */
export const openai = openaiCompatible.openai

function speaking (dialect: Dialect, name: string, options: ProviderOptions): Provider<string> {
  checkProviderOptions(name, options)
  const sends = Object.entries(dialect.sends ?? {})
  const place = { base: parseBase(dialect.baseUrl) as Base }
  return {
    baseUrl: options.baseUrl,
    serverCredential: options.apiKey,
    headers: Object.fromEntries(sends.map(([header, { schema }]) => [header, schema])),
    accountHeaders: sends.filter(([, { account }]) => account === true).map(([header]) => header),
    reservedHeaders: ['authorization', ...sends.map(([, { as }]) => as)],
    locate: () => place,
    clientCredential: bearerToken,
    request (action, { base, batchId, credential, headers }) {
      const batch = `${base.path}/batches/${encodeURIComponent(batchId)}`
      const sent: Record<string, string> = { authorization: `Bearer ${credential}` }
      for (const [header, { as }] of sends) {
        const value = headerOf(headers, header)
        if (value !== undefined) sent[as] ??= value
      }
      if (action === 'retrieve') return { method: 'GET', path: batch, headers: sent }
      if (dialect.cancelMethod === 'DELETE') return { method: 'DELETE', path: batch, headers: sent }
      return { method: 'POST', path: `${batch}/cancel`, headers: sent }
    },
    batchIdOf,
    batch: (body, target) => isBatch(body) ? body : toBatch(body, target.batchId, dialect.statuses)
  }
}

/** A batch that is OpenAI's in all but some fields; `statuses` are a provider's own, in lower case. */
export function toBatch (body: unknown, batchId: string, statuses: NonNullable<Dialect['statuses']> = {}): Batch | undefined {
  if (!isObject(body) || !isNamedBatch(body)) return undefined
  const status = toStatus(body, statuses)
  if (status === undefined) return undefined
  return completeBatch({
    id: batchId,
    endpoint: stringOrNull(body['endpoint']) ?? '',
    model: stringOrNull(body['model']),
    errors: batchErrors(body['errors']),
    input_file_id: stringOrNull(body['input_file_id']) ?? '',
    completion_window: stringOrNull(body['completion_window']) ?? '',
    status,
    output_file_id: stringOrNull(body['output_file_id']),
    error_file_id: stringOrNull(body['error_file_id']),
    created_at: unixSeconds(body['created_at']) ?? 0,
    in_progress_at: unixSeconds(body['in_progress_at']),
    expires_at: unixSeconds(body['expires_at']),
    finalizing_at: unixSeconds(body['finalizing_at']),
    completed_at: unixSeconds(body['completed_at']),
    failed_at: unixSeconds(body['failed_at']),
    expired_at: unixSeconds(body['expired_at']),
    cancelling_at: unixSeconds(body['cancelling_at']),
    cancelled_at: unixSeconds(body['cancelled_at']),
    // Zhipu tells the counts beside the other fields.
    request_counts: valueOrNull(BatchRequestCounts, body['request_counts']) ?? valueOrNull(BatchRequestCounts, { total: body['total'], completed: body['completed'], failed: body['failed'] }),
    usage: valueOrNull(BatchUsage, body['usage']),
    metadata: valueOrNull(BatchMetadata, body['metadata']),
    provider_batch: body
  })
}

/** Some tell it as `batch_id`. */
export const batchIdOf = ({ id, batch_id: batchId }: Readonly<Record<string, unknown>>) => id ?? batchId

/** Other objects of these APIs have a status, too. */
const isNamedBatch = ({ object = 'batch', ...body }: Record<string, unknown>) => object === 'batch' && stringOrNull(batchIdOf(body)) !== null

const STATUSES: ReadonlySet<string> = new Set(BATCH_STATUSES)

function toStatus (body: Record<string, unknown>, own: Readonly<Record<string, BatchStatus>>): BatchStatus | undefined {
  const told = stringOrNull(body['status'])?.toLowerCase()
  if (told === undefined) return undefined
  if (STATUSES.has(told)) return told as BatchStatus
  if (Object.hasOwn(own, told)) return own[told]
  // Cerebras documents `calling` for a batch whose cancel has begun.
  return unixSeconds(body['cancelling_at']) !== null && unixSeconds(body['cancelled_at']) === null ? 'cancelling' : undefined
}
