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

export const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** Absent or `null`, which is how providers say that a value is not available. */
export const Nullish = <T extends TSchema>(schema: T) => Type.Optional(Nullable(schema))

/** A reference to a named schema that keeps that schema's static type. */
export const RefTo = <T extends TSchema>(schema: T) => Type.Unsafe<T['static']>(Type.Ref(schema.$id as string))
