/** The part of `node:module` that Node.js 20 lacks. */
export interface CompileCache {
  readonly enableCompileCache?: () => unknown
}

/** Lets a later start take its compiled code from a cache, where Node.js has one. */
export function keepCompiledCode ({ enableCompileCache }: CompileCache): void {
  enableCompileCache?.()
}
