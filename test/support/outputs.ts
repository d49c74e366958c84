import type { FastifyInstance, FastifyServerOptions, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import { subscribeToCalls } from './calls.js'

/** Everything that comes out while a test runs: responses, errors, log lines, diagnostics messages. */
export interface Outputs {
  /** Options of an app whose log lines are kept. */
  readonly server: FastifyServerOptions
  /** A log for calls from code, which keeps what it is given as it is. */
  readonly log: { warn (details: object, message: string): void, error (details: object, message: string): void }
  /** Keeps every string that can be reached from a value. */
  keep (value: unknown): void
  keepResponse (response: LightMyRequestResponse): void
  /** The forms of secrets that stand in the outputs, with what is around them. Forgets all outputs. */
  leaks (secrets: Iterable<string>): string[]
  /** What was kept so far. */
  readonly texts: readonly string[]
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const

/** Sets the level of the requests to come. */
export const setLogLevel = (app: FastifyInstance, level: string) => { app.log.level = level }

export function collectOutputs (t: Test): Outputs {
  const texts: string[] = []
  const keep = (value: unknown) => { texts.push(...reachableStrings(value)) }
  subscribeToCalls(t, keep)
  return {
    texts,
    server: {
      logger: { level: 'trace', stream: { write: line => { texts.push(line) } } },
      routerOptions: { maxParamLength: 512 }
    },
    log: { warn: keep, error: keep },
    keep,
    keepResponse ({ statusMessage, headers, body }) { keep([statusMessage, headers, body]) },
    leaks (secrets) {
      const all = texts.join('\n')
      texts.length = 0
      const found = [...new Set([...secrets].flatMap(writtenForms))].filter(needle => all.includes(needle))
      return found.map(needle => `'${needle.slice(0, 40)}' in ${around(all, needle)}`)
    }
  }
}

const around = (text: string, needle: string) => {
  const at = text.indexOf(needle)
  return text.slice(Math.max(0, at - 150), at + needle.length + 50)
}

const escaped = (text: string) => JSON.stringify(text).slice(1, -1)

const toUnicodeEscapes = (text: string) =>
  Array.from(text, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')

/** How a text may be written by whoever repeats it. */
export const writtenForms = (text: string): string[] => [
  text,
  escaped(text),
  escaped(escaped(text)),
  text.replaceAll('/', '\\/'),
  toUnicodeEscapes(text),
  encodeURIComponent(text),
  encodeURIComponent(text).replace(/%../g, hex => hex.toLowerCase()),
  new URLSearchParams([[text, '']]).toString().slice(0, -1),
  Buffer.from(text).toString('base64'),
  Buffer.from(text).toString('base64url'),
  ...['a:', 'ab:'].map(before => base64Within(before, text))
]

/** Base64 of a longer text, without the characters that depend on what stands around this one. */
function base64Within (before: string, text: string): string {
  const start = Math.ceil(before.length * 8 / 6)
  const end = Math.floor((before.length + text.length) * 8 / 6)
  return Buffer.from(before + text).toString('base64').slice(start, end)
}

/** Every string that can be reached from a value: keys, hidden properties, causes, maps, headers and bytes. */
export function reachableStrings (value: unknown, seen = new Set<unknown>()): string[] {
  if (typeof value === 'string') return [value]
  if (value === null || typeof value !== 'object' || seen.has(value)) return []
  seen.add(value)
  if (ArrayBuffer.isView(value)) return [Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString()]
  const entries = typeof (value as Headers).entries === 'function' && !Array.isArray(value)
    ? [...(value as Headers).entries()]
    : []
  const own = Reflect.ownKeys(value).flatMap(key => [String(key), (value as Record<PropertyKey, unknown>)[key]])
  return [...entries.flat(), ...own].flatMap(part => reachableStrings(part, seen))
}
