import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { loadKind } from './load.js'
import { hasNginx } from './nginx.js'

/** The versions of what takes part in every measurement, and of these packages. */
export const versionsWith = (...packages) => ({
  'fastify-batch-cancel': versionIn('../../package.json'),
  ...Object.fromEntries(packages.map(name => [name, versionIn(`../node_modules/${name}/package.json`)])),
  'Node.js': process.versions.node
})

/** The same with packages of the root, which examples use. */
export const versionsWithRoot = (...packages) => ({
  'fastify-batch-cancel': versionIn('../../package.json'),
  ...Object.fromEntries(packages.map(name => [name, versionIn(`../../node_modules/${name}/package.json`)])),
  'Node.js': process.versions.node
})

/** The versions of the upstream and of the load. */
export const toolVersions = () => ({
  ...hasNginx && { nginx: printed('nginx', '-v') },
  [loadKind]: loadKind === 'wrk' ? printed('wrk', '-v') : versionIn('../node_modules/autocannon/package.json')
})

const versionIn = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version

function printed (command, flag) {
  const { stdout, stderr } = spawnSync(command, [flag], { encoding: 'utf8' })
  return /\d+\.\d+(\.\d+)?/.exec(stdout + stderr)?.[0]
}
