import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { GATEWAY, PLUGIN, toolOf } from './empty-project.js'
import { ROOT } from '../support/root.js'

/* What the tools for packages find in both tarballs, and in the repository. */

const CHECKS = [
  { name: 'publint', file: toolOf('publint/src/cli.js'), args: ['run', '--strict', PLUGIN] },
  { name: 'publint, gateway', file: toolOf('publint/src/cli.js'), args: ['run', '--strict', GATEWAY] },
  { name: 'attw', file: toolOf('@arethetypeswrong/cli/dist/index.js'), args: [PLUGIN, '--profile', 'esm-only'] },
  { name: 'attw, gateway', file: toolOf('@arethetypeswrong/cli/dist/index.js'), args: [GATEWAY, '--profile', 'esm-only'] },
  { name: 'knip', file: toolOf('knip/bin/knip.js'), args: [] }
]

for (const { name, file, args } of CHECKS) {
  t.test(name, t => {
    execFile(process.execPath, [file, ...args], (error, stdout, stderr) => {
      t.equal(error?.code ?? 0, 0, stdout + stderr)
      t.end()
    })
  })
}

t.test('the API reference is generated from the docstrings', async t => {
  const written = t.testdir()
  await promisify(execFile)(process.execPath, [toolOf('typedoc/bin/typedoc'), '--out', written])
  const [expected, actual] = await Promise.all([readTree(written), readTree(fileURLToPath(new URL('docs/api', ROOT)))])
  t.ok(expected.has('fastify-batch-cancel.md'), 'it has a page')
  t.strictSame(actual, expected, 'docs/api is up to date; npm run api writes it')
})

/** The texts of the files in a folder, by their paths. */
async function readTree (folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name)).sort()
  return new Map(await Promise.all(files.map(async file =>
    [relative(folder, file), await readFile(file, 'utf8')] as const)))
}
