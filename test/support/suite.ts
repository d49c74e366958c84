import { readdirSync } from 'node:fs'
import { ROOT } from './root.js'

const TESTS = new URL('build/test/', ROOT)

/**
 * Which files run together in one process, one after another: a file belongs to the first suite that it matches. To
 * start a process takes longer than most files do, so there are as many suites as run at the same time, with about the
 * same amount of work each.
 */
const SUITES = {
  // The compiler takes as long as the rest of docs: it runs with core.
  gateway: /^(?:docs\/(?!typescript\.)|examples\/|gateway\/|testing\/)/,
  route: /^(?:route\/|providers\/(?:credentials|faults)\.)/,
  providers: /^(?:providers\/|leaks\.)/,
  /** With scripts of their own. */
  none: /^(?:programs|suites)\//,
  core: /^/
}

type Suite = keyof typeof SUITES

/** Runs all test files of a suite. */
export async function runSuite (suite: Exclude<Suite, 'none'>): Promise<void> {
  for (const file of testFiles()) {
    const [name] = Object.entries(SUITES).find(([, pattern]) => pattern.test(file)) as [Suite, RegExp]
    if (name === suite) await import(new URL(file, TESTS).href)
  }
}

const testFiles = () => readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
  .map(file => file.replaceAll('\\', '/'))
  .filter(file => file.endsWith('.test.js'))
  .sort()
