import type { FastifyContentTypeParser } from 'fastify'
import createError from '@fastify/error'

/** Fastify's own error, by its own name: it is not exported on every version of 5. */
const BodyTooLarge = createError('FST_ERR_CTP_BODY_TOO_LARGE', 'Request body is too large', 413, RangeError)

/**
 * Reads any body up to the limit of the route and drops it byte by byte: the route needs none, while curl sends JSON's
 * content type with an empty body and other clients send `{}`. Nothing is buffered.
 */
export const discardBody: FastifyContentTypeParser = (request, payload, done) => {
  const limit = request.routeOptions.bodyLimit
  let bytes = 0

  function count (chunk: Buffer): void {
    bytes += chunk.length
    if (bytes > limit) finish(new BodyTooLarge())
  }

  const end = () => finish(null)

  function finish (error: Error | null): void {
    payload.off('data', count).off('end', end).off('error', finish)
    // Whatever is left is read and dropped, so that the connection can be used again.
    payload.resume()
    done(error, undefined)
  }

  payload.on('data', count).on('end', end).on('error', finish)
}
