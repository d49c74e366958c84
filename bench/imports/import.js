/*
 * Imports modules one after the other, and reports to the parent what the last one took, in milliseconds: CPU is that of
 * all threads.
 */

const reading = () => {
  const { user, system } = process.cpuUsage()
  return { wall: performance.now(), cpu: (user + system) / 1000 }
}

const names = process.argv.slice(2)
for (const name of names.slice(0, -1)) await import(name)
const before = reading()
await import(names.at(-1))
const after = reading()

process.send({ cpu: after.cpu - before.cpu, wall: after.wall - before.wall }, () => process.exit())
