import { Type } from '@sinclair/typebox'
import { invalidHeader } from '../errors.js'
import { headerOf } from '../headers.js'
import { isObject } from '../is-object.js'
import { bearer } from './auth.js'
import { defineProvider } from './define-provider.js'
import type { OptionConflict, PlaceInput } from './definition.js'
import { matching } from './option-rules.js'
import { isEmptyObject, parseCount, requestCounts, stringOrNull, unixSeconds } from './parse-fields.js'
import type { ProviderOptions } from './provider.js'
import { get, post } from './requests.js'

export interface DatabricksOptions extends ProviderOptions {
  /** The host of the workspace, or on AWS its first label. @default the client's `x-portkey-databricks-workspace` */
  readonly workspace?: string
}

interface DatabricksPlace {
  /** Undefined if another base replaces the workspace's. */
  readonly host: string | undefined
}

const WORKSPACE = 'x-portkey-databricks-workspace'

/** One label of a host name; `xn--` would be another name in disguise. */
const LABEL = '(?![xX][nN]--)[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?'

/** A workspace on AWS by its label or host, on Azure and Google Cloud by its host, of which a part is a number. */
const GRAMMAR = new RegExp(
  `^${LABEL}(?:\\.cloud\\.databricks\\.com|(?:\\.[0-9]{1,3})?\\.(?:azuredatabricks\\.net|gcp\\.databricks\\.com))?$`
)

const DESCRIPTION = 'The host of the workspace at Databricks, such as `adb-1234567890123456.7.azuredatabricks.net`, ' +
  '`1234567890123456.7.gcp.databricks.com` or `dbc-a1b2345c-d6e7.cloud.databricks.com`, which `dbc-a1b2345c-d6e7` ' +
  'stands for as well.'

/** A batch that ended otherwise has written no output. */
const WITH_OUTPUT: ReadonlySet<string> = new Set(['completed', 'expired'])

/**
 * Batches of Databricks' AI Functions, a beta. A cancel returns `{}` and may be too late, so the batch is read after
 * it.
 * A base URL starts before `/api/2.0`.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 */
export const databricks = defineProvider({
  name: 'databricks',
  source: { document: 'docs.databricks.com/api/ai-functions/v1/batch' },
  baseUrl: ({ host }: DatabricksPlace) => `https://${host}`,
  domains: [
    '*.cloud.databricks.com', '*.azuredatabricks.net', '*.*.azuredatabricks.net', '*.gcp.databricks.com',
    '*.*.gcp.databricks.com'
  ],
  auth: bearer(),
  id: { pattern: /^batch_[\w-]{1,250}$/, description: 'an id such as batch_abc123' },
  place: (input, options: DatabricksOptions): DatabricksPlace => ({ host: hostFor(input, options) }),
  cancel: post('/api/2.0/ai-functions/batches/{id}/cancel'),
  retrieve: get('/api/2.0/ai-functions/batches/{id}'),
  headers: { [WORKSPACE]: Type.String({ maxLength: 128, pattern: GRAMMAR.source, description: DESCRIPTION }) },
  accountHeaders: [WORKSPACE],
  options: { workspace: matching(GRAMMAR, 'the host of a workspace such as dbc-a1b2345c-d6e7.cloud.databricks.com') },
  conflict: ({ apiKey, baseUrl, workspace }): OptionConflict | undefined =>
    apiKey === undefined || (workspace ?? baseUrl) !== undefined
      ? undefined
      : { names: ['apiKey'], problem: 'needs workspace or baseUrl: no client chooses the workspace for it.' },
  pins: ({ workspace }) => ({
    [WORKSPACE]: workspace === undefined ? undefined : value => toHost(value) === toHost(workspace)
  }),
  accepts: isEmptyObject,
  batchId: ({ name }) => name,
  statuses: {
    PENDING: 'validating',
    IN_PROGRESS: 'in_progress',
    FINALIZING: 'finalizing',
    COMPLETED: 'completed',
    CANCELLING: 'cancelling',
    CANCELLED: 'cancelled',
    FAILED: 'failed',
    // Of Databricks' own client for JavaScript, databricks.github.io/sdk-js; its reference does not have it.
    EXPIRED: 'expired'
  },
  fields: (batch, { status }) => ({
    endpoint: stringOrNull(batch['endpoint']) ?? '',
    input_file_id: stringOrNull(batch['input_ref']) ?? '',
    output_file_id: WITH_OUTPUT.has(status) ? stringOrNull(batch['output_ref']) : null,
    created_at: unixSeconds(batch['create_time']) ?? 0,
    request_counts: toCounts(batch['request_counts'])
  })
})

function hostFor ({ headers, hasBase }: PlaceInput, { workspace }: DatabricksOptions): string | undefined {
  if (hasBase) return undefined
  const named = workspace ?? headerOf(headers, WORKSPACE)
  if (named === undefined) throw invalidHeader(WORKSPACE, `is required. ${DESCRIPTION}`)
  return toHost(named)
}

const toHost = (workspace: string) =>
  (workspace.includes('.') ? workspace : `${workspace}.cloud.databricks.com`).toLowerCase()

const toCounts = (counts: unknown) => isObject(counts)
  ? requestCounts(parseCount(counts['total']), parseCount(counts['succeeded']), parseCount(counts['failed']))
  : null
