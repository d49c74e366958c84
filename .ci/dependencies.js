// Checks what users of the package install: known vulnerabilities and licences.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Licences that ask for no more than a notice. */
const ALLOWED_LICENCES = ['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']

/** With these a registry says that it has no advisories. */
const NO_ADVISORIES = [404, 405, 501]

const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8'))
const problems = [...vulnerabilities(), ...licenceProblems()]
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1

function vulnerabilities () {
  const { stdout, stderr } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { encoding: 'utf8' })
  const { vulnerabilities, statusCode, message } = JSON.parse(stdout)
  if (NO_ADVISORIES.includes(statusCode)) {
    console.log(`npm audit: skipped, the registry has no advisories (${message})`)
    return []
  }
  if (vulnerabilities === undefined) return [`npm audit failed: ${message ?? stderr}`]
  const found = Object.values(vulnerabilities)
  console.log(`npm audit: ${found.length} packages with known vulnerabilities`)
  return found.map(({ name, severity, range }) => `${name} ${range} has a known vulnerability (${severity}).`)
}

function licenceProblems () {
  const installed = installedPaths()
  const refused = installed.filter(path => !isAllowed(packages[path].license))
  console.log(`licences: ${installed.length} packages, ${refused.length} with a licence that is not allowed`)
  return refused.map(path => `${path} is licensed under ${packages[path].license ?? 'no stated licence'}. Allowed: ` +
    `${ALLOWED_LICENCES.join(', ')}.`)
}

/** The dependencies and peers of the package and of its workspaces, and what these need, as paths in the lockfile. */
function installedPaths () {
  const own = Object.keys(packages).filter(path => !path.includes('node_modules/'))
  const found = new Set()
  for (const path of own) addNeeds(path, found)
  return [...found].filter(path => !own.includes(path))
}

function addNeeds (path, found) {
  const { dependencies, optionalDependencies, peerDependencies } = packages[path]
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
    const need = resolve(path, name)
    // Optional packages may be missing; npm ci would have failed without any other.
    if (need === undefined || found.has(need)) continue
    found.add(need)
    addNeeds(need, found)
  }
}

/** Where Node.js finds a package: in the folder that needs it, or in one above. */
function resolve (path, name) {
  for (let folder = path; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))) {
    const found = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`
    if (found in packages) return packages[found].link === true ? packages[found].resolved : found
    if (folder === '') return undefined
  }
}

/** Whether an SPDX expression leaves a choice of licences that are all allowed. */
function isAllowed (expression = '') {
  const choices = expression.replace(/[()]/g, '').split(' OR ')
  return choices.some(choice => choice.split(' AND ').every(licence => ALLOWED_LICENCES.includes(licence)))
}
