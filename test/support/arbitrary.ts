import fc, { type Arbitrary } from 'fast-check'

/** The subset of JSON Schema that this package's document and OpenAI's document use. */
export interface JsonSchema {
  $ref?: string
  type?: string
  const?: unknown
  enum?: readonly unknown[]
  anyOf?: readonly JsonSchema[]
  properties?: Readonly<Record<string, JsonSchema>>
  required?: readonly string[]
  additionalProperties?: boolean | JsonSchema
  items?: JsonSchema
}

/** Values that a schema accepts, including unknown properties if it allows them. */
export function valuesOf (schema: JsonSchema, components: Readonly<Record<string, JsonSchema>>): Arbitrary<unknown> {
  const values = (inner: JsonSchema) => valuesOf(inner, components)
  if (schema.$ref !== undefined) return values(components[schema.$ref.split('/').at(-1) as string] as JsonSchema)
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(values))
  switch (schema.type) {
    case 'string': return fc.string({ unit: 'binary' })
    case 'integer': return fc.maxSafeInteger()
    case 'number': return fc.double({ noNaN: true })
    case 'boolean': return fc.boolean()
    case 'null': return fc.constant(null)
    case 'array': return fc.array(values(schema.items ?? {}), { maxLength: 3 })
    case 'object': return objectsOf(schema, values)
    default: return fc.jsonValue()
  }
}

function objectsOf (
  { properties = {}, required = [], additionalProperties = true }: JsonSchema,
  values: (schema: JsonSchema) => Arbitrary<unknown>
): Arbitrary<unknown> {
  const known = fc.record(
    Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, values(schema)])),
    { requiredKeys: [...required] }
  )
  if (additionalProperties === false) return known
  const unknown = fc.dictionary(
    fc.string({ minLength: 1 }).filter(name => !Object.hasOwn(properties, name) && name !== '__proto__'),
    additionalProperties === true ? fc.jsonValue() : values(additionalProperties),
    { maxKeys: 2 }
  )
  return fc.tuple(known, unknown).map(([first, second]) => ({ ...second, ...first as object }))
}
