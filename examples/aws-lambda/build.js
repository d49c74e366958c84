// Bundles the function with all of its packages into dist/index.mjs, which is all that Lambda needs.

import { build } from 'esbuild'

export const options = {
  absWorkingDir: import.meta.dirname,
  entryPoints: ['handler.js'],
  outfile: 'dist/index.mjs',
  bundle: true,
  // An ECMAScript module may await in the init phase.
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // Fastify and undici are CommonJS, whose `require` does not exist in an ECMAScript module.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
  logLevel: 'error'
}

await build(options)
