import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'

// Loaded before a subject: SIGUSR2 begins a profile, so that its start is not in it; SIGTERM ends and keeps it.
const session = new Session()
session.connect()

process.once('SIGUSR2', async () => {
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: 200 })
  await session.post('Profiler.start')
})

process.once('SIGTERM', async () => {
  const { profile } = await session.post('Profiler.stop')
  writeFileSync(process.env.PROFILE, JSON.stringify(profile))
  process.exit()
})
