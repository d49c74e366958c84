import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describeMachine } from './machine.js'

const folder = new URL('../results/', import.meta.url)
const fileOf = (name) => new URL(`${name}.json`, folder)

/** Keeps the results of one script, with the day and the machine that they are from. */
export function keepResults (name, results) {
  mkdirSync(folder, { recursive: true })
  const whole = { date: new Date().toISOString().slice(0, 10), machine: describeMachine(), ...results }
  writeFileSync(fileOf(name), `${JSON.stringify(whole, rounded, 2)}\n`)
}

/** The kept results of one script; `undefined` where it was never run. */
export function readResults (name) {
  try {
    return JSON.parse(readFileSync(fileOf(name), 'utf8'))
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

const rounded = (_key, value) => typeof value === 'number' ? Number(value.toPrecision(6)) : value
