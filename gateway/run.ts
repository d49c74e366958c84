import { CANCEL_TIMEOUT_MS } from './gateway.js'
import { main } from './main.js'
import { closingTime, createShutdown, parentEnd } from './shutdown.js'

const printError = (sentence: string) => console.error(sentence)

/** What npm calls a process of `npm start` and of `npx`. */
const UNDER_NPM = new Set<string | undefined>(['start', 'npx'])

function closeOnSignals (close: () => Promise<unknown>): void {
  const { begin, onSignal } = createShutdown({
    close,
    exit: code => process.exit(code),
    report: printError,
    now: () => performance.now(),
    timeout: closingTime(CANCEL_TIMEOUT_MS)
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  if (UNDER_NPM.has(process.env['npm_lifecycle_event'])) parentEnd().then(begin)
}

const exitCode = await main({
  args: process.argv.slice(2),
  env: process.env,
  print: text => console.log(text),
  printError,
  onListening: app => closeOnSignals(() => app.close())
})
if (exitCode !== undefined) process.exitCode = exitCode
