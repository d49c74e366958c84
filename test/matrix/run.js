/*
 * npm run test:matrix: the plugin from its tarball, on every line of Node.js and with every few minors of Fastify.
 * npm run test:matrix -- --node 20 --node 24 --fastify 5.0.0 --fastify 5: only these.
 */
import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'

const run = promisify(execFile)

/** The lines of Node.js, by the npm package that ships them. 20.19.0 is the oldest that is supported. */
const NODES = ['20.19.0', '20', '22', '24', '26']

/** Versions of Fastify from the oldest that is supported to the newest. */
const FASTIFYS = ['5.0.0', '5.2.0', '5.4.0', '5.6.0', '5.8.0', '5.10.0', '5']

const { values } = parseArgs({
  options: { node: { type: 'string', multiple: true }, fastify: { type: 'string', multiple: true } }
})
const { node: nodes = NODES, fastify: fastifys = FASTIFYS } = values

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SMOKE = fileURLToPath(new URL('smoke.js', import.meta.url))

/** A project in a folder of its own, with the packages installed. */
async function install (folder, ...packages) {
  const project = await mkdtemp(join(folder, 'project-'))
  await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  // A registry that stalls is asked again after 20 s.
  const flags = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline', '--fetch-timeout=20000']
  await run('npm', ['install', ...flags, ...packages], { cwd: project })
  return project
}

async function installNode (folder, version) {
  const project = await install(folder, `node@${version}`)
  return join(project, 'node_modules/node/bin/node')
}

async function installFastify (folder, version, plugin) {
  const project = await install(folder, plugin, `fastify@${version}`, '@fastify/swagger')
  await copyFile(SMOKE, join(project, 'smoke.js'))
  return project
}

/** Runs the checks, and returns what is wrong; a warning is wrong as well. */
async function check (node, project) {
  try {
    const { stdout, stderr } = await run(node, ['smoke.js'], { cwd: project, timeout: 60_000 })
    return { versions: stdout.trim(), problem: stderr }
  } catch ({ stdout, stderr, message }) {
    return { versions: stdout.trim(), problem: stderr || message }
  }
}

async function runMatrix (folder) {
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: ROOT })
  const plugin = join(folder, stdout.trim().split('\n').at(-1))
  let total = 0
  let failed = 0
  const binaries = await Promise.all(nodes.map(version => installNode(folder, version)))
  for (const fastify of fastifys) {
    const project = await installFastify(folder, fastify, plugin)
    for (const [index, node] of binaries.entries()) {
      const { versions, problem } = await check(node, project)
      const name = versions || `Node.js ${nodes[index]}, Fastify ${fastify}`
      console.log(`${problem === '' ? 'ok' : 'not ok'} ${++total} - ${name}`)
      if (problem === '') continue
      failed++
      console.log(problem.replace(/^/gm, '  # '))
    }
  }
  console.log(`1..${total}\n# { total: ${total}, pass: ${total - failed}, fail: ${failed} }`)
  return failed === 0
}

const folder = await mkdtemp(join(tmpdir(), 'batch-cancel-matrix-'))
try {
  process.exitCode = await runMatrix(folder) ? 0 : 1
} finally {
  await rm(folder, { recursive: true, force: true })
}
