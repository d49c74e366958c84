import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { load } from './lib/load.js'
import { leaveSubjectCore, untilIdle } from './lib/machine.js'
import { readCommandLine } from './lib/options.js'
import { temporaryFolder } from './lib/processes.js'
import { checkAnswer, startSubject } from './lib/subject.js'
import { startUpstream } from './lib/upstream.js'
import { subjectCalled, subjectNames } from './subjects/index.js'

const TOP = 40
const root = fileURLToPath(new URL('..', import.meta.url))

/** Whose code a function is, by where it stands; the first that fits. */
const OWNERS = [
  ['garbage collector', ({ functionName }) => functionName === '(garbage collector)'],
  ['native code of Node.js', ({ functionName, url }) => functionName === '(program)' || url === ''],
  ['this package', ({ url }) => /\/dist\/(lib|schemas)\//.test(url)],
  ['undici', ({ url }) => /\/node_modules\/undici\//.test(url)],
  ['Fastify and its parts', ({ url }) => /\/node_modules\/(fastify|find-my-way|avvio|@fastify|light-my-request|fast-json-stringify|secure-json-parse|pino)\//.test(url)],
  ['other packages', ({ url }) => /\/node_modules\//.test(url)],
  ['JavaScript of Node.js', ({ url }) => url.startsWith('node:')],
  ['the app', () => true]
]

const { only, seconds, warmUp, patience, connections } = readCommandLine({
  defaults: { seconds: 10, warmUp: 3, patience: 30, connections: 50 },
  quick: { seconds: 3, warmUp: 2, patience: 5 },
  names: subjectNames
})
const subject = subjectCalled(only.length === subjectNames.length ? 'plugin' : only[0])

leaveSubjectCore()
const upstream = await startUpstream()
const { profile, requests } = await profileOf(withSampler(subject))
await upstream.stop()
report(profile, requests)

/** The subject with the sampler in its process. */
function withSampler (subject) {
  const file = join(temporaryFolder(), 'profile.json')
  const sampler = new URL('./profile/sampler.js', import.meta.url).href
  return {
    ...subject,
    file,
    launch (place) {
      const { args, env, ...launched } = subject.launch(place)
      return { ...launched, args: ['--import', sampler, ...args], env: { ...env, PROFILE: file } }
    }
  }
}

async function profileOf (sampled) {
  await untilIdle(patience * 1000)
  const server = await startSubject(sampled, upstream)
  await checkAnswer(server, upstream)
  const target = { url: server.url, headers: server.headers, connections }
  await load({ ...target, seconds: warmUp })
  process.kill(server.pid, 'SIGUSR2')
  const { requests, errors } = await load({ ...target, seconds })
  if (errors > 0) throw new Error(`${errors} of ${requests} requests failed.`)
  await server.stop('SIGTERM')
  return { profile: JSON.parse(readFileSync(sampled.file, 'utf8')), requests }
}

function report (profile, requests) {
  const functions = selfTimes(profile).filter(({ functionName }) => functionName !== '(idle)')
  const total = functions.reduce((sum, { micros }) => sum + micros, 0)
  const share = (micros) => `${(micros / total * 100).toFixed(1).padStart(5)} %  ${(micros / requests).toFixed(2).padStart(7)} µs a request`

  console.log(`${subject.name}: ${requests} requests, ${(total / requests).toFixed(1)} µs each, all by self time\n`)
  for (const [owner, micros] of summed(functions, ownerOf)) console.log(`${share(micros)}  ${owner}`)

  const top = new Set(functions.sort((a, b) => b.micros - a.micros).slice(0, TOP))
  console.log(`\nThe ${TOP} functions that took the most, by file\n`)
  for (const [file, micros] of summed([...top], fileOf)) {
    console.log(`${share(micros)}  ${file}`)
    for (const one of top) if (fileOf(one) === file) console.log(`${share(one.micros)}      ${one.functionName}:${one.line}`)
  }
}

/** The time of each function in microseconds, without that of those it called. */
function selfTimes ({ nodes, samples, timeDeltas }) {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const functions = new Map()
  for (const [index, id] of samples.entries()) {
    const { functionName, url, lineNumber } = frames.get(id)
    const key = `${functionName} ${url} ${lineNumber}`
    const known = functions.get(key) ?? { functionName: functionName === '' ? '(anonymous)' : functionName, url, line: lineNumber + 1, micros: 0 }
    // A sample lasts until the next one.
    known.micros += timeDeltas[index + 1] ?? 0
    functions.set(key, known)
  }
  return [...functions.values()]
}

function summed (functions, keyOf) {
  const sums = new Map()
  for (const one of functions) sums.set(keyOf(one), (sums.get(keyOf(one)) ?? 0) + one.micros)
  return [...sums].sort(([, a], [, b]) => b - a)
}

function ownerOf (one) {
  return OWNERS.find(([, owns]) => owns(one))[0]
}

function fileOf ({ url, functionName }) {
  if (url === '') return functionName.startsWith('(') ? functionName : '(native)'
  return url.startsWith('file:') ? fileURLToPath(url).replace(root, '') : url.replace(root, '')
}
