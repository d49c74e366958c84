import t from 'tap'
import { forwardToProviders, openai } from '../../lib/index.js'
import { parseBase } from '../../lib/providers/hosts.js'
import { createMask } from '../../lib/mask.js'
import { bearerToken } from '../../lib/index.js'
import { make } from '../fixtures/fixture.js'
import { FIXTURES } from '../fixtures/index.js'

/* What a caller can make long must not cost more than a pass over it. */

const MAX_HEADER_LENGTH = 16_384

/** Repeated parts that make patterns with nested or overlapping repetitions backtrack. */
const SEEDS = [
  '/', 'a', '-', 'a-', '.', 'a.', ':', '1', 'arn:aws', 'us-east-1', 'projects/', 'https://', ' ', 'Bearer ', ',', 'a,',
  ', ', '%2F', '%2f', '\\', '{', '"'
]

/** Texts of the greatest length, each of which fails at its end. */
const hostileTexts = (length: number): string[] => SEEDS.flatMap(seed => {
  const repeated = seed.repeat(Math.ceil(length / seed.length)).slice(0, length - 1)
  return [`${repeated}\n`, `${repeated}!`, `a${repeated}`.slice(0, length)]
})

/** How long a function takes for this text, in milliseconds. */
function time (text: string, run: (text: string) => unknown): number {
  const start = performance.now()
  run(text)
  return performance.now() - start
}

const RUNS = 5

/** Whether a function takes less than the limit for each of these texts, in the best of some runs. */
const isWithin = (limit: number, texts: readonly string[], run: (text: string) => unknown): boolean =>
  texts.every(text => Array.from({ length: RUNS }).some(() => time(text, run) < limit))

/** Some linear passes: a pattern that backtracks takes hundreds of them. Nothing about patterns can be counted. */
function linearPass (text: string): number {
  let sum = 0
  for (let round = 0; round < 20; round++) for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i) * i
  return sum
}

const texts = hostileTexts(MAX_HEADER_LENGTH)
/** What a busy machine makes of linear passes is the measure. */
const budget = () => 4 * Math.max(...texts.map(text =>
  Math.min(...Array.from({ length: RUNS }, () => time(text, linearPass)))))

t.test('every header has a limit of its length', async t => {
  const { providers } = forwardToProviders()
  for (const [name, { headers = {} }] of providers) {
    for (const [header, schema] of Object.entries(headers)) {
      t.ok(Number(schema['maxLength']) <= MAX_HEADER_LENGTH, `${name}: ${header}`)
    }
  }
})

t.test('no pattern on a header or an id backtracks', async t => {
  const limit = budget()
  for (const fixture of FIXTURES) {
    const { id, headers = {} } = make(fixture)
    const ids = hostileTexts(512)
    t.ok(isWithin(limit, ids, text => id?.test(text)), `${fixture.name}: id`)
    for (const [header, { maxLength, pattern }] of Object.entries(headers)) {
      if (pattern === undefined) continue
      const longest = hostileTexts(Number(maxLength))
      const regExp = new RegExp(pattern as string)
      t.ok(isWithin(limit, longest, text => regExp.test(text)), `${fixture.name}: ${header}`)
    }
  }
})

t.test('nor does anything else that reads a header', async t => {
  const limit = budget()
  t.ok(isWithin(limit, texts, text => bearerToken({ authorization: text })), 'Authorization')
  const slashes = [`https://a${'/'.repeat(16_000)}x`, `https://a${'/'.repeat(16_000)}`]
  t.ok(isWithin(limit, [...texts, ...slashes], parseBase), 'a base URL')
  t.strictSame(parseBase(slashes[1] as string), { origin: 'https://a', path: '' })

  const forward = forwardToProviders({ providers: { openai: openai() } })
  const prepare = (headers: Record<string, string>) => {
    try {
      forward.prepare({
        batchId: 'b',
        provider: 'openai',
        headers,
        request: undefined,
        signal: new AbortController().signal
      })
    } catch { /* Most are refused. */ }
  }
  const authorization = 'Bearer k'
  for (const header of ['x-portkey-custom-host', 'x-portkey-forward-headers', 'connection', 'authorization']) {
    const run = (text: string) => prepare({ authorization, 'x-portkey-forward-headers': 'x-a', [header]: text })
    t.ok(isWithin(limit, texts, run), header)
  }
})

t.test('nor does masking', async t => {
  const mask = createMask(['\\'.repeat(64), 'a'.repeat(64), `${'a'.repeat(200)}b`])
  // It decodes escapes character by character, some times over; what backtracks would take thousands of passes.
  t.ok(isWithin(10 * budget(), texts, mask))
})
