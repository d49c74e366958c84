import { randomUUID } from 'node:crypto'

/** Returns a new id: the prefix and 32 hexadecimal digits. */
export const newId = (prefix: string) => prefix + randomUUID().replaceAll('-', '')
