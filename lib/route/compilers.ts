import type { FastifySchemaCompiler } from 'fastify'

/**
 * The route's schema is its document. What it asks for is checked where calls are read, in the order that the
 * contract promises; the compilers of the host would coerce, default or strip what is to be forwarded.
 */
export const validatorCompiler: FastifySchemaCompiler<unknown> = () => () => true

/** fast-json-stringify would drop, round or refuse what a provider adds to its batch. */
export const serializerCompiler = () => JSON.stringify
