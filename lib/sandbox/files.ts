import { newId } from './ids.js'

const MIB = 1024 * 1024

/** The largest file that may be uploaded. OpenAI takes 200 MB; here all of it stands in memory. */
export const MAX_FILE_BYTES = 16 * MIB
/** How many files are kept; the oldest is dropped for a new one. Three for each batch that is kept, and some more. */
export const MAX_FILES = 2_000
/** How many bytes all files may have together; the oldest are dropped for a new one. */
export const MAX_STORED_BYTES = 256 * MIB

/** OpenAI's file object. */
export interface FileObject {
  readonly id: string
  readonly object: 'file'
  readonly bytes: number
  readonly created_at: number
  readonly expires_at: null
  readonly filename: string
  readonly purpose: 'batch' | 'batch_output'
  readonly status: 'processed'
  readonly status_details: null
}

export interface StoredFile {
  readonly about: FileObject
  readonly bytes: Buffer
}

export interface NewFile extends Pick<FileObject, 'filename' | 'purpose'> {
  /** The id of a file that must last, as those of the seeds; without it, a new id. */
  readonly id?: string | undefined
  readonly bytes: Buffer
  /** Unix time in seconds. */
  readonly createdAt: number
}

export interface FileStore {
  add (file: NewFile): FileObject
  find (id: string): StoredFile | undefined
  /** Newest first; the seeds' files are the oldest. */
  list (): FileObject[]
}

/** Files in memory, bounded in number and bytes. */
export function fileStore (): FileStore {
  const lasting = new Map<string, StoredFile>()
  const passing = new Map<string, StoredFile>()
  let held = 0

  function makeRoom () {
    for (const [id, { bytes }] of passing) {
      if (passing.size <= MAX_FILES && held <= MAX_STORED_BYTES) break
      passing.delete(id)
      held -= bytes.length
    }
  }

  return {
    add ({ id, bytes, filename, purpose, createdAt }) {
      const about: FileObject = {
        id: id ?? newId('file-'),
        object: 'file',
        bytes: bytes.length,
        created_at: createdAt,
        expires_at: null,
        filename,
        purpose,
        status: 'processed',
        status_details: null
      }
      if (id !== undefined) {
        lasting.set(id, { about, bytes })
        return about
      }
      passing.set(about.id, { about, bytes })
      held += bytes.length
      makeRoom()
      return about
    },
    find: (id) => passing.get(id) ?? lasting.get(id),
    list: () => [...lasting.values(), ...passing.values()].map(({ about }) => about).reverse()
  }
}
