// The shape of the OpenAPI document, as far as the page reads it.

export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly format?: string
  readonly pattern?: string
  readonly description?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly default?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly uniqueItems?: boolean
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly dependentRequired?: Readonly<Record<string, readonly string[]>>
}
export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly description: string
  readonly required?: boolean
  readonly schema: Schema
  readonly example?: unknown
}
interface Ref {
  readonly $ref: string
}
export interface Content {
  readonly schema: Schema
  readonly examples?: Readonly<Record<string, Ref>>
}
export interface Response {
  readonly description: string
  readonly headers?: Readonly<Record<string, Ref>>
  readonly content?: Readonly<Record<string, Content>>
}
export interface Operation {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description: string
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  readonly parameters?: readonly Ref[]
  readonly requestBody?: {
    readonly description: string
    readonly required: boolean
    readonly content: Readonly<Record<string, Content>>
  }
  readonly responses: Readonly<Record<string, Response | Ref>>
}
export interface Document {
  readonly info: {
    readonly title: string
    readonly version: string
    readonly summary: string
    readonly description: string
  }
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation | readonly Ref[]>>>>
  readonly components: {
    readonly securitySchemes: Readonly<Record<string, { readonly description: string }>>
    readonly parameters: Readonly<Record<string, Parameter>>
    readonly headers: Readonly<Record<string, { readonly description: string; readonly example: unknown }>>
    readonly responses: Readonly<Record<string, Response>>
    readonly examples: Readonly<Record<string, { readonly summary: string; readonly value: unknown }>>
    readonly schemas: Readonly<Record<string, Schema>>
  }
}

export const lastPart = (reference: string): string => reference.slice(reference.lastIndexOf('/') + 1)

/** The component that a reference names; what is no reference is itself. */
export function resolve<Kind extends Exclude<keyof Document['components'], 'securitySchemes'>>(
  { components }: Document,
  kind: Kind,
  given: Document['components'][Kind][string] | Ref,
): Document['components'][Kind][string] {
  if (!('$ref' in given) || given.$ref === undefined) return given as Document['components'][Kind][string] // no reference
  const found = components[kind][lastPart(given.$ref)]
  if (!found) throw new Error(`the document has no ${given.$ref}`)
  return found as Document['components'][Kind][string] // looked up under its own kind
}
