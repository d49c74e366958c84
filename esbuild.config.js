/* Bundles the entry points, TypeBox included, so that an app loads a few files and not some 300. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import * as esbuild from 'esbuild'

const MODULES = 'dist/modules'
const ENTRY_POINTS = [
  'lib/index', 'lib/commonjs', 'lib/sandbox/index', 'lib/sandbox/commonjs', 'lib/testing/index', 'schemas/index'
]

/** Bundlers warn of an import for its side effects alone: package.json says that no file has any. */
const withoutBareImports = {
  name: 'without-bare-imports',
  setup ({ onEnd }) {
    onEnd(async ({ metafile }) => {
      for (const file of Object.keys(metafile?.outputs ?? {}).filter(file => file.endsWith('.js'))) {
        const text = await readFile(file, 'utf8')
        // The empty line keeps the lines of the source map.
        await writeFile(file, text.replaceAll(/^import "[^"]+";$/gm, ''))
      }
    })
  }
}

const options = {
  entryPoints: ENTRY_POINTS.map(name => `${MODULES}/${name}.js`),
  outbase: MODULES,
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['undici', 'fastify', 'fastify-plugin', '@fastify/*', '@smithy/*'],
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
  plugins: [withoutBareImports]
}

if (process.argv.includes('--watch')) {
  await (await esbuild.context(options)).watch()
} else {
  await rm('dist/chunks', { recursive: true, force: true })
  await esbuild.build(options)
}
