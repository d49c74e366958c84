import { BatchCancelError, internalError } from '../errors.js'
import type { BatchCall } from '../forwarder/types.js'
import { isObject } from '../is-object.js'
import { isSecretHeader, secretsInValue } from '../secrets.js'
import { isToken, type Resolvable } from './provider.js'

type Find<T> = (call: BatchCall) => T | undefined | Promise<T | undefined>

/** Whether an option is a function that finds its value for each call. */
export const isFunctionOption = <T>(option: Resolvable<T> | undefined): option is Find<T> =>
  typeof option === 'function'

/** The strings of a call that are secret: its credential, the headers that carry it, forwarded values. */
export function secretsOf (...sources: readonly unknown[]): string[] {
  const secrets: string[] = []
  for (const source of sources) addStrings(secrets, source)
  return secrets
}

function addStrings (strings: string[], source: unknown): void {
  if (typeof source === 'string') strings.push(source)
  if (!isObject(source)) return
  for (const name in source) if (typeof source[name] === 'string') strings.push(source[name])
}

/** What is secret by itself in the headers that carry a credential. */
export const sentSecretsOf = (headers: Readonly<Record<string, string>>): string[] =>
  Object.entries(headers).filter(([name]) => isSecretHeader(name)).flatMap(([, value]) => secretsInValue(value))

/**
 * Calls a function of the server. What it throws is for the server's log: it may name vaults, roles or tenants.
 *
 * @param what completes "… could not be found"
 */
export async function callOption<T> (what: string, option: Find<T>, call: BatchCall): Promise<T | undefined> {
  try {
    return await option(call)
  } catch (error) {
    throw error instanceof BatchCancelError ? error : internalError(`${what} could not be found.`, error)
  }
}

/** @throws BatchCancelError `missing_credentials` if no credential is found, or it cannot be sent */
export function checkCredential (provider: string, credential: unknown, isServer: boolean): unknown {
  if (typeof credential === 'string' ? isToken(credential) : isObject(credential)) return credential
  if (!isServer) throw missingCredential(`The request has no usable credential for '${provider}'.`)
  throw missingCredential(`The server has no usable credential for '${provider}'.`, serverProblem(credential))
}

/** @throws always */
export function refuseClientCredential (provider: string): never {
  throw missingCredential(`The server has no credential for '${provider}', and does not pass on the client's.`)
}

const missingCredential = (message: string, cause?: unknown) =>
  new BatchCancelError('missing_credentials', message, { param: 'authorization', cause })

/** For the log; without the value. */
const serverProblem = (credential: unknown) => credential === undefined
  ? undefined
  : new Error('The function that finds the credential returned something that is not a credential: expected visible ' +
    'ASCII characters, without spaces, line breaks or \'Bearer \' before them.')
