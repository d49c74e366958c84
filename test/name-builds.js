/*
 * Gives the folders of compiled tests the package.json of the plugin, for their own `lib`: by its name, the gateway
 * there finds the sources under test and not `dist`. tap runs this before the tests.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const ROOT = new URL('../', import.meta.url)
const BUILDS = ['build/', 'test/sdk/build/', 'test/contract/build/']

const text = readFileSync(new URL('package.json', ROOT), 'utf8').replaceAll('"./dist/', '"./')
for (const build of BUILDS.map(path => new URL(path, ROOT)).filter(existsSync)) {
  writeFileSync(new URL('package.json', build), text)
}
