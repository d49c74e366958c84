#!/usr/bin/env node
import module from 'node:module'
import { keepCompiledCode, type CompileCache } from './compile-cache.js'

keepCompiledCode(module as CompileCache)
// Loaded after it, unlike a static import.
await import('./run.js')
