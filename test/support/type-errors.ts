import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { writeTypeScript, type CodeBlock } from './code-blocks.js'
import { run, WITHOUT_COVERAGE } from './program.js'
import { ROOT } from './root.js'

const TSC = fileURLToPath(new URL('node_modules/typescript/bin/tsc', ROOT))

/** The tests themselves are left to `npm run typecheck`: their types take as long as all others. */
const INCLUDED = ['test/types.test.ts', 'lib', 'gateway/*.ts', 'schemas', 'openapi/*.ts']

/** The compiler's complaints about all sources, the tests of types, and modules of TypeScript besides. */
export async function typeErrors (
  t: Test,
  blocks: ReadonlyArray<Pick<CodeBlock, 'place' | 'text'>>
): Promise<string[]> {
  const files = await writeTypeScript(blocks)
  const configuration = new URL('tsconfig.json', files[0])
  await writeFile(configuration, JSON.stringify({
    extends: '../../test/tsconfig.json',
    include: INCLUDED.map(path => `../../${path}`),
    files: files.map(file => fileURLToPath(file))
  }))
  const args = ['--max-semi-space-size=64', TSC, '-p', fileURLToPath(configuration), '--noEmit', '--pretty', 'false']
  const { ended, stdout, stderr } = run(t, process.execPath, args, { ...process.env, ...WITHOUT_COVERAGE })
  await ended
  // What explains an error is indented.
  return (stdout() + stderr()).split(/\n(?! )/).filter(line => line !== '')
}
