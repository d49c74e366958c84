import t from 'tap'
import { classifyError } from '../../lib/forwarder/classify-error.js'

/* Whether a request was sent decides whether the batch may have been cancelled. */

/** Codes and names of errors, by what they mean. */
const ERRORS = {
  retryable: [
    'ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'EADDRNOTAVAIL',
    'UND_ERR_CONNECT_TIMEOUT', 'ERR_TLS_CERT_ALTNAME_INVALID', 'CERT_HAS_EXPIRED', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'SELF_SIGNED_CERT_IN_CHAIN', 'DEPTH_ZERO_SELF_SIGNED_CERT'
  ],
  unknown: [
    'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'EPROTO', 'ETIMEDOUT', 'ESOCKETTIMEDOUT', 'UND_ERR_SOCKET',
    'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'HPE_INVALID_CONSTANT', 'ERR_SSL_BAD_RECORD_TYPE',
    'ERR_STREAM_PREMATURE_CLOSE', 'TimeoutError', 'AbortError', 'HTTPParserError', 'APIConnectionError',
    'APIConnectionTimeoutError', 'APIUserAbortError'
  ],
  final: ['ERR_INVALID_ARG_TYPE', 'UND_ERR_INVALID_ARG', 'ENOENT', 'TypeError', 'XECONNREFUSED', '']
}

t.test('the outcome of an error, by its code or name, its own or that of a cause', async t => {
  for (const [outcome, names] of Object.entries(ERRORS)) {
    for (const name of names) {
      for (const member of ['code', 'name']) {
        const error = Object.assign(new Error('failed'), { [member]: name })
        t.match(classifyError(error), { outcome }, `${member} ${name}`)
        t.match(classifyError(new Error('fetch failed', { cause: error })), { outcome }, `${member} ${name} of a cause`)
      }
    }
  }
})

t.test('a response that did not come in time is a time-out', async t => {
  for (const name of ['TimeoutError', 'APIConnectionTimeoutError', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']) {
    t.match(classifyError(Object.assign(new Error('late'), { name })), { code: 'upstream_timeout' }, name)
  }
  t.match(classifyError(Object.assign(new Error('reset'), { code: 'ECONNRESET' })), { code: 'upstream_unreachable' })
})
