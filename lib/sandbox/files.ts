import { newId } from './ids.js'
import { MAX_FILES, MAX_STORED_BYTES } from './limits.js'

/** OpenAI's file object. */
export interface FileObject {
  readonly id: string
  readonly object: 'file'
  /** Size of the file, in bytes. */
  readonly bytes: number
  /** Unix time in seconds. */
  readonly created_at: number
  readonly expires_at: null
  readonly filename: string
  readonly purpose: 'batch' | 'batch_output'
  readonly status: 'processed'
  readonly status_details: null
}

export interface StoredFile {
  readonly file: FileObject
  readonly content: Buffer
}

export interface NewFile extends Pick<FileObject, 'filename' | 'purpose'> {
  /** The id of a file that is never removed, as those of the seeds. Without it, the file gets a new id. */
  readonly id?: string | undefined
  readonly content: Buffer
  /** Unix time in seconds. */
  readonly createdAt: number
}

export interface FileStore {
  add (file: NewFile): FileObject
  find (id: string): StoredFile | undefined
  /** Newest first; the files of the seeds are the oldest. */
  list (): FileObject[]
}

/** Stores files in memory, bounded in number and bytes. */
export function createFileStore (): FileStore {
  const permanent = new Map<string, StoredFile>()
  const removable = new Map<string, StoredFile>()
  let bytes = 0

  function removeOldest () {
    for (const [id, { content }] of removable) {
      if (removable.size <= MAX_FILES && bytes <= MAX_STORED_BYTES) break
      removable.delete(id)
      bytes -= content.length
    }
  }

  return {
    add ({ id, content, filename, purpose, createdAt }) {
      const file: FileObject = {
        id: id ?? newId('file-'),
        object: 'file',
        bytes: content.length,
        created_at: createdAt,
        expires_at: null,
        filename,
        purpose,
        status: 'processed',
        status_details: null
      }
      if (id !== undefined) {
        permanent.set(id, { file, content })
        return file
      }
      removable.set(file.id, { file, content })
      bytes += content.length
      removeOldest()
      return file
    },
    find: (id) => removable.get(id) ?? permanent.get(id),
    list: () => [...permanent.values(), ...removable.values()].map(({ file }) => file).reverse()
  }
}
