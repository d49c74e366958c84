import { parseArgs } from 'node:util'

/**
 * The options of a script, from its command line: numbers by their defaults, `--quick` for the small values of each,
 * `--only a,b` for some of the names. A quick or partial run is not kept unless `--keep` says so.
 */
export function readCommandLine ({ defaults, quick, names = [] }) {
  const { values } = parseArgs({
    options: {
      ...Object.fromEntries(Object.keys(defaults).map(name => [name, { type: 'string' }])),
      quick: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      ...names.length > 0 && { only: { type: 'string', default: names.join(',') } }
    }
  })
  const numbers = Object.fromEntries(Object.entries({ ...defaults, ...values.quick && quick }).map(([name, number]) => [name, numberIn(name, values[name] ?? number)]))
  const only = (values.only ?? '').split(',').filter(name => name !== '')
  const unknown = only.find(name => !names.includes(name))
  if (unknown !== undefined) throw new Error(`--only knows ${names.join(', ')}, not '${unknown}'.`)
  const whole = !values.quick && only.length === names.length
  return { ...numbers, ...names.length > 0 && { only }, keep: whole || values.keep }
}

function numberIn (name, value) {
  const number = Number(value)
  if (!(number > 0)) throw new Error(`--${name} should be a number above 0, not '${value}'.`)
  return number
}
