import { fileURLToPath } from 'node:url'
import { batchText, CANCEL_PATH } from './batch.js'
import { untilAnswered } from './first-answer.js'
import { hasNginx, nginxCommand } from './nginx.js'
import { freePort, start } from './processes.js'

/** nginx takes no longer word in its configuration; larger answers come from a file. */
const LONGEST_WORD = 4000

export const upstreamKind = hasNginx ? 'nginx' : 'node:http'

/** Starts a provider that answers every request with a batch of about so many bytes, as fast as the machine can. */
export async function startUpstream (bytes = 0) {
  const port = await freePort()
  const body = batchText(bytes)
  const [command, args] = hasNginx ? nginxUpstream(port, body) : nodeUpstream(port, bytes)
  const running = start(command, args)
  const origin = `http://127.0.0.1:${port}`
  await untilAnswered({ url: origin + CANCEL_PATH, headers: {}, running })
  return { origin, body, stop: running.stop }
}

function nginxUpstream (port, body) {
  const location = body.length > LONGEST_WORD
    // Only an error page makes a GET, which files can be fetched with, of a POST.
    ? 'location / { return 418; error_page 418 =200 /batch.json; } location = /batch.json { internal; root .; }'
    : `location / { return 200 '${body}'; }`
  return nginxCommand(`  types {}
  default_type application/json;
  sendfile on;
  server { listen 127.0.0.1:${port}; add_header x-request-id req_bench; ${location} }`, { 'batch.json': body })
}

const nodeUpstream = (port, bytes) => [process.execPath, [fileURLToPath(new URL('./node-upstream.js', import.meta.url)), String(port), String(bytes)]]
