import { Type } from '@sinclair/typebox'
import type { BatchStatus } from '../../schemas/batch.js'
import { headerOf } from '../headers.js'
import { isObject } from '../is-object.js'
import { bearerToken, type Auth } from './auth.js'
import { defineProvider } from './define-provider.js'
import type { MappedBatch } from './definition.js'
import { SEGMENT_ID } from './ids.js'
import { endTimestamp, stringOrNull, unixSeconds } from './parse-fields.js'
import { get, post } from './requests.js'

/** A key, sent as `x-api-key`, or what is sent as Bearer. */
export type AnthropicCredential = string | { readonly token: string }

export const VERSION = 'anthropic-version'
const BETA = 'anthropic-beta'
export const WORKSPACE = 'anthropic-workspace-id'

/** Each credential with the version that the official package sends beside it: 0.137 keys, 1.12 Bearer. */
const VERSION_FOR_KEY = '2023-06-01'
export const VERSION_FOR_BEARER = '2026-10-21'

const version = (description: string) =>
  Type.String({ maxLength: 10, pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$', description })
const text = (description: string) => Type.String({ maxLength: 1024, pattern: '^[\\x20-\\x7e]+$', description })

const anthropicAuth: Auth<AnthropicCredential> = {
  sets: ['authorization', 'x-api-key', VERSION],
  fromClient (headers) {
    const key = headerOf(headers, 'x-api-key')
    const token = bearerToken(headers)
    return key ?? (token === undefined ? undefined : { token })
  },
  toHeaders: (credential, { headers }) => typeof credential === 'string'
    ? { 'x-api-key': credential, [VERSION]: headers[VERSION] ?? VERSION_FOR_KEY }
    : { authorization: `Bearer ${credential.token}`, [VERSION]: headers[VERSION] ?? VERSION_FOR_BEARER }
}

/** The headers of Anthropic's own API, and of its API on AWS. */
export const ANTHROPIC_HEADERS = {
  [`x-portkey-${VERSION}`]: version('The version of Anthropic\'s API, a date.'),
  [VERSION]: version('The same, under Anthropic\'s own name.'),
  [`x-portkey-${BETA}`]: text('The beta features of Anthropic to use, separated by commas.'),
  [BETA]: text('The same, under Anthropic\'s own name.'),
  [WORKSPACE]: Type.String({
    maxLength: 256,
    pattern: '^[\\x21-\\x7e]+$',
    description: 'The workspace at Anthropic, for a credential that spans several; required on AWS.'
  })
}

/** Upstream headers, and the request headers that they come from. */
export const ANTHROPIC_SENDS = {
  [VERSION]: [`x-portkey-${VERSION}`, VERSION],
  [BETA]: [`x-portkey-${BETA}`, BETA]
}

/** How a message batch is read. */
export const MESSAGE_BATCH: MappedBatch = {
  status: ({ type, ...batch }) => type === 'message_batch' ? statusOf(batch) : undefined,
  fields: (batch, { status, batchId }) => Object.assign({
    endpoint: '/v1/messages',
    // Every batch expires a day after it was created.
    completion_window: '24h',
    // The results are read by the id of the batch, once there are any.
    output_file_id: stringOrNull(batch['results_url']) === null ? null : batchId,
    created_at: unixSeconds(batch['created_at']) ?? 0,
    // A batch is processed from the moment it is created.
    in_progress_at: unixSeconds(batch['created_at']),
    expires_at: unixSeconds(batch['expires_at']),
    cancelling_at: unixSeconds(batch['cancel_initiated_at']),
    request_counts: toRequestCounts(toCounts(batch['request_counts']))
  }, endTimestamp(status, batch['ended_at']))
}

/** Anthropic's Message Batches. `apiKey` is sent as `x-api-key`. @throws FST_BATCH_CANCEL_INVALID_OPTION */
export const anthropic = defineProvider({
  name: 'anthropic',
  source: { package: '@anthropic-ai/sdk', version: '1.12.0', document: 'Anthropic API reference, Message Batches' },
  baseUrl: 'https://api.anthropic.com/v1',
  auth: anthropicAuth,
  id: SEGMENT_ID,
  cancel: post('/messages/batches/{id}/cancel'),
  retrieve: get('/messages/batches/{id}'),
  headers: {
    'x-api-key': Type.String({
      maxLength: 512,
      pattern: '^[\\x21-\\x7e]+$',
      description: 'The key for Anthropic; it takes precedence over `Authorization`.'
    }),
    ...ANTHROPIC_HEADERS
  },
  accountHeaders: [WORKSPACE],
  sends: { ...ANTHROPIC_SENDS, [WORKSPACE]: [WORKSPACE] },
  ...MESSAGE_BATCH
})

interface Counts {
  readonly processing: number
  readonly succeeded: number
  readonly errored: number
  readonly canceled: number
  readonly expired: number
}

function toCounts (value: unknown): Counts | undefined {
  if (!isObject(value)) return undefined
  const { processing, succeeded, errored, canceled, expired } = value
  const counts = { processing, succeeded, errored, canceled, expired }
  return Object.values(counts).every(Number.isInteger) ? counts as Counts : undefined
}

function toRequestCounts (counts: Counts | undefined) {
  if (counts === undefined) return null
  const { processing, succeeded, errored, canceled, expired } = counts
  const total = processing + succeeded + errored + canceled + expired
  return { total, completed: succeeded, failed: errored + expired }
}

/** A batch just ends; only its counts say how. */
function statusOf (batch: Readonly<Record<string, unknown>>): BatchStatus | undefined {
  const { processing_status: status } = batch
  if (status === 'in_progress') return 'in_progress'
  if (status === 'canceling') return 'cancelling'
  const counts = toCounts(batch['request_counts'])
  if (status !== 'ended' || counts === undefined) return undefined
  const { succeeded, errored, canceled, expired } = counts
  if (canceled > 0 && stringOrNull(batch['cancel_initiated_at']) !== null) return 'cancelled'
  return expired > 0 && succeeded + errored === 0 ? 'expired' : 'completed'
}
