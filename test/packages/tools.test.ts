import { execFile } from 'node:child_process'
import t from 'tap'
import { GATEWAY, PLUGIN, toolOf } from './empty-project.js'

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
