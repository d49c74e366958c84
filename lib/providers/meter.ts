import type { Socket } from 'node:net'
import { MAX_RESPONSE_CHUNKS, MAX_RESPONSE_HEADER_BYTES, MAX_RESPONSE_WIRE_BYTES } from '../limits.js'
import { tooMuch, type ResponseReader } from './response-reader.js'

/** Counts what comes in on a socket before undici parses it. */
export interface Meter {
  /** Puts itself between the socket and undici. */
  attach (socket: Socket): void
  /** A request is about to be written: what comes from now on is its response. */
  start (reader: ResponseReader): void
  progressed (): void
  /** The response is complete: nothing may come before the next request. */
  stop (): void
}

/** The most that undici parses at once, in bytes: most responses as a whole, and little beyond a limit. */
const SLICE_BYTES = 4096

/**
 * undici has no limit on informational responses, empty lines, chunk extensions, the status text, and none that ends
 * its work at once on headers and trailers. Whatever it reads passes here first, in slices, until a limit is reached.
 */
export function createMeter (): Meter {
  let reader: ResponseReader | undefined
  let bytes = 0
  let slices = 0
  /** How many bytes have come since the last part of the response. */
  let silentBytes = 0

  function isAllowed (slice: Buffer, socket: Socket): boolean {
    if (reader === undefined) {
      // It belongs to no response, and whatever follows it is not to be trusted.
      socket.destroy()
      return false
    }
    bytes += slice.length
    silentBytes += slice.length
    slices++
    const excess = excessOf()
    if (excess !== undefined) reader.abort(tooMuch(excess))
    return excess === undefined
  }

  function excessOf (): string | undefined {
    if (silentBytes > MAX_RESPONSE_HEADER_BYTES) return `more than ${MAX_RESPONSE_HEADER_BYTES} bytes of headers`
    if (bytes > MAX_RESPONSE_WIRE_BYTES) return `more than ${MAX_RESPONSE_WIRE_BYTES} bytes`
    return slices > MAX_RESPONSE_CHUNKS ? `more than ${MAX_RESPONSE_CHUNKS} pieces` : undefined
  }

  return {
    attach (socket) {
      const read = socket.read
      let rest: Buffer | null = null
      // undici reads all there is, and nothing else reads from this socket.
      socket.read = () => {
        const block = rest ?? read.call(socket) as Buffer | null
        if (block === null) return null
        const slice = block.length > SLICE_BYTES ? block.subarray(0, SLICE_BYTES) : block
        rest = slice === block ? null : block.subarray(SLICE_BYTES)
        return isAllowed(slice, socket) ? slice : null
      }
    },
    start (next) {
      reader = next
      bytes = slices = silentBytes = 0
    },
    progressed () { silentBytes = 0 },
    stop () { reader = undefined }
  }
}
