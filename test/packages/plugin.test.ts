import t from 'tap'
import { emptyProject, PLUGIN, toolOf } from './empty-project.js'

/* The plugin from its tarball, in a folder of its own. */

const ENDING = `
app.ready().then(async () => {
  const { statusCode } = await app.inject({ method: 'POST', url: '/v1/batches/batch_1/cancel' })
  console.log(statusCode)
  await app.close()
})`

const OPTIONS = `{
  defaultProvider: 'x',
  forward: async ({ batchId }) => completeBatch({ id: batchId, status: 'cancelling' })
}`

const IMPORTS = `
import Fastify from 'fastify'
import batchCancel, { completeBatch } from 'fastify-batch-cancel'
import sandbox from 'fastify-batch-cancel/sandbox'
import { isBatch } from 'fastify-batch-cancel/schemas'
import { forwarderContract } from 'fastify-batch-cancel/testing'
if (typeof isBatch !== 'function' || typeof forwarderContract !== 'function') throw new Error('missing')
const app = Fastify()
app.register(batchCancel, ${OPTIONS})
app.register(sandbox, { prefix: '/sandbox' })
${ENDING}`

const REQUIRES = `
const Fastify = require('fastify')
const batchCancel = require('fastify-batch-cancel')
const sandbox = require('fastify-batch-cancel/sandbox')
const { isBatch } = require('fastify-batch-cancel/schemas')
const { forwarderContract } = require('fastify-batch-cancel/testing')
const { completeBatch } = batchCancel
if (typeof isBatch !== 'function' || typeof forwarderContract !== 'function') throw new Error('missing')
const app = Fastify()
app.register(batchCancel, ${OPTIONS})
app.register(sandbox, { prefix: '/sandbox' })
${ENDING}`

const esbuild = toolOf('esbuild/bin/esbuild')

t.test('the plugin', async t => {
  const project = await emptyProject(t, PLUGIN, 'fastify')
  await project.write('imports.mjs', IMPORTS)
  await project.write('requires.cjs', REQUIRES)
  const works = { code: 0, stdout: '200\n', stderr: '' }
  const silent = { code: 0, stdout: '', stderr: '' }

  await t.test('by import and by require, without a warning', async t => {
    for (const file of ['imports.mjs', 'requires.cjs']) t.strictSame(await project.node(file), works, file)
  })

  await t.test('bundled by esbuild, without externals', async t => {
    for (const { entry, format, banner } of [
      { entry: 'imports.mjs', format: 'cjs', banner: '' },
      { entry: 'requires.cjs', format: 'cjs', banner: '' },
      {
        entry: 'imports.mjs',
        format: 'esm',
        // Fastify itself is CommonJS, for which a bundle of ECMAScript modules needs this line.
        banner: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);'
      }
    ]) {
      const outfile = `${entry}.${format === 'esm' ? 'mjs' : 'cjs'}`
      const flags = ['--bundle', '--platform=node', '--log-level=warning', `--format=${format}`, `--outfile=${outfile}`]
      const built = await project.run(esbuild, entry, ...flags, `--banner:js=${banner}`)
      t.strictSame(built, silent, `${entry} as ${format}`)
      t.strictSame(await project.node(outfile), works, `${outfile} runs`)
    }
  })

  await t.test('a bundle has what it uses', async t => {
    await project.write('one.mjs', 'import batchCancel from "fastify-batch-cancel"; console.log(typeof batchCancel)')
    const flags = ['--bundle', '--platform=node', '--format=esm', '--minify', '--log-level=warning']
    const { code, stdout, stderr } = await project.run(esbuild, 'one.mjs', ...flags)
    t.strictSame([code, stderr], [0, ''])
    t.ok(stdout.includes('x-portkey-provider'), 'the plugin')
    t.notOk(stdout.includes('batchSandbox'), 'no sandbox')
  })

  await t.test('its tree is clean, and described by npm sbom', async t => {
    const sbom = await project.run('npm', 'sbom', '--sbom-format=cyclonedx')
    t.equal(sbom.code, 0, sbom.stderr)
    const { components } = JSON.parse(sbom.stdout) as { components: ReadonlyArray<{ name: string, licenses?: unknown }> }
    const own = components.find(({ name }) => name === 'fastify-batch-cancel')
    t.match(own?.licenses, [{ license: { id: 'MIT' } }])
    t.equal((await project.run('npm', 'ls', '--all')).code, 0)
  })
})
