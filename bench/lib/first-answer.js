import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const agent = new Agent({ keepAlive: false })

/** Between two tries, in milliseconds: the first 200 is seen at most this late. */
const PAUSE = 1

/** A server that takes longer than this to answer will never. */
const LONGEST_START = 30_000

/** Asks until a 200 comes; resolves to its text. Throws when the process ends before, or no 200 comes in time. */
export async function untilAnswered ({ running, ...target }) {
  let answer = { status: 0, text: 'no answer' }
  for (const end = Date.now() + LONGEST_START; Date.now() < end; await sleep(PAUSE)) {
    if (hasEnded(running)) throw new Error(`it ended: ${running.complaint()}`)
    answer = await ask(target).catch(({ message }) => ({ status: 0, text: message }))
    if (answer.status === 200) return answer.text
  }
  throw new Error(`no 200 came: ${answer.status} ${answer.text.slice(0, 200)}`)
}

const hasEnded = ({ child }) => child.exitCode !== null || child.signalCode !== null

/** One request over a connection of its own. */
export function ask ({ method = 'POST', url, headers }) {
  return new Promise((resolve, reject) => {
    request(url, { method, headers, agent }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => { text += chunk })
      response.on('end', () => resolve({ status: response.statusCode, text })).on('error', reject)
    }).on('error', reject).end()
  })
}
