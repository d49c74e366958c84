import { readdir, readFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import t from 'tap'
import { ROOT } from '../support/root.js'

/* The gateway as a package of its own, beside the plugin. */

interface Package {
  readonly version: string
  readonly engines: object
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

const readText = async (path: string) => await readFile(new URL(path, ROOT), 'utf8')
const readPackage = async (path: string) => JSON.parse(await readText(path)) as Package

/** The name of the package that an import is from. */
const packageOf = (target: string) => /^(?:@[^/]+\/)?[^/]+/.exec(target)?.[0] as string

const plugin = await readPackage('package.json')
const gateway = await readPackage('gateway/package.json')

t.test('its version is the plugin\'s, which it needs exactly', async t => {
  t.equal(gateway.version, plugin.version)
  t.equal(gateway.dependencies['fastify-batch-cancel'], plugin.version)
  t.strictSame(gateway.engines, plugin.engines)
  t.equal(await readText('gateway/LICENSE'), await readText('LICENSE'))
})

t.test('its dependencies are what it imports, and none of them is the plugin\'s', async t => {
  const files = (await readdir(new URL('gateway/', ROOT))).filter(name => name.endsWith('.ts'))
  const sources = await Promise.all(files.map(name => readText(`gateway/${name}`)))
  const targets = sources
    .flatMap(text => [...text.matchAll(/^(?:import|export) [^']* from '([^'.][^']*)'$/gm)])
    .map(([, target]) => target as string)
  const imported = new Set(targets.filter(target => !isBuiltin(target)).map(packageOf))
  t.strictSame([...imported].sort(), Object.keys(gateway.dependencies).sort())
  t.strictSame(Object.keys(plugin.dependencies).filter(name => imported.has(name)), [])
})

t.test('both are tested with the same versions', async t => {
  const shared = Object.keys(gateway.dependencies).filter(name => name in plugin.devDependencies)
  t.ok(shared.includes('fastify'))
  for (const name of shared) t.equal(gateway.dependencies[name], plugin.devDependencies[name], name)
})
