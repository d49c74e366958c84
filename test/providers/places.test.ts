import t from 'tap'
import { bedrockOpenAI, claudePlatformAWS, databricks } from '../../lib/index.js'
import { AWS_KEYS, REGION } from '../fixtures/bedrock.js'
import { BEARER } from '../fixtures/fixture.js'
import { requestOf } from '../support/provider.js'

/* Regions, workspaces and hosts of the providers whose ids name no place. */

const INVALID = { code: 'FST_BATCH_CANCEL_INVALID_OPTION' }

interface Row {
  readonly factory: (options: never) => unknown
  readonly options: object
  /** What is wrong with them, if anything. */
  readonly message?: RegExp
}

const key = { apiKey: 'server-key' }
const keys = { credentials: AWS_KEYS }
const region = { region: 'us-east-1' }
const workspaceId = { workspaceId: 'wrkspc_1' }
const baseUrl = { baseUrl: 'https://llm.example.com' }

const ROWS: readonly Row[] = [
  ...[bedrockOpenAI, claudePlatformAWS].flatMap((factory): Row[] => [
    { factory, options: { ...key, ...keys, ...region }, message: /\{ credentials, apiKey \}\) exclude each other\.$/ },
    { factory, options: keys, message: /\{ credentials \}\) needs region\.$/ },
    { factory, options: { ...keys, ...baseUrl }, message: /\{ credentials \}\) needs region\.$/ },
    { factory, options: key, message: /\{ apiKey \}\) needs region or baseUrl\.$/ },
    { factory, options: { region: 'us east' }, message: /\{ region \}\) must be an AWS region/ }
  ]),
  { factory: bedrockOpenAI, options: { ...keys, ...region } },
  { factory: bedrockOpenAI, options: { ...key, ...baseUrl } },
  {
    factory: claudePlatformAWS,
    options: { ...key, ...baseUrl },
    message: /^claudePlatformAWS\(\{ apiKey \}\) needs workspaceId\.$/
  },
  {
    factory: claudePlatformAWS,
    options: { ...keys, ...region },
    message: /^claudePlatformAWS\(\{ credentials \}\) needs workspaceId\.$/
  },
  {
    factory: claudePlatformAWS,
    options: { workspaceId: 'a b' },
    message: /workspaceId \}\) must be the id of a workspace/
  },
  { factory: claudePlatformAWS, options: { ...key, ...baseUrl, ...workspaceId } },
  { factory: claudePlatformAWS, options: workspaceId },
  { factory: databricks, options: key, message: /^databricks\(\{ apiKey \}\) needs workspace or baseUrl/ },
  { factory: databricks, options: { workspace: 'evil.example' }, message: /must be the host of a workspace/ },
  { factory: databricks, options: { ...key, workspace: 'dbc-1' } },
  { factory: databricks, options: { ...key, ...baseUrl } }
]

t.test('options that need others', async t => {
  for (const { factory, options, message } of ROWS) {
    const build = () => factory(options as never)
    if (message === undefined) t.doesNotThrow(build, JSON.stringify(options))
    else t.throws(build, { ...INVALID, message }, JSON.stringify(options))
  }
})

t.test('hosts of workspaces at Databricks', async t => {
  const rows: ReadonlyArray<readonly [workspace: string, host: string]> = [
    ['dbc-a1b2345c-d6e7', 'dbc-a1b2345c-d6e7.cloud.databricks.com'],
    ['DBC-1.cloud.databricks.com', 'dbc-1.cloud.databricks.com'],
    ['adb-1234567890123456.7.azuredatabricks.net', 'adb-1234567890123456.7.azuredatabricks.net'],
    ['westus.azuredatabricks.net', 'westus.azuredatabricks.net'],
    ['1234567890123456.7.gcp.databricks.com', '1234567890123456.7.gcp.databricks.com']
  ]
  for (const [workspace, host] of rows) {
    const headers = { ...BEARER, 'x-portkey-databricks-workspace': workspace }
    const { origin } = await requestOf(databricks(), 'cancel', 'batch_1', { headers })
    t.equal(origin, `https://${host}`, workspace)
  }
})

t.test('regions outside the partition aws', async t => {
  for (const host of ['cn-north-1.amazonaws.com.cn', 'us-gov-west-1.amazonaws.com']) {
    const headers = { ...BEARER, [REGION]: host.split('.')[0] }
    const { origin } = await requestOf(bedrockOpenAI(), 'cancel', 'batch_1', { headers })
    t.equal(origin, `https://bedrock-runtime.${host}`)
  }
})
