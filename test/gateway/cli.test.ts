import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { readCommandLine, USAGE } from '../../gateway/cli.js'
import { ROOT } from '../support/root.js'
import { runMain, start } from './program.js'

const run = (flags: object, configFile?: string) => ({ name: 'run', flags, configFile })

t.test('the command line', async t => {
  for (const { args, command } of [
    { args: [], command: run({}) },
    { args: ['--port', '0', '--host', '::1'], command: run({ port: '0', host: '::1' }) },
    { args: ['--port=0', '--log-level=info'], command: run({ port: '0', logLevel: 'info' }) },
    { args: ['--port', '1', '--port', '2'], command: run({ port: '2' }) },
    { args: ['--trusted-host', 'a', '--trusted-host=b:1'], command: run({ trustedHosts: ['a', 'b:1'] }) },
    { args: ['--config', 'gateway.json'], command: run({}, 'gateway.json') },
    { args: ['--config=-odd.json'], command: run({}, '-odd.json') },
    { args: ['--'], command: run({}) },
    { args: ['--help', '--version'], command: { name: 'help' } },
    { args: ['--port', '1', '--version'], command: { name: 'version' } }
  ]) {
    t.strictSame(readCommandLine(args), command, args.join(' '))
  }
})

t.test('a command line that is not valid', async t => {
  for (const { args, message } of [
    { args: ['--prot', '1'], message: 'Unknown option \'--prot\'.' },
    { args: ['--port', '1', '-x'], message: 'Unknown option \'-x\'.' },
    { args: ['--no-help'], message: 'Unknown option \'--no-help\'.' },
    { args: ['--toString'], message: 'Unknown option \'--toString\'.' },
    { args: ['--help', '--bad'], message: 'Unknown option \'--bad\'.' },
    { args: ['--port'], message: 'Option \'--port\' needs a value.' },
    { args: ['--port', '--host', 'a'], message: 'Option \'--port\' needs a value.' },
    { args: ['--config='], message: 'Option \'--config\' needs a value.' },
    { args: ['--help=yes'], message: 'Option \'--help\' takes no value.' },
    { args: ['8787'], message: 'Unexpected argument \'8787\'.' },
    { args: ['--', '--port'], message: 'Unexpected argument \'--port\'.' }
  ]) {
    t.strictSame(readCommandLine(args), { name: 'invalid', message: `${message} See --help.` }, args.join(' '))
  }
})

t.test('any command line is either run as given or refused in one line', async t => {
  const word = fc.oneof(
    fc.constantFrom('--port', '--host', '--trusted-host', '--log-level', '--config', '--', '--help=', '--port=1'),
    fc.string()
  )
  fc.assert(fc.property(fc.array(word, { maxLength: 5 }), args => {
    const command = readCommandLine(args)
    if (command.name === 'invalid') return / See --help\.$/.test(command.message)
    const { flags, configFile } = command as Extract<typeof command, { name: 'run' }>
    return [...Object.values(flags).flat(), configFile ?? 'x'].every(value => typeof value === 'string' && value !== '')
  }))
  t.pass('for every one')
})

t.test('the program', async t => {
  const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'))
  for (const { args, exitCode, stdout = '', stderr = '' } of [
    { args: ['--help'], exitCode: 0, stdout: `${USAGE}\n` },
    { args: ['--version'], exitCode: 0, stdout: `${version}\n` },
    { args: ['--nope'], exitCode: 2, stderr: 'Unknown option \'--nope\'. See --help.\n' },
    { args: ['--port', 'x'], exitCode: 1, stderr: 'Invalid --port \'x\': expected a whole number from 0 to 65535.\n' }
  ]) {
    t.strictSame(await runMain(t, {}, args), { exitCode, app: undefined, stdout, stderr }, args.join(' '))
  }
  const env = { PORT: '99999', HOST: 'no such host' }
  const { exitCode, stdout } = await runMain(t, env, ['--port', '0', '--host', '127.0.0.1'])
  t.equal(exitCode, undefined)
  t.match(stdout, /listens on http:\/\/127\.0\.0\.1:\d+\n/, 'flags win')
  t.ok(USAGE.split('\n').every(line => line.length <= 120))

  const program = start(t, {}, ['--nope'])
  t.equal(await program.ended, 2, 'as a process')
  t.equal(program.stderr(), 'Unknown option \'--nope\'. See --help.\n')
})
