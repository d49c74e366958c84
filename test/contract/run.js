import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const USAGE = `npm run contract
  Tests a local gateway against the OpenAPI document.

npm run contract -- <url> [--provider <name>] [--id <batch>]... [--header '<name>: <value>']...
  Tests a deployment against the OpenAPI document. Only the batches named by --id are cancelled;
  every other request is one that no server can carry out.

  <url>       base URL without /v1/batches: https://host or https://host/prefix
  --provider  x-portkey-provider of every call; default: the deployment's default provider
  --id        batch that is really cancelled; repeatable
  --header    header of every call, such as a credential; repeatable
  --retrieve  test GET /v1/batches/:id, too: the deployment is registered with retrieve: true
`

const OPTIONS = /** @type {const} */ ({
  provider: { type: 'string' },
  id: { type: 'string', multiple: true },
  header: { type: 'string', multiple: true },
  retrieve: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' }
})

const HEADER = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\x20-\x7e\x80-\xff]+)$/

/**
 * Reads the command line into the environment of the test; `undefined` if help is requested.
 *
 * @throws an error with one sentence about the first invalid argument
 */
function readArguments (args) {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true })
  const { provider, id: ids = [], header: headers = [], help = false, retrieve = false } = values
  if (help) return undefined
  const [url, ...others] = positionals
  if (others.length > 0) throw new Error(`Expected one URL, but got '${others[0]}' as well.`)
  if (url === undefined) {
    if (Object.keys(values).length > 0) throw new Error(`--${Object.keys(values)[0]} requires the URL of a deployment.`)
    return {}
  }
  if (ids.includes('')) throw new Error('--id must not be empty.')
  return {
    CONTRACT_URL: checkUrl(url),
    CONTRACT_IDS: JSON.stringify(ids),
    CONTRACT_HEADERS: JSON.stringify(Object.fromEntries(headers.map(readHeader))),
    CONTRACT_RETRIEVE: String(retrieve),
    ...provider !== undefined && { CONTRACT_PROVIDER: provider }
  }
}

function checkUrl (text) {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username + url.password + url.search + url.hash !== '') {
    throw new Error(`'${text}' is not valid: expected an http or https URL without userinfo, query or fragment.`)
  }
  return url.href
}

function readHeader (text) {
  const [, name, value] = HEADER.exec(text) ?? []
  if (name === undefined) throw new Error('--header is not valid: expected \'<name>: <value>\'.')
  return [name.toLowerCase(), value]
}

function start (environment) {
  const test = fileURLToPath(new URL('build/test/contract/contract.test.js', import.meta.url))
  const tap = fileURLToPath(new URL('../../node_modules/.bin/tap', import.meta.url))
  const env = { ...process.env, ...environment }
  spawn(tap, ['--disable-coverage', '--timeout=300', test], { stdio: 'inherit', env })
    .on('exit', code => { process.exitCode = code ?? 1 })
}

try {
  const environment = readArguments(process.argv.slice(2))
  if (environment === undefined) console.log(USAGE)
  else start(environment)
} catch ({ message }) {
  // Node's own messages continue with advice on positional arguments.
  console.error(`${message.replace(/\. To .*/s, '.')}\n\n${USAGE}`)
  process.exitCode = 2
}
