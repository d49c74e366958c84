import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const binary = (packageName: string, name: string) => {
  const folder = new URL(`node_modules/${packageName}/`, import.meta.url)
  const { bin } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as { bin: Record<string, string> }
  return fileURLToPath(new URL(bin[name] as string, folder))
}

export interface Run {
  readonly passed: boolean
  readonly stdout: string
  /** All that it printed, but for a banner about the version of Node. */
  readonly said: string
}

/** Runs a tool of this folder's packages in the root, where no configuration of its own lies. */
function run (file: string, args: readonly string[]): Promise<Run> {
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', NO_COLOR: '1', FORCE_COLOR: '0', NODE_OPTIONS: '' }
  return new Promise(resolve => execFile(process.execPath, [file, ...args], { cwd: ROOT, env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) =>
    resolve({ passed: error === null, stdout, said: (stdout + stderr).replace(/^ *[╔║╚].*\n/gm, '').trim() })))
}

export const redocly = (...args: string[]) => run(binary('@redocly/cli', 'redocly'), args)

/** Writes openapi.d.ts, or with `--check` tells whether it is what it would write. */
export const openapiTypescript = (...args: string[]) =>
  run(binary('openapi-typescript', 'openapi-typescript'), ['openapi/openapi.json', '-o', 'openapi/openapi.d.ts', '--empty-objects-unknown', ...args])
