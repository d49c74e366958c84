import { number, table } from './markdown.js'

/** The project's own budgets, each with what it is held against; `measured` is `undefined` where nothing was. */
export function budgets ({ run, wait, imports }) {
  const row = name => run?.rows.find(row => row.name === name)
  return [
    ...runBudgets(row),
    ...imports === undefined ? [] : [importBudget(imports)],
    ...wait === undefined ? [] : waitBudgets(wait)
  ].filter(({ measured }) => Number.isFinite(measured))
}

function runBudgets (row) {
  const ratio = (one, other, metric) => row(one)?.[metric]?.median / row(other)?.[metric]?.median
  const throughput = ratio('gateway', 'portkey', 'requestsPerSecond')
  return [
    atLeast(10, throughput, 'requests/s of the gateway, at least 10 times Portkey\'s', ' times'),
    atLeast(20, ratio('portkey', 'gateway', 'p99'), 'p99 of Portkey\'s gateway, at least 20 times that of this one', ' times'),
    ...['gateway', 'plugin'].flatMap(name => [
      atMost(1, ratio(name, 'reply-from', 'cpu'), `CPU per request of the ${name}, at most that of @fastify/reply-from`, ' times'),
      { ...atMost(1.25, ratio(name, 'undici-text', 'cpu'), `CPU per request of the ${name}, at most 1.25 times that of the bare route`, ' times'), aim: true }
    ]),
    atMost(1, ratio('gateway', 'portkey', 'start'), 'start to first 200 of the gateway, page and sandbox with it, at most Portkey\'s', ' times'),
    atMost(1.5, ratio('plugin', 'undici-text', 'start'), 'start to first 200 of the plugin, at most 1.5 times that of the bare route', ' times')
  ]
}

const importBudget = ({ rows }) => atMost(
  50,
  rows.find(({ name }) => name === 'fastify-batch-cancel')?.cpu.median,
  'CPU of an import of the plugin beside a loaded Fastify, at most 50 ms',
  ' ms'
)

const waitBudgets = ({ settings, memory, reads }) => [
  atMost(150, (memory.holding.rss - memory.idle.rss) / 1e6, `memory of ${settings.waits.toLocaleString('en-US')} waits above idle, under 150 MB`, ' MB'),
  atMost(1, reads.perInterval, 'upstream reads of a poller in an interval, at most one', '')
]

const atLeast = (limit, measured, what, unit) => ({ what, measured, unit, met: measured >= limit, missedBy: 1 - measured / limit })

const atMost = (limit, measured, what, unit) => ({ what, measured, unit, met: measured <= limit, missedBy: measured / limit - 1 })

export const budgetTable = (all) => table(['budget', 'measured', 'met?'], all.map(({ what, measured, unit, met, missedBy, aim }) => [
  aim ? `*aim:* ${what}` : what,
  `${number(measured)}${unit}`,
  met ? 'yes' : `**no**, missed by ${number(missedBy * 100)} %`
]))
