import type { IncomingHttpHeaders } from 'node:http'
import { Type, type Static } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Batch, BatchStatus } from '../../schemas/batch.js'
import { completeBatch } from '../batch/complete-batch.js'
import { headerOf } from '../headers.js'
import { bearerToken, checkProviderOptions, type Place, type Provider, type ProviderOptions } from './provider.js'
import { endTimestamp, unixSeconds, stringOrNull } from './parse-fields.js'

/** A key, sent as `x-api-key`, or what is to be sent as Bearer. */
export type AnthropicCredential = string | { readonly token: string }

const PLACE: Place = { base: { origin: 'https://api.anthropic.com', path: '/v1' } }

const VERSION = 'anthropic-version'
const BETA = 'anthropic-beta'
const WORKSPACE = 'anthropic-workspace-id'
const DEFAULT_VERSION = '2023-06-01'

const Version = (description: string) => Type.String({ pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', description })
const Text = (description: string) => Type.String({ pattern: '^[\\x20-\\x7e]{1,1024}$', description })

const HEADERS = {
  'x-api-key': Type.String({ pattern: '^[\\x21-\\x7e]+$', description: 'The key for Anthropic; it goes before `Authorization`.' }),
  [`x-portkey-${VERSION}`]: Version('The version of Anthropic\'s API, a date; default `2023-06-01`.'),
  [VERSION]: Version('The same, under Anthropic\'s own name.'),
  [`x-portkey-${BETA}`]: Text('The beta features of Anthropic to use, separated by commas.'),
  [BETA]: Text('The same, under Anthropic\'s own name.'),
  [WORKSPACE]: Type.String({ pattern: '^[\\x21-\\x7e]{1,256}$', description: 'The workspace at Anthropic, for a credential that spans several.' })
}

const MessageBatch = Type.Object({
  type: Type.Literal('message_batch'),
  processing_status: Type.Union([Type.Literal('in_progress'), Type.Literal('canceling'), Type.Literal('ended')]),
  request_counts: Type.Object({
    processing: Type.Integer(),
    succeeded: Type.Integer(),
    errored: Type.Integer(),
    canceled: Type.Integer(),
    expired: Type.Integer()
  })
})

/**
 * Anthropic's Message Batches. A `baseUrl` stands in for `https://api.anthropic.com/v1`; `apiKey` is sent as `x-api-key`.
 *
 * Throws `FST_BATCH_CANCEL_INVALID_OPTION` when an option cannot work. Sources: the npm package @anthropic-ai/sdk,
 * 0.137 (keys as `x-api-key`) and 1.12 (as Bearer), and Anthropic's API reference.
 */
export function anthropic (options: ProviderOptions = {}): Provider<AnthropicCredential> {
  checkProviderOptions('anthropic', options)
  return {
    baseUrl: options.baseUrl,
    serverCredential: options.apiKey,
    headers: HEADERS,
    accountHeaders: [WORKSPACE],
    reservedHeaders: ['authorization', 'x-api-key', VERSION, BETA, WORKSPACE],
    locate: () => PLACE,
    clientCredential,
    request (action, { base, batchId, credential, headers }) {
      const batch = `${base.path}/messages/batches/${encodeURIComponent(batchId)}`
      const sent = { ...authorized(credential), ...sentOn(headers) }
      if (action === 'retrieve') return { method: 'GET', path: batch, headers: sent }
      return { method: 'POST', path: `${batch}/cancel`, headers: sent }
    },
    batchIdOf: ({ id }) => id,
    batch: (body, { batchId }) => Value.Check(MessageBatch, body) ? toBatch(body, batchId) : undefined
  }
}

function clientCredential (headers: IncomingHttpHeaders): AnthropicCredential | undefined {
  const key = headerOf(headers, 'x-api-key')
  if (key !== undefined) return key
  const token = bearerToken(headers)
  return token === undefined ? undefined : { token }
}

const authorized = (credential: AnthropicCredential): Record<string, string> =>
  typeof credential === 'string' ? { 'x-api-key': credential } : { authorization: `Bearer ${credential.token}` }

function sentOn (headers: IncomingHttpHeaders): Record<string, string> {
  const beta = headerOf(headers, `x-portkey-${BETA}`) ?? headerOf(headers, BETA)
  const workspace = headerOf(headers, WORKSPACE)
  return {
    [VERSION]: headerOf(headers, `x-portkey-${VERSION}`) ?? headerOf(headers, VERSION) ?? DEFAULT_VERSION,
    ...beta !== undefined && { [BETA]: beta },
    ...workspace !== undefined && { [WORKSPACE]: workspace }
  }
}

type MessageBatch = Static<typeof MessageBatch> & Record<string, unknown>

function toBatch (body: MessageBatch, batchId: string): Batch {
  const { processing, succeeded, errored, canceled, expired } = body.request_counts
  const status = statusOf(body)
  return completeBatch({
    id: batchId,
    endpoint: '/v1/messages',
    // Every batch expires a day after it was made.
    completion_window: '24h',
    status,
    // The results are read by the id of the batch, once there are any.
    output_file_id: stringOrNull(body['results_url']) === null ? null : batchId,
    created_at: unixSeconds(body['created_at']) ?? 0,
    // A batch is processed from the moment it is made.
    in_progress_at: unixSeconds(body['created_at']),
    expires_at: unixSeconds(body['expires_at']),
    cancelling_at: unixSeconds(body['cancel_initiated_at']),
    ...endTimestamp(status, body['ended_at']),
    request_counts: { total: processing + succeeded + errored + canceled + expired, completed: succeeded, failed: errored + expired },
    provider_batch: body
  })
}

/** A batch only ever ends; how it did, its requests tell. */
function statusOf ({ processing_status: told, request_counts: { succeeded, errored, canceled, expired }, ...body }: MessageBatch): BatchStatus {
  if (told === 'in_progress') return 'in_progress'
  if (told === 'canceling') return 'cancelling'
  if (canceled > 0 && stringOrNull(body['cancel_initiated_at']) !== null) return 'cancelled'
  return expired > 0 && succeeded + errored === 0 ? 'expired' : 'completed'
}
