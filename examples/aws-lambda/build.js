// Bundles the function with all of its packages into dist/index.mjs, which is all that Lambda needs.

import { build } from 'esbuild'

await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: ['handler.js'],
  outfile: 'dist/index.mjs',
  bundle: true,
  minify: true,
  // An ECMAScript module may await in the init phase.
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // Fastify and undici are CommonJS, whose `require` does not exist in an ECMAScript module.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
  logLevel: 'error'
})
