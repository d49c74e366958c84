import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, normalize, relative } from 'node:path'
import t from 'tap'
import { ROOT } from './support/root.js'

/** The layers of the package, from the entry down. An import points down, or sideways within a layer. */
const LAYERS: ReadonlyArray<{ readonly layer: string, readonly holds: RegExp }> = [
  { layer: 'document', holds: /^openapi\// },
  { layer: 'gateway', holds: /^gateway\// },
  { layer: 'testing', holds: /^lib\/testing\// },
  { layer: 'entry', holds: /^lib\/(index|plugin|commonjs)\.ts$/ },
  { layer: 'options', holds: /^lib\/options\.ts$/ },
  { layer: 'route', holds: /^lib\/route\// },
  { layer: 'cancel', holds: /^lib\/cancel\// },
  { layer: 'providers', holds: /^lib\/providers\// },
  { layer: 'forwarder', holds: /^lib\/forwarder\// },
  { layer: 'batch', holds: /^lib\/batch\// },
  { layer: 'sandbox', holds: /^lib\/sandbox\// },
  { layer: 'base', holds: /^lib\/[a-z-]+\.ts$/ },
  { layer: 'schemas', holds: /^schemas\// }
]

/** What stands behind the names that the gateway, a package of its own, imports. */
const ENTRIES: Readonly<Record<string, string>> = {
  'fastify-batch-cancel': 'lib/index.ts',
  'fastify-batch-cancel/sandbox': 'lib/sandbox/index.ts',
  'fastify-batch-cancel/schemas': 'schemas/index.ts'
}

/** Imports that would point down, and are refused all the same. */
const FORBIDDEN: ReadonlyArray<{ readonly from: string, readonly to: RegExp, readonly why: string }> = [
  { from: 'cancel', to: /^(fastify|providers)$/, why: 'the engine knows neither Fastify nor any provider' },
  { from: 'sandbox', to: /^(cancel|providers|route|forwarder)$/, why: 'the sandbox stands alone' },
  { from: 'providers', to: /^(cancel|route|fastify)$/, why: 'providers know nothing of retries or HTTP requests' }
]

interface Import {
  readonly from: string
  readonly to: string
  /** As the file writes it. */
  readonly as: string
}

const layerOf = (file: string) => LAYERS.findIndex(({ holds }) => holds.test(file))
const nameOf = (target: string) => LAYERS[layerOf(target)]?.layer ?? target

async function importsOf (file: string): Promise<Import[]> {
  const text = await readFile(new URL(file, ROOT), 'utf8')
  const targets = [
    ...text.matchAll(/(?:from|import) '([^']+)'|import\('([^']+)'\)/g)
  ].map(match => match[1] ?? match[2] as string)
  return targets.map(target => ({ from: file, to: ENTRIES[target] ?? fileOf(target, file), as: target }))
}

const fileOf = (target: string, from: string) =>
  target.startsWith('.') ? normalize(join(dirname(from), target)).replace(/\.js$/, '.ts') : target

async function allImports (): Promise<Import[]> {
  const files = await Promise.all(['lib', 'gateway', 'schemas', 'openapi'].map(async folder =>
    (await readdir(new URL(folder, ROOT), { recursive: true })).map(name => join(folder, name))))
  const sources = files.flat().filter(file => /(?<!\.d)\.ts$/.test(file) && !file.includes('node_modules/'))
  return (await Promise.all(sources.map(importsOf))).flat()
}

const imports = await allImports()

t.test('every file belongs to a layer, and every import points down or sideways', async t => {
  const own = imports.filter(({ to }) => to.endsWith('.ts'))
  t.ok(own.length > 100, `${own.length} imports`)
  const unplaced = own.filter(({ from, to }) => layerOf(from) === -1 || layerOf(to) === -1)
  t.strictSame(unplaced, [])
  const upward = own.filter(({ from, to }) => layerOf(to) < layerOf(from))
  t.strictSame(upward, [])
})

t.test('what a layer must not know, it does not import', async t => {
  for (const { from, to, why } of FORBIDDEN) {
    const found = imports.filter(found => nameOf(found.from) === from && to.test(nameOf(found.to)))
    t.strictSame(found, [], why)
  }
})

t.test('the gateway imports the plugin as any other package does', async t => {
  const ofGateway = imports.filter(({ from }) => from.startsWith('gateway/'))
  t.ok(ofGateway.some(({ as }) => as === 'fastify-batch-cancel'))
  t.strictSame(ofGateway.filter(({ as }) => as.startsWith('../')), [])
  const byName = imports.filter(({ from, as }) => as in ENTRIES && !from.startsWith('gateway/'))
  t.strictSame(byName, [], 'and nothing else does')
})

t.test('no two files import each other, directly or through others', async t => {
  const next = new Map<string, string[]>()
  for (const { from, to } of imports) if (to.endsWith('.ts')) next.set(from, [...next.get(from) ?? [], to])
  const done = new Set<string>()
  const cycles: string[] = []

  function visit (file: string, path: readonly string[]): void {
    if (path.includes(file)) {
      cycles.push([...path.slice(path.indexOf(file)), file].map(name => relative('.', name)).join(' > '))
    }
    if (path.includes(file) || done.has(file)) return
    for (const target of next.get(file) ?? []) visit(target, [...path, file])
    done.add(file)
  }

  for (const file of next.keys()) visit(file, [])
  t.strictSame(cycles, [])
})
