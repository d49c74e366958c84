import { pathToFileURL } from 'node:url'

/** The root folder of the repository, in which tap runs: the tests themselves are compiled to another folder. */
export const ROOT = pathToFileURL(`${process.cwd()}/`)
