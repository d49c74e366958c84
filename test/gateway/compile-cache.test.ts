import { readdirSync } from 'node:fs'
import module from 'node:module'
import t from 'tap'
import { keepCompiledCode } from '../../gateway/compile-cache.js'
import { originFrom, startUncovered } from './program.js'

t.test('a Node.js without a compile cache', async t => {
  let calls = 0
  keepCompiledCode({})
  keepCompiledCode({ enableCompileCache: () => calls++ })
  t.equal(calls, 1)
})

t.test('the code of a start is kept compiled for the next one, where Node.js can', async t => {
  const directory = t.testdir()
  const { child, ended, ...program } = startUncovered(t, { TMPDIR: directory, NODE_DISABLE_COMPILE_CACHE: undefined })
  await originFrom({ child, ended, ...program })
  child.kill('SIGTERM')
  t.equal(await ended, 0)
  t.strictSame(readdirSync(directory), 'enableCompileCache' in module ? ['node-compile-cache'] : [])
})
