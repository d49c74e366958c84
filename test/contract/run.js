import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const USAGE = `npm run contract
  Holds the document and a gateway of its own against each other.

npm run contract -- <url> [--provider <name>] [--id <batch>]... [--header '<name>: <value>']...
  Holds a deployment against the document. Only the batches of --id are cancelled; all else that is sent can be carried out nowhere.

  <url>       where the route is, without /v1/batches: https://host or https://host/prefix
  --provider  x-portkey-provider of each call; without it the deployment's default
  --id        a batch to cancel, for real; may be given again
  --header    a header of each call, such as a credential; may be given again
`

const OPTIONS = /** @type {const} */ ({
  provider: { type: 'string' },
  id: { type: 'string', multiple: true },
  header: { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' }
})

const HEADER = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\x20-\x7e\x80-\xff]+)$/

/** What the test reads from its environment. Throws one sentence for what cannot be meant. */
function readArguments (args) {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true })
  const { provider, id: ids = [], header: headers = [], help = false } = values
  if (help) return undefined
  const [url, ...others] = positionals
  if (others.length > 0) throw new Error(`There should be one URL, and not '${others[0]}' as well.`)
  if (url === undefined) {
    if (Object.keys(values).length > 0) throw new Error(`--${Object.keys(values)[0]} goes with the URL of a deployment.`)
    return {}
  }
  if (ids.includes('')) throw new Error('--id should not be empty.')
  return {
    CONTRACT_URL: checkUrl(url),
    CONTRACT_IDS: JSON.stringify(ids),
    CONTRACT_HEADERS: JSON.stringify(Object.fromEntries(headers.map(readHeader))),
    ...provider !== undefined && { CONTRACT_PROVIDER: provider }
  }
}

function checkUrl (text) {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new Error(`'${text}' should be the http or https URL of a deployment, without user, query or fragment.`)
  }
  return url.href
}

function readHeader (text) {
  const [, name, value] = HEADER.exec(text) ?? []
  if (name === undefined) throw new Error('--header should be \'<name>: <value>\'.')
  return [name.toLowerCase(), value]
}

function start (environment) {
  const test = fileURLToPath(new URL('contract.test.ts', import.meta.url))
  const tap = fileURLToPath(new URL('../../node_modules/.bin/tap', import.meta.url))
  const env = { ...process.env, ...environment }
  spawn(tap, ['--disable-coverage', '--timeout=300', test], { stdio: 'inherit', env }).on('exit', code => { process.exitCode = code ?? 1 })
}

try {
  const environment = readArguments(process.argv.slice(2))
  if (environment === undefined) console.log(USAGE)
  else start(environment)
} catch ({ message }) {
  console.error(`${message.replace(/\. To .*/s, '.')}\n\n${USAGE}`)
  process.exitCode = 2
}
