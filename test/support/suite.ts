import { readdirSync } from 'node:fs'
import { ROOT } from './root.js'

const TESTS = new URL('build/test/', ROOT)

/** Folders whose tests have processes of their own; those of every other folder run together. */
const SEPARATE = ['docs', 'examples', 'gateway', 'programs', 'providers', 'route', 'sandbox', 'suites', 'testing']

export const otherFolders = () => {
  const folders = readdirSync(TESTS, { withFileTypes: true }).filter(entry => entry.isDirectory())
  return ['.', ...folders.map(({ name }) => name)].filter(name => !SEPARATE.includes(name))
}

/**
 * Runs all test files of some folders below `test`, one after another in this process: to start a process for each
 * takes longer than most of them do.
 */
export async function runFolders (folders: readonly string[], { except = [] }: { except?: readonly string[] } = {}) {
  for (const folder of folders) {
    const names = readdirSync(new URL(folder, TESTS)).filter(name => name.endsWith('.test.js'))
    for (const name of names.filter(name => !except.includes(name)).sort()) {
      await import(new URL(`${folder}/${name}`, TESTS).href)
    }
  }
}
