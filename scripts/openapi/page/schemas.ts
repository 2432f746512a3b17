// Schemas as the page shows them: a type in a few words, and a table of fields.
import { anchor, escapeHtml, inline, table } from './html.ts'
import { lastPart, type Schema } from './shape.ts'

export const schemaAnchor = (name: string): string => `schema-${anchor(name)}`
export const schemaLink = (name: string): string => `<a href="#${schemaAnchor(name)}">${escapeHtml(name)}</a>`

/** The type in HTML, such as `string, 1–100 characters`. */
export function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return schemaLink(lastPart(schema.$ref))
  const choices = schema.anyOf ?? (schema.properties ? undefined : schema.oneOf)
  if (choices) return choices.map(typeOf).join(' or ')
  if (schema.const !== undefined) return code(schema.const)
  if (schema.enum) return schema.enum.map(code).join(', ')
  if (schema.type === 'array') return listOf(schema)
  if (schema.type === 'object') return objectOf(schema)
  const name = Array.isArray(schema.type) ? schema.type.join(' or ') : String(schema.type ?? 'anything')
  return [escapeHtml(name), ...boundsOf(schema)].join(', ')
}

const code = (value: unknown): string => `<code>${escapeHtml(JSON.stringify(value))}</code>`

function listOf({ items = {}, minItems, maxItems, uniqueItems }: Schema): string {
  if (maxItems === 0) return 'empty list'
  const size = range(minItems, maxItems)
  const kind = `list of ${items.properties ? 'objects' : typeOf(items)}`
  return [kind, ...(size ? [`${size} items`] : []), ...(uniqueItems ? ['without repeats'] : [])].join(', ')
}

function objectOf({ properties, additionalProperties }: Schema): string {
  if (!properties && typeof additionalProperties === 'object')
    return `object with values: ${typeOf(additionalProperties)}`
  return 'object'
}

function boundsOf({
  type,
  format,
  pattern,
  minimum,
  maximum,
  minLength,
  maxLength,
  default: fallback,
}: Schema): string[] {
  // A class of control characters says less than the length.
  const isShort = pattern !== undefined && pattern.length <= 48 && !pattern.includes('\\u')
  const isBounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
  const length = maxLength === 16_384 ? '' : range(minLength, maxLength)
  const isDate = format === 'date-time' || format === 'date' || format === 'uuid' || format === 'uri'
  return [
    ...(isDate ? [format] : []),
    ...(type === 'integer' && (isBounded || minimum) ? [isBounded ? range(minimum, maximum) : `from ${minimum}`] : []),
    ...(type === 'string' && length && !isDate && !isShort ? [`${length} characters`] : []),
    ...(type === 'string' && isShort && !isDate ? [`<code>${escapeHtml(pattern)}</code>`] : []),
    ...(fallback === undefined ? [] : [`default ${code(fallback)}`]),
  ]
}

/** `3`, `1–100`, `at most 100`; empty without an upper bound. */
function range(min: number | undefined, max: number | undefined): string {
  if (max === undefined) return ''
  const written = (value: number) => value.toLocaleString('en-US')
  if (min === max) return written(max)
  return min === undefined ? `at most ${written(max)}` : `${written(min)}–${written(max)}`
}

/** All fields of a schema in one table, those of nested objects with their path. Empty if it has none. */
export function fieldTable(schema: Schema): string {
  const rows = fieldRows(schema, '')
  return rows.length === 0 ? '' : table(['field', 'type', 'meaning'], rows)
}

function fieldRows(schema: Schema, prefix: string): string[][] {
  const { properties = {}, required = [] } = schema
  return Object.entries(properties).flatMap(([name, property]) => {
    const path = `${prefix}${name}`
    const presence = required.includes(name) ? '' : ' <small>optional</small>'
    const { object, suffix } = inside(property)
    const isNullable = property.anyOf?.some(({ type }) => type === 'null') && object
    const type = isNullable ? `${object === property ? typeOf(property) : 'object'} or null` : typeOf(property)
    return [
      [
        `<code>${escapeHtml(path).replaceAll('.', '.<wbr>')}</code>${presence}`,
        type,
        inline(property.description ?? ''),
      ],
      ...(object ? fieldRows(object, `${path}${suffix}.`) : []),
    ]
  })
}

/** The object in a field: itself, the only choice that is one, or the items of its list. */
function inside(schema: Schema): { object?: Schema; suffix: string } {
  if (schema.properties) return { object: schema, suffix: '' }
  if (schema.items?.properties) return { object: schema.items, suffix: '[]' }
  const objects = (schema.anyOf ?? []).map(inside).filter(({ object }) => object !== undefined)
  return objects.length === 1 && objects[0] ? objects[0] : { suffix: '' }
}

/** One component: its table, or its alternatives one after the other. */
export function schemaSection(name: string, schema: Schema): string {
  const choices = schema.anyOf ?? []
  const body =
    choices.length > 0
      ? choices.map((choice) => `<p>${inline(choice.description ?? 'Or:')}</p>${fieldTable(choice)}`).join('\n')
      : fieldTable(schema) || `<p>${typeOf(schema)}</p>`
  const rules = [
    ...(schema.oneOf
      ? [`Exactly one of ${schema.oneOf.flatMap(({ required = [] }) => required.map(code)).join(', ')}.`]
      : []),
    ...Object.entries(schema.dependentRequired ?? {}).map(
      ([field, others]) => `${code(field)} only together with ${others.map(code).join(', ')}.`,
    ),
  ]
  return `<section id="${schemaAnchor(name)}"><h3>${escapeHtml(name)}</h3>
${rules.map((rule) => `<p>${rule.replaceAll('&quot;', '')}</p>`).join('')}${body}</section>`
}
