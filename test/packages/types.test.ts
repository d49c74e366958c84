import t from 'tap'
import { emptyProject, PLUGIN, toolOf } from './empty-project.js'

/* The types of the tarball, under every way in which TypeScript finds them. */

/** The oldest and the newest TypeScript that are supported. */
const COMPILERS = [
  { version: '5.9', tsc: toolOf('typescript-5/bin/tsc') },
  { version: '7.0', tsc: toolOf('typescript-7/bin/tsc') }
]

const STRICT = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--types', 'node']

const USE = `
export const app = Fastify()
app.register(batchCancel, {
  defaultProvider: 'openai',
  forward: forwardToProviders({ providers: { openai: openai({ apiKey: 'sk' }) } })
})
app.register(sandbox, { prefix: '/sandbox' })
export const idOf = (batch: Batch): string => batch.id
export const contract = forwarderContract({ forward: async () => null, ids: { live: 'batch_1' } })
export const check: boolean = isBatch({})
// @ts-expect-error Nothing is any: an option that does not exist.
app.register(batchCancel, { defaultProvidr: 'openai' })
// @ts-expect-error Nothing is any: the message is a string.
export const error = new FST_BATCH_CANCEL_INVALID_OPTION(1)
`

const NAMES = 'forwardToProviders, FST_BATCH_CANCEL_INVALID_OPTION, openai, type Batch'

const FILES = {
  'module.mts': `
import Fastify from 'fastify'
import batchCancel, { ${NAMES} } from 'fastify-batch-cancel'
import sandbox from 'fastify-batch-cancel/sandbox'
import { isBatch } from 'fastify-batch-cancel/schemas'
import { forwarderContract } from 'fastify-batch-cancel/testing'
${USE}`,
  'commonjs.cts': `
import Fastify = require('fastify')
import batchCancel = require('fastify-batch-cancel')
import { ${NAMES} } from 'fastify-batch-cancel'
import sandbox = require('fastify-batch-cancel/sandbox')
import { isBatch } from 'fastify-batch-cancel/schemas'
import { forwarderContract } from 'fastify-batch-cancel/testing'
${USE}`
}

const bundler = ['--moduleResolution', 'bundler', '--esModuleInterop']

t.test('types', async t => {
  const project = await emptyProject(t, PLUGIN, 'fastify', '@types/node@20')
  await project.write('module.mts', FILES['module.mts'])
  await project.write('module.ts', FILES['module.mts'])
  await project.write('commonjs.cts', FILES['commonjs.cts'])

  for (const { file, options } of [
    { file: 'module.mts', options: ['--module', 'nodenext'] },
    { file: 'commonjs.cts', options: ['--module', 'nodenext'] },
    { file: 'module.mts', options: ['--module', 'node16'] },
    { file: 'commonjs.cts', options: ['--module', 'node20'] },
    { file: 'module.ts', options: ['--module', 'esnext', ...bundler] },
    { file: 'module.ts', options: ['--module', 'es2020', ...bundler] },
    { file: 'module.ts', options: ['--module', 'preserve', ...bundler] },
    { file: 'module.ts', options: ['--module', 'commonjs', ...bundler] }
  ]) {
    for (const { version, tsc } of COMPILERS) {
      const { code, stdout } = await project.node(tsc, ...STRICT, '--target', 'es2022', ...options, file)
      t.strictSame({ code, stdout }, { code: 0, stdout: '' }, `TypeScript ${version}: ${options.join(' ')} ${file}`)
    }
  }
})
