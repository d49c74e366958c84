import { finished, type Readable } from 'node:stream'
import { createByteBuffer } from './byte-buffer.js'
import { ApiError, rateLimited } from './errors.js'
import { MAX_RECEIVING_BODIES, MAX_RECEIVING_BYTES, MAX_RECEIVING_MS } from './limits.js'

/** Reads the bodies of requests into memory, a bounded number of bytes at a time, however slowly they arrive. */
export interface BodyReceiver {
  /** How many bodies are arriving. */
  readonly count: number
  /** How many of their bytes are held. */
  readonly bytes: number
  /**
   * Reads a body of at most `limit` bytes.
   * @throws {ApiError} 413 if it is larger; 429 if too many bodies are arriving; 408 if it was slow and another one
   * needed its place; 400 if it was aborted.
   */
  receive (body: Readable, limit: number): Promise<Buffer>
}

interface Reading {
  readonly done: Promise<void>
  /** Stops reading: `done` rejects with the error. */
  stop (error: ApiError): void
}

interface Receiving {
  /** Unix time in milliseconds. */
  readonly startedAt: number
  drop (error: ApiError): void
}

const tooLarge = () => new ApiError(413, 'Request body is too large')
const tooSlow = () => new ApiError(408, 'The request body took too long to arrive, and other requests were waiting.')
const aborted = () => new ApiError(400, 'The request was aborted before its body was complete.')

/** Reads a body and discards it. @throws {ApiError} 413 if it is larger than `limit` bytes. */
export async function discardBody (body: Readable, limit: number): Promise<void> {
  await read(body, limit, () => {}).done
}

/** @param now Returns the Unix time in milliseconds. */
export function createBodyReceiver (now: () => number): BodyReceiver {
  // In the order in which they started.
  const receiving = new Set<Receiving>()
  let bytes = 0

  /** Makes room by dropping the oldest body if its time is up; otherwise returns the error for the new one. */
  function makeRoom (): ApiError | undefined {
    const [oldest] = [...receiving] as [Receiving]
    const left = oldest.startedAt + MAX_RECEIVING_MS - now()
    if (left > 0) return rateLimited('Too many uploads are in progress.', left)
    oldest.drop(tooSlow())
    return undefined
  }

  return {
    get count () { return receiving.size },
    get bytes () { return bytes },
    async receive (body, limit) {
      const error = receiving.size < MAX_RECEIVING_BODIES ? undefined : makeRoom()
      if (error !== undefined) throw error

      const content = createByteBuffer()
      const reading = read(body, limit, (chunk) => {
        while (receiving.has(entry) && bytes + chunk.length > MAX_RECEIVING_BYTES) {
          const error = makeRoom()
          if (error !== undefined) entry.drop(error)
        }
        if (!receiving.has(entry)) return
        content.append(chunk)
        bytes += chunk.length
      })
      const remove = () => { if (receiving.delete(entry)) bytes -= content.length }
      const entry: Receiving = {
        startedAt: now(),
        drop (error) {
          remove()
          reading.stop(error)
        }
      }
      receiving.add(entry)
      try {
        await reading.done
        return content.toBuffer()
      } finally {
        remove()
      }
    }
  }
}

/** Passes each chunk of a body on. The stream is never destroyed, since the response needs its socket. */
function read (body: Readable, limit: number, take: (chunk: Buffer) => void): Reading {
  let stop!: Reading['stop']
  let length = 0
  const done = new Promise<void>((resolve, reject) => {
    const onData = (chunk: Buffer) => {
      length += chunk.length
      if (length > limit) stop(tooLarge())
      else take(chunk)
    }
    stop = (error) => {
      body.off('data', onData)
      // What still arrives is discarded.
      body.resume()
      reject(error)
    }
    finished(body, (error) => error ? stop(aborted()) : resolve())
    body.on('data', onData)
  })
  return { done, stop }
}
