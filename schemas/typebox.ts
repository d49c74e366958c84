import { Kind, Type, TypeRegistry, type TSchema, type TUnsafe } from '@sinclair/typebox'

const ENUM = 'fastify-batch-cancel/Enum'

TypeRegistry.Set<{ enum: readonly unknown[] }>(ENUM, (schema, value) => schema.enum.includes(value))

/** A plain string `enum`: a union of literals would become an `anyOf` of single-value enums in the document. */
export function StringEnum<const T extends readonly string[]> (
  values: T,
  options: { description?: string, examples?: string[] } = {}
): TUnsafe<T[number]> {
  return Type.Unsafe<T[number]>({ [Kind]: ENUM, type: 'string', enum: [...values], ...options })
}

const MAP = 'fastify-batch-cancel/StringMap'

TypeRegistry.Set(MAP, (_schema, value) => isStringMap(value))

function isStringMap (value: unknown): value is Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  for (const key in value) if (typeof (value as Record<string, unknown>)[key] !== 'string') return false
  return true
}

/** An object whose values are strings: `Type.Record` would match every key against a pattern in each check. */
export const StringMap = (options: { description: string }): TUnsafe<Record<string, string>> =>
  Type.Unsafe({ [Kind]: MAP, ...options, type: 'object', additionalProperties: Type.String() })

export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** Absent or `null`, which is how providers say that a value is not available. */
export const Nullish = <T extends TSchema>(schema: T) => Type.Optional(Nullable(schema))

/** A reference to a named schema that keeps that schema's static type. */
export const RefTo = <T extends TSchema>(schema: T) => Type.Unsafe<T['static']>(Type.Ref(schema.$id as string))
