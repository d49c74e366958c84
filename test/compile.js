/*
 * Compiles sources and tests to `build` without a look at their types: test/docs/typescript.test.ts checks these beside
 * the other tests.
 */
import { readdir, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import * as esbuild from 'esbuild'

/** Folders of tests with a build, and packages, of their own. */
const SEPARATE = ['sdk', 'contract', 'packages', 'matrix']

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
await rm('build', { recursive: true, force: true })
const tests = (await readdir('test', { withFileTypes: true })).filter(entry => entry.isDirectory())
const folders = tests.filter(({ name }) => !SEPARATE.includes(name)).map(({ name }) => `test/${name}/**`)
await esbuild.build({
  entryPoints: ['lib/**', 'schemas/**', 'gateway', 'openapi', 'test', ...folders].map(folder => `${folder}/*.ts`),
  outbase: '.',
  outdir: 'build',
  format: 'esm',
  platform: 'node',
  sourcemap: true,
  sourcesContent: false,
  tsconfig: 'tsconfig.json',
  logLevel: 'error'
})
