#!/usr/bin/env node
import module from 'node:module'

/** Node.js 20 has none. */
const { enableCompileCache } = module as { enableCompileCache?: () => unknown }

// A later start takes the compiled code from the cache. Everything else is loaded after this, unlike a static import.
enableCompileCache?.()
await import('./run.js')
