import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { writeTypeScript, type CodeBlock } from './code-blocks.js'
import { WITHOUT_COVERAGE } from './program.js'
import { ROOT } from './root.js'

const TSC = fileURLToPath(new URL('node_modules/typescript/bin/tsc', ROOT))

interface Configuration { readonly include: readonly string[] }

/** The compiler's complaints about all sources and tests, and about modules of TypeScript besides. */
export async function typeErrors (blocks: ReadonlyArray<Pick<CodeBlock, 'place' | 'text'>>): Promise<string[]> {
  const files = await writeTypeScript(blocks)
  const { include } = JSON.parse(await readFile(new URL('test/tsconfig.json', ROOT), 'utf8')) as Configuration
  const configuration = new URL('tsconfig.json', files[0])
  await writeFile(configuration, JSON.stringify({
    extends: '../../test/tsconfig.json',
    include: include.map(path => `../../test/${path}`),
    files: files.map(file => fileURLToPath(file))
  }))
  // The compiler counts for no coverage, which would make it slower.
  const env = { ...process.env, ...WITHOUT_COVERAGE }
  const args = [TSC, '-p', fileURLToPath(configuration), '--noEmit', '--pretty', 'false']
  const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  await once(child, 'close')
  // What explains an error is indented.
  return output.split(/\n(?! )/).filter(line => line !== '')
}
