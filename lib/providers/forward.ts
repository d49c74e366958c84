import { createHash } from 'node:crypto'
import { BatchCancelError } from '../errors.js'
import { refuseAsForwarder } from '../forwarder/forwarder-option.js'
import { createCallStore, onCallEnd } from '../forwarder/lifetime.js'
import { tieShareKey } from '../forwarder/share-key.js'
import type { Batch, BatchCall, BatchForwarder, BatchResult } from '../forwarder/types.js'
import { TOKEN_TIMEOUT_MS } from '../limits.js'
import { createMask } from '../mask.js'
import { redactError, toRedactedCause } from '../redact.js'
import { secretsInValue } from '../secrets.js'
import { isFunctionOption, secretsOf, sentSecretsOf } from './credentials.js'
import { checkForwardOptions, originOf, type ForwardOptions } from './forward-options.js'
import { checkUrl } from './hosts.js'
import { createUpstream, DEFAULT_HEADERS, type OnCallEnd, type UpstreamResponse } from './http-client.js'
import type { Action, SendRequest } from './provider.js'
import { readResponse } from './read-response.js'
import { builtIn } from './registry.js'
import { createCallResolver, type ResolvedCall } from './resolve-call.js'
import { traceHeadersOf } from './trace-context.js'

/** How long the credential that a function found is used for the reads of a call, in milliseconds. */
const CREDENTIAL_LIFETIME_MS = 60_000

/**
 * Forwards calls to providers over HTTP, with the credentials of the server or of the client. Checks every call itself,
 * whatever makes it.
 *
 * @throws FST_BATCH_CANCEL_INVALID_OPTION
 * @example forwardToProviders({ providers: { openai: openai({ apiKey: call => keyOf(call.request) }) } })
 */
export function forwardToProviders (options: ForwardOptions = {}): Required<BatchForwarder> {
  return createProviderForwarder(options)
}

refuseAsForwarder(forwardToProviders, 'must be what forwardToProviders() returns: call it.')

/** @param now monotonic time in milliseconds */
export function createProviderForwarder (
  options: ForwardOptions,
  now: () => number = () => performance.now()
): Required<BatchForwarder> {
  checkForwardOptions(options)
  const { providers = builtIn, trustedHosts = [], forwardHeaders, clientCredentials = true, dispatcher } = options
  const { traits, resolve, refresh } = createCallResolver(providers, {
    trustedOrigins: new Set(trustedHosts.map(host => originOf(host) as string)),
    forwardHeaders: forwardHeaders && new Set(forwardHeaders.map(name => name.toLowerCase())),
    clientCredentials
  })
  const upstream = createUpstream({ dispatcher })
  const resolvedCalls = createCallStore<{ readonly resolved: ResolvedCall, readonly at: number }>()

  function remember (call: BatchCall, resolved: ResolvedCall): ResolvedCall {
    resolvedCalls.set(call, { resolved, at: now() })
    return resolved
  }

  function prepare (call: BatchCall): void | Promise<void> {
    const resolved = resolve(call)
    if (resolved instanceof Promise) return resolved.then(value => { remember(call, value) })
    remember(call, resolved)
  }

  /** A wait lasts for minutes: a credential that was rotated or revoked is not used until its end. */
  function current (call: BatchCall): ResolvedCall | Promise<ResolvedCall> {
    const known = resolvedCalls.get(call)
    if (known === undefined) return rememberLater(call, resolve(call))
    const { resolved, at } = known
    if (!isFunctionOption(resolved.provider.serverCredential) || now() - at < CREDENTIAL_LIFETIME_MS) return resolved
    return rememberLater(call, refresh(resolved, call))
  }

  const rememberLater = async (call: BatchCall, resolved: ResolvedCall | Promise<ResolvedCall>) =>
    remember(call, await resolved)

  /** Calls share what is exchanged, so that it does not end with one of them. */
  const sendForCredential: SendRequest = (origin, request) =>
    upstream(origin, { ...request, headers: { ...DEFAULT_HEADERS, ...request.headers } }, origin, afterTokenTimeout)

  async function send (action: Action, call: BatchCall): Promise<BatchResult> {
    const resolved = current(call)
    const { provider, target, credential, forwarded } = resolved instanceof Promise ? await resolved : resolved
    const { base: { origin }, place, batchId } = target
    const { method, path, headers: own, body } = provider.request(action, target)
    checkUrl(target.base, path)
    const unsigned = { method, path, headers: own, body, origin, place }
    const authorized = await provider.authorize(credential, unsigned, sendForCredential)
    const headers = Object.assign({}, DEFAULT_HEADERS, forwarded, own, authorized)
    const onEnd = (listener: () => void) => onCallEnd(call, listener)
    const secrets = secretsOf(credential, authorized, forwarded)
    let response: UpstreamResponse
    try {
      const trace = traceHeadersOf(call.headers)
      response = await upstream(origin, { method, path, headers, body, trace }, call.provider, onEnd)
    } catch (error) {
      throw withoutSecrets(error, secrets)
    }
    const serverSecrets = provider.serverCredential === undefined ? [] : sentSecretsOf(authorized)
    return readResponse(response, { provider, action, batchId, secrets, serverSecrets })
  }

  // A read never returns without a batch.
  const retrieve = (call: BatchCall) => send('retrieve', call) as Promise<BatchResult<Batch>>

  function shareKey (call: BatchCall): string | undefined {
    const known = resolvedCalls.get(call)
    return known && readKey(call, known.resolved)
  }

  return {
    prepare,
    cancel: (call) => send('cancel', call),
    retrieve,
    shareKey: tieShareKey(shareKey, retrieve),
    warm: () => upstream.warm(),
    close: () => upstream.close(),
    providers: traits
  }
}

const afterTokenTimeout: OnCallEnd = listener => {
  const timer = setTimeout(listener, TOKEN_TIMEOUT_MS)
  return () => { clearTimeout(timer) }
}

/** An error of a dispatcher, which knows the whole request, in words that repeat no secret: nearly always as it is. */
function withoutSecrets (error: unknown, secrets: readonly string[]): unknown {
  if (error instanceof BatchCancelError) return error
  const parts = secrets.flatMap(secretsInValue)
  const words = JSON.stringify(redactError(error))
  return createMask(parts)(words) === words ? error : toRedactedCause(error, parts)
}

/** What makes two reads the same: the whole request before it is signed. Hashed, since it holds the credential. */
function readKey (call: BatchCall, { provider, target, credential, forwarded }: ResolvedCall): string {
  const { origin } = target.base
  const parts = [call.provider, origin, target.place, provider.request('retrieve', target), credential, forwarded]
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64')
}
