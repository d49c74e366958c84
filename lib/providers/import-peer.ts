// Not by its name, which would clash in a bundle with the `createRequire` that people put before it.
import * as nodeModule from 'node:module'
import { internalError } from '../errors.js'

/**
 * Returns a function that loads optional peer dependencies when they are first needed. A failure is not remembered:
 * they may be installed later.
 *
 * @param names the packages, for the message
 * @throws BatchCancelError from the returned function: `internal_error`, whose cause says what to install
 */
export function importPeer<T> (names: readonly string[], load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined
  return async () => {
    try {
      return await (loaded ??= load())
    } catch (error) {
      loaded = undefined
      throw internalError(`An optional package is missing. Run: npm install ${names.join(' ')}`, error)
    }
  }
}

/** This package itself: what cannot find it by name is a bundle. */
const SELF = 'fastify-batch-cancel/package.json'

/**
 * The optional peer dependencies that are not installed, so that a server finds out when it starts. None in a bundle,
 * which may have them inside.
 *
 * @param from the URL of a module in the package
 */
export const missingPeers = (names: readonly string[], from: string = import.meta.url): readonly string[] =>
  canResolve(SELF, from) ? names.filter(name => !canResolve(name, from)) : []

function canResolve (name: string, from: string): boolean {
  try {
    // It throws as well in a bundle of CommonJS, which has no URL.
    nodeModule.createRequire(from).resolve(name)
    return true
  } catch {
    return false
  }
}

/** What is wrong with an option that needs optional peer dependencies; `undefined` if they are installed. */
export function peerConflict (
  option: string,
  names: readonly string[],
  missing: (names: readonly string[]) => readonly string[] = missingPeers
) {
  const absent = missing(names)
  if (absent.length === 0) return undefined
  return { names: [option], problem: `needs optional packages. Run: npm install ${absent.join(' ')}` }
}
