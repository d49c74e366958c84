import type { FastifyInstance } from 'fastify'

const PROBE = { type: 'object', properties: {} }
const ROUTE = { method: 'POST', url: '/' }

/**
 * Whether the compilers of an app can read JSON Schema. Those of Zod and the like cannot, and neither can the transform
 * that such an app gives to its OpenAPI document.
 */
export function readsJsonSchema ({ validatorCompiler, serializerCompiler }: FastifyInstance): boolean {
  try {
    // Zod's validator compiles anything, and fails when it is called.
    validatorCompiler?.({ ...ROUTE, schema: PROBE, httpPart: 'body' })({})
    serializerCompiler?.({ ...ROUTE, schema: PROBE, httpStatus: '200' })
    return true
  } catch {
    return false
  }
}
