import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../support/root.js'

function pathOfBinary (packageName: string, name: string): string {
  const folder = new URL(`test/contract/node_modules/${packageName}/`, ROOT)
  const { bin } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as { bin: Record<string, string> }
  return fileURLToPath(new URL(bin[name] as string, folder))
}

export interface ToolResult {
  readonly passed: boolean
  readonly stdout: string
  /** All output, without a banner about the version of Node. */
  readonly output: string
}

const ENVIRONMENT = {
  REDOCLY_TELEMETRY: 'off',
  REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
  NO_COLOR: '1',
  FORCE_COLOR: '0',
  NODE_OPTIONS: ''
}

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

/** Runs a tool in the root folder, which has no configuration file that the tool would find by itself. */
function run (file: string, args: readonly string[]): Promise<ToolResult> {
  const options = { cwd: fileURLToPath(ROOT), env: { ...process.env, ...ENVIRONMENT }, maxBuffer: MAX_OUTPUT_BYTES }
  return new Promise(resolve => execFile(process.execPath, [file, ...args], options, (error, stdout, stderr) =>
    resolve({ passed: error === null, stdout, output: (stdout + stderr).replace(/^ *[╔║╚].*\n/gm, '').trim() })))
}

export const redocly = (...args: string[]) => run(pathOfBinary('@redocly/cli', 'redocly'), args)

/** Writes the types of a document beside it; with `--check`, reports whether they are up to date. */
export const openapiTypescript = (document: string, ...args: string[]) => {
  const types = document.replace(/\.json$/, '.d.ts')
  return run(pathOfBinary('openapi-typescript', 'openapi-typescript'), [
    document, '-o', types, '--empty-objects-unknown', ...args
  ])
}
