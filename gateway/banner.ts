export interface BannerOptions {
  readonly sandbox: boolean
  /** The provider of the example if the sandbox is left out. */
  readonly provider: string
  /** The providers that use a key of the server. */
  readonly keyed: readonly string[]
}

/** What the gateway prints once it listens: its page, and calls to paste. */
export const banner = (origin: string, options: BannerOptions): string => [
  `fastify-batch-cancel listens on ${origin}`,
  '',
  `  page      ${origin}/docs`,
  ...options.sandbox ? sandboxCalls(origin) : [providerCall(origin, options)],
  ''
].join('\n')

const cancelCall = (origin: string, id: string, ...headers: readonly string[]) =>
  [`curl -X POST ${origin}/v1/batches/${id}/cancel`, ...headers.map(header => `-H ${header}`)].join(' ')

const sandboxCalls = (origin: string) => [
  `  cancel    ${cancelCall(origin, 'batch_abc123', "'x-portkey-provider: sandbox'")}`,
  `  wait      ${cancelCall(origin, 'batch_in_progress', "'x-portkey-provider: sandbox'", "'prefer: wait=30'")}`,
  `  retrieve  curl ${origin}/sandbox/v1/batches/batch_abc123`
]

function providerCall (origin: string, { provider, keyed }: BannerOptions): string {
  const credential = keyed.includes(provider) ? [] : ['"authorization: Bearer $API_KEY"']
  return `  cancel    ${cancelCall(origin, '$BATCH_ID', `'x-portkey-provider: ${provider}'`, ...credential)}`
}

/** The risk of listening on more than loopback with the server's own keys. */
export const keysInReach = (host: string, keyed: readonly string[]): string =>
  `Anyone who can reach ${host} can cancel batches with the server's keys for ${keyed.join(', ')}: ` +
  'put authentication in front of the gateway, or listen on 127.0.0.1.'
