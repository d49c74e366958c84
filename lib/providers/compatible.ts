import { Type } from '@sinclair/typebox'
import { SEGMENT_ID, UUID_ID } from './ids.js'
import { openaiCompatible, type OpenAICompatibleDefinition } from './openai-compatible.js'

const text = (description: string) => Type.String({ maxLength: 256, pattern: '^[\\x21-\\x7e]+$', description })

/** "Up to 10 minutes", in the words of OpenAI's API reference, and of those who follow it to the letter. */
const TEN_MINUTES_MS = 600_000

const JSON_TYPE = { 'content-type': 'application/json' }

/** OpenAI, or with a `baseUrl` any server that speaks its batch API. @throws FST_BATCH_CANCEL_INVALID_OPTION */
export const openai = openaiCompatible({
  name: 'openai',
  baseUrl: 'https://api.openai.com/v1',
  headers: {
    'x-portkey-openai-organization': text('The organization at OpenAI.'),
    'x-portkey-openai-project': text('The project at OpenAI.'),
    'x-portkey-openai-beta': text('The beta features of OpenAI to use.'),
    'openai-beta': text('The same, under OpenAI\'s own name.')
  },
  accountHeaders: ['x-portkey-openai-organization', 'x-portkey-openai-project'],
  sends: {
    'openai-organization': ['x-portkey-openai-organization'],
    'openai-project': ['x-portkey-openai-project'],
    'openai-beta': ['x-portkey-openai-beta', 'openai-beta']
  },
  cancellingTime: TEN_MINUTES_MS,
  source: { package: 'openai', version: '6.49.0', document: 'OpenAI API reference, Cancel batch' }
})

/** A provider known from its documentation, which says that it works as OpenAI does. */
const documented = (document: string, definition: Omit<OpenAICompatibleDefinition, 'source'>) =>
  openaiCompatible({ ...definition, source: { document } })

export const groq = openaiCompatible({
  name: 'groq',
  baseUrl: 'https://api.groq.com/openai/v1',
  source: { package: 'groq-sdk', version: '1.6.0' }
})

export const deepinfra = documented('DeepInfra, Batch API; recorded responses of OpenRouterTeam/docs', {
  name: 'deepinfra',
  baseUrl: 'https://api.deepinfra.com/v1/openai'
})

export const parasail = documented('Parasail, Batch API; recorded responses of OpenRouterTeam/docs', {
  name: 'parasail',
  baseUrl: 'https://api.parasail.io/v1'
})

export const cerebras = documented('inference-docs.cerebras.ai/api-reference/batch/cancel-batch', {
  name: 'cerebras',
  baseUrl: 'https://api.cerebras.ai/v1',
  cancelMethod: 'DELETE'
})

/** The base URL for China is `https://api.moonshot.cn/v1`. */
export const moonshot = documented('platform.kimi.ai/docs/api/batch-cancel', {
  name: 'moonshot',
  baseUrl: 'https://api.moonshot.ai/v1'
})

/** The base URL for Singapore is `https://dashscope-intl.aliyuncs.com/compatible-mode/v1`. */
export const dashscope = documented('Alibaba Cloud Model Studio, OpenAI compatible batch', {
  name: 'dashscope',
  baseUrl: 'https://dashscope.aliyuncs.com/compatible-mode/v1'
})

export const zhipu = documented('docs.bigmodel.cn, Batch API', {
  name: 'zhipu',
  baseUrl: 'https://open.bigmodel.cn/api/paas/v4'
})

export const siliconflow = documented('docs.siliconflow.cn, Cancel batch', {
  name: 'siliconflow',
  baseUrl: 'https://api.siliconflow.cn/v1',
  statuses: { in_queue: 'validating' }
})

export const morph = documented('Morph, Batch API', {
  name: 'morph',
  baseUrl: 'https://api.morphllm.com/v1'
})

/** Times are RFC 3339 dates, and there is no `expires_at`. */
export const voyage = documented('docs.voyageai.com/reference/cancel-batch and list-batches', {
  name: 'voyage',
  baseUrl: 'https://api.voyageai.com/v1',
  cancellingTime: TEN_MINUTES_MS
})

/** Its older host, `https://api.studio.nebius.com/v1`, is a base URL, too. Batches lack times and errors. */
export const nebius = documented('docs.tokenfactory.nebius.com, Batch inference; docs.studio.nebius.com, Batch API', {
  name: 'nebius',
  baseUrl: 'https://api.tokenfactory.nebius.com/v1'
})

/**
 * Baidu's Qianfan. Its reference asks for JSON's content type on both requests and lists five statuses; the two others
 * are from its example and from its console's API for the same jobs (cloud.baidu.com/doc/qianfan-api/s/Gmo1g4hxg).
 */
export const qianfan = documented('cloud.baidu.com/doc/qianfan-api/s/emir8fods and ymir8ggss', {
  name: 'qianfan',
  baseUrl: 'https://qianfan.baidubce.com/v2',
  statuses: {
    queuing: 'validating',
    running: 'in_progress',
    done: 'completed',
    stopping: 'cancelling',
    stopped: 'cancelled'
  },
  requestHeaders: JSON_TYPE
})

/** Statuses in capitals, times and errors as strings. Its reference asks for JSON's content type on both requests. */
export const novita = documented('Novita API reference, Cancel batch and Retrieve batch', {
  name: 'novita-ai',
  factory: 'novita',
  baseUrl: 'https://api.novita.ai/openai/v1',
  id: SEGMENT_ID,
  statuses: { progress: 'in_progress' },
  requestHeaders: JSON_TYPE
})

/** PPIO, with Novita's shape and headers. */
export const ppio = documented('resource.ppio.com/docs/models, Cancel batch and Create batch', {
  name: 'ppio',
  baseUrl: 'https://api.ppinfra.com/openai/v1',
  id: SEGMENT_ID,
  statuses: { progress: 'in_progress' },
  requestHeaders: JSON_TYPE
})

/**
 * The id is in `batch_id`, times are ISO dates. A 409 may also mean that the batch was not submitted yet: it is passed
 * on, and worth another call. The official package sends JSON's content type with every request.
 */
export const digitalocean = openaiCompatible({
  name: 'digitalocean',
  baseUrl: 'https://inference.do-ai.run/v1',
  id: UUID_ID,
  batchIdField: 'batch_id',
  requestHeaders: JSON_TYPE,
  source: { package: '@digitalocean/dots', version: '1.19.0' }
})
