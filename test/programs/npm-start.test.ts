import { fileURLToPath } from 'node:url'
import t from 'tap'
import { run, WITHOUT_COVERAGE, type Program } from '../support/program.js'
import { ROOT } from '../support/root.js'
import { cancelsInFlight, COMPLETE, holdingUpstream, trusting, type HeldUpstream } from '../gateway/held-upstream.js'
import { connectTo, originFrom } from '../gateway/program.js'

const NPM_SIGNALS = [
  { signal: 'SIGINT', sender: 'a terminal sends it to the group', target: -1 },
  { signal: 'SIGTERM', sender: 'a supervisor sends it to the group', target: -1 },
  { signal: 'SIGTERM', sender: 'only npm gets it', target: 1 }
] as const

t.test('npm start', async t => {
  const root = fileURLToPath(ROOT)
  // As from a shell: without what the test runner adds.
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, npm_config_update_notifier: 'false', ...WITHOUT_COVERAGE }
  const build = run(t, 'npm', ['run', 'build', '--prefix', root], env)
  t.equal(await build.ended, 0, build.stdout())

  /** It is built already, so that only the script itself is run. */
  const npmStart = (held: HeldUpstream): Program =>
    run(t, 'npm', ['start', '--ignore-scripts', '--prefix', root], { ...env, ...trusting(held), PORT: '0' })

  for (const { signal, sender, target } of NPM_SIGNALS) {
    await t.test(`${signal}: ${sender}`, { timeout: 30_000 }, async t => {
      const held = await holdingUpstream(t)
      const program = npmStart(held)
      const origin = await originFrom(program)
      const clients = await cancelsInFlight(t, origin, held, 3)
      const idle = await connectTo(t, origin)
      process.kill(target * (program.child.pid as number), signal)
      await idle.closed
      held.release()
      await Promise.all(clients.map(({ closed }) => closed))
      t.equal(clients.filter(client => COMPLETE.test(client.text())).length, 3)
      // It has ended only when the gateway has, too; npm's own end depends on its shell.
      t.ok([0, signal as string].includes(await program.ended))
    })
  }
})
