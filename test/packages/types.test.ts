import t from 'tap'
import { emptyProject, PLUGIN, toolOf } from './empty-project.js'

/* The types of the tarball, under every way in which TypeScript finds them. */

/** The oldest and the newest TypeScript that are supported. */
const OLDEST = { version: '5.9', tsc: toolOf('typescript-5/bin/tsc') }
const NEWEST = { version: '7.0', tsc: toolOf('typescript-7/lib/tsc.js') }

const STRICT = [
  '--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--types', 'node',
  '--target', 'es2022'
]

const USE = `
export const app = Fastify()
app.register(batchCancel, {
  defaultProvider: 'openai',
  forward: forwardToProviders({ providers: { openai: openai({ apiKey: 'sk' }) } })
})
app.register(sandbox, { prefix: '/sandbox' })
export const idOf = (batch: Batch): string => batch.id
export const contract = forwarderContract({ forward: async () => null, ids: { live: async () => 'batch_1' } })
export const check: boolean = isBatch({})
// @ts-expect-error Nothing is any: an option that does not exist.
app.register(batchCancel, { defaultProvidr: 'openai' })
// @ts-expect-error Nothing is any: the message is a string.
export const error = new FST_BATCH_CANCEL_INVALID_OPTION(1)
`

const NAMES = 'forwardToProviders, FST_BATCH_CANCEL_INVALID_OPTION, openai, type Batch'

const MODULE = `
import Fastify from 'fastify'
import batchCancel, { ${NAMES} } from 'fastify-batch-cancel'
import sandbox from 'fastify-batch-cancel/sandbox'
import { isBatch } from 'fastify-batch-cancel/schemas'
import { forwarderContract } from 'fastify-batch-cancel/testing'
${USE}`

const COMMONJS = `
import Fastify = require('fastify')
import batchCancel = require('fastify-batch-cancel')
import { ${NAMES} } from 'fastify-batch-cancel'
import sandbox = require('fastify-batch-cancel/sandbox')
import { isBatch } from 'fastify-batch-cancel/schemas'
import { forwarderContract } from 'fastify-batch-cancel/testing'
${USE}`

const bundler = ['--moduleResolution', 'bundler', '--esModuleInterop']

/** The oldest compiler is the slowest by far, so it checks each kind of resolution once; it has no pair of the last. */
const RESOLUTIONS = [
  { files: ['module.mts', 'commonjs.cts'], options: ['--module', 'nodenext'], compilers: [OLDEST, NEWEST] },
  { files: ['module.mts', 'commonjs.cts'], options: ['--module', 'node20'], compilers: [NEWEST] },
  { files: ['module.mts'], options: ['--module', 'node16'], compilers: [NEWEST] },
  { files: ['module.ts'], options: ['--module', 'esnext', ...bundler], compilers: [OLDEST, NEWEST] },
  { files: ['module.ts'], options: ['--module', 'es2020', ...bundler], compilers: [NEWEST] },
  { files: ['module.ts'], options: ['--module', 'preserve', ...bundler], compilers: [NEWEST] },
  { files: ['module.ts'], options: ['--module', 'commonjs', ...bundler], compilers: [NEWEST] }
]

t.test('types', async t => {
  const project = await emptyProject(t, PLUGIN, 'fastify', '@types/node@20')
  await project.write('module.mts', MODULE)
  await project.write('module.ts', MODULE)
  await project.write('commonjs.cts', COMMONJS)

  for (const { files, options, compilers } of RESOLUTIONS) {
    for (const { version, tsc } of compilers) {
      const result = await project.node(tsc, ...STRICT, ...options, ...files)
      t.strictSame(result, { code: 0, stdout: '', stderr: '' }, `TypeScript ${version}: ${options.join(' ')}`)
    }
  }
})
