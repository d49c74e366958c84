/** The first block; small, since most buffers hold little. */
const MIN_BLOCK_BYTES = 1024
const MAX_BLOCK_BYTES = 64 * 1024

/**
 * Collects bytes by copying them into blocks. A list of the chunks themselves would cost much more than their bytes: a
 * client can send a body as millions of one-byte chunks.
 */
export interface ByteBuffer {
  readonly length: number
  append (bytes: Uint8Array): void
  /** Returns all bytes in one new buffer. */
  toBuffer (): Buffer
}

export function createByteBuffer (): ByteBuffer {
  const full: Buffer[] = []
  let block = Buffer.alloc(0)
  let used = 0
  let length = 0

  function addBlock () {
    full.push(block)
    block = Buffer.allocUnsafeSlow(Math.min(MAX_BLOCK_BYTES, Math.max(MIN_BLOCK_BYTES, length)))
    used = 0
  }

  return {
    get length () { return length },
    append (bytes) {
      for (let copied = 0; copied < bytes.length;) {
        if (used === block.length) addBlock()
        const part = bytes.subarray(copied, copied + block.length - used)
        block.set(part, used)
        used += part.length
        copied += part.length
        length += part.length
      }
    },
    toBuffer: () => Buffer.concat([...full, block.subarray(0, used)], length)
  }
}
