// Writes a CycloneDX SBOM of what users of a package install, peers included, to standard output:
//   node .ci/sbom.js . > fastify-batch-cancel.cdx.json
//   node .ci/sbom.js gateway > fastify-batch-cancel-gateway.cdx.json
//
// `npm sbom --omit dev` in the repository leaves out dependencies that development needs as well, so npm gets a copy of
// the package without any development, and with the versions of the lockfile.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = new URL('../', import.meta.url)
const LOCKFILE = 'package-lock.json'

const { devDependencies: _development, scripts: _scripts, workspaces: _workspaces, ...subject } =
  readManifest(process.argv[2] ?? '.')
const plugin = readManifest('.')
const copies = mkdtempSync(join(tmpdir(), 'sbom-'))
try {
  const sbom = describe(copySubject())
  checkComplete(sbom)
  console.log(JSON.stringify(sbom, null, 2))
} finally {
  rmSync(copies, { recursive: true })
}

function readManifest (folder) {
  return JSON.parse(readFileSync(new URL(`${folder}/package.json`, ROOT), 'utf8'))
}

/** A folder with the package and a lockfile for it alone; npm names the subject of the SBOM after the folder. */
function copySubject () {
  const folder = join(copies, subject.name)
  mkdirSync(folder)
  cpSync(new URL(LOCKFILE, ROOT), join(folder, LOCKFILE))
  writeManifest(folder, { ...subject, dependencies: withLocalPlugin(subject.dependencies) })
  npm(folder, 'install', '--package-lock-only', '--install-links', '--ignore-scripts', '--no-audit', '--silent')
  writeManifest(folder, subject)
  return folder
}

/** The plugin of this release may not be published yet. */
function withLocalPlugin (dependencies) {
  if (!(plugin.name in dependencies)) return dependencies
  const folder = join(copies, 'plugin')
  mkdirSync(folder)
  const { name, version, license, dependencies: needed, peerDependencies, peerDependenciesMeta } = plugin
  writeManifest(folder, { name, version, license, dependencies: needed, peerDependencies, peerDependenciesMeta })
  return { ...dependencies, [plugin.name]: `file:${folder}` }
}

function writeManifest (folder, manifest) {
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
}

function describe (folder) {
  const sbom = JSON.parse(npm(folder, 'sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'))
  const withoutFiles = ({ externalReferences = [], ...component }) =>
    ({ ...component, externalReferences: externalReferences.filter(({ url }) => !url.startsWith('file:')) })
  return { ...sbom, components: sbom.components.map(withoutFiles) }
}

function checkComplete ({ components }) {
  const { dependencies, peerDependencies, peerDependenciesMeta } = subject
  const required = Object.keys({ ...dependencies, ...peerDependencies })
    .filter(name => peerDependenciesMeta?.[name]?.optional !== true)
  const present = new Set(components.map(({ purl }) => decodeURIComponent(purl).replace(/^pkg:npm\/|@[^@]+$/g, '')))
  const missing = required.filter(name => !present.has(name))
  if (missing.length > 0) throw new Error(`The SBOM lacks ${missing.join(', ')}.`)
}

function npm (cwd, ...args) {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
}
