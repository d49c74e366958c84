import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'
import t from 'tap'
import { emptyProject, GATEWAY, PLUGIN } from './empty-project.js'

/* The gateway from its tarball, as `npx` runs it. */

const README = new URL('README.md', `file://${process.cwd()}/`)

/** The call of the README and the response that it shows. */
async function readmeExample () {
  const text = await readFile(README, 'utf8')
  const [, path, header] = /^curl -X POST http:\/\/127\.0\.0\.1:8787(\S+) -H '([^']+)'$/m.exec(text) as unknown as string[]
  const [, json] = /^```json\n(.+)\n```$/m.exec(text) as unknown as string[]
  const [name, value] = (header as string).split(': ') as [string, string]
  return { path: path as string, headers: { [name]: value }, batch: JSON.parse(json as string) as unknown }
}

/** Waits until the gateway has printed its address. */
async function originOf ({ stdout }: ChildProcess): Promise<string> {
  let text = ''
  while (!/listens on \S+\n/.test(text)) text += String((await once(stdout as Readable, 'data'))[0])
  return /listens on (\S+)/.exec(text)?.[1] as string
}

t.test('the gateway', async t => {
  const project = await emptyProject(t, PLUGIN, GATEWAY)
  const { version } = JSON.parse(
    await readFile(join(project.folder, 'node_modules/fastify-batch-cancel-gateway/package.json'), 'utf8')
  ) as { version: string }

  await t.test('it prints its version and its usage', async t => {
    const command = ['--no-install', 'fastify-batch-cancel-gateway']
    t.match(await project.run('npx', ...command, '--version'), { code: 0, stdout: `${version}\n`, stderr: '' })
    t.match(await project.run('npx', ...command, '--help'), { code: 0, stdout: /^Usage: fastify-batch-cancel-gateway / })
    t.match(await project.run('npx', ...command, '--prot', '1'), { code: 2, stderr: /^Unknown option '--prot'/ })
  })

  await t.test('it answers the call of the README, and ends on a signal', async t => {
    const { path, headers, batch } = await readmeExample()
    const child = project.start('npx', '--no-install', 'fastify-batch-cancel-gateway', '--port', '0')
    const origin = await originOf(child)
    const response = await fetch(origin + path, { method: 'POST', headers })
    t.equal(response.status, 200)
    t.strictSame(await response.json(), batch)
    for (const page of ['/docs/', '/openapi.json', '/healthz']) t.equal((await fetch(origin + page)).status, 200, page)
    // Only npx gets it; its output ends once the gateway has.
    child.kill('SIGTERM')
    await once(child, 'close')
    await t.rejects(fetch(origin + path), 'it listens no longer')
  })

  await t.test('it reads a configuration of the folder in which it is started', async t => {
    await project.write('gateway.json', '{ "defaultProvider": "nobody" }')
    const { code, stderr } = await project.run('npx', '--no-install', 'fastify-batch-cancel-gateway', '--config', 'gateway.json')
    t.match({ code, stderr }, { code: 1, stderr: /^Invalid configuration gateway\.json: "defaultProvider" must be one of/ })
  })
})
