import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const agent = new Agent({ keepAlive: false, maxSockets: Infinity })

/** So many calls begin together, and so long after the ones before, in milliseconds. */
const AT_ONCE = 20
const PAUSE = 10

/** Begins all calls, a few at a time; resolves to their answers, none of which has come yet. */
export async function beginAll (calls) {
  const answers = []
  for (const [index, call] of calls.entries()) {
    answers.push(answerTo(call))
    if (index % AT_ONCE === AT_ONCE - 1) await sleep(PAUSE)
  }
  return answers
}

/** The status, the text and the time of an answer, or the error in its place. */
function answerTo ({ url, headers }) {
  return new Promise(resolve => {
    request(url, { method: 'POST', headers, agent }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', chunk => { text += chunk })
      response.on('end', () => resolve({ status: response.statusCode, text, at: performance.now() }))
      response.on('error', error => resolve({ error: error.message, at: performance.now() }))
    }).on('error', error => resolve({ error: error.message, at: performance.now() })).end()
  })
}
